"""What a data set consists of: samples, each a frame of a clip or a picture of its own, whatever the layout on disk."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path, PurePosixPath

from co2net.errors import InputError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
OnProblem = Callable[[InputError], None]
"""Called with what is wrong with one line or clip, so that reading can go on and find the rest."""


@dataclass(frozen=True)
class Sample:
    """The files of one frame or picture; iterating gives its three paths.

    Attributes:
        real: the true frame.
        mask: where the foreground is; the real frame's own path where there is no mask and all counts.
        composite: the frame with a recolored foreground; the real one again where composites are made on the fly
            (photographs with masks).
        other_masks: further foregrounds of the same picture, to choose from.
        picture: a number for a picture that is no frame of a clip and so has no neighbors; None for frames of clips.
        previous: the frame before in the same clip, where pairs of frames are asked for; at the start of a clip the
            frame itself.
    """

    real: Path
    mask: Path
    composite: Path
    _: KW_ONLY
    other_masks: tuple[Path, ...] = ()
    picture: int | None = field(default=None, compare=False)
    previous: Sample | None = None

    @classmethod
    def photograph(cls, real: Path, masks: tuple[Path, ...], picture: int) -> Sample:
        """A real picture with foreground masks to choose from, without a composite."""
        return cls(real, masks[0], real, other_masks=masks[1:], picture=picture)

    @classmethod
    def whole(cls, real: Path, picture: int | None = None) -> Sample:
        """A real frame alone: nothing is its foreground, all of it counts."""
        return cls(real, real, real, picture=picture)

    @property
    def masks(self) -> tuple[Path, ...]:
        """All masks; they are alternatives."""
        return self.mask, *self.other_masks

    @property
    def has_composite(self) -> bool:
        """Whether a recolored frame is there."""
        return self.composite != self.real

    @property
    def number(self) -> int:
        """Frame number, from the composite's name; of a picture, its place in the data set."""
        return frame_number(self.composite, str(self.composite)) if self.picture is None else self.picture

    @property
    def clip(self) -> str:
        """``<video>/<object>``, from the composite's folder."""
        return "/".join(self.composite.parts[-3:-1])

    @property
    def result_name(self) -> str:
        """``<video>_<object>_<frame>``: how stored results are named, without ending."""
        return "_".join((*self.composite.parts[-3:-1], self.composite.stem))

    def at(self, number: int) -> Sample:
        """Another frame of the same clip: five digits, same endings. Its files may not exist."""
        return Sample(*(path.with_name(f"{number:05d}{path.suffix}") for path in self))

    def __iter__(self) -> Iterator[Path]:
        return iter((self.real, self.mask, self.composite))


def frame_number(path: Path, place: str) -> int:
    """The number at the end of a picture's name, its last nine digits.

    Raises:
        InputError: there is none; starts with `place`.
    """
    digits = re.search(r"[0-9]+$", path.stem)
    if digits is None:
        raise InputError(f"{place}: {path.name} has no frame number at its end")
    return int(digits[0][-9:])


def pictures_in(folder: Path, place: str | None = None) -> list[Path]:
    """The pictures of a folder by name; hidden files and other endings are left out.

    Raises:
        InputError: the folder cannot be read; starts with `place`.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{place or folder}: cannot list the folder {folder}: {error.strerror}") from error
    return [
        folder / name for name in names if not name.startswith(".") and PurePosixPath(name).suffix.lower() in PICTURES
    ]


def numbered_files(folder: Path, place: str | None = None) -> dict[int, Path]:
    """The pictures of a folder by frame number, ascending; hidden files and other endings are left out.

    Raises:
        InputError: the folder cannot be read, a picture has no number, or two have the same; starts with `place`.
    """
    place = place or str(folder)
    files: dict[int, Path] = {}
    for path in pictures_in(folder, place):
        number = frame_number(path, place)
        if number in files:
            raise InputError(
                f"{place}: two pictures of frame {number} in {folder}: {files[number].name} and {path.name}"
            )
        files[number] = path
    return dict(sorted(files.items()))


def read_index(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of an ``index.csv`` that has these columns, each with its place for messages.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {*columns} - {*(reader.fieldnames or ())}
            if missing:
                wanted = f"{', '.join(columns[:-1])} and {columns[-1]}"
                raise InputError(f"{path}: no column {min(missing)}; wanted are {wanted}")
            for row in reader:
                yield f"{path}, line {reader.line_num}", {name: row[name] or "" for name in columns}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def existing_folder(root: str | os.PathLike[str]) -> Path:
    """A data set's folder.

    Raises:
        InputError: it does not exist.
    """
    if not os.path.isdir(root):
        raise InputError(f"the data set's folder {root} does not exist")
    return Path(root)
