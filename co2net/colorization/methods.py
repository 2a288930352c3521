"""What ``co2net evaluate --task colorization`` can compare; imported by the command, or by whoever evaluates.

The frames of a data set are in color: strokes are points of the first frame's own colors, and the rest plays no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np
import torch

from co2net.colorization.scribbles import random_points, widen
from co2net.colorization.stream import colorize_frames
from co2net.evaluation.methods import Method, Run, register
from co2net.pipeline.frames import Picture, frame_to_tensor

POINTS, WIDTH = 40, 5  # strokes drawn on the first frame, and their width in pixels


def _from_points(weights: str | None, device: torch.device) -> Run:
    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        frames = iter(frames)
        first = list(islice(frames, 1))
        if first:
            strokes = widen(random_points(_codes(first[0]), POINTS, np.random.default_rng(0)), WIDTH)
            yield from colorize_frames(chain(first, frames), {0: strokes})

    return run


def _gray(weights: str | None, device: torch.device) -> Run:
    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        weight = torch.tensor((0.299, 0.587, 0.114))
        for frame in frames:
            luma = torch.einsum("bchw,c->bhw", frame_to_tensor(frame).cpu(), weight)
            yield luma.expand(3, -1, -1).clone()

    return run


def _codes(frame: Picture) -> np.ndarray:
    """``(H, W, 3)`` uint8."""
    image = frame_to_tensor(frame)[0].cpu()
    return (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


for _method in (
    Method("gray", "gray", "no color at all", "input", "colorization", _gray),
    Method("points", "from points", f"{POINTS} points of the first frame are given", "", "colorization", _from_points),
):
    register(_method)
