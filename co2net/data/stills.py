"""Photographs with masks: a folder ``images/``, a folder ``masks/`` and perhaps ``index.csv``.

* With ``index.csv`` (columns ``id``, ``masks``, ``split``): ``images/<id>.*`` with ``masks/<id>_<k>.png``, k counting
  from 0 to ``masks`` - 1; the masks of one picture are alternatives.
* Without: ``masks/<name>.*`` or ``masks/<name>_<k>.*``; every tenth picture by a hash of its name is validation.
"""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

from co2net.data.frame_lists import PICTURES
from co2net.errors import InputError


@dataclass(frozen=True)
class Still:
    """A real picture with foreground masks to choose from."""

    real: Path
    masks: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The picture's name without ending."""
        return self.real.stem


def has_stills(root: Path) -> bool:
    """Whether a folder has the layout of this module."""
    return (root / "index.csv").is_file() or ((root / "images").is_dir() and (root / "masks").is_dir())


def find_stills(root: Path, split: str | None = None) -> list[Still]:
    """The pictures of a split ("train" or "val"; None: all that have a mask), in a fixed order.

    Raises:
        InputError: another layout, or the index names what is not there.
    """
    if not has_stills(root):
        raise InputError(f"{root} holds neither index.csv nor the folders images/ and masks/")
    return _from_index(root, split) if (root / "index.csv").is_file() else _from_folders(root, split)


def _from_index(root: Path, split: str | None) -> list[Still]:
    index = root / "index.csv"
    pictures = _pictures_by_stem(root / "images")
    stills = []
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"id", "masks", "split"} - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{index}: no column {sorted(missing)[0]}; wanted are id, masks and split")
            for row in reader:
                if split is not None and row["split"] != split:
                    continue
                place, name = f"{index}, line {reader.line_num}", row["id"]
                if not (row["masks"] or "").isdigit():
                    raise InputError(f"{place}: masks is to be the number of masks, got {row['masks']!r}")
                masks = tuple(root / "masks" / f"{name}_{k}.png" for k in range(int(row["masks"])))
                if name not in pictures:
                    raise InputError(f"{index} names {name}, but images/ holds no picture of that name")
                if masks:
                    stills.append(Still(pictures[name], masks))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {index}: {error}") from error
    return stills


def _from_folders(root: Path, split: str | None) -> list[Still]:
    masks: dict[str, list[Path]] = {}
    pictures = _pictures_by_stem(root / "images")
    for stem, path in sorted(_pictures_by_stem(root / "masks").items()):
        owner = stem if stem in pictures else stem.rpartition("_")[0]
        masks.setdefault(owner, []).append(path)
    chosen = [name for name in sorted(pictures) if name in masks and split in (None, _hashed_split(name))]
    return [Still(pictures[name], tuple(masks[name])) for name in chosen]


def _hashed_split(name: str) -> str:
    return "val" if zlib.crc32(name.encode()) % 10 == 0 else "train"


def _pictures_by_stem(folder: Path) -> dict[str, Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot list the folder {folder}: {error.strerror}") from error
    return {path.stem: path for path in files if path.suffix.lower() in PICTURES}
