"""Photographs with masks: a folder ``images/``, a folder ``masks/`` and perhaps ``index.csv``.

* With ``index.csv`` (columns ``id``, ``masks``, ``split``): ``images/<id>.*`` with ``masks/<id>_<k>.png``, k counting
  from 0 to ``masks`` - 1; the masks of one picture are alternatives.
* Without: ``masks/<name>.*`` or ``masks/<name>_<k>.*``; every tenth picture by a hash of its name is validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from co2net.checks import check_least
from co2net.data.frame_lists import read_listed
from co2net.data.layouts import Request, register_layout, split_by_hash
from co2net.data.samples import Sample, existing_folder, pictures_in, read_index
from co2net.errors import InputError


@register_layout
class Stills:
    """Photographs with masks; composites are made of them on the fly."""

    title = "photographs (images/ and masks/)"

    def fits(self, root: Path) -> bool:
        """A folder of images and one of masks, or an index of them."""
        return (root / "images").is_dir() and ((root / "masks").is_dir() or (root / "index.csv").is_file())

    def read(self, request: Request) -> list[Sample]:
        """See :class:`~co2net.data.layouts.Layout`."""
        if request.list is not None:
            return read_listed(request)
        return find_stills(request.root, request.split)


def find_stills(root: Path, split: str | None = None) -> list[Sample]:
    """The pictures of a split ("train" or "val"; None: all that have a mask), in a fixed order.

    Raises:
        InputError: another layout, or the index names what is not there.
    """
    if not Stills().fits(root):
        raise InputError(f"{root} holds no folders images/ and masks/")
    return _from_index(root, split) if (root / "index.csv").is_file() else _from_folders(root, split)


def choose_stills(folders: Sequence[Path], count: int, split: str | None = None) -> list[Sample]:
    """Up to `count` photographs of several folders, evenly spread over all; `split` as in :func:`find_stills`.

    Raises:
        InputError: `count` is below 1, or a folder cannot be used or holds none.
    """
    check_least("count", count, 1)
    known = [sample for root in folders for sample in find_stills(existing_folder(root), split)]
    if not known:
        raise InputError(f"{folders[0]} holds no photographs with masks{' for validation' if split == 'val' else ''}")
    return known if len(known) <= count else [known[int((i + 0.5) * len(known) / count)] for i in range(count)]


def _from_index(root: Path, split: str | None) -> list[Sample]:
    index = root / "index.csv"
    pictures = {path.stem: path for path in pictures_in(root / "images")}
    there = {path.name for path in pictures_in(root / "masks")} if (root / "masks").is_dir() else set()
    stills = []
    for place, row in read_index(index, ("id", "masks", "split")):
        name, count = row["id"], row["masks"]
        if split is not None and row["split"] != split:
            continue
        if not (count.isascii() and count.isdecimal() and len(count) < 10):
            raise InputError(f"{place}: masks is to be the number of masks, got {count[:40]!r}")
        if name not in pictures:
            raise InputError(f"{place} names {name[:80]}, but images/ holds no picture of that name")
        masks = []
        for k in range(int(count)):
            if f"{name}_{k}.png" not in there:
                raise InputError(f"{place}: {count} masks of {name[:80]} are named, mask {k} is missing")
            masks.append(root / "masks" / f"{name}_{k}.png")
        if masks:
            stills.append(Sample.photograph(pictures[name], tuple(masks), len(stills)))
    return stills


def _from_folders(root: Path, split: str | None) -> list[Sample]:
    masks: dict[str, list[Path]] = {}
    pictures = {path.stem: path for path in pictures_in(root / "images")}
    for path in sorted(pictures_in(root / "masks"), key=lambda path: path.stem):
        owner = path.stem if path.stem in pictures else path.stem.rpartition("_")[0]
        masks.setdefault(owner, []).append(path)
    chosen = [name for name in sorted(pictures) if name in masks]
    stills = [Sample.photograph(pictures[name], tuple(masks[name]), k) for k, name in enumerate(chosen)]
    return stills if split is None else split_by_hash(stills, split, root)
