"""Any data set on disk as one list of frames: :func:`read_dataset` finds out which kind it is.

=========================  ==========================================================================================
HYouTube, with a list      ``train_list.txt`` and so on, of clips or of frames (:mod:`co2net.data.frame_lists`)
HYouTube, without a list   every ``synthetic_composite_videos/<video>/<object>`` (or ``Composite/...``) on disk
iHarmony4                  ``IHD_train.txt``, ``IHD_test.txt``; or one sub-set (:mod:`co2net.data.iharmony4`)
plain folders              ``composite/``, ``mask/``, ``real/``: pictures directly, or folders of pictures (a clip each)
=========================  ==========================================================================================

Pictures of plain folders belong together by their names; where the names differ, by the numbers at their ends. The real
frames of several objects may be shared: of ``composite/<video>/<object>`` they are in ``real/<video>/<object>`` or
``real/<video>``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from co2net.data.frame_lists import (
    COLUMNS,
    PICTURES,
    FrameEntry,
    OnProblem,
    expand_clip,
    list_lines,
    numbered_files,
    read_frame_list,
)
from co2net.data.iharmony4 import COMPOSITES, iharmony4_list, is_iharmony4, read_iharmony4
from co2net.errors import InputError

PLAIN = ("real", "mask", "composite")


def read_dataset(
    root: str | os.PathLike[str],
    list: str | os.PathLike[str] | None = None,  # the flag's own name, as in --list
    split: str | None = None,
    *,
    check_files: bool = True,
    on_problem: OnProblem | None = None,
) -> list[FrameEntry]:
    """The frames of a data set, whatever its kind (table in the module docstring).

    Args:
        root: the data set's folder.
        list: which frames: a list of clips or frames (:func:`find_list`). Without it, all of `split`.
        split: "train", "test" or "val" (iHarmony4 and HYouTube have a list for each, "val" means "test" where there is
            no list of its own); None takes everything on disk.
        check_files: look whether every file of the list exists.
        on_problem: called for each line or clip that cannot be used, which is then left out; without it the first one
            raises.

    Returns:
        The frames, in the order of the list or of the names.

    Raises:
        InputError: no data set there, the list is missing or unusable; names file and line.
    """
    root = _existing(root)
    if list is not None:
        return _read_list(find_list(list, root), root, check_files, on_problem)
    if is_iharmony4(root):
        lists = [iharmony4_list(root, split)] if split else _iharmony4_lists(root)
        return [entry for path in lists for entry in read_iharmony4(path, root, check_files, on_problem)]
    columns = [_column(root, i) for i in range(3)]
    if all((root / name).is_dir() for name in PLAIN) and columns[2] is None:
        if split:
            raise InputError(f"{root} has no split {split}: plain folders hold no lists; give a list, or no split")
        return _walk([root / name for name in PLAIN], on_problem)
    if columns[2] is None and any(columns):
        column_folder(root, 2)  # says which names were looked for
    if columns[2] is None:
        kinds = "a HYouTube folder (synthetic_composite_videos/), iHarmony4 (IHD_train.txt) or composite/, mask/, real/"
        raise InputError(f"{root}: no data set that is known here: neither {kinds}")
    if split:
        return _read_list(split_list(root, split), root, check_files, on_problem)
    return _walk([column_folder(root, column) for column in range(3)], on_problem)


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


def find_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> Path:
    """The file of a list.

    A bare file name means the data set's own list before one of the same name in the current folder: a checkout of this
    project has a ``train_list.txt`` of its own. A path with a folder in it (``./train_list.txt`` too) is tried as given
    before it is tried under the data set's folder.

    Raises:
        InputError: it is in neither place (names both), or `root` does not exist.
    """
    root = _existing(root)
    places = [Path(path), root / path]
    if not os.path.dirname(path):
        places.reverse()
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"the list {path} does not exist, tried: {', '.join(map(str, dict.fromkeys(places)))}")


def split_list(root: str | os.PathLike[str], split: str) -> Path:
    """The data set's own list of a split; for "val" that of "test" where there is no other.

    Raises:
        InputError: there is none (names what was looked for), or `root` does not exist.
    """
    root = _existing(root)
    splits = (split, "test") if split == "val" else (split,)
    names = [name for s in splits for name in (f"{s}_frames.txt", f"{s}_list.txt", f"{s}.txt")]
    for name in names:
        if (root / name).is_file():
            return root / name
    raise InputError(f"{root}: no list of the split {split}; looked for {', '.join(names)}; name the list (`list`)")


def _existing(root: str | os.PathLike[str]) -> Path:
    if not os.path.isdir(root):
        raise InputError(f"the data set's folder {root} does not exist")
    return Path(root)


def _read_list(path: Path, root: Path, check_files: bool, on_problem: OnProblem | None) -> list[FrameEntry]:
    lines = list_lines(path)
    if is_iharmony4(root) and lines and len(lines[0][1]) == 1:
        return read_iharmony4(path, root, check_files, on_problem)
    return read_frame_list(path, root, check_files, on_problem)


def _iharmony4_lists(root: Path) -> list[Path]:
    whole = [path for split in ("train", "test") if (path := root / f"IHD_{split}.txt").is_file()]
    if whole:
        return whole
    if not any(root.glob("*.txt")):
        raise InputError(f"{root}: a folder {COMPOSITES} without any list; add the sub-set's .txt lists")
    return [iharmony4_list(root, split) for split in ("train", "test") if any(root.glob(f"*{split}.txt"))]


def _column(root: Path, column: int) -> Path | None:
    return next((root / name for name in COLUMNS[column][1] if (root / name).is_dir()), None)


def _walk(columns: list[Path], on_problem: OnProblem | None) -> list[FrameEntry]:
    """The clips below the folder of composites, in name order."""
    entries: list[FrameEntry] = []
    empty = True
    for below in _picture_folders(columns[2]):
        empty = False
        real = columns[0] / below
        if not real.is_dir():
            real = real.parent if below.parts else real  # HYouTube's real frames have no level for the object
        try:
            entries += _match([real, columns[1] / below, columns[2] / below])
        except InputError as error:
            if on_problem is None:
                raise
            on_problem(error)
    if empty:
        raise InputError(f"{columns[2]}: no pictures below it")
    return entries


def _picture_folders(root: Path) -> Iterator[Path]:
    """Folders that hold pictures, relative to `root`; hidden ones (a build that goes on) are left out."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(Path(name).suffix.lower() in PICTURES and not name.startswith(".") for name in files):
            yield Path(folder).relative_to(root)


def _match(folders: list[Path]) -> list[FrameEntry]:
    """Pictures of three folders by name, or else by number."""
    place = str(folders[2])
    stems = [_by_stem(folder, place) for folder in folders]
    if stems[2].keys() == stems[1].keys() <= stems[0].keys():
        return [FrameEntry(*(column[stem] for column in stems)) for stem in sorted(stems[2])]
    if all(numbered_files(folder, place) for folder in folders):
        return expand_clip(folders, place)
    empty = next(folder for folder, files in zip(folders, stems, strict=True) if not files)
    raise InputError(f"{place}: no pictures in {empty}")


def _by_stem(folder: Path, place: str) -> dict[str, Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{place}: cannot list the folder {folder}: {error.strerror}") from error
    return {file.stem: file for file in files if file.suffix.lower() in PICTURES and not file.name.startswith(".")}
