"""Looking at a file before work begins: its header says whether it is within the limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.error import FFmpegError

from co2net.data.pictures import encode_picture
from co2net.errors import Cancelled, InputError
from co2net.files import write_beside
from co2net.pipeline.frames import as_bytes
from co2net.video import open_video, tiff
from co2net.video.pictures import PICTURE_ENDINGS, opened_picture
from co2net.video.pyav import open_input
from co2net.video.streams import video_stream

_TIFF_SIZE = (256, 257)  # tags of width and height
SHOWN = 1280
"""Longer side, in pixels, of frames that the page shows."""


def check_media(path: Path, pixels: int, frames: int) -> None:
    """Refuse a file by what its header says, before anything large is decoded.

    Args:
        path: a picture or a video.
        pixels: most of a frame.
        frames: most of a clip; headers need not know, so who walks the clip counts too.

    Raises:
        InputError: too large, empty, or neither a picture nor a video.
    """
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; send it again")
    ending = path.suffix.lower()
    count = 0
    if ending in (".tif", ".tiff") and tiff.is_float(path):  # Pillow does not open it
        tags = tiff.read_tags(path)
        width, height = (int(np.ravel(tags.get(tag, 0))[0]) for tag in _TIFF_SIZE)
    elif ending in PICTURE_ENDINGS:
        with opened_picture(path) as opened:
            width, height = opened.size
    else:
        try:
            with open_input(path) as container:
                stream = video_stream(container)
                if stream is None or stream.codec_context is None:
                    raise InputError(f"{path}: no pictures in it; send a video or a picture")
                width, height, count = stream.codec_context.width, stream.codec_context.height, stream.frames
        except (FFmpegError, OSError) as error:
            raise InputError(f"{path}: not a video that can be read ({error.strerror}); export it again") from error
    if width * height > pixels:
        raise InputError(f"{path}: is {width}x{height}, more than the {pixels:,} pixels that are taken here; scale it")
    if count > frames:
        raise InputError(f"{path}: has {count} frames, more than the {frames} that are taken here; cut it into parts")


def describe_media(path: Path) -> dict[str, Any]:
    """What a clip or picture is.

    Returns:
        "kind" ("video" or "image"), "width", "height", "frames" (None where nobody knows), "frame_rate" (likewise),
        "alpha".

    Raises:
        InputError: it cannot be read.
    """
    with open_video(path) as reader:
        info = reader.info
    return {
        "kind": info.kind,
        "width": info.width,
        "height": info.height,
        "frames": 1 if info.kind == "image" else info.frame_count,
        "frame_rate": None if info.frame_rate is None else float(info.frame_rate),
        "alpha": info.has_alpha,
    }


def write_still(clip: Path, number: int, output: Path, cancel: Callable[[], bool]) -> None:
    """Write one frame as a PNG of at most :data:`SHOWN` pixels; of a shorter clip the last one.

    Raises:
        InputError: the clip cannot be read.
        Cancelled: `cancel` said so.
    """
    with open_video(clip) as reader:
        picture = None
        for frame in reader:
            if cancel():
                raise Cancelled("nobody wants it any more")
            picture = frame
            if frame.number >= number:
                break
    if picture is None:
        raise InputError(f"{clip}: no frame in it; send it again")
    write_beside(output, encode_picture(shown(as_bytes(picture.image))))


def shown(picture: np.ndarray) -> np.ndarray:
    """A picture ``(H, W, ...)`` as large as the page shows it."""
    height, width = picture.shape[:2]
    scale = SHOWN / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
