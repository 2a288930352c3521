"""What people send: kept under names of ours, whatever they call it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import BinaryIO

from co2net.errors import InputError

PICTURES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .avif .heic .heif .jp2 .tif .tiff".split()
    + ".bmp .tga .ppm .pgm .pbm .pnm".split()
)
"""Endings of pictures that are taken: all that the library reads but OpenEXR and DPX, whose size is known too late."""
VIDEOS = frozenset(".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .mxf .wmv .flv .ogv .3gp .gif".split())
_LONGEST = 80


class UnknownEndingError(InputError):
    """Neither a picture nor a video by its name."""


def shown_name(name: str | None) -> str:
    """What its owner calls a file, fit for a message: no folders, no control characters, not too long."""
    last = re.split(r"[\\/]", name or "")[-1]
    clean = "".join(c for c in last if c.isprintable()).strip()
    if len(clean) <= _LONGEST:
        return clean or "a file without a name"
    stem, dot, ending = clean.rpartition(".")
    return f"{stem[: _LONGEST - 20]}...{dot}{ending[:15]}"


def ending_of(name: str | None) -> str:
    """The ending by which a file is read.

    Raises:
        UnknownEndingError: it is none that is taken here.
    """
    ending = Path(shown_name(name)).suffix.lower()
    if ending not in PICTURES | VIDEOS:
        taken = "videos (.mp4, .mov, .mkv, .webm, .avi, ...) and pictures (.png, .jpg, .webp, .tif, ...)"
        raise UnknownEndingError(f"{shown_name(name)}: {taken} are taken, told by the ending of the name")
    return ending


def is_picture(name: str | None) -> bool:
    """Whether a file is one picture, by its name."""
    return Path(shown_name(name)).suffix.lower() in PICTURES


def keep(source: BinaryIO, folder: Path, role: str, name: str | None) -> Path:
    """Copy what was sent into `folder`, under the name of its role.

    Raises:
        InputError: the ending is unknown, or nothing is in it.
    """
    place = folder / f"{role}{ending_of(name)}"
    with place.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if not place.stat().st_size:
        raise InputError(f"{shown_name(name)}: the file is empty; send it again")
    return place
