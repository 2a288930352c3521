"""Scribbles: small colored squares on black, drawn by a person or at random, and carried from frame to frame.

A sparse image holds single pixels; black is "no stroke". For use they are widened to squares; "width 5" means 4 pixels,
a quirk of the published tools that trained weights know.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from co2net.color_spaces import lab_codes
from co2net.colorization.lab import NEUTRAL
from co2net.errors import InputError, ShapeError
from co2net.flow import warp_variant


def widen(points8: np.ndarray, width: int = 5) -> np.ndarray:
    """Paint a square around every pixel that is not black, later ones (row by row) over earlier ones.

    Args:
        points8: ``(H, W, 3)`` uint8, sparse.
        width: the square covers ``y - h`` to ``y + h - 1`` with ``h = (width - 1) // 2``, clamped at the border; below
            3 the points stay as they are.
    """
    _check(points8)
    half = (width - 1) // 2
    if half < 1:
        return points8.copy()
    out = np.zeros_like(points8)
    for y, x in np.argwhere(points8.any(axis=2)):
        out[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = points8[y, x]
    return out


def random_points(rgb8: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` single pixels of the frame ``(H, W, 3)`` at random places inside the border, black elsewhere."""
    _check(rgb8)
    height, width = rgb8.shape[:2]
    if height < 3 or width < 3:
        raise ShapeError(f"strokes need a frame of at least 3x3 pixels, got {width}x{height}")
    inner = (height - 2) * (width - 2)
    places = rng.choice(inner, min(count, inner), replace=False)
    y, x = places // (width - 2) + 1, places % (width - 2) + 1
    out = np.zeros_like(rgb8)
    out[y, x] = np.maximum(rgb8[y, x], (rgb8[y, x].max(axis=1) == 0)[:, None])  # pure black would be no point
    return out


def training_scribble(
    rgb8: np.ndarray, rng: np.random.Generator, most: int = 40, width: int = 5, least_width: int | None = None
) -> np.ndarray:
    """Strokes of one training sample: 0 to ``most - 1`` squares in the colors of their middle pixels.

    Args:
        rgb8: the picture ``(H, W, 3)`` uint8.
        rng: draws number and places, and the width if there is a choice.
        most: see above.
        width: of the squares, see :func:`widen`.
        least_width: all squares of a sample have one width from this to `width`; None: `width`.
    """
    points = random_points(rgb8, int(rng.integers(0, most)), rng)
    return widen(points, width if least_width is None else int(rng.integers(least_width, width + 1)))


def propagate_scribbles(scribble8: np.ndarray, flow: Tensor, mapping: int | None = None) -> np.ndarray:
    """Carry sparse points to the next frame.

    Args:
        scribble8: ``(H, W, 3)`` codes, sparse; uint8, or float to lose nothing over many frames.
        flow: ``(1, 2, H, W)`` pixels, from the next frame to this one.
        mapping: one of the published mappings to other colors (:func:`diverse`); None keeps the colors.

    Returns:
        As `scribble8`; uint8 codes are truncated.
    """
    _check(scribble8)
    image = torch.from_numpy(scribble8.astype(np.float32)).permute(2, 0, 1)[None] / 255
    moved = warp_variant(image, flow.float().cpu(), "scribble")[0].permute(1, 2, 0).numpy() * np.float32(255)
    moved = moved.astype(np.uint8) if scribble8.dtype == np.uint8 else moved.astype(scribble8.dtype)
    return moved if mapping is None else diverse(moved, mapping)


def diverse(points8: np.ndarray, mapping: int) -> np.ndarray:
    """Other colors for the same points: 1 ``255 - x``, 2 ``|128 - x|``, 3 ``x div 2``, 4 ``|x^1.2 - x|``."""
    _check(points8)
    x = points8.astype(np.float64)
    changed = {1: 255 - x, 2: np.abs(128 - x), 3: np.floor(x / 2), 4: np.abs(x**1.2 - x)}
    if mapping not in changed:
        raise InputError(f"mapping must be 1, 2, 3 or 4, got {mapping}")
    out = changed[mapping].clip(0, 255).astype(points8.dtype)
    return np.where(points8.any(axis=2, keepdims=True), out, points8)


def scribble_ab(scribble8: np.ndarray) -> tuple[Tensor, Tensor]:
    """Strokes on black as the networks want them.

    Args:
        scribble8: ``(H, W, 3)`` uint8 RGB, black where there is none.

    Returns:
        ``(ab, known)``: ``(1, 2, H, W)`` 8-bit Lab codes / 255, neutral where there is no stroke; and where there is
        one, ``(1, 1, H, W)`` of 0 and 1.
    """
    _check(scribble8)
    known = torch.from_numpy(scribble8.any(axis=2))[None, None].float()
    lab = lab_codes(scribble8)[..., 1:]
    ab = torch.from_numpy(np.ascontiguousarray(lab)).permute(2, 0, 1)[None].float() / 255
    return torch.where(known > 0, ab, torch.full_like(ab, NEUTRAL)), known


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise ShapeError(f"scribbles must be (H, W, 3), got {image.shape}")
