"""HYouTube's lists: which real frame, mask and composite belong together.

A line names three paths relative to the data set's root, always in the order real, mask, composite::

    real_videos/<video>/<frame>.jpg  foreground_mask/<video>/<object>/<frame>.png  synthetic_composite_videos/<...>.jpg
    real_videos/<video>              foreground_mask/<video>/<object>              synthetic_composite_videos/<...>

The first kind is a frame, the second a clip (a folder each), which is expanded into its frames. Both kinds are read
everywhere, with either slash, any line ends and blank lines; the folder names of the download's description
(`Ground-truth`, `Mask`, `Composite`) stand in for those of the lists where only they exist.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from co2net.errors import InputError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
COLUMNS = (
    ("real", ("real_videos", "Ground-truth")),
    ("mask", ("foreground_mask", "Mask")),
    ("composite", ("synthetic_composite_videos", "Composite")),
)
CLIP_FRAMES, STEP = 20, 5  # every clip of HYouTube: 20 frames, every fifth of the source video


class FrameEntry(NamedTuple):
    """One frame of one clip; the paths include the root."""

    real: Path
    """The true frame."""
    mask: Path
    """Where the foreground is."""
    composite: Path
    """The frame with a recolored foreground."""

    @property
    def number(self) -> int:
        """Frame number, from the composite's name."""
        return _number(self.composite, str(self.composite))

    @property
    def result_name(self) -> str:
        """``<video>_<object>_<frame>``: how stored results are named, without ending."""
        return "_".join((*self.composite.parts[-3:-1], self.composite.stem))

    def at(self, number: int) -> FrameEntry:
        """The entry of another frame of the same clip: five digits, same endings. Its files may not exist."""
        return FrameEntry(*(path.with_name(f"{number:05d}{path.suffix}") for path in self))


Folder = str | os.PathLike[str]
OnProblem = Callable[[InputError], None]
"""Called with what is wrong with one line or clip, so that reading can go on and find the rest."""


def read_frame_list(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    check_files: bool = True,
    on_problem: OnProblem | None = None,
) -> list[FrameEntry]:
    """Read a list of frames; a line that names a clip stands for all its frames (:func:`expand_clip_list`).

    Args:
        path: the list.
        root: the data set's folder.
        check_files: look whether every file exists (off: saves a look per file on slow disks).
        on_problem: called for each line that cannot be used, which is then left out; without it the first one raises.

    Returns:
        The frames in the order of the list.

    Raises:
        InputError: the list or a file is missing, or a line is not usable; names the line.
    """
    return _read(path, root, lambda columns, place: [_frame(columns, root, place, check_files)], on_problem)


def expand_clip_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> list[FrameEntry]:
    """The frames of every clip of a clip list, in the order of the list and of the numbers inside a clip.

    Masks and composites are paired by frame number. A clip that has not HYouTube's 20 frames in steps of 5 is used all
    the same, with one warning for the whole list.

    Args:
        path: the clip list (HYouTube's ``train_list.txt``, ``test_list.txt``).
        root: the data set's folder.

    Returns:
        The frames of all clips.

    Raises:
        InputError: the list or a folder is missing, or a clip's files do not belong together; names line and clip.
    """

    def refuse(columns: list[Path], place: str) -> list[FrameEntry]:
        raise InputError(f"{place}: a frame, but this is to be a list of clips (three folders per line)")

    return _read(path, root, frame=refuse)


def frame_line(entry: FrameEntry, root: str | os.PathLike[str]) -> str:
    """The line of a frame list: three paths relative to the root, with slashes, one blank between."""
    return " ".join(Path(os.path.relpath(path, root)).as_posix() for path in entry)


def numbered_files(folder: Path, place: str | None = None) -> dict[int, Path]:
    """The pictures of a folder by frame number, ascending; hidden files and other endings are left out.

    Raises:
        InputError: the folder cannot be read, a picture has no number, or two have the same; starts with `place`.
    """
    place = place or str(folder)
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise InputError(f"{place}: cannot list the folder {folder}: {error.strerror}") from error
    files: dict[int, Path] = {}
    for name in sorted(names):
        if PurePosixPath(name).suffix.lower() not in PICTURES:
            continue
        number = _number(folder / name, place)
        if number in files:
            raise InputError(f"{place}: two pictures of frame {number} in {folder}: {files[number].name} and {name}")
        files[number] = folder / name
    return dict(sorted(files.items()))


def _read(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    frame: Callable[[list[Path], str], list[FrameEntry]],
    on_problem: OnProblem | None = None,
) -> list[FrameEntry]:
    lines = list_lines(path)
    if not os.path.isdir(root):
        raise InputError(f"the data set's folder {root} does not exist")
    entries: list[FrameEntry] = []
    unusual: list[str] = []
    folders: dict[tuple[str, str], str] = {}  # an answer per first folder, not per line
    for place, words in lines:
        try:
            if len(words) != 3:
                raise InputError(f"{place}: expected three paths (real, mask, composite), got {len(words)}")
            columns = [_locate(Path(root), word, i, place, folders) for i, word in enumerate(words)]
            if columns[2].suffix.lower() in PICTURES:
                entries += frame(columns, place)
                continue
            place = f"{place} (clip {'/'.join(columns[2].parts[-2:])})"
            _check_there(columns, root, place)
            clip = expand_clip(columns, place)
        except InputError as error:
            if on_problem is None:
                raise
            on_problem(error)
            continue
        if not is_usual(clip):
            unusual.append("/".join(columns[2].parts[-2:]))
        entries += clip
    if not lines:
        raise InputError(f"{path}: the list is empty")
    if unusual:
        warnings.warn(
            f"{path}: {len(unusual)} clip(s) without {CLIP_FRAMES} frames in steps of {STEP}, first {unusual[0]}",
            stacklevel=3,
        )
    return entries


def list_lines(path: str | os.PathLike[str]) -> list[tuple[str, list[str]]]:
    """The lines of a list that are not blank: (``<path>, line <number>``, its words with slashes).

    Raises:
        InputError: no such file, or no text.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file (UTF-8); is it a frame list?") from error
    rows = [(f"{path}, line {n}", line.replace("\\", "/").split()) for n, line in enumerate(text.splitlines(), start=1)]
    return [(place, words) for place, words in rows if words]


def is_usual(clip: list[FrameEntry]) -> bool:
    """Whether a clip has HYouTube's 20 frames in steps of 5; neighbors are found by arithmetic on the number."""
    numbers = [entry.number for entry in clip]
    return numbers == list(range(numbers[0], numbers[0] + CLIP_FRAMES * STEP, STEP))


def _locate(root: Path, word: str, column: int, place: str, folders: dict[tuple[str, str], str]) -> Path:
    """The path under the root, its first folder replaced by the counterpart if only that exists."""
    first, *rest = PurePosixPath(word).parts
    kind, names = COLUMNS[column]
    if (kind, first) not in folders:
        candidates = [first, *(name for name in names if first in names and name != first)]
        found = next((name for name in candidates if (root / name).exists()), None)
        if found is None:
            tried = " nor ".join(candidates)
            raise InputError(f"{place}: {word}: the {kind} folder is missing, {root} has no {tried}")
        folders[kind, first] = found
    return root.joinpath(folders[kind, first], *rest)


def _frame(columns: list[Path], root: Folder, place: str, check_files: bool) -> FrameEntry:
    entry = FrameEntry(*columns)
    numbers = [_number(path, place) for path in entry]
    if len(set(numbers)) > 1:
        raise InputError(f"{place}: not the same frame: real {numbers[0]}, mask {numbers[1]}, composite {numbers[2]}")
    if check_files:
        _check_there(columns, root, place)
    return entry


def _check_there(columns: list[Path], root: Folder, place: str) -> None:
    for (kind, _), path in zip(COLUMNS, columns, strict=True):
        if not path.exists():
            raise InputError(f"{place}: the {kind} {path} does not exist; is the list one of the data set {root}?")


def expand_clip(columns: list[Path], place: str) -> list[FrameEntry]:
    """The frames of the clip whose real frames, masks and composites are in the folders `columns`, by number.

    Raises:
        InputError: a folder is missing, or they do not hold the same frames; starts with `place`.
    """
    real, mask, composite = (numbered_files(folder, place) for folder in columns)
    if not mask and not composite:
        raise InputError(f"{place}: no pictures in {columns[1]} and {columns[2]}")
    for wanted, there, folder in (
        (composite, mask, columns[1]),
        (mask, composite, columns[2]),
        (composite, real, columns[0]),
    ):
        missing = [number for number in wanted if number not in there]
        if missing:
            raise InputError(f"{place}: {folder} lacks frame {_some(missing)}")
    return [FrameEntry(real[number], mask[number], composite[number]) for number in composite]


def _number(path: Path, place: str) -> int:
    digits = re.search(r"[0-9]+$", path.stem)
    if digits is None:
        raise InputError(f"{place}: {path.name} has no frame number at its end")
    return int(digits[0][-9:])


def _some(numbers: Iterable[int]) -> str:
    numbers = list(numbers)
    return ", ".join(f"{number:05d}" for number in numbers[:3]) + (f" and {len(numbers) - 3} more" * (len(numbers) > 3))
