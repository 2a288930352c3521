"""What differs between versions of PyAV, and opening files with it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from co2net.errors import InputError


def require_pyav() -> None:
    """Refuse a PyAV that would change a clip in silence.

    Before 17.1 its conversions mix up full and limited range, and it cannot write the tag that turns a picture.
    """
    if _version() < (17, 1):
        raise InputError(f"PyAV {av.__version__} is too old to keep colors exact; pip install --upgrade 'av>=17.1'")


def open_input(path: Path) -> Any:
    """Open a file for reading, whatever its tags hold."""
    # From 19 on PyAV keeps the bytes of tags that are not UTF-8; before, it stops at them unless told otherwise.
    reading: dict[str, Any] = {} if _version() >= (19, 0) else {"metadata_errors": "replace"}
    return av.open(str(path), **reading)


def to_fraction(ratio: Any) -> Fraction | None:
    """Return a rate, time base or pixel shape as a fraction; None where it is unknown.

    PyAV gives fractions before 19, then a type of its own that does less.
    """
    return Fraction(ratio.numerator, ratio.denominator) if ratio else None


def _version() -> tuple[int, int]:
    major, minor = av.__version__.split(".")[:2]
    return int(major), int(minor)
