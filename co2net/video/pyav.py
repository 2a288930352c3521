"""What differs between versions of PyAV, and opening files with it."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av

from co2net.errors import InputError

# Formats that are lists of other files, or no files at all: a text file of any name could make FFmpeg read those.
_LISTS = (
    "concat hls applehttp dash webm_dash_manifest imf image2 rtsp sdp rtp sap lavfi tee avisynth vapoursynth".split()
)


def require_pyav() -> None:
    """Refuse a PyAV that would change a clip in silence.

    Before 17.1 its conversions mix up full and limited range, and it cannot write the tag that turns a picture.
    """
    if _version() < (17, 1):
        raise InputError(f"PyAV {av.__version__} is too old to keep colors exact; pip install --upgrade 'av>=17.1'")


def open_input(path: Path, decoder: Any = None) -> Any:
    """Open a file for reading, whatever its tags hold; only this file, even where it is a list of others.

    `decoder`: a graphics processor's (:func:`co2net.video.hardware.decoding`).
    """
    # From 19 on PyAV keeps the bytes of tags that are not UTF-8; before, it stops at them unless told otherwise.
    reading: dict[str, Any] = {} if _version() >= (19, 0) else {"metadata_errors": "replace"}
    if decoder is not None:
        reading["hwaccel"] = decoder
    return av.open(file_url(path), options={"format_whitelist": _formats(), "protocol_whitelist": "file"}, **reading)


def file_url(path: Path) -> str:
    """The path as FFmpeg takes it for one whatever it holds; without "file:" a colon would end a protocol's name."""
    return f"file:{path}"


def to_fraction(ratio: Any) -> Fraction | None:
    """Return a rate, time base or pixel shape as a fraction; None where it is unknown.

    PyAV gives fractions before 19, then a type of its own that does less.
    """
    return Fraction(ratio.numerator, ratio.denominator) if ratio else None


@lru_cache(maxsize=1)
def _formats() -> str:
    return ",".join(sorted(set(av.formats_available) - set(_LISTS)))


def _version() -> tuple[int, int]:
    major, minor = av.__version__.split(".")[:2]
    return int(major), int(minor)
