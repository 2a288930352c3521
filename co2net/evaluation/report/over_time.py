"""Measures over time in the report: read and checked, as tables, and as numbers for the curves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from co2net.evaluation.methods import method_of
from co2net.evaluation.report.text import count_text
from co2net.evaluation.report.typed import Unusable, check_complete, check_names
from co2net.evaluation.temporal.pairs import flow_label
from co2net.evaluation.temporal.results import as_published, measure_title
from co2net.metrics.registry import number_text

DIGITS = 4  # significant, of the curves


@dataclass(frozen=True)
class TimeMean:
    """One measure of one method over everything."""

    skipped: int
    """Values that do not exist (an empty mask)."""
    mean: float | None = None


@dataclass(frozen=True)
class ClipOverTime:
    """One clip: its frame numbers, and for each method and measure a value per frame."""

    clip: str
    numbers: list[int]
    values: dict[str, dict[str, list[float | None]]]


@dataclass(frozen=True)
class OverTime:
    """One block of :mod:`co2net.evaluation.temporal.results`."""

    flow: str
    pairs: str
    """Which frames are compared, in words."""
    methods: list[str]
    measures: list[str]
    summary: dict[str, dict[str, TimeMean]]
    clips: list[ClipOverTime]

    def check(self, where: str) -> None:
        """See that nothing is missing.

        Raises:
            Unusable: something is; says where.
        """
        check_names(self.methods, f"{where}.methods")
        check_names(self.measures, f"{where}.measures")
        check_complete(self.summary, self.methods, self.measures, f"{where}.summary")
        for i, clip in enumerate(self.clips):
            place = f"{where}.clips[{i}].values"
            check_complete(clip.values, self.methods, self.measures, place)
            for method in self.methods:
                for measure in self.measures:
                    count = len(clip.values[method][measure])
                    if count != len(clip.numbers):
                        raise Unusable(f"{place}.{method}.{measure} has {count} values for {len(clip.numbers)} frames")

    @property
    def flow_label(self) -> str:
        """What people call the flow."""
        return flow_label(self.flow)

    @property
    def titles(self) -> list[str]:
        """The measures' names, with the flow's where they depend on it."""
        return [measure_title(measure, self.flow) for measure in self.measures]

    @property
    def as_published(self) -> bool:
        """Whether TL compares with the published values."""
        return as_published(self.flow, self.pairs)

    def mean(self, method: str, measure: str) -> float | None:
        """Over everything; None where there is none."""
        found = self.summary.get(method, {}).get(measure)
        return None if found is None else found.mean


def over_time_rows(block: OverTime) -> list[tuple[str, list[str]]]:
    """The table of a block: method and its means."""
    return [
        (method_of(method).label, [number_text(block.mean(method, measure), 2) for measure in block.measures])
        for method in block.methods
    ]


def over_time_notes(block: OverTime) -> list[str]:
    """What was left out of the means."""
    skipped = [max(block.summary[method][measure].skipped for method in block.methods) for measure in block.measures]
    return [
        f"{title}: {count_text(count)} left out of the mean, without a value (empty mask)."
        for count, title in zip(skipped, block.titles, strict=True)
        if count
    ]


def temporal_column(block: OverTime, method: str) -> str:
    """TL of a method as printed; a dash where it was not measured."""
    return number_text(block.mean(method, "tl"), 2)


def over_time_data(blocks: list[OverTime], methods: list[str]) -> list[dict[str, Any]]:
    """What the page's script draws, as plain lists.

    Args:
        blocks: one entry each.
        methods: of the evaluation, whose colors the curves share.
    """
    return [
        {
            "label": f"{block.flow_label}, {block.pairs}",
            "methods": [{"label": method_of(m).label, "color": _color(m, block, methods)} for m in block.methods],
            "measures": [{"label": title, "lower": True, "digits": 2} for title in block.titles],
            "clips": [
                {
                    "name": clip.clip,
                    "numbers": clip.numbers,
                    "values": [[short(clip.values[m][k]) for k in block.measures] for m in block.methods],
                }
                for clip in block.clips
            ],
        }
        for block in blocks
    ]


def _color(method: str, block: OverTime, methods: list[str]) -> int:
    others = [m for m in block.methods if m not in methods]
    return methods.index(method) if method in methods else len(methods) + others.index(method)


def short(values: Iterable[float | None]) -> list[float | None]:
    """What a curve needs of them: half a pixel on a large screen; None where there is no finite value."""
    return [None if v is None or not math.isfinite(v) else float(f"{v:.{DIGITS}g}") for v in values]
