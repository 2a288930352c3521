"""The tables of a model card: every method on clips that LUTs made wrong, and on composites of a data set."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from co2net.checks import check_least
from co2net.data import read_dataset
from co2net.data.clips import read_parts
from co2net.data.composites import blend_lut
from co2net.errors import InputError
from co2net.evaluation.clips import Score, motion, read_clip, score, summarize
from co2net.evaluation.methods import TRUTH, Run, baselines, network_methods
from co2net.models.co2net import CO2Net
from co2net.pipeline.key_frames import KeyFrames

Progress = Callable[[str, str], None]
"""Called before each clip with the frames' size and the clip's name."""

COLUMNS: dict[str, Callable[[dict], str]] = {
    "fMSE": lambda row: f"{row['fmse']:.1f}",
    "share of the composite's": lambda row: f"{row['share']:.2f}",
    "95 %": lambda row: f"{row['share_low']:.2f} to {row['share_high']:.2f}",
    "better": lambda row: f"{row['better']} of {row['composites']}",
    "mean share": lambda row: f"{row['mean_share']:.2f}",
    "PSNR": lambda row: f"{row['psnr']:.2f} dB",
    "TL (DIS)": lambda row: f"{row['tl']:.2f}",
    "flicker": lambda row: f"{row['flicker']:.2f}",
    "worse": lambda row: f"{100 * row['worse']:.0f} %",
    "s / frame": lambda row: f"{row['seconds_per_frame']:.3f}",
}
"""Columns of :func:`table`, from a row of :func:`co2net.evaluation.clips.summarize`."""


def measure_clips(
    clips: Path,
    luts: Mapping[str, Tensor],
    model: CO2Net,
    *,
    names: Sequence[str] | None = None,
    lut_count: int = 5,
    frames: int | None = 20,
    every: int = 1,
    sizes: Sequence[int | None] = (256, None),
    key_frames: KeyFrames = None,
    graded: bool = False,
    on_clip: Progress | None = None,
) -> dict[str, list[Score]]:
    """Measure a model, the classical methods and the composite itself on clips that LUTs made wrong.

    Args:
        clips: folder of ``<clip>/frames/*`` with ``<clip>/masks/*.png`` of the same names.
        luts: ``(N, 3, D, D, D)`` by the name of their split.
        model: where it is, it computes.
        names: of the clips; None: all.
        lut_count: LUTs per split, evenly spread over it.
        frames: first frames of each clip; None: all.
        every: takes each so-manieth frame.
        sizes: height and width of the frames; None: their own.
        key_frames: measure the model with these, too.
        graded: each clip is graded as a whole by another LUT first, so that no look is right for its own sake.
        on_clip: see :data:`Progress`.

    Returns:
        Title of a table to the scores in it.

    Raises:
        InputError: a setting is out of range, or a clip cannot be used.
    """
    for name, value in (("every", every), ("lut_count", lut_count)):
        check_least(name, value, 1)
    if not clips.is_dir():
        raise InputError(f"the folder of clips {clips} does not exist")
    names = names or sorted(path.name for path in clips.iterdir() if path.is_dir())
    methods = baselines() | network_methods(model, key_frames)
    scores: dict[str, list[Score]] = {}
    for size in sizes:
        shown = "own" if size is None else str(size)
        for name in names:
            if on_clip is not None:
                on_clip(shown, name)
            shot, masks = read_clip(clips / name, None if size is None else (size, size), frames, every)
            everywhere = [np.full_like(mask, 255) for mask in masks]
            fields = motion(shot)
            for split, loaded in luts.items():
                for index in (round((i + 0.5) * len(loaded) / lut_count - 0.5) for i in range(lut_count)):
                    other = loaded[(index + len(loaded) // 2) % len(loaded)]
                    real = blend_lut(shot, everywhere, other) if graded else shot
                    composites = blend_lut(real, masks, loaded[index])
                    # What a perfect result would get: TL counts the real clip's own changes.
                    compared: dict[str, Run] = methods | {TRUTH: lambda composites, masks, real=real: real}
                    scores.setdefault(f"size {shown}, {split} LUTs{', graded' * graded}", []).extend(
                        score(name, f"{split} {index}", method, run, composites, masks, real, fields)
                        for method, run in compared.items()
                    )
            scores.setdefault(f"size {shown}, untouched", []).extend(
                score(name, "none", method, run, shot, masks, shot, fields) for method, run in methods.items()
            )
    return scores


def measure_pairs(root: Path, methods: Mapping[str, Run], on_pair: Callable[[str], None] | None = None) -> list[Score]:
    """Every method on every composite of a data set by itself; the means are those of ``clips.summarize``.

    Args:
        root: of the data set, of any layout that has composites.
        methods: by name; "composite" must be among them.
        on_pair: called with the name of each composite before it is measured.

    Raises:
        InputError: the data set or a picture cannot be read, or sizes differ.
    """
    scores = []
    for sample in read_dataset(root, composites=True):
        name = sample.composite.stem
        if on_pair is not None:
            on_pair(name)
        composite, mask, real = read_parts(sample)
        parts = [composite], [np.rint(mask * 255).astype(np.uint8)], [real]
        scores += [score(name, "pair", key, method, *parts) for key, method in methods.items()]
    return scores


def table(scores: Sequence[Score], without: Container[str] = ()) -> str:
    """A Markdown table of one group of :func:`measure_clips`, a row per method; harm only, where nothing was wrong.

    Args:
        scores: of one table.
        without: columns to leave out.
    """
    rows = summarize(scores)
    if all(score.lut == "none" for score in scores):
        columns = {
            "fMSE done to clips that were right": COLUMNS["fMSE"],
            "largest": lambda row: f"{row['largest']:.1f}",
        }
    else:
        columns = {name: text for name, text in COLUMNS.items() if name not in without}
    lines = [["method", *columns], ["---"] * (1 + len(columns))]
    lines += [[str(row["method"]), *(text(row) for text in columns.values())] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
