"""Composites: the foreground of a real frame, recolored through a 3D LUT; HYouTube's own, and soft ones of clips."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

import trilinear
from co2net.data.pictures import to_picture, to_tensor
from co2net.errors import ShapeError

_PILLOW_LIMIT = 65  # grid points per axis that its filter takes; no LUT of the data set has more


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
    image, mask = np.asarray(image), np.asarray(mask)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if mask.shape != image.shape[:2]:
        raise ShapeError(f"mask must be {image.shape[:2]} to fit the image, got {mask.shape}")
    if not isinstance(lut, Tensor):
        raise ShapeError(f"lut must be a torch tensor as load_cube returns, got {type(lut).__name__}")
    values = lut[0] if lut.ndim == 5 and lut.shape[0] == 1 else lut
    size = values.shape[-1] if values.ndim else 0
    if tuple(values.shape) != (3, size, size, size) or size < 2:
        raise ShapeError(f"lut must be (1, 3, D, D, D) or (3, D, D, D) with D > 1, got {tuple(lut.shape)}")
    return np.where((mask != 0)[..., None], _through(image, values), image)


def blend_lut(frames: Iterable[np.ndarray], masks: Iterable[np.ndarray], lut: Tensor) -> list[np.ndarray]:
    """Composites of a clip with soft borders: a LUT inside the masks, blended, rounded to 8 bits.

    Args:
        frames: ``(H, W, 3)`` uint8.
        masks: ``(H, W)`` uint8, one per frame.
        lut: ``(3, D, D, D)`` float, indexed ``[channel, b, g, r]``.
    """
    composites = []
    for frame, mask in zip(frames, masks, strict=True):
        image = to_tensor(frame)[None]
        alpha = torch.from_numpy(mask).float()[None, None] / 255
        mixed = alpha * trilinear.apply_lut(lut[None], image).clamp(0, 1) + (1 - alpha) * image
        composites.append(to_picture(mixed[0]))
    return composites


def _through(image: np.ndarray, values: Tensor) -> np.ndarray:
    """`image` through a LUT ``(3, D, D, D)``: by Pillow's filter, whose fixed-point steps made the data set."""
    size = values.shape[-1]
    values = values.detach().cpu().float()
    if size <= _PILLOW_LIMIT:
        entries = values.permute(1, 2, 3, 0).contiguous().numpy().reshape(-1)
        return np.asarray(Image.fromarray(image).filter(ImageFilter.Color3DLUT(size, entries)))
    return to_picture(trilinear.apply_lut(values[None], to_tensor(image)[None])[0])
