"""Reading strokes as people draw them: with transparency, on black, or in color over the gray frame."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from co2net.colorization.scribbles import scribble_ab
from co2net.errors import InputError, ShapeError

_CHROMA = 12  # codes between a stroke's largest and smallest channel, over a gray picture


def strokes_on_black(strokes: np.ndarray, shape: tuple[int, int], name: str = "scribbles") -> np.ndarray:
    """Strokes as ``(H, W, 3)`` uint8 RGB on black.

    Args:
        strokes: ``(H, W, 4)`` uint8, strokes where alpha is at least half; or ``(H, W, 3)``: strokes on black, or
            colored strokes over a gray picture.
        shape: height and width of the frame.
        name: for messages.

    Raises:
        ShapeError: no such array.
        InputError: another size, or there is no stroke.
    """
    if strokes.ndim != 3 or strokes.shape[2] not in (3, 4) or strokes.dtype != np.uint8:
        raise ShapeError(f"{name} must be (H, W, 3 or 4) uint8, got {strokes.shape} {strokes.dtype}")
    if strokes.shape[:2] != shape:
        (height, width), (wanted_height, wanted_width) = strokes.shape[:2], shape
        raise InputError(
            f"{name}: {width}x{height} pixels, its frame {wanted_width}x{wanted_height}; draw at the frame's size"
        )
    colors = strokes[..., :3]
    if strokes.shape[2] == 4 and strokes[..., 3].min() < 128:
        there = np.asarray(strokes[..., 3] >= 128)
    else:
        there = np.asarray(colors.any(axis=2))
        if there.mean() > 0.5:  # a gray picture lies below
            there = colors.max(axis=2).astype(int) - colors.min(axis=2) > _CHROMA
            if there.mean() > 0.9:
                raise InputError(
                    f"{name}: colored all over; give strokes on black, on a transparent or on a gray picture"
                )
    if not there.any():
        raise InputError(f"{name}: there is no stroke; paint some color, the rest transparent or black")
    # Black means "no stroke" from here on, so a black stroke is the darkest gray.
    return np.where(there[..., None], np.maximum(colors, 1), 0).astype(np.uint8)


def strokes_ab(strokes: np.ndarray, shape: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Strokes at working size: ``(ab, known)``, see :func:`co2net.colorization.scribbles.scribble_ab`.

    Every stroke survives the shrinking: a cell has the mean of its strokes' colors, not mixed with what is around.

    Args:
        strokes: on black ``(H, W, 3)``, :func:`strokes_on_black`.
        shape: its height and width.
        size: height and width to work at.
    """
    if shape == size:
        return scribble_ab(strokes)
    rows, columns = np.nonzero(strokes.any(axis=2))
    small = np.zeros((*size, 3))
    count = np.zeros(size)
    place = (rows * size[0] // shape[0], columns * size[1] // shape[1])
    np.add.at(small, place, strokes[rows, columns])
    np.add.at(count, place, 1)
    mean = np.where(count[..., None] > 0, (small / np.maximum(count, 1)[..., None]).round().clip(1, 255), 0)
    return scribble_ab(mean.astype(np.uint8))
