"""How data sets lie on disk: a layout recognizes its folder and reads it; :data:`LAYOUTS` holds all that are known.

Another layout is a class with three members and one line, ``@register_layout``; training, evaluation and ``co2net
dataset check`` then take it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from co2net.data.samples import OnProblem, Sample
from co2net.errors import InputError


@dataclass(frozen=True)
class Request:
    """What is wanted of a data set.

    Attributes:
        root: its folder, which exists.
        list: file of a list of samples; None: all of `split`.
        split: "train", "test" or "val"; None: everything.
        check_files: look whether every file of a list exists.
        on_problem: see :func:`co2net.data.read_dataset`.
    """

    root: Path
    list: Path | None = None
    split: str | None = None
    check_files: bool = True
    on_problem: OnProblem | None = None

    def trouble(self, error: InputError) -> None:
        """Tell of a line or clip that cannot be used, or raise where nobody listens."""
        if self.on_problem is None:
            raise error
        self.on_problem(error)


class Layout(Protocol):
    """A kind of data set.

    Attributes:
        title: what it is called and known by, for messages: ``iHarmony4 (IHD_train.txt)``.
    """

    title: str

    def fits(self, root: Path) -> bool:
        """Whether a folder has this layout."""
        ...

    def read(self, request: Request) -> list[Sample]:
        """The samples that are wanted, in the order of the list or of the names.

        Raises:
            InputError: they cannot be read; names file and line.
        """
        ...


LAYOUTS: list[Layout] = []
"""All known layouts; the first that fits is taken."""

Kind = TypeVar("Kind", bound=Callable[[], Layout])


def register_layout(layout: Kind) -> Kind:
    """Class decorator: have data sets of this layout read. Later ones are asked first."""
    LAYOUTS.insert(0, layout())
    return layout


def layout_of(root: Path) -> Layout | None:
    """The layout of a folder; None if it has none of the known ones."""
    return next((layout for layout in LAYOUTS if layout.fits(root)), None)


def split_by_hash(samples: Sequence[Sample], split: str, root: Path) -> list[Sample]:
    """The samples of a split where the data set itself has none.

    "test" is everything. Of pictures every tenth by a hash of its name is "val"; of clips the tenth of the videos (at
    least one) that is first by a hash: clips with the same real frames stay together. The rest is "train".

    Raises:
        InputError: there is one video only.
    """
    if split == "test":
        return list(samples)
    if samples and samples[0].picture is not None:
        validation = {sample for sample in samples if zlib.crc32(sample.real.stem.encode()) % 10 == 0}
        return [sample for sample in samples if (sample in validation) == (split == "val")]
    videos = {sample.real.parent for sample in samples}
    if len(videos) < 2:
        raise InputError(f"{root} holds one video only, none can be held out; name lists of what to take")
    by_hash = sorted(videos, key=lambda folder: (zlib.crc32(folder.relative_to(root).as_posix().encode()), folder))
    held_out = set(by_hash[: max(1, len(videos) // 10)])
    return [sample for sample in samples if (sample.real.parent in held_out) == (split == "val")]
