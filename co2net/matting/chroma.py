"""The published data's ground truth: everything near one color is background."""

from __future__ import annotations

import numpy as np

from co2net.errors import InputError, ShapeError

KEY = (50, 150, 40)  # of the published clips, RGB levels
TOLERANCE = 60
PURE_KEY, PURE_TOLERANCE = (41, 255, 7), 80  # for a purer green


def chroma_mask(frame8: np.ndarray, key: tuple[int, int, int] = KEY, tolerance: float = TOLERANCE) -> np.ndarray:
    """A hard mask: background where no channel is further than `tolerance` from `key`.

    For a soft matte without spill see :func:`~co2net.matting.key_frames_by_color`.

    Args:
        frame8: ``(H, W, 3)`` uint8 RGB.
        key: RGB levels of the screen.
        tolerance: levels, in each channel.

    Returns:
        ``(H, W)`` uint8: 255 foreground, 0 background.

    Raises:
        InputError: `key` is no color.
        ShapeError: `frame8` is no such picture.
    """
    frame = np.asarray(frame8)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ShapeError(f"frame8 must be uint8 RGB (H, W, 3), got {frame.dtype} {frame.shape}")
    if len(key) != 3:
        raise InputError(f"key {key!r}: must be three levels, R, G, B")
    near = np.abs(frame.astype(np.float32) - np.asarray(key, np.float32)) <= tolerance
    return np.where(near.all(-1), 0, 255).astype(np.uint8)


def compose(frame8: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The frame where the mask is, the background elsewhere; soft masks blend.

    Args:
        frame8: ``(H, W, 3)`` uint8.
        mask: ``(H, W)``, uint8 (255 = frame), bool, or float in [0, 1].
        background: ``(h, w, 3)`` uint8; another size is scaled to cover the frame and cropped about its middle.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    weight = unit_mask(mask, frame8.shape[:2])[..., None]
    back = cover(background, frame8.shape[1], frame8.shape[0])
    mixed = weight * frame8.astype(np.float32) + (1 - weight) * back.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def cut_out(frame8: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame where the mask is, white elsewhere; as :func:`compose`."""
    return compose(frame8, mask, np.full(frame8.shape, 255, np.uint8))


def unit_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask as ``float32 (H, W)`` in [0, 1]."""
    mask = np.asarray(mask)
    mask = mask[0] if mask.ndim == 3 and mask.shape[0] == 1 else mask
    if mask.shape != tuple(shape):
        raise ShapeError(f"the mask is {mask.shape}, its frame {tuple(shape)}; they must have one size")
    if mask.dtype == np.uint8 or mask.dtype == np.uint16:
        return mask.astype(np.float32) / np.iinfo(mask.dtype).max
    return np.clip(mask.astype(np.float32), 0, 1)


def cover(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """`picture` scaled until it covers ``width x height``, cropped about its middle."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return resized[top : top + height, left : left + width]
