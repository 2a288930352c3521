"""From the records of clips to measures over time: per frame, per method, and their means.

A block of results, in ``results.json`` under ``temporal`` and in ``temporal.json`` once per flow::

    {"flow": "dis", "flow_weights": null or SHA-256, "pairs": which frames are compared, in words,
     "methods": [..., "truth"], "measures": [...],
     "summary": {method: {measure: {"mean", "count", "skipped"}}},
     "clips": [{"clip": name, "numbers": [...], "values": {method: {measure: [value or null per frame]}}}]}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from co2net.data.clips import PAPER_SIZE
from co2net.evaluation.methods import TRUTH, ordered
from co2net.evaluation.published import PUBLISHED_FLOW, PUBLISHED_PAIRS
from co2net.evaluation.scores import mean_of
from co2net.evaluation.temporal.pairs import FlowChoice, flow_label
from co2net.metrics.registry import CLIP_MEASURES, PAIR_MEASURES, pair_measures_of
from co2net.provenance import NoteKind

NAME = "temporal.json"
BLOCKS = NoteKind("co2net-temporal", "a file of measures over time", "delete it and measure again")

Values = dict[str, dict[str, list[float | None]]]
"""Method to measure to one value per frame."""


def measure_title(measure: str, flow: str) -> str:
    """What a measure is called in tables, with the flow's name where it depends on one."""
    if measure in CLIP_MEASURES:
        return CLIP_MEASURES[measure].label
    known = PAIR_MEASURES.get(measure)
    label = known.label if known else measure
    return f"{label} ({flow_label(flow)})" if known is None or known.flow else label


def pairs_in_words(count: int, sizes: Iterable[tuple[int, int]], step: int) -> str:
    """Which pairs of stored results a block is about."""
    at = " and ".join(f"{height} x {width}" for height, width in sorted(sizes))
    return f"{_pairs(count)} of stored results at {at}, frames t and t + {step}"


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def as_published(flow: str, pairs: str) -> bool:
    """Whether a block's TL compares with the published ones: their flow, as many pairs, their size."""
    return flow == PUBLISHED_FLOW and pairs == pairs_in_words(PUBLISHED_PAIRS, [(PAPER_SIZE, PAPER_SIZE)], 1)


def temporal_block(
    records: Sequence[dict[str, Any]],
    methods: Sequence[str],
    flow: FlowChoice,
    size: int | None,
    step: int,
    task: str = "harmonization",
) -> dict[str, Any]:
    """The block of an evaluation whose frames carry the measures of a pass over time.

    Args:
        records: of clips, their frames in order; ``temporal`` of a frame is of
            :meth:`~co2net.evaluation.temporal.clip_pass.TemporalPass.measure`.
        methods: what was scored; the truth comes last by itself.
        flow: what found the motion.
        size: height and width of the frames; None: their own.
        step: distance of the numbers of frames that follow each other.
        task: whose measures.
    """
    measures = [measure.key for measure in pair_measures_of(task)]
    measures += CLIP_MEASURES if task != "matting" else ()  # brightness and colors, which mattes have not
    every = [*methods, TRUTH]
    clips = [
        {
            "clip": record["clip"],
            "numbers": [frame["number"] for frame in record["frames"]],
            "values": clip_values(record["frames"], every, step, measures),
        }
        for record in records
    ]
    pairs = sum(_follows(clip["numbers"], i, step) for clip in clips for i in range(len(clip["numbers"])))
    at = f"{size} x {size}" if size else "their own size"
    apart = f"{step} frame numbers apart" if step > 1 else "successive frames"
    return make_block(clips, every, measures, flow, f"{_pairs(pairs)} of listed frames at {at}, {apart}", step)


def make_block(
    clips: list[dict[str, Any]],
    methods: Sequence[str],
    measures: Sequence[str],
    flow: FlowChoice,
    pairs: str,
    step: int | None = None,
) -> dict[str, Any]:
    """Put a block together and average it: pairs and frames alike, R-RTC and fR-RTC over clips as published.

    Args:
        clips: ``clip``, ``numbers``, ``values``.
        methods: in the order of the tables.
        measures: likewise.
        flow: what found the motion.
        pairs: which frames are compared, in words.
        step: distance of frames that follow each other; None: every entry of a clip is a pair by itself.
    """
    return {
        "flow": flow.name,
        "flow_weights": flow.conditions()["flow weights"],
        "pairs": pairs,
        "methods": list(methods),
        "measures": list(measures),
        "summary": {
            method: {measure: _mean(clips, method, measure, step) for measure in measures} for method in methods
        },
        "clips": clips,
    }


def clip_values(
    frames: Sequence[dict[str, Any]], methods: Sequence[str], step: int, measures: Sequence[str] | None = None
) -> Values:
    """The measures of one clip's frames, by default those of pictures.

    What compares with an earlier frame stands at the later one.
    """
    if measures is None:
        measures = [*(measure.key for measure in pair_measures_of("harmonization")), *CLIP_MEASURES]
    numbers = [frame["number"] for frame in frames]
    places = _places(numbers, step)
    values: Values = {}
    for method in methods:
        rows = {measure: [frame["temporal"][method].get(measure) for frame in frames] for measure in PAIR_MEASURES}
        for key, measure in CLIP_MEASURES.items():
            if key in measures:
                kept = (_table(frames, whose, measure.kept, places) for whose in (method, TRUTH))
                series = measure.measure(*kept)
                rows[key] = [_known(series[place]) for place in places]
        values[method] = {measure: rows[measure] for measure in measures}
    return values


def _follows(numbers: Sequence[int], i: int, step: int) -> bool:
    return i > 0 and numbers[i] - numbers[i - 1] == step


def _places(numbers: Sequence[int], step: int) -> list[int]:
    """Rows of a table in which frames that do not follow each other have a row between them."""
    places: list[int] = []
    for i in range(len(numbers)):
        places.append((places[-1] + (1 if _follows(numbers, i, step) else 2)) if places else 0)
    return places


def _table(frames: Sequence[dict[str, Any]], method: str, name: str, places: list[int]) -> Tensor:
    """``(rows, N)`` float64: the frames' numbers at their places, ``nan`` elsewhere."""
    rows = [[math.nan if v is None else v for v in frame["temporal"][method][name]] for frame in frames]
    table = torch.full((places[-1] + 1, len(rows[0])), torch.nan, dtype=torch.float64)
    table[places] = torch.tensor(rows, dtype=torch.float64)
    return table


def _known(value: Tensor) -> float | None:
    return value.item() if value.isfinite() else None


def _mean(clips: list[dict[str, Any]], method: str, measure: str, step: int | None) -> dict[str, Any]:
    rows = [clip["values"][method][measure] for clip in clips]
    possible = [_possible(clip["numbers"], measure, step) for clip in clips]
    if measure in CLIP_MEASURES and CLIP_MEASURES[measure].per_clip:
        values, wanted = [mean_of(row) for row in rows], sum(count > 0 for count in possible)
    else:
        values, wanted = [value for row in rows for value in row], sum(possible)
    count = sum(value is not None for value in values)
    return {"mean": mean_of(values), "count": count, "skipped": wanted - count}


def _possible(numbers: Sequence[int], measure: str, step: int | None) -> int:
    """How many values a clip could have, were no mask empty."""
    if step is None:
        return len(numbers)
    follows = [_follows(numbers, i, step) for i in range(len(numbers))]
    if measure in CLIP_MEASURES and CLIP_MEASURES[measure].looks_ahead:
        return sum(before and after for before, after in pairwise(follows))
    return sum(follows)


def read_blocks(folder: Path) -> list[dict[str, Any]]:
    """The blocks of ``temporal.json`` in `folder`; none where there is no such file.

    Raises:
        InputError: the file is damaged or something else.
    """
    path = folder / NAME
    blocks = (BLOCKS.read(path) or {"blocks": []}).get("blocks")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise BLOCKS.refused(path)
    return blocks


def add_block(folder: Path, block: dict[str, Any]) -> Path:
    """Add a block to ``temporal.json``: methods of the same flow and pairs stand together, and replace themselves.

    Raises:
        InputError: the file there is damaged.
        OutputError: the folder cannot be made or written.
    """
    path = folder / NAME
    try:
        blocks = _with(read_blocks(folder), block)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BLOCKS.refused(path) from error
    BLOCKS.write(path, {"blocks": blocks})
    return path


def _with(blocks: list[dict[str, Any]], block: dict[str, Any]) -> list[dict[str, Any]]:
    place = next((i for i, other in enumerate(blocks) if _same_pairs(other, block)), None)
    if place is None:
        return [*blocks, block]
    return [*blocks[:place], _joined(blocks[place], block), *blocks[place + 1 :]]


def _same_pairs(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def key(block: dict[str, Any]) -> tuple[Any, ...]:
        clips = [(clip.get("clip"), clip.get("numbers")) for clip in block.get("clips", [])]
        return block.get("flow"), block.get("flow_weights"), block.get("pairs"), block.get("measures"), clips

    return key(one) == key(other)


def _joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Both blocks' methods in the tables' order: composite first, truth last."""
    methods = ordered([*before["methods"], *now["methods"]])
    return {
        **now,
        "methods": methods,
        "summary": {m: now["summary"].get(m) or before["summary"][m] for m in methods},
        "clips": [
            {**new, "values": {m: new["values"].get(m) or old["values"][m] for m in methods}}
            for old, new in zip(before["clips"], now["clips"], strict=True)
        ],
    }
