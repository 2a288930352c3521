"""Write one picture file: pixels, and what the source carried besides them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from co2net.video import tiff
from co2net.video.float_pictures import FloatSamples, linear_from_srgb, write_exr
from co2net.video.metadata import Frame

OUTPUT_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".exr")


def final_picture(frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return `image` in the frame's own type, with the frame's own values where the mask is 0."""
    if image.dtype != frame.image.dtype:
        image = np.rint(np.clip(image, 0.0, 1.0) * frame.peak).astype(frame.image.dtype)
    if mask is None:
        return image
    return np.where((mask != 0)[..., None], image, frame.image)


def write_frame(
    path: Path, frame: Frame, image: np.ndarray, mask: np.ndarray | None, quality: float | None = None
) -> None:
    """Write a frame's result; floating-point sources keep their own samples where the ending holds them.

    Raises:
        OSError: no room, no permission.
    """
    samples: FloatSamples | None = frame.keep.get("float")
    ending = path.suffix.lower()
    if ending != ".exr" and not (samples is not None and ending in (".tif", ".tiff")):
        write_picture(path, final_picture(frame, image, mask), frame.alpha, frame.keep, quality)
        return
    before = frame.image.astype(np.float32) / frame.peak
    after = image if image.dtype == np.float32 else image.astype(np.float32) / frame.peak
    alpha = None if frame.alpha is None else frame.alpha.astype(np.float32) / frame.peak
    header: dict[str, Any] = {}
    if samples is not None:
        alpha, header = samples.alpha, samples.header
        values = samples.for_file(samples.changed(before, after, mask), linear=ending == ".exr")
    else:
        values = linear_from_srgb(after if mask is None else np.where((mask != 0)[..., None], after, before))
    if ending == ".exr":
        write_exr(path, values, alpha, samples.half if samples is not None else True, header)
    else:
        plane = values[..., 0] if frame.keep.get("gray") else values
        path.write_bytes(tiff.encode(plane, alpha, frame.keep))


def write_picture(
    path: Path, image: np.ndarray, alpha: np.ndarray | None, keep: dict[str, Any], quality: float | None = None
) -> None:
    """Write ``(H, W, 3)`` uint8 or uint16 RGB as PNG or TIFF, or as JPEG or WebP where the name says so (8 bits).

    Args:
        path: Ends in one of :data:`OUTPUT_ENDINGS` but .exr.
        image: Full-range RGB.
        alpha: ``(H, W)`` of the same type, or None; JPEG has none.
        keep: What :func:`~co2net.video.pictures.read_picture` gave.
        quality: 1..100 for JPEG and WebP; None for 95 without chroma subsampling, and for lossless WebP.

    Raises:
        OSError: no room, no permission.
    """
    extras = {k: keep[k] for k in ("icc_profile", "dpi", "exif") if k in keep}
    red, green, blue = cv2.split(image)
    gray = bool(keep.get("gray")) and np.array_equal(red, green) and np.array_equal(red, blue)
    ending = path.suffix.lower()
    if ending in (".jpg", ".jpeg"):
        picture = Image.fromarray(_to_eight_bits(image))
        picture = picture.convert("L") if gray else picture
        picture.save(path, "JPEG", quality=round(quality or 95), subsampling=0, **extras)
    elif ending == ".webp":
        layers = [_to_eight_bits(image), *([_to_eight_bits(alpha)] if alpha is not None else [])]
        extras.pop("dpi", None)
        how = {"lossless": True} if quality is None else {"quality": round(quality)}
        Image.fromarray(np.dstack(layers)).save(path, "WEBP", exact=True, **how, **extras)
    elif ending in (".tif", ".tiff"):
        path.write_bytes(tiff.encode(red if gray else image, alpha, keep))
    else:
        path.write_bytes(_png(image, alpha, gray, keep))


def _to_eight_bits(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _png(image: np.ndarray, alpha: np.ndarray | None, gray: bool, keep: dict[str, Any]) -> bytes:
    """Code PNG; what is said about its colors is put in by hand, no library passes all of it on."""
    if image.dtype == np.uint8:
        channels = [image[..., 0]] if gray else list(cv2.split(image))
        channels += [alpha] if alpha is not None else []
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(channels)]
        into = io.BytesIO()
        extras = {k: keep[k] for k in ("dpi",) if k in keep}
        picture = Image.frombytes(mode, image.shape[1::-1], cv2.merge(channels).tobytes())
        picture.save(into, "PNG", compress_level=3, **extras)
        data = into.getvalue()
    else:
        blue_first = np.ascontiguousarray(image[..., 0] if gray and alpha is None else image[..., ::-1])
        pixels = np.dstack([blue_first, alpha]) if alpha is not None else blue_first
        done, coded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not done:
            raise OSError("PNG encoder failed")
        data = coded.tobytes()
    chunks = list(keep.get("chunks", ()))
    if keep.get("icc_profile"):
        chunks = [(name, body) for name, body in chunks if name != b"sRGB"]
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(keep["icc_profile"])))
    if keep.get("exif"):
        chunks.append((b"eXIf", keep["exif"].removeprefix(b"Exif\0\0")))
    added = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:33] + added + data[33:]  # signature (8 bytes) and IHDR (25) come first
