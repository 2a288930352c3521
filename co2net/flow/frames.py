"""Pairs of frames on their way into an estimator."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from co2net.checks import check_alike
from co2net.errors import ShapeError


def check_pair(frame1: Tensor, frame2: Tensor, smallest: int = 1) -> None:
    """Raise :class:`ShapeError` unless both are float ``(B, 3, H, W)`` of one shape, sides at least `smallest`."""
    check_alike(frame1, frame2, ("frame1", "frame2"))
    if min(frame1.shape[2:]) < smallest:
        pixels = f"{smallest} pixel" + "s" * (smallest > 1)
        raise ShapeError(f"frames must be at least {pixels} high and wide, got {tuple(frame1.shape)}")


def pad_to_multiple(frame: Tensor, multiple: int, smallest: int = 0) -> Tensor:
    """Repeat the right and the bottom border until both sides are multiples of `multiple` and at least `smallest`."""
    height, width = (max(smallest, -(-side // multiple) * multiple) - side for side in frame.shape[2:])
    return F.pad(frame, (0, width, 0, height), mode="replicate") if height or width else frame
