"""Measures over time in the report: read and checked, as tables, and as numbers for the curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from co2net.evaluation.report.checked import Unusable, get, is_a, number, texts
from co2net.evaluation.report.names import count_text, method_label, number_text
from co2net.evaluation.temporal.pairs import flow_label
from co2net.evaluation.temporal.results import as_published, measure_title

DIGITS = 4  # significant, of the curves


@dataclass(frozen=True)
class ClipOverTime:
    """One clip: its frame numbers and ``(frames, methods, measures)`` values, ``nan`` where there is none."""

    name: str
    numbers: list[int]
    values: np.ndarray


@dataclass(frozen=True)
class OverTime:
    """One block of :mod:`co2net.evaluation.temporal.results`."""

    flow: str
    pairs: str
    """Which frames are compared, in words."""
    methods: list[str]
    measures: list[str]
    means: dict[str, dict[str, float | None]]
    skipped: dict[str, int]
    """Per measure, values that no method has (an empty mask)."""
    clips: list[ClipOverTime]

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


def read_over_time(content: Any, where: str) -> OverTime:
    """Check a block.

    Raises:
        Unusable: something is missing or of another kind; says where.
    """
    is_a(dict, content, where)
    try:
        methods, measures = texts(content, "methods"), texts(content, "measures")
    except Unusable as error:
        raise Unusable(f"{where}: {error}") from error
    summary = get(content, "summary", dict, where)
    means: dict[str, dict[str, float | None]] = {}
    skipped = dict.fromkeys(measures, 0)
    for method in methods:
        row = get(summary, method, dict, f"{where}.summary")
        means[method] = {}
        for measure in measures:
            place = f"{where}.summary.{method}.{measure}"
            cell = get(row, measure, dict, f"{where}.summary.{method}")
            mean = cell.get("mean")
            means[method][measure] = None if mean is None else number(mean, f"{place}.mean")
            skipped[measure] = max(skipped[measure], get(cell, "skipped", int, place))
    clips = [
        _clip(is_a(dict, clip, f"{where}.clips[{i}]"), methods, measures, f"{where}.clips[{i}]")
        for i, clip in enumerate(get(content, "clips", list, where))
    ]
    return OverTime(
        get(content, "flow", str, where), get(content, "pairs", str, where), methods, measures, means, skipped, clips
    )


def _clip(content: dict[str, Any], methods: list[str], measures: list[str], where: str) -> ClipOverTime:
    numbers = [is_a(int, value, f"{where}.numbers") for value in get(content, "numbers", list, where)]
    given = get(content, "values", dict, where)
    values = np.full((len(numbers), len(methods), len(measures)), np.nan)
    for m, method in enumerate(methods):
        row = get(given, method, dict, f"{where}.values")
        for k, measure in enumerate(measures):
            place = f"{where}.values.{method}.{measure}"
            column = get(row, measure, list, f"{where}.values.{method}")
            if len(column) != len(numbers):
                raise Unusable(f"{place} has {len(column)} values for {len(numbers)} frames")
            values[:, m, k] = [math.nan if value is None else number(value, place) for value in column]
    return ClipOverTime(get(content, "clip", str, where), numbers, values)


def over_time_rows(block: OverTime) -> list[tuple[str, list[str]]]:
    """The table of a block: method and its means."""
    return [
        (method_label(method), [number_text(block.means[method][measure], 2) for measure in block.measures])
        for method in block.methods
    ]


def over_time_notes(block: OverTime) -> list[str]:
    """What was left out of the means."""
    return [
        f"{title}: {count_text(block.skipped[measure])} left out of the mean, without a value (empty mask)."
        for measure, title in zip(block.measures, block.titles, strict=True)
        if block.skipped[measure]
    ]


def temporal_column(block: OverTime, method: str) -> str:
    """TL of a method as printed; a dash where it was not measured."""
    return number_text(block.means.get(method, {}).get("tl"), 2)


def over_time_data(blocks: list[OverTime], methods: list[str]) -> list[dict[str, Any]]:
    """What the page's script draws, as plain lists.

    Args:
        blocks: one entry each.
        methods: of the evaluation, whose colors the curves share.
    """
    return [
        {
            "label": f"{block.flow_label}, {block.pairs}",
            "methods": [{"label": method_label(m), "color": _color(m, block, methods)} for m in block.methods],
            "measures": [{"label": title, "lower": True, "digits": 2} for title in block.titles],
            "clips": [
                {
                    "name": clip.name,
                    "numbers": clip.numbers,
                    "values": [
                        [_numbers(clip.values[:, m, k]) for k in range(len(block.measures))]
                        for m in range(len(block.methods))
                    ],
                }
                for clip in block.clips
            ],
        }
        for block in blocks
    ]


def _color(method: str, block: OverTime, methods: list[str]) -> int:
    others = [m for m in block.methods if m not in methods]
    return methods.index(method) if method in methods else len(methods) + others.index(method)


def _numbers(column: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in column.tolist()]
