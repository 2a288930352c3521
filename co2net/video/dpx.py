"""DPX pictures of film scanners and grading programs, 8 to 16 bits, by FFmpeg's decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from av.error import FFmpegError

from co2net.errors import InputError
from co2net.video import color
from co2net.video.pyav import open_input

_TRANSFER, _ORIENTATION = 801, 768
"""Where the header of SMPTE 268M names the curve of the first image element, and the direction of its lines."""
_NOT_DISPLAY = {1: "film density", 2: "linear light", 3: "logarithmic samples"}
_TURNS = {1: 2, 2: 4, 3: 3}
"""Its numbers as those of EXIF; further ones, of transposed pictures, are not in use."""


def read_dpx(path: Path) -> tuple[np.ndarray, np.ndarray | None, int, dict[str, Any]]:
    """Decode one picture, as stored.

    Returns:
        ``(image (H, W, 3) RGB, alpha (H, W) or None, orientation as in EXIF, keep)``, uint8 or uint16.

    Raises:
        InputError: damaged, or packed in a way that FFmpeg does not know.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
        order: Literal["big", "little"] = "little" if head[:4] == b"XPDS" else "big"
        with open_input(path) as container:
            frame = next(container.decode(video=0), None)
            if head[:4] not in (b"SDPX", b"XPDS") or len(head) < 1024 or frame is None or frame.is_corrupt:
                raise InputError(f"{path}: not a DPX picture that can be read; it may be cut off, write it again")
            layout = color.planar_layout(frame.format.name)
            space = color.guess_colorspace(int(frame.colorspace), 2, frame.width, frame.height)
            full = color.is_full_range(layout, int(frame.color_range), frame.format.name)
            image, alpha = color.to_rgb(color.to_planar(frame, layout), layout, space, full)
    except (FFmpegError, OSError, IndexError) as error:
        cause = getattr(error, "strerror", None) or "no picture in it"
        raise InputError(f"{path}: not a DPX picture that can be read ({cause}); it may be cut off") from error
    keep: dict[str, Any] = {"gray": layout.kind == "gray", "header": "DPX"}
    if head[_TRANSFER] in _NOT_DISPLAY:
        keep["curve"] = _NOT_DISPLAY[head[_TRANSFER]]
    return image, alpha, _TURNS.get(int.from_bytes(head[_ORIENTATION : _ORIENTATION + 2], order), 1), keep
