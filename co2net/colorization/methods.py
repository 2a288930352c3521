"""What ``co2net evaluate --task colorization`` can compare; imported by the command, or by whoever evaluates.

Every method sees the luma of the real frames and, on the first one, single points of its colors, widened as the
published evaluation widens them: forty, or the numbers of a sweep (:func:`sweep`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from co2net.color_spaces import lab_planes
from co2net.colorization import color_clips  # noqa: F401  # a layout registers itself
from co2net.colorization.files import read_networks
from co2net.colorization.frames import luma_of, recolored
from co2net.colorization.lab import NEUTRAL
from co2net.colorization.scribbles import random_points, widen
from co2net.colorization.stream import ColorizeStream
from co2net.errors import InputError
from co2net.evaluation.methods import METHODS, Method, Run, register
from co2net.flow import occlusion_mask, warp
from co2net.metrics.registry import Comparison, Metric, Pair, PairMeasure, register_pair
from co2net.metrics.registry import register as register_metric
from co2net.metrics.ssim import similarity_map, ssim_uniform
from co2net.pipeline.frames import Picture, as_bytes, frame_shape

POINTS, WIDTH, SEED = 40, 5, 0
MOST = 1000  # points of a sweep


def gray(frame: Picture) -> Picture:
    """The frame without its colors, of the same kind: its L, neutral a and b."""
    return recolored(frame, luma_of(frame), torch.full((1, 2, *frame_shape(frame)), NEUTRAL))


def points_of(frame: Picture, points: int = POINTS) -> np.ndarray:
    """Strokes on black ``(H, W, 3)`` uint8: `points` places of the frame in its own colors.

    The same at every call, and other places for other frames.
    """
    rgb8 = as_bytes(frame)
    rng = np.random.default_rng([SEED, zlib.crc32(rgb8.tobytes())])
    return widen(random_points(rgb8, points, rng), WIDTH)


def _gray(weights: str | None, device: torch.device) -> Run:
    return lambda frames, masks: (gray(frame) for frame in frames)


def _colorized(weights: str | None, device: torch.device, points: int = POINTS) -> Run:
    networks = read_networks(weights)

    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        stream: ColorizeStream | None = None
        for frame in frames:
            if stream is None:
                strokes = {0: points_of(frame, points)} if points else {}
                stream = ColorizeStream(strokes, networks.cpnet, networks.ssnet, networks.flow or "dis")
            for _, result in stream.push(gray(frame)):
                yield result
        if stream is not None:
            for _, result in stream.finish():
                yield result

    return run


def sweep(numbers: str) -> list[str]:
    """Register a method per number of points, and return their keys.

    Args:
        numbers: "40", "0-40" or "0,5,10-20": exactly so many points on the first frame.

    Raises:
        InputError: that is no list of numbers.
    """
    chosen: list[int] = []
    for part in numbers.replace(" ", "").split(","):
        ends = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if not first <= last <= MOST:
            raise InputError(f"`points` {numbers}: write numbers up to {MOST}, as 40, 0-40 or 0,10,40")
        chosen += range(first, last + 1)
    keys = []
    for points in sorted(set(chosen)):
        keys.append(f"points_{points}")
        title = "1 point" if points == 1 else f"{points} points"
        METHODS.setdefault(
            keys[-1],
            Method(keys[-1], title, _FIRST, task="colorization", create=_with_points(points), default=False),
        )
    return keys


def _with_points(points: int) -> Callable[[str | None, torch.device], Run]:
    return lambda weights, device: _colorized(weights, device, points)


def _ab_psnr(c: Comparison) -> Tensor:
    """Peak 1; infinite where the planes are equal."""
    error = (lab_planes(c.image)[:, 1:] - lab_planes(c.target)[:, 1:]).double().square().mean(dim=(1, 2, 3))
    return -10 * error.log10()


def _ab_ssim(c: Comparison) -> Tensor:
    image, target = (255 * lab_planes(x)[:, 1:].double() for x in (c.image, c.target))
    return similarity_map(image, target).mean(dim=(1, 2, 3))


def _ab_change(pair: Pair) -> Tensor:
    """How far colors move away from the motion's: mean absolute change of a and b, in codes, where both frames see."""
    here, there = (lab_planes(image.clamp(0, 1).float())[:, 1:] for image in (pair.following, pair.current))
    moved = warp(there, pair.of_all(pair.flow.float()))
    visible = 1 - occlusion_mask(pair.flow, pair.back)
    change = (here - moved).abs().mean(dim=1, keepdim=True) * visible
    return 255 * change.sum(dim=(1, 2, 3)) / visible.sum()


_TASKS = ("colorization",)
_FIRST = "points on the first frame; networks where `weights` names them, else spread without weights"
register(Method("gray", "gray", "no color at all", note="input", task="colorization", create=_gray))
register(Method("points", "from 40 points", _FIRST, task="colorization", create=_colorized))
register_metric(Metric("ab_psnr", "PSNR of ab", _ab_psnr, "other", False, 2, _TASKS, infinite=True))
register_metric(Metric("ab_ssim", "SSIM of ab", _ab_ssim, "other", False, 4, _TASKS))
for _range, _why in ((1, ""), (2, ", as published")):
    register_metric(
        Metric(
            f"ssim_range{_range}",
            f"SSIM 7x7, range {_range}{_why}",
            lambda c, r=_range: ssim_uniform(c.image, c.target, r),
            "other",
            False,
            4,
            _TASKS,
        )
    )
register_pair(PairMeasure("ab_change", "change of ab", _ab_change, tasks=("colorization",)))
