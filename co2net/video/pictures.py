"""Picture files: read and write one, list a folder in the order people mean, walk it as a clip."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image, ImageOps

from co2net.errors import InputError
from co2net.video.metadata import Closing, Frame, VideoInfo

PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
LOSSY_ENDINGS = frozenset({".jpg", ".jpeg", ".webp"})
_ORIENTATION = 0x0112  # EXIF
# Formats that compositors know and this room does not read, with what to do about it.
_FOREIGN = {".exr": "16-bit PNG or TIFF, display-coded", ".dpx": "16-bit PNG or TIFF", ".hdr": "16-bit PNG or TIFF"}


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that counts: frame2 before frame10; equal numbers fall back to the text, so the order is total."""
    parts = re.split(r"([0-9]+)", name)
    key = [(1, int(part), "") if part.isascii() and part.isdigit() else (0, 0, part.casefold()) for part in parts]
    return (*key, (2, 0, name))


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order; hidden files and other kinds of file are passed over.

    Raises:
        InputError: no picture in it, pictures of a kind that is not read, or two pictures that differ by ending only.
    """
    try:
        entries = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read the folder") from error
    pictures = sorted((p for p in entries if p.suffix.lower() in PICTURE_ENDINGS), key=lambda p: natural_key(p.name))
    if not pictures:
        foreign = next((p for p in entries if p.suffix.lower() in _FOREIGN), None)
        if foreign is not None:
            raise InputError(
                f"{foreign}: {foreign.suffix} is not read; convert it to {_FOREIGN[foreign.suffix.lower()]}"
            )
        raise InputError(f"{folder}: no pictures in the folder (looked for {', '.join(sorted(PICTURE_ENDINGS))})")
    seen: dict[str, Path] = {}
    for picture in pictures:
        other = seen.setdefault(picture.stem, picture)
        if other is not picture:
            raise InputError(
                f"{folder}: both {other.name} and {picture.name} are frame {picture.stem}; remove one of them"
            )
    return pictures


@contextmanager
def opened_picture(path: str | os.PathLike[str], page: int = 0) -> Iterator[Image.Image]:
    """Open a picture file at one of its pages; what its decoder raises meanwhile becomes one sentence.

    Raises:
        InputError: missing, not a picture, damaged or cut off.
    """
    try:
        with Image.open(path) as opened:
            if page:
                opened.seek(page)
            yield opened
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise _unreadable(Path(path), error) from error


def read_picture(path: Path, page: int = 0) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Read one picture, turned upright by its EXIF tag.

    Returns:
        ``(image (H, W, 3) RGB, alpha (H, W) or None, keep)``, uint8 or uint16; `keep` holds the color profile, the
        resolution and whether the file was grey, for :func:`write_picture`.

    Raises:
        InputError: not a picture, damaged or cut off.
    """
    with opened_picture(path, page) as opened:
        keep = {k: opened.info[k] for k in ("icc_profile", "dpi") if opened.info.get(k)}
        keep["gray"] = opened.mode in ("1", "L", "LA", "I;16", "I;16B", "I")
        if opened.mode == "F":
            raise InputError(f"{path}: floating-point samples; convert the picture to 16-bit integers first")
        if not _is_deep(path, opened):
            turned = ImageOps.exif_transpose(opened)
            transparent = turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info
            pixels = np.asarray(turned.convert("RGBA" if transparent else "RGB"))
            return (
                np.ascontiguousarray(pixels[..., :3]),
                np.ascontiguousarray(pixels[..., 3]) if transparent else None,
                keep,
            )
    # Pillow cuts 16-bit color down to 8 bits; OpenCV keeps it.
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise _unreadable(path, None)
    if pixels.ndim == 2:
        return cv2.merge([pixels, pixels, pixels]), None, keep
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return np.ascontiguousarray(pixels[..., 2::-1]), alpha, keep


def describe_picture(path: Path, page: int = 0) -> tuple[tuple[int, int], int, bool]:
    """Read a picture's header: upright ``(width, height)``, bits per channel as it will be read (8, 16), alpha or not.

    Raises:
        InputError: missing, not a picture.
    """
    with opened_picture(path, page) as opened:
        turned = opened.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        has_alpha = opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info
        width, height = opened.size[::-1] if turned else opened.size
        return (width, height), 16 if _is_deep(path, opened) else 8, has_alpha


def _is_deep(path: Path, opened: Image.Image) -> bool:
    if opened.mode.startswith("I"):
        return True
    if opened.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:] == b"\x10"  # bit depth in the IHDR chunk
    if opened.format == "TIFF":
        bits = getattr(opened, "tag_v2", {}).get(258, (8,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    return False


def _unreadable(path: Path, error: BaseException | None) -> InputError:
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"cannot read picture {path}: {error.strerror}")
    if path.stat().st_size == 0:
        return InputError(f"{path}: the file is empty; write it again")
    return InputError(
        f"{path}: not a picture that can be read ({error or 'unknown coding'}); it may be cut off, write it again"
    )


def final_picture(frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return `image` in the frame's own type, with the frame's own values where the mask is 0."""
    if image.dtype != frame.image.dtype:
        image = np.rint(np.clip(image, 0.0, 1.0) * frame.peak).astype(frame.image.dtype)
    if mask is None:
        return image
    return np.where((mask != 0)[..., None], image, frame.image)


def write_picture(
    path: Path, image: np.ndarray, alpha: np.ndarray | None, keep: dict[str, Any], quality: float | None = None
) -> None:
    """Write ``(H, W, 3)`` uint8 or uint16 RGB as PNG, or as JPEG where the name says so (8 bits, no alpha).

    Args:
        path: Ends in .png, .jpg or .jpeg.
        image: Full-range RGB.
        alpha: ``(H, W)`` of the same type, or None.
        keep: What :func:`read_picture` gave.
        quality: 1..100 for JPEG; None for 95 without chroma subsampling.

    Raises:
        OSError: no room, no permission.
    """
    extras = {k: keep[k] for k in ("icc_profile", "dpi") if k in keep}
    red, green, blue = cv2.split(image)
    gray = bool(keep.get("gray")) and np.array_equal(red, green) and np.array_equal(red, blue)
    if path.suffix.lower() != ".png":
        picture = Image.fromarray(image if image.dtype == np.uint8 else _to_eight_bits(image))
        picture = picture.convert("L") if gray else picture
        picture.save(path, "JPEG", quality=round(quality or 95), subsampling=0, **extras)
    elif image.dtype == np.uint8:
        channels = [red] if gray else [red, green, blue]
        channels += [alpha] if alpha is not None else []
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(channels)]
        picture = Image.frombytes(mode, image.shape[1::-1], cv2.merge(channels).tobytes())
        picture.save(path, "PNG", compress_level=3, **extras)
    else:
        path.write_bytes(_deep_png(image, alpha, gray, extras.get("icc_profile")))


def _to_eight_bits(image: np.ndarray) -> np.ndarray:
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _deep_png(image: np.ndarray, alpha: np.ndarray | None, gray: bool, profile: bytes | None) -> bytes:
    """Code 16-bit PNG; the color profile is put in by hand, OpenCV cannot."""
    blue_first = np.ascontiguousarray(image[..., 0] if gray and alpha is None else image[..., ::-1])
    pixels = np.dstack([blue_first, alpha]) if alpha is not None else blue_first
    done, coded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise OSError("PNG encoder failed")
    data = coded.tobytes()
    if profile is None:
        return data
    body = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]  # signature (8 bytes) and IHDR (25) come first


def _exact_rate(rate: Fraction | float) -> Fraction:
    """Take 23.976, 29.97 and 59.94 for the fractions they stand for: n · 1000 / 1001."""
    if rate <= 0:
        raise InputError(f"frame rate {rate}: must be greater than 0")
    if isinstance(rate, Fraction):
        return rate
    broadcast = Fraction(round(rate) * 1000, 1001)
    return broadcast if abs(broadcast - rate) < 0.002 else Fraction(rate).limit_denominator(1000)


class PictureReader(Closing):
    """A folder of pictures, or one picture, as a clip; made by :func:`~co2net.video.reader.open_video`."""

    def __init__(self, path: Path, frame_rate: Fraction | float | None = None, as_mask: bool = False) -> None:
        self.path = path
        kind: Literal["folder", "image"] = "folder" if path.is_dir() else "image"
        self.files = list_pictures(path) if kind == "folder" else [path]
        if not as_mask:  # a damaged one is refused before any work; masks are read by other rules
            read_picture(self.files[0])
        (width, height), bits, has_alpha = describe_picture(self.files[0])
        rate = _exact_rate(frame_rate) if frame_rate is not None else None
        self.info = VideoInfo(
            path=path,
            kind=kind,
            width=width,
            height=height,
            frame_rate=rate,
            frame_count=len(self.files),
            duration_seconds=float(len(self.files) / rate) if rate else None,
            time_base=1 / rate if rate else None,
            pixel_format="rgb24" if bits == 8 else "rgb48le",
            bit_depth=bits,
            has_alpha=has_alpha,
            codec=self.files[0].suffix.lower().lstrip("."),
            names=tuple(p.name for p in self.files),
            sources=(path,),
        )

    def close(self) -> None:
        """Nothing stays open between frames."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in natural order of their names.

        Raises:
            InputError: a picture is damaged, or unlike the first in size or depth.
        """
        rate = self.info.frame_rate
        for number, file in enumerate(self.files):
            image, alpha, keep = read_picture(file)
            if image.shape[:2] != (self.info.height, self.info.width):
                raise InputError(
                    f"{file}: {image.shape[1]}x{image.shape[0]}, the first picture {self.files[0].name} is "
                    f"{self.info.width}x{self.info.height}; all frames must be of one size"
                )
            wanted = np.uint8 if self.info.bit_depth == 8 else np.uint16
            if image.dtype != wanted:
                raise InputError(
                    f"{file}: {image.dtype.itemsize * 8} bits per channel, the first picture {self.files[0].name} has "
                    f"{self.info.bit_depth}; all frames must be alike"
                )
            yield Frame(
                image=image,
                alpha=alpha,
                number=number,
                seconds=float(number / rate) if rate else None,
                name=file.name,
                pts=number if rate else None,
                time_base=self.info.time_base,
                duration=1 if rate else 0,
                keep=keep,
            )
