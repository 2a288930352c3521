"""Read one picture file, whatever its format: pixels upright, and what else it carries."""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps

from co2net.errors import InputError
from co2net.screen import silenced
from co2net.video import tiff
from co2net.video.dpx import read_dpx
from co2net.video.float_pictures import FloatSamples, Transfer, read_exr

LOSSY_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".heic", ".heif", ".jp2"})
PICTURE_ENDINGS = LOSSY_ENDINGS | frozenset(".png .apng .tif .tiff .bmp .tga .ppm .pgm .pbm .pnm .exr .dpx".split())
# Formats that compositors know and this room does not read, with what to do about it.
FOREIGN = {".hdr": "OpenEXR", ".psd": "16-bit PNG or TIFF", ".dng": "16-bit TIFF"}
_PAGED = ("GIF", "PNG", "TIFF", "WEBP", "AVIF")
"""Formats whose further pictures are frames; in a phone's JPEG or HEIC they are views, depth or a preview."""
_DAMAGED_NOTE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, SyntaxError, struct.error)
"""What Pillow lets out where EXIF is damaged."""
_CHUNKS = (b"cICP", b"cHRM", b"gAMA", b"sRGB", b"mDCV", b"cLLI")
"""What a PNG says about its colors besides a profile."""
# They tell users nothing that they could mend.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # shown only where somebody set up logging


@contextmanager
def opened_picture(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a picture file; what its decoder raises meanwhile becomes one sentence.

    Raises:
        InputError: missing, not a picture, damaged or cut off, larger than Pillow's limit.
    """
    path = Path(path)
    if path.suffix.lower() in (".heic", ".heif"):
        _register_heif(path)
    # libtiff speaks for itself; the other decoders leave it to Pillow.
    with picture_errors(path), silenced() if is_tiff(path) else nullcontext(), Image.open(path) as opened:
        yield opened


@contextmanager
def picture_errors(path: Path) -> Iterator[None]:
    """Turn what Pillow's decoders raise into one sentence.

    Raises:
        InputError: with the path.
    """
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        RuntimeError,
        struct.error,
        zlib.error,
    ) as error:  # whatever Pillow's plugins let out
        if isinstance(error, InputError):
            raise
        raise unreadable(path, error) from error


def _too_large(path: Path) -> InputError:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return InputError(f"{path}: has more than the {limit:,} pixels that are read; scale it down or cut it")


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise InputError(f"{path}: HEIC files need a library; pip install 'co2net[heif]'") from None
    pillow_heif.register_heif_opener()


def read_picture(
    path: Path, page: int = 0, transfer: Transfer = "auto"
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Read one picture (of several frames one), turned upright by its EXIF tag.

    Args:
        path: the file.
        page: which frame of a floating-point TIFF; others are read through :func:`decode_picture`.
        transfer: what floating-point samples are, see :data:`~co2net.video.float_pictures.Transfer`.

    Returns:
        ``(image (H, W, 3) RGB, alpha (H, W) or None, keep)``, uint8 or uint16; `keep` holds the color profile, the
        resolution, EXIF, whether the file was grey, and floating-point samples, for
        :func:`~co2net.video.picture_writing.write_picture`.

    Raises:
        InputError: not a picture, damaged or cut off.
    """
    ending = path.suffix.lower()
    if ending == ".exr":
        return _read_float(read_exr(path), {}, transfer)
    if ending == ".dpx":
        image, alpha, orientation, keep = read_dpx(path)
        return upright(image, orientation), None if alpha is None else upright(alpha, orientation), keep
    if is_tiff(path) and tiff.is_float(path):
        return _read_float_tiff(path, page, transfer)
    with opened_picture(path) as opened:
        return decode_picture(opened, path)


def decode_picture(opened: Image.Image, path: Path) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """As :func:`read_picture` of an open file, at the frame it stands at."""
    if is_deep(path, opened):
        return _read_deep(opened, path)
    turned = stood_upright(opened)
    keep = _kept(opened, path)
    if turned.mode == "CMYK":
        turned = _from_cmyk(turned, keep)
    transparent = turned.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in turned.info
    pixels = np.asarray(turned.convert("RGBA" if transparent else "RGB"))
    return (
        np.ascontiguousarray(pixels[..., :3]),
        np.ascontiguousarray(pixels[..., 3]) if transparent else None,
        keep,
    )


def orientation_of(opened: Image.Image) -> int:
    """EXIF's number, 1 to 8; 1 where a note says nothing or is damaged."""
    try:
        return int(opened.getexif().get(0x0112, 1))
    except _DAMAGED_NOTE:
        return 1


def stood_upright(opened: Image.Image) -> Image.Image:
    """The picture as a camera's note says it stands; a damaged note is no reason to stop."""
    return ImageOps.exif_transpose(opened) if orientation_of(opened) in range(2, 9) else opened


def _kept(opened: Image.Image, path: Path) -> dict[str, Any]:
    keep: dict[str, Any] = {k: opened.info[k] for k in ("icc_profile", "dpi") if opened.info.get(k)}
    keep["gray"] = opened.mode in ("1", "L", "LA", "I;16", "I;16B", "I")
    try:
        if len(opened.getexif()):
            exif = Image.Exif()
            exif.load(opened.getexif().tobytes())
            exif.pop(0x0112, None)  # the picture is turned upright
            keep["exif"] = exif.tobytes()
    except _DAMAGED_NOTE:
        pass
    if opened.format == "PNG":
        keep["chunks"] = _color_chunks(path)
    return keep


def _color_chunks(path: Path) -> list[tuple[bytes, bytes]]:
    found = []
    with path.open("rb") as file:
        file.seek(8)
        while (head := file.read(8)) and len(head) == 8:
            size, name = int.from_bytes(head[:4], "big"), head[4:]
            if name == b"IDAT" or size > 1 << 24:
                break
            body = file.read(size + 4)[:-4]
            if name in _CHUNKS:
                found.append((name, body))
    return found


def _from_cmyk(picture: Image.Image, keep: dict[str, Any]) -> Image.Image:
    """Convert through the profile where it is usable; the result is sRGB and the profile goes."""
    profile = keep.pop("icc_profile", None)
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile without tables: the plain formula
    return picture.convert("RGB")


def _read_deep(opened: Image.Image, path: Path) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Pillow cuts 16-bit color down to 8 bits; OpenCV keeps it, and knows nothing of orientation."""
    orientation, page = orientation_of(opened), opened.tell()
    if opened.mode.startswith("I") and opened.format == "TIFF":
        orientation = 1  # Pillow turns these by itself
    if opened.mode in ("I;16", "I;16B", "I;16L"):
        gray = np.asarray(opened).astype(np.uint16)
        pixels = gray
    elif opened.mode == "I" and opened.format != "TIFF":
        pixels = np.asarray(opened).astype(np.uint16)
    else:
        pixels = _opencv(path, page)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise unreadable(path, None)
    pixels = upright(pixels, orientation)
    keep = _kept(opened, path)
    if pixels.ndim == 2:
        return cv2.merge([pixels, pixels, pixels]), None, keep
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return np.ascontiguousarray(pixels[..., 2::-1]), alpha, keep


def _opencv(path: Path, page: int = 0) -> np.ndarray | None:
    level = cv2.utils.logging.setLogLevel(0)  # it writes to the screen by itself, and so do its libraries
    try:
        return _decode(path, page)
    except (cv2.error, OSError) as error:
        raise unreadable(path, None) from error
    finally:
        cv2.utils.logging.setLogLevel(level)


def _decode(path: Path, page: int) -> np.ndarray | None:
    with silenced():
        if is_tiff(path):
            if _first(tiff.read_tags(path, page).get(tiff.ORIENTATION) or 1) == 1:
                done, pages = cv2.imreadmulti(str(path), start=page, count=1, flags=cv2.IMREAD_UNCHANGED)
                return pages[0] if done and pages else None
            data = tiff.page_as_stored(path.read_bytes(), page)
        else:
            data = path.read_bytes()
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn ``(H, W, ...)`` by the value 1 to 8 of EXIF's orientation."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _read_float_tiff(path: Path, page: int, transfer: Transfer) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    tags = tiff.read_tags(path, page)
    if int(_first(tags.get(256) or 0)) * int(_first(tags.get(257) or 0)) > 2 * (Image.MAX_IMAGE_PIXELS or 0):
        raise _too_large(path)
    pixels = _opencv(path, page) if _first(tags.get(tiff.BITS) or 8) in (32, 64) else None
    if pixels is None or pixels.dtype.kind != "f":
        raise InputError(
            f"{path}: floating-point samples of a kind that is not read; convert it to 16-bit integers, 32-bit float "
            "or OpenEXR first"
        )
    pixels = upright(pixels.astype(np.float32), _first(tags.get(tiff.ORIENTATION) or 1))
    if not np.isfinite(pixels).all():
        raise InputError(f"{path}: holds nan or infinite values; render it again, or replace them")
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    colors = np.dstack([pixels] * 3) if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])
    keep: dict[str, Any] = {"gray": pixels.ndim == 2}
    if isinstance(tags.get(tiff.PROFILE), bytes):
        keep["icc_profile"] = tags[tiff.PROFILE]
    return _read_float(FloatSamples(colors, False, alpha=alpha), keep, transfer)


def _read_float(
    samples: FloatSamples, keep: dict[str, Any], transfer: Transfer
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    if transfer != "auto":
        samples.linear, samples.stays = transfer == "linear", True
    keep["float"] = samples
    image = samples.codes()
    alpha = None if samples.alpha is None else np.rint(np.clip(samples.alpha, 0, 1) * 65535).astype(np.uint16)
    return image, alpha, {"gray": bool(samples.header.get("gray")), **keep}


def describe_picture(path: Path) -> tuple[tuple[int, int], int, bool]:
    """Return upright ``(width, height)``, bits per channel as read (8, 16), alpha or not; mostly from the header.

    Raises:
        InputError: missing, not a picture.
    """
    if path.suffix.lower() in (".exr", ".dpx") or tiff.is_float(path):
        image, alpha, _ = read_picture(path)
        return (image.shape[1], image.shape[0]), 8 * image.dtype.itemsize, alpha is not None
    with opened_picture(path) as opened:
        # Of a TIFF Pillow gives the size upright already.
        turned = opened.format != "TIFF" and orientation_of(opened) in (5, 6, 7, 8)
        has_alpha = opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info
        width, height = opened.size[::-1] if turned else opened.size
        deep = is_deep(path, opened)
        if deep and opened.format == "TIFF":  # Pillow names 16-bit RGBA "RGBA" or nothing
            has_alpha = has_alpha or _first(tiff.read_tags(path).get(tiff.SAMPLES) or 1) in (2, 4)
        return (width, height), 16 if deep else 8, has_alpha


def count_pages(path: Path) -> int:
    """How many frames a picture file holds: animated GIF, PNG, WebP and AVIF, pages of a TIFF; 1 for any other.

    A TIFF whose further pages are small copies or masks of the first is one picture.

    Raises:
        InputError: missing, not a picture.
    """
    if path.suffix.lower() in (".exr", ".dpx"):
        return 1
    if is_tiff(path):
        kinds = tiff.page_kinds(path)
        if any(kind & (tiff.REDUCED | tiff.MASK) for kind in kinds[1:]):
            return 1
        if tiff.is_float(path):
            return len(kinds)
    with opened_picture(path) as opened:
        return int(getattr(opened, "n_frames", 1)) if opened.format in _PAGED else 1


def is_tiff(path: Path) -> bool:
    """Whether a file's name says so."""
    return path.suffix.lower() in (".tif", ".tiff")


def is_deep(path: Path, opened: Image.Image) -> bool:
    """Whether a picture has more than 8 bits per channel."""
    if opened.mode.startswith("I"):
        return True
    if opened.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:] == b"\x10"  # bit depth in the IHDR chunk
    if opened.format == "TIFF":
        bits = getattr(opened, "tag_v2", {}).get(258, (8,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    return False


def unreadable(path: Path, error: BaseException | None) -> InputError:
    """Say in one sentence why a picture cannot be read."""
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"cannot read picture {path}: {error.strerror}")
    if path.stat().st_size == 0:
        return InputError(f"{path}: the file is empty; write it again")
    cause = str(error or "unknown coding").splitlines()[0][:120].replace(str(path), path.name)
    return InputError(f"{path}: not a picture that can be read ({cause}); it may be cut off, write it again")


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value
