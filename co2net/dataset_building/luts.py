"""Which LUT makes which clip: drawn from a folder, or as a list says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from co2net.data.frame_lists import COLUMNS
from co2net.errors import InputError
from co2net.provenance import file_sha256

Assignment = dict[str, list["Lut"]]


class Lut(NamedTuple):
    """A LUT on disk."""

    name: str
    path: Path
    sha256: str


def assign_luts(clips: Iterable[str], luts: Path, per_clip: int, seed: int) -> Assignment:
    """The LUTs of each clip.

    From a folder they are drawn: all LUTs are put into an order that depends on the seed, the clip's name and the
    LUT's name alone, and the first `per_clip` are taken. So a clip keeps its LUTs whatever other clips there are,
    and a new LUT disturbs few.

    Args:
        clips: names ``<video>/<object>``.
        luts: a folder of ``.cube`` files, one ``.cube`` file, or a list like HYouTube's ``LUT_list.txt``
            (``synthetic_composite_videos/<video>/<object> <n>.cube``) with the LUTs beside it.
        per_clip: how many.
        seed: which draw.

    Raises:
        InputError: no LUTs, too few, or the list lacks a clip.
    """
    if per_clip < 1:
        raise InputError(f"{per_clip} LUTs per clip; give 1 or more")
    if luts.is_file() and luts.suffix.lower() != ".cube":
        if per_clip != 1:
            raise InputError(f"{luts} names one LUT per clip; leave `luts_per_clip` away, or give a folder")
        return _from_list(clips, luts)
    if luts.is_file():
        choice = [_lut(luts)]
    elif luts.is_dir():
        files = [path for path in sorted(luts.iterdir()) if path.suffix.lower() == ".cube" and path.name[0] != "."]
        choice = [_lut(path) for path in files]
    else:
        raise InputError(f"the LUTs {luts} do not exist; give a folder of .cube files")
    if len(choice) < per_clip:
        raise InputError(f"{luts} holds {len(choice)} .cube file(s), {per_clip} per clip are wanted")
    return {clip: sorted(choice, key=lambda lut: _draw(seed, clip, lut.name))[:per_clip] for clip in clips}


def draw_order(seed: int, names: Iterable[str]) -> list[str]:
    """Names in a random order that is the same on every machine."""
    return sorted(names, key=lambda name: _draw(seed, name))


def _draw(seed: int, *names: str) -> bytes:
    return hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()


def _from_list(clips: Iterable[str], path: Path) -> Assignment:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of LUTs {path}: {error}") from error
    named: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        words = line.replace("\\", "/").split(None, 1)
        if not words:
            continue
        parts = words[0].strip("/").split("/")
        if len(parts) == 3 and parts[0] in COLUMNS[2][1]:
            parts = parts[1:]
        if len(parts) != 2 or len(words) != 2 or not words[1].strip().lower().endswith(".cube"):
            raise InputError(f"{path}, line {number}: expected <folder of composites> <LUT>.cube, got {line.strip()}")
        named["/".join(parts)] = number, words[1].strip()
    luts: dict[str, Lut] = {}
    assignment: Assignment = {}
    for clip in clips:
        if clip not in named:
            raise InputError(f"{path} names no LUT for the clip {clip}; add a line")
        number, name = named[clip]
        file = path.parent / name
        if not file.is_file():
            raise InputError(f"{path}, line {number}: {file} does not exist; the LUTs must be beside the list")
        luts.setdefault(name, _lut(file))
        assignment[clip] = [luts[name]]
    return assignment


def _lut(path: Path) -> Lut:
    return Lut(path.name, path, file_sha256(path))
