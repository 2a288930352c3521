"""HYouTube's synthetic composites: the foreground of a real frame, recolored through a 3D LUT.

The data set was made with Pillow, whose 3D table filter computes in fixed point; the same steps here give the same
bytes on any machine::

    table      entry -> int16: round(entry * 255 * 64), half away from zero, saturated
    position   value * floor((D - 1) / 255 * 2^18) -> grid cell and a 15-bit fraction
    read       along red, then green, then blue: (a (2^15 - f) + b f) >> 15
    color      clip((x + 32) >> 6, 0, 255)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from co2net.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

_ENTRY_BITS = 6  # below one 8-bit level, in the table
_POSITION_BITS = 18  # of a grid cell, in the position
_FRACTION_BITS = 15  # of a grid cell, in the interpolation


def lut_transfer(image: np.ndarray, mask: np.ndarray, lut: Tensor) -> np.ndarray:
    """The composite of one frame: `image` through the LUT where the mask is not zero, untouched elsewhere.

    The border is hard, as in the data set: any non-zero mask value counts fully.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        mask: ``(H, W)``, any type.
        lut: ``(1, 3, D, D, D)`` or ``(3, D, D, D)`` float, indexed ``[channel, b, g, r]``; may leave 0..1.

    Returns:
        ``(H, W, 3)`` uint8, a new array.

    Raises:
        ShapeError: an argument has another shape or type.
    """
    from torch import Tensor  # late, so that reading lists does not wait for torch

    image, mask = np.asarray(image), np.asarray(mask)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if mask.shape != image.shape[:2]:
        raise ShapeError(f"mask must be {image.shape[:2]} to fit the image, got {mask.shape}")
    if not isinstance(lut, Tensor):
        raise ShapeError(f"lut must be a torch tensor as load_cube returns, got {type(lut).__name__}")
    table = lut[0] if lut.ndim == 5 and lut.shape[0] == 1 else lut
    size = table.shape[-1] if table.ndim else 0
    if tuple(table.shape) != (3, size, size, size) or size < 2:
        raise ShapeError(f"lut must be (1, 3, D, D, D) or (3, D, D, D) with D > 1, got {tuple(lut.shape)}")
    composite = image.copy()
    inside = mask != 0
    composite[inside] = _transfer(image[inside], table.detach().cpu().double().permute(1, 2, 3, 0).numpy())
    return composite


def _transfer(colors: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Colors ``(N, 3)`` uint8 through a table ``(D, D, D, 3)`` [b, g, r, channel]."""
    scaled = table * (255 << _ENTRY_BITS)
    limits = np.iinfo(np.int16)
    entries = (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).clip(limits.min, limits.max).astype(np.int32)

    last = len(table) - 1
    position = colors.astype(np.int32) * int(last / 255 * (1 << _POSITION_BITS))
    cell = position >> _POSITION_BITS
    fraction = (position & ((1 << _POSITION_BITS) - 1)) >> (_POSITION_BITS - _FRACTION_BITS)
    fr, fg, fb = fraction.T[..., None]
    # White may sit exactly on the last grid point (fraction 0): its upper neighbor is never looked at.
    up = (cell < last).astype(np.int32)
    # One index instead of three: a row of the table per grid point, the fastest way to gather.
    entries = entries.reshape(-1, 3)
    steps = np.array([1, last + 1, (last + 1) ** 2], np.int32)
    base = cell @ steps
    r1, g1, b1 = (up * steps).T

    def between(a: np.ndarray, b: np.ndarray, f: np.ndarray) -> np.ndarray:
        return (a * ((1 << _FRACTION_BITS) - f) + b * f) >> _FRACTION_BITS

    def along_red(start: np.ndarray) -> np.ndarray:
        return between(entries.take(start, axis=0), entries.take(start + r1, axis=0), fr)

    near = between(along_red(base), along_red(base + g1), fg)
    far = between(along_red(base + b1), along_red(base + b1 + g1), fg)
    result = between(near, far, fb)
    return ((result + (1 << (_ENTRY_BITS - 1))) >> _ENTRY_BITS).clip(0, 255).astype(np.uint8)
