"""Data sets in three folders of real frames, masks and composites: HYouTube, and plain folders of one's own.

Pictures of plain folders belong together by their names; where the names differ, by the numbers at their ends. The real
frames of several objects may be shared: of ``composite/<video>/<object>`` they are in ``real/<video>/<object>`` or
``real/<video>``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from co2net.data.frame_lists import COLUMNS, expand_clip, read_listed
from co2net.data.layouts import Request, register_layout, split_by_hash
from co2net.data.samples import PICTURES, Sample, existing_folder, numbered_files, pictures_in
from co2net.errors import InputError

PLAIN = ("real", "mask", "composite")


@register_layout
class HYouTube:
    """Clips of numbered frames, chosen by lists."""

    title = "HYouTube (synthetic_composite_videos/)"

    def fits(self, root: Path) -> bool:
        """Any of its folders, by either name."""
        return any(_column(root, column) is not None for column in range(3))

    def read(self, request: Request) -> list[Sample]:
        """See :class:`~co2net.data.layouts.Layout`."""
        if request.list is not None:
            return read_listed(request)
        columns = [column_folder(request.root, column) for column in (2, 1, 0)][::-1]
        if request.split and any(request.root.glob("*.txt")):
            return read_listed(replace(request, list=split_list(request.root, request.split)))
        return _walk(columns, request)


@register_layout
class PlainFolders:
    """``composite/``, ``mask/``, ``real/``: pictures directly, or folders of pictures (a clip each)."""

    title = "plain folders (composite/, mask/, real/)"

    def fits(self, root: Path) -> bool:
        """All three are there, and no HYouTube."""
        return all((root / name).is_dir() for name in PLAIN) and _column(root, 2) is None

    def read(self, request: Request) -> list[Sample]:
        """See :class:`~co2net.data.layouts.Layout`."""
        if request.list is not None:
            return read_listed(request)
        return _walk([request.root / name for name in PLAIN], request)


def column_folder(root: Path, column: int) -> Path:
    """The data set's folder of real frames (0), masks (1) or composites (2), by either of its names.

    Raises:
        InputError: it has neither.
    """
    folder = _column(root, column)
    if folder is None:
        kind, names = COLUMNS[column]
        raise InputError(f"{root}: the {kind} folder is missing, neither {names[0]} nor {names[1]} is there")
    return folder


def split_list(root: str | os.PathLike[str], split: str) -> Path:
    """The data set's own list of a split; for "val" that of "test" where there is no other.

    Raises:
        InputError: there is none (names what was looked for), or `root` does not exist.
    """
    root = existing_folder(root)
    splits = (split, "test") if split == "val" else (split,)
    names = [name for s in splits for name in (f"{s}_frames.txt", f"{s}_list.txt", f"{s}.txt")]
    for name in names:
        if (root / name).is_file():
            return root / name
    raise InputError(f"{root}: no list of the split {split}; looked for {', '.join(names)}; name the list (`list`)")


def _column(root: Path, column: int) -> Path | None:
    return next((root / name for name in COLUMNS[column][1] if (root / name).is_dir()), None)


def _walk(columns: list[Path], request: Request) -> list[Sample]:
    """The clips below the folder of composites, in name order; of a split, by a hash of their names."""
    samples: list[Sample] = []
    empty = True
    for below in _picture_folders(columns[2]):
        empty = False
        real = columns[0] / below
        if not real.is_dir():
            real = real.parent if below.parts else real  # HYouTube's real frames have no level for the object
        try:
            samples += _match([real, columns[1] / below, columns[2] / below])
        except InputError as error:
            request.trouble(error)
    if empty:
        raise InputError(f"{columns[2]}: no pictures below it")
    return samples if request.split is None else split_by_hash(samples, request.split, request.root)


def _picture_folders(root: Path) -> Iterator[Path]:
    """Folders that hold pictures, relative to `root`; hidden ones (a build that goes on) are left out."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(Path(name).suffix.lower() in PICTURES and not name.startswith(".") for name in files):
            yield Path(folder).relative_to(root)


def _match(folders: list[Path]) -> list[Sample]:
    """Pictures of three folders by name, or else by number; those with equal names but no numbers are no clip."""
    place = str(folders[2])
    by_stem = [{path.stem: path for path in pictures_in(folder, place)} for folder in folders]
    if by_stem[2].keys() == by_stem[1].keys() <= by_stem[0].keys():
        samples = [Sample(*(column[stem] for column in by_stem)) for stem in sorted(by_stem[2])]
        numbers = {int(digits[0]) for stem in by_stem[2] if (digits := re.search(r"[0-9]+$", stem))}
        if len(numbers) == len(samples):
            return samples
        return [replace(sample, picture=number) for number, sample in enumerate(samples)]
    if all(numbered_files(folder, place) for folder in folders):
        return expand_clip(folders, place)
    empty = next(folder for folder, files in zip(folders, by_stem, strict=True) if not files)
    raise InputError(f"{place}: no pictures in {empty}")
