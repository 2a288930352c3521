"""Read pictures and masks, and bring them to the training size the way the published numbers were made."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from co2net.errors import InputError, ShapeError
from co2net.video import mask_files
from co2net.video.pictures import opened_picture, stood_upright

logger = logging.getLogger(__name__)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a picture to ``(H, W, 3)`` uint8 RGB; a camera's rotation note is followed.

    Raises:
        InputError: the file is missing or no picture.
    """
    with opened_picture(path) as picture:
        return np.array(stood_upright(picture).convert("RGB"))


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a mask to ``(H, W)`` float32 in [0, 1], 1 = foreground, by the rules of :mod:`co2net.video.mask_files`.

    HYouTube's masks are grey pictures of 0 and 255; what else a mask was taken for is logged at level INFO.

    Raises:
        InputError: the file is missing, no picture, or could mean two things.
    """
    mask, note = mask_files.read_mask(path)
    if note:
        logger.info(note)
    return mask


def read_mask8(path: str | os.PathLike[str]) -> np.ndarray:
    """As :func:`read_mask`, rounded to ``(H, W)`` uint8: a quarter of the memory, and exact for masks of 8 bits."""
    return np.rint(read_mask(path) * 255).astype(np.uint8)


def check_fits(picture: np.ndarray, path: object, like: np.ndarray, its: str) -> None:
    """See that a mask or picture has the size of what it belongs to.

    Args:
        picture: ``(H, W)`` or ``(H, W, C)``.
        path: of it.
        like: what it belongs to.
        its: what that is called, as "its picture".

    Raises:
        InputError: it has another size; names both.
    """
    if picture.shape[:2] != like.shape[:2]:
        (height, width), (wanted_height, wanted_width) = np.shape(picture)[:2], np.shape(like)[:2]
        raise InputError(f"{path} is {width}x{height}, {its} {wanted_width}x{wanted_height}; they must be of one size")


def read_with_mask(picture: Path, mask: Path, its: str = "its picture") -> tuple[np.ndarray, np.ndarray]:
    """A picture as of :func:`read_image`, and its mask as of :func:`read_mask8`; `its` as of :func:`check_fits`.

    Raises:
        InputError: a file is missing or no picture, or the two have different sizes.
    """
    image, mask8 = read_image(picture), read_mask8(mask)
    check_fits(mask8, mask, image, its)
    return image, mask8


def resize_image(image: np.ndarray, size: tuple[int, int] = (256, 256)) -> np.ndarray:
    """Resize ``(H, W, 3)`` uint8 to `size` (height, width) in 8-bit arithmetic; the aspect ratio is not kept.

    Bilinear with two taps per axis and half-pixel centers, without antialiasing: the published numbers need exactly
    this. A picture that has the size already comes back as it is.

    Raises:
        ShapeError: another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    return _resize(image, size, cv2.INTER_LINEAR)


def resize_plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As :func:`resize_image`, for ``(H, W, C)`` uint8 of any number of channels (:meth:`Backbone.prepare`)."""
    return _resize(np.ascontiguousarray(plane), size, cv2.INTER_LINEAR).reshape(*size, plane.shape[2])


def resize_mask(mask: np.ndarray, size: tuple[int, int] = (256, 256), nearest: bool = False) -> np.ndarray:
    """Resize ``(H, W)`` float32 to `size` (height, width); bilinear as :func:`resize_image`, so borders become soft.

    `nearest` keeps the values; the flow-regularized baseline resizes the previous frame's mask that way.

    Raises:
        ShapeError: another shape or type.
    """
    if mask.ndim != 2 or mask.dtype != np.float32:
        raise ShapeError(f"mask must be (H, W) float32, got {mask.shape} {mask.dtype}")
    return _resize(mask, size, cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)


def resize_mask8(mask: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """As :func:`resize_mask`, for masks of :func:`read_mask8`."""
    return _resize(mask, size, cv2.INTER_LINEAR)


def to_tensor(picture: np.ndarray) -> Tensor:
    """``(H, W, C)`` uint8 to ``(C, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255


def to_picture(image: Tensor) -> np.ndarray:
    """``(3, H, W)`` or ``(1, H, W)`` in [0, 1] to ``(H, W, 3)`` or ``(H, W)`` uint8; clamped and rounded."""
    values = (image.float() * 255).clamp(0, 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(values if values.shape[2] == 3 else values[..., 0])


def encode_picture(picture: np.ndarray, quality: int | None = None) -> bytes:
    """A picture ``(H, W, 3)`` or ``(H, W)`` uint8 as JPEG of `quality` (4:2:0 chroma, as HYouTube), or as PNG."""
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    else:
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def _resize(picture: np.ndarray, size: Sequence[int], filter: int) -> np.ndarray:
    if picture.shape[:2] == tuple(size):
        return picture
    return cv2.resize(picture, (size[1], size[0]), interpolation=filter)
