"""How an evaluation was done, in sentences that stand beside its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from co2net.data.clips import PAPER_SIZE
from co2net.evaluation.settings import EvaluationSettings
from co2net.evaluation.temporal.pairs import flow_label
from co2net.models.co2net import CO2Net

TABLE_LIST = "LUT_list.txt"


def protocol(settings: EvaluationSettings, model: CO2Net | None, dataset: Path, clips: Iterable[str]) -> dict[str, str]:
    """The rules of an evaluation, by name.

    Args:
        settings: of the evaluation.
        model: what was evaluated; None: methods without one.
        dataset: the data set's folder.
        clips: names ``<video>/<object>`` of the evaluated clips.
    """
    size = f"{settings.size} x {settings.size}" if settings.size else "their own size"
    sentences = {
        "size": f"Frames are evaluated at {size}"
        + ("." if settings.size == PAPER_SIZE else f"; published numbers are made at {PAPER_SIZE} x {PAPER_SIZE}."),
        "resize": "Bilinear, two taps per axis, no antialiasing, aspect ratio not kept; pictures in 8-bit arithmetic, "
        "masks in float32, so their borders become soft.",
        "rounding": "Results are clamped to 0..255 and not rounded.",
        "mask": "Soft masks are weights; only the published fMSE counts the pixels that are fully covered.",
        **(_of_model(settings, model) if model is not None else {}),
        "means": "Plain means over frames. Frames without a value (empty mask) and with infinite PSNR (equal to the "
        "truth) are left out of that mean and counted.",
        "precision": {
            "fp32": "Networks in float32.",
            "tf32": "Networks in float32 with TF32 products.",
            "bf16": "Networks in bfloat16, color mapping and scores in full precision.",
            "fp16": "Networks in float16, color mapping and scores in full precision.",
        }[settings.precision],
    }
    if settings.flow is not None:
        sentences["over time"] = over_time(settings.flow.name, settings.step)
    if found := _tables(dataset, clips):
        sentences["tables"] = found
    return sentences


def over_time(flow: str, step: int) -> str:
    """How the measures between frames are made, in one paragraph."""
    return (
        f"Each listed frame against the one {step} frame number{'s' if step > 1 else ''} before, moved along the "
        f"motion that {flow_label(flow)} finds between the real frames. TL as published (unclamped results, the "
        "confidence of the motion squared above only); weighted: the same as a mean squared error; visible: only what "
        "both frames show by a forward-backward check, clamped. R-RTC, fR-RTC and flicker compare brightness and "
        "colors with the real clip's, without flow. Values of different flows, frame distances or sizes do not compare."
    )


def _of_model(settings: EvaluationSettings, model: CO2Net) -> dict[str, str]:
    return {
        "neighbors": f"{settings.previous} before and {settings.future} after, {settings.step} frame numbers apart; a "
        "missing one repeats the one before it in its direction and counts again.",
        "mapping": _mapping(model),
    }


def _mapping(model: CO2Net) -> str:
    mapping = model.mapping.description
    if model.mapping.has_holes:
        rule = "whose eight cells are all empty" if model.unseen_rule == "all_empty" else "that no neighbor shows"
        mapping += f" Colors {rule} come from the backbone."
    if model.refinement:
        return mapping + " The refinement merges both."
    twice = ", blended by the mask twice as published" if model.paper_lut_only else ""
    return f"{mapping} No refinement: the final result is the color mapping's{twice}."


def _tables(dataset: Path, clips: Iterable[str]) -> str | None:
    """Which LUTs made the clips, where the data set says so."""
    try:
        lines = (dataset / TABLE_LIST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    made: dict[str, str] = {}
    for line in lines:
        words = line.replace("\\", "/").split()
        if len(words) == 2:
            made["/".join(words[0].split("/")[-2:])] = words[1]
    evaluated = set(clips)
    here = {table for clip, table in made.items() if clip in evaluated}
    elsewhere = {table for clip, table in made.items() if clip not in evaluated}
    if not here:
        return None
    shared = len(here & elsewhere)
    return f"{len(here)} LUTs made these clips; {shared} of them made other clips too ({TABLE_LIST})."
