"""Read pictures and masks, and bring them to the training size the way the published numbers were made."""

from __future__ import annotations

import logging
import os

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from co2net.errors import InputError, ShapeError

logger = logging.getLogger(__name__)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a picture to ``(H, W, 3)`` uint8 RGB; a camera's rotation note is followed.

    Raises:
        InputError: the file is missing or no picture.
    """
    return np.array(ImageOps.exif_transpose(_open(path)).convert("RGB"))


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a mask to ``(H, W)`` float32 in [0, 1], 1 = foreground.

    HYouTube's masks are grey pictures of 0 and 255. Also understood: palette pictures (every entry but 0 is
    foreground), 0/1 pictures, 16-bit grey, an alpha channel (used if it is not the same everywhere); of a color picture
    the red channel counts, as in the original. Any choice but plain grey is logged at level INFO.

    Raises:
        InputError: the file is missing or no picture.
    """
    picture = _open(path)
    if picture.mode == "P":
        logger.info("%s: palette mask, every index but 0 is foreground", path)
        return (np.array(picture) != 0).astype(np.float32)
    if picture.mode in ("LA", "RGBA", "PA"):
        alpha = np.array(picture.getchannel("A"))
        if alpha.min() != alpha.max():
            logger.info("%s: mask taken from the alpha channel", path)
            return alpha.astype(np.float32) / np.float32(255)
    if picture.mode == "1":
        return np.array(picture).astype(np.float32)
    if picture.mode.startswith("I"):  # 16-bit grey
        return np.array(picture).astype(np.float32) / np.float32(65535)
    values = np.array(picture if picture.mode == "L" else picture.convert("RGB").getchannel("R"))
    if values.max() == 1:
        logger.info("%s: mask of 0 and 1, not 0 and 255", path)
        return values.astype(np.float32)
    return values.astype(np.float32) / np.float32(255)


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


def resize_mask(mask: np.ndarray, size: tuple[int, int] = (256, 256), nearest: bool = False) -> np.ndarray:
    """Resize ``(H, W)`` float32 to `size` (height, width); bilinear as :func:`resize_image`, so borders become soft.

    `nearest` keeps the values; the flow-regularized baseline resizes the previous frame's mask that way.

    Raises:
        ShapeError: another shape or type.
    """
    if mask.ndim != 2 or mask.dtype != np.float32:
        raise ShapeError(f"mask must be (H, W) float32, got {mask.shape} {mask.dtype}")
    return _resize(mask, size, cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)


def _resize(picture: np.ndarray, size: tuple[int, int], filter: int) -> np.ndarray:
    if picture.shape[:2] == tuple(size):
        return picture
    return cv2.resize(picture, (size[1], size[0]), interpolation=filter)


def _open(path: str | os.PathLike[str]) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        # The decoders raise these for cut or damaged files.
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read picture {path}: {reason}") from error
