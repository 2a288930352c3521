"""Mask pictures as stored, before their values mean something."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from co2net.errors import InputError
from co2net.video import tiff
from co2net.video.float_pictures import read_exr
from co2net.video.pictures import decode_picture, is_tiff, opened_picture, read_picture, stood_upright


@dataclass
class RawMask:
    """A mask as stored, before it means something."""

    values: np.ndarray
    """``(H, W)`` or ``(H, W, 3)``; bool, uint8, uint16, uint32 or float32. With a palette: entries."""
    alpha: np.ndarray | None = None
    palette: np.ndarray | None = None
    """``(N, 3)`` uint8."""
    white: float = 0.0
    """The greatest code; 0: that of the type (1 for float and bool)."""

    def __post_init__(self) -> None:
        if not self.white:
            self.white = peak(self.values.dtype)


def peak(dtype: np.dtype) -> float:
    """The greatest code of a type; 1 for float and bool."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def read_raw(path: str | os.PathLike[str], page: int = 0) -> RawMask:
    """Decode a mask picture without giving it a meaning; turned upright by its EXIF tag.

    `page` is a frame of a floating-point TIFF.

    Raises:
        InputError: missing, no picture, damaged.
    """
    path = Path(path)
    if path.suffix.lower() == ".exr":
        samples = read_exr(path)
        # A matte is a share, not light: its samples are taken as they are.
        return RawMask(samples.values[..., 0] if samples.header.get("gray") else samples.values, samples.alpha)
    if is_tiff(path) and tiff.is_float(path):
        samples = read_picture(path, page)[2]["float"]
        return RawMask(
            samples.values[..., 0] if (samples.values == samples.values[..., :1]).all() else samples.values,
            samples.alpha,
        )
    if path.suffix.lower() == ".dpx":
        image, alpha, keep = read_picture(path)
        return RawMask(image[..., 0] if keep["gray"] else image, alpha)
    with opened_picture(path) as opened:
        return decode_raw(opened, path)


def decode_raw(opened: Image.Image, path: Path) -> RawMask:
    """As :func:`read_raw` of an open file, at the frame it stands at."""
    clear = "transparency" not in opened.info
    if opened.mode == "P" and clear:
        palette = np.asarray(opened.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        if len(palette):
            return RawMask(np.asarray(stood_upright(opened)), palette=palette)
    if opened.mode in ("1", "L", "I", "F", "I;16", "I;16B", "I;16L") and clear:
        return RawMask(_grey(opened, path))
    image, alpha, keep = decode_picture(opened, path)
    return RawMask(image[..., 0] if keep.get("gray") else image, alpha)


def _grey(opened: Image.Image, path: object) -> np.ndarray:
    values: np.ndarray[Any, Any] = np.asarray(stood_upright(opened))
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype == np.int32:
        unsigned = getattr(opened, "tag_v2", {}).get(339, (1,))[0] == 1  # SampleFormat of TIFF
        if not unsigned and int(values.min()) < 0:
            raise InputError(f"{path}: a mask cannot hold negative values, this one holds {values.min()}")
        return values.view(np.uint32)
    return values if values.dtype in (np.uint8, np.bool_) else values.astype(np.uint16)
