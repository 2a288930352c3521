"""Measure methods on clips: real frames with masks, composites made by LUTs.

The protocol of every LUT on a model card: one LUT per clip applied inside the mask, results rounded to
8 bits, standard metrics, means over the frames of a clip, then over clips and LUTs. TL is the published temporal loss
with DIS flow between the real frames instead of FlowNet2's, at the frames' own size: comparable within a LUT only.
Flicker is that of :func:`co2net.metrics.color_flicker`: the foreground's colors against the real clip's, without flow.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from co2net.data.pictures import read_with_mask, resize_image, resize_mask8, to_tensor
from co2net.errors import InputError
from co2net.evaluation.methods import Run
from co2net.flow import create_flow
from co2net.metrics import fmse, psnr, temporal_loss
from co2net.metrics.flicker import foreground_colors, frame_flicker

CLEARLY_WRONG = 100.0  # fMSE of a composite
DRAWS = 2000  # of clips, for an interval
Frames = list[np.ndarray]


@dataclass
class Score:
    """One method on one clip with one LUT: means over frames; errors in squared 8-bit levels, PSNR in dB.

    `tl` is ``nan`` where the motion was not given; `flicker` is in 8-bit levels, ``nan`` for fewer than three frames.
    """

    clip: str
    lut: str
    method: str
    fmse: float
    psnr: float
    tl: float
    seconds_per_frame: float
    flicker: float = float("nan")


def read_clip(
    folder: Path, size: tuple[int, int] | None = None, limit: int | None = None, every: int = 1
) -> tuple[Frames, Frames]:
    """``frames/*`` and ``masks/*`` of a clip, optionally resized (bilinear) to ``size = (height, width)``.

    Args:
        folder: of the clip.
        size: of the result; None keeps the clip's.
        limit: number of frames at most.
        every: takes each so-manieth frame.

    Raises:
        InputError: if a folder or picture is missing.
    """
    paths = sorted((folder / "frames").glob("*.*"))[::every][:limit]
    if not paths:
        raise InputError(f"{folder} holds no frames/ with pictures")
    frames, masks = [], []
    for path in paths:
        frame, mask = read_with_mask(path, folder / "masks" / f"{path.stem}.png", "its frame")
        if size is not None:
            frame, mask = resize_image(frame, size), resize_mask8(mask, size)
        frames.append(frame)
        masks.append(mask)
    return frames, masks


def motion(real: Frames) -> list[Tensor]:
    """Where every pixel of frame t + 1 lies in frame t: fields ``(1, 2, H, W)`` in pixels, one fewer than frames."""
    estimate = create_flow("dis")
    return [estimate(to_tensor(following)[None], to_tensor(current)[None]) for current, following in pairwise(real)]


def score(
    clip: str,
    lut: str,
    name: str,
    method: Run,
    composites: Frames,
    masks: Frames,
    real: Frames,
    fields: Sequence[Tensor] = (),
) -> Score:
    """Run a method on a clip and measure it; `fields` is the clip's :func:`motion`, without which there is no TL."""
    started = time.perf_counter()
    results = [to_tensor(np.asarray(result))[None] for result in method(composites, masks)]
    seconds = (time.perf_counter() - started) / len(composites)
    targets = [to_tensor(target)[None] for target in real]
    alphas = [torch.from_numpy(mask).float()[None, None] / 255 for mask in masks]
    errors = [fmse(*frame) for frame in zip(results, targets, alphas, strict=True)]
    ratios = [psnr(*frame) for frame in zip(results, targets, strict=True)]
    changes = [
        temporal_loss(results[t], results[t + 1], targets[t], targets[t + 1], alphas[t], field)
        for t, field in enumerate(fields)
    ]
    # Frame by frame: what is kept of a clip is six numbers per frame.
    colors, colors_real = (
        torch.cat([foreground_colors(image, alpha) for image, alpha in zip(images, alphas, strict=True)])
        for images in (results, targets)
    )
    flicker = float(frame_flicker(colors, colors_real).nanmean())
    return Score(clip, lut, name, _mean(errors), _mean(ratios), _mean(changes), seconds, flicker)


def summarize(scores: Sequence[Score]) -> list[dict[str, float | str]]:
    """Per method: mean fMSE, its share of the composite's, mean over clips of that share, PSNR, TL, flicker, time.

    ``share_low`` and ``share_high`` enclose the share in 95 of 100 draws of as many clips, with replacement. ``better``
    is how many composites have come nearer to the truth, ``worse`` the share of the clearly wrong ones whose error has
    grown by more than 1 %.
    """
    composite = {(s.clip, s.lut): s.fmse for s in scores if s.method == "composite"}
    rows: list[dict[str, float | str]] = []
    for method in dict.fromkeys(s.method for s in scores):
        own = [s for s in scores if s.method == method]
        mean = float(np.mean([s.fmse for s in own]))
        wrong = [s for s in own if composite[s.clip, s.lut] > CLEARLY_WRONG]
        rows.append(
            {
                "method": method,
                "fmse": mean,
                "largest": max(s.fmse for s in own),
                "share": mean / max(float(np.mean(list(composite.values()))), 1e-9),
                **_interval(own, composite),
                "better": int(sum(s.fmse < composite[s.clip, s.lut] for s in own)),
                "composites": len(own),
                "mean_share": float(np.mean([s.fmse / max(composite[s.clip, s.lut], 1e-9) for s in own])),
                "psnr": float(np.mean([s.psnr for s in own])),
                "tl": float(np.mean([s.tl for s in own])),
                "flicker": float(np.mean([s.flicker for s in own])),
                "worse": float(np.mean([s.fmse > 1.01 * composite[s.clip, s.lut] for s in wrong])) if wrong else 0.0,
                "seconds_per_frame": float(np.mean([s.seconds_per_frame for s in own])),
            }
        )
    return rows


def _interval(scores: Sequence[Score], composite: dict[tuple[str, str], float]) -> dict[str, float]:
    """A percentile bootstrap over the clips: composites of one clip are not independent."""
    names = sorted({s.clip for s in scores})
    after = np.array([sum(s.fmse for s in scores if s.clip == name) for name in names])
    before = np.array([sum(composite[s.clip, s.lut] for s in scores if s.clip == name) for name in names])
    chosen = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
    shares = after[chosen].sum(axis=1) / np.maximum(before[chosen].sum(axis=1), 1e-9)
    low, high = np.quantile(shares, (0.025, 0.975))
    return {"share_low": float(low), "share_high": float(high)}


def _mean(values: list[Tensor]) -> float:
    return float(torch.cat(values).nanmean()) if values else float("nan")
