"""What ``co2net evaluate --task colorization`` can compare; imported by the command, or by whoever evaluates.

Every method sees the luma of the real frames and, on the first one, forty single points of its colors, widened as the
published evaluation widens them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from co2net.color_spaces import lab_planes
from co2net.colorization.files import read_networks
from co2net.colorization.frames import luma_of, recolored
from co2net.colorization.lab import NEUTRAL
from co2net.colorization.scribbles import random_points, widen
from co2net.colorization.stream import ColorizeStream
from co2net.evaluation.methods import Method, Run, register
from co2net.metrics.registry import Comparison, Metric
from co2net.metrics.registry import register as register_metric
from co2net.metrics.ssim import ssim
from co2net.pipeline.frames import Picture, as_bytes, frame_shape

POINTS, WIDTH, SEED = 40, 5, 0


def gray(frame: Picture) -> Picture:
    """The frame without its colors, of the same kind: its L, neutral a and b."""
    return recolored(frame, luma_of(frame), torch.full((1, 2, *frame_shape(frame)), NEUTRAL))


def points_of(frame: Picture, points: int = POINTS) -> np.ndarray:
    """Strokes on black ``(H, W, 3)`` uint8: `points` places of the frame in its own colors, the same at every call."""
    return widen(random_points(as_bytes(frame), points, np.random.default_rng(SEED)), WIDTH)


def _gray(weights: str | None, device: torch.device) -> Run:
    return lambda frames, masks: (gray(frame) for frame in frames)


def _colorized(weights: str | None, device: torch.device) -> Run:
    networks = read_networks(weights)

    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        stream: ColorizeStream | None = None
        for frame in frames:
            if stream is None:
                strokes = {0: points_of(frame)}
                stream = ColorizeStream(strokes, networks.cpnet, networks.ssnet, networks.flow or "dis")
            for _, result in stream.push(gray(frame)):
                yield result
        if stream is not None:
            for _, result in stream.finish():
                yield result

    return run


def _ab_psnr(c: Comparison) -> Tensor:
    """Peak 1; infinite where the planes are equal."""
    error = (lab_planes(c.image)[:, 1:] - lab_planes(c.target)[:, 1:]).double().square().mean(dim=(1, 2, 3))
    return -10 * error.log10()


def _ab_ssim(c: Comparison) -> Tensor:
    pairs = zip(lab_planes(c.image).split(1, dim=1)[1:], lab_planes(c.target).split(1, dim=1)[1:], strict=True)
    return torch.stack([ssim(one.expand(-1, 3, -1, -1), two.expand(-1, 3, -1, -1)) for one, two in pairs]).mean(dim=0)


_TASKS = ("colorization",)
_FIRST = "forty points on the first frame; SVCNet where `weights` names its files, else spread without weights"
register(Method("gray", "gray", "no color at all", note="input", task="colorization", create=_gray))
register(Method("points", "from points", _FIRST, task="colorization", create=_colorized))
register_metric(Metric("ab_psnr", "PSNR of ab", _ab_psnr, "other", False, 2, _TASKS, infinite=True))
register_metric(Metric("ab_ssim", "SSIM of ab", _ab_ssim, "other", False, 4, _TASKS))
