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
import warnings
from pathlib import Path, PurePosixPath

from co2net.data.layouts import Request
from co2net.data.samples import PICTURES, OnProblem, Sample, existing_folder, frame_number, numbered_files
from co2net.errors import InputError, listed

COLUMNS = (
    ("real", ("real_videos", "Ground-truth")),
    ("mask", ("foreground_mask", "Mask")),
    ("composite", ("synthetic_composite_videos", "Composite")),
)
CLIP_FRAMES, STEP = 20, 5  # every clip of HYouTube: 20 frames, every fifth of the source video
MAX_LIST_BYTES = 256 << 20  # two million frames


def read_frame_list(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    check_files: bool = True,
    on_problem: OnProblem | None = None,
) -> list[Sample]:
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
    return read_listed(Request(existing_folder(root), Path(path), check_files=check_files, on_problem=on_problem))


def expand_clip_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> list[Sample]:
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
    return read_listed(Request(existing_folder(root), Path(path)), clips_only=True)


def frame_line(entry: Sample, root: str | os.PathLike[str]) -> str:
    """The line of a frame list: three paths relative to the root, with slashes, one blank between."""
    return " ".join(Path(os.path.relpath(path, root)).as_posix() for path in entry)


def read_listed(request: Request, *, clips_only: bool = False) -> list[Sample]:
    """The samples of ``request.list``, a list of frames, of clips, or of both.

    Raises:
        InputError: as :func:`read_frame_list`.
    """
    path, root = request.list or request.root, request.root
    lines = list_lines(path)
    samples: list[Sample] = []
    unusual: list[str] = []
    folders: dict[tuple[str, str], str] = {}  # an answer per first folder, not per line
    for place, words in lines:
        try:
            if len(words) != 3:
                raise InputError(f"{place}: expected three paths (real, mask, composite), got {len(words)}")
            columns = [_locate(root, word, i, place, folders) for i, word in enumerate(words)]
            if columns[2].suffix.lower() in PICTURES:
                if clips_only:
                    raise InputError(f"{place}: a frame, but this is to be a list of clips (three folders per line)")
                samples.append(_frame(columns, root, place, request.check_files))
                continue
            place = f"{place} (clip {'/'.join(columns[2].parts[-2:])})"
            _check_there(columns, root, place)
            clip = expand_clip(columns, place)
        except InputError as error:
            request.trouble(error)
            continue
        if not is_usual(clip):
            unusual.append("/".join(columns[2].parts[-2:]))
        samples += clip
    if unusual:
        warnings.warn(
            f"{path}: {len(unusual)} clip(s) without {CLIP_FRAMES} frames in steps of {STEP}, first {unusual[0]}",
            stacklevel=3,
        )
    return samples


def list_lines(path: str | os.PathLike[str]) -> list[tuple[str, list[str]]]:
    """The lines of a list that are not blank: (``<path>, line <number>``, its words with slashes).

    Raises:
        InputError: no such file, no text, or nothing in it.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
        if len(content) > MAX_LIST_BYTES:
            raise InputError(f"{path}: longer than any list of frames ({MAX_LIST_BYTES >> 20} MiB)")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file (UTF-8); is it a frame list?") from error
    rows = [(f"{path}, line {n}", line.replace("\\", "/").split()) for n, line in enumerate(text.splitlines(), start=1)]
    lines = [(place, words) for place, words in rows if words]
    if not lines:
        raise InputError(f"{path}: the list is empty")
    return lines


def is_usual(clip: list[Sample]) -> bool:
    """Whether a clip has HYouTube's 20 frames in steps of 5; neighbors are found by arithmetic on the number."""
    numbers = [entry.number for entry in clip]
    return numbers == list(range(numbers[0], numbers[0] + CLIP_FRAMES * STEP, STEP))


def _locate(root: Path, word: str, column: int, place: str, folders: dict[tuple[str, str], str]) -> Path:
    """The path under the root, its first folder replaced by the counterpart if only that exists."""
    kind, names = COLUMNS[column]
    parts, shown = PurePosixPath(word).parts, word if len(word) <= 80 else f"{word[:80]}..."
    if not parts or word.startswith("/"):
        raise InputError(f"{place}: {shown} is no path of a {kind} file or folder below the data set's folder")
    first, *rest = parts
    if (kind, first) not in folders:
        candidates = [first, *(name for name in names if first in names and name != first)]
        found = next((name for name in candidates if os.path.exists(root / name)), None)
        if found is None:
            tried = " nor ".join(name[:80] for name in candidates)
            raise InputError(f"{place}: {shown}: the {kind} folder is missing, {root} has no {tried}")
        folders[kind, first] = found
    return root.joinpath(folders[kind, first], *rest)


def _frame(columns: list[Path], root: Path, place: str, check_files: bool) -> Sample:
    entry = Sample(*columns)
    numbers = [frame_number(path, place) for path in entry]
    if len(set(numbers)) > 1:
        raise InputError(f"{place}: not the same frame: real {numbers[0]}, mask {numbers[1]}, composite {numbers[2]}")
    if check_files:
        _check_there(columns, root, place)
    return entry


def _check_there(columns: list[Path], root: Path, place: str) -> None:
    for (kind, _), path in zip(COLUMNS, columns, strict=True):
        if not os.path.exists(path):  # unlike Path.exists it does not raise at names that are too long
            name = str(path) if len(str(path)) < 1000 else f"{str(path)[:200]}..."
            raise InputError(f"{place}: the {kind} {name} does not exist; is the list one of the data set {root}?")


def expand_clip(columns: list[Path], place: str) -> list[Sample]:
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
        missing = [f"{number:05d}" for number in wanted if number not in there]
        if missing:
            raise InputError(f"{place}: {folder} lacks frame {listed(missing, 3)}")
    return [Sample(real[number], mask[number], composite[number]) for number in composite]
