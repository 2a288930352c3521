"""Encoders and decoders of graphics processors: whether this machine has one, found out before the work."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, get_args

import av
import av.logging
from av.error import FFmpegError

from co2net.checks import check_choice

Hardware = Literal["auto", "off"]
"""Who decodes: "auto" a graphics processor where there is one for it, "off" the processor."""
_DECODERS = ("cuda", "videotoolbox", "d3d11va", "vaapi", "qsv")
"""Kinds of devices that decode, by FFmpeg's names, in the order in which they are tried."""
_PROBE = 256  # pixels; the least width and height that all of them take


@lru_cache(maxsize=32)
def encoder_fails(encoder: str) -> str:
    """Why an encoder of this build cannot be opened on this machine; empty if it can.

    Finding out takes some tenths of a second where the device is there, and is done once.
    """
    av.logging.set_level(None)
    context: Any = av.CodecContext.create(encoder, "w")
    context.width = context.height = _PROBE
    context.pix_fmt = next((f.name for f in context.codec.video_formats or () if f.name == "nv12"), "yuv420p")
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    try:
        context.open()
    except (FFmpegError, OSError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def decoding(hardware: Hardware) -> tuple[Any, str]:
    """What PyAV is to open a file with, and FFmpeg's name of the device: ``(None, "")`` to decode on the processor.

    Raises:
        InputError: the setting is unknown.
    """
    check_choice("hardware", hardware, get_args(Hardware))
    kind = _decoding_device() if hardware == "auto" else ""
    if not kind:
        return None, ""
    from av.codec.hwaccel import HWAccel

    return HWAccel(device_type=kind, allow_software_fallback=True), kind


@lru_cache(maxsize=1)
def _decoding_device() -> str:
    """The first kind of device that is there; empty without one."""
    from av.codec.hwaccel import HWAccel, hwdevices_available

    av.logging.set_level(None)
    for kind in (kind for kind in _DECODERS if kind in hwdevices_available()):
        try:
            accelerator: Any = HWAccel(device_type=kind, allow_software_fallback=False)
            accelerator.create(av.Codec("h264", "r"))
        except (FFmpegError, OSError, RuntimeError, NotImplementedError, ValueError):
            continue
        return kind
    return ""
