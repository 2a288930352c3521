"""iHarmony4: single pictures with a mask and a recolored copy, in four sub-sets.

::

    <root>/IHD_train.txt, IHD_test.txt                            lines: <sub-set>/composite_images/<name>.jpg
    <root>/<sub-set>/<sub-set>_train.txt, <sub-set>_test.txt      lines: <name>.jpg
    <root>/<sub-set>/composite_images/<image>_<mask>_<variant>.jpg
    <root>/<sub-set>/masks/<image>_<mask>.png
    <root>/<sub-set>/real_images/<image>.jpg

The pictures are no clips: they have no neighbors, and the number at the end of a name is that of a variant.
"""

from __future__ import annotations

import os
from pathlib import Path

from co2net.data.frame_lists import PICTURES, FrameEntry, OnProblem, list_lines
from co2net.errors import InputError

COMPOSITES = "composite_images"


def is_iharmony4(root: Path) -> bool:
    """Whether a folder is the data set or one of its sub-sets."""
    return (root / COMPOSITES).is_dir() or any((root / f"IHD_{split}.txt").is_file() for split in ("train", "test"))


def iharmony4_list(root: Path, split: str) -> Path:
    """The list of `split` ("train" or "test"; "val" means "test") of the data set or of one sub-set.

    Raises:
        InputError: there is none, or more than one.
    """
    split = "test" if split == "val" else split
    whole = root / f"IHD_{split}.txt"
    if whole.is_file():
        return whole
    found = sorted(path for path in root.glob("*.txt") if path.stem.endswith(split))
    if len(found) > 1:
        raise InputError(f"{root}: which list is of the split {split}, {found[0].name} or {found[1].name}? Name it")
    if not found:
        raise InputError(f"{root}: no list of the split {split}, neither {whole.name} nor a *{split}.txt")
    return found[0]


def read_iharmony4(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    check_files: bool = True,
    on_problem: OnProblem | None = None,
) -> list[FrameEntry]:
    """Read one of its lists.

    Args:
        path: the list, of the whole set or of a sub-set.
        root: folder of the whole set or of the sub-set.
        check_files: look whether every file exists.
        on_problem: called for each line that cannot be used, which is then left out; without it the first one raises.

    Returns:
        One entry per line; their numbers mean nothing.

    Raises:
        InputError: the list or a file is missing, or a line is not usable; names the line.
    """
    entries = []
    lines = list_lines(path)
    if not lines:
        raise InputError(f"{path}: the list is empty")
    for place, words in lines:
        try:
            entries.append(_entry(words, Path(path).parent, Path(root), place, check_files))
        except InputError as error:
            if on_problem is None:
                raise
            on_problem(error)
    return entries


def _entry(words: list[str], beside: Path, root: Path, place: str, check_files: bool) -> FrameEntry:
    if len(words) != 1 or Path(words[0]).suffix.lower() not in PICTURES:
        raise InputError(f"{place}: expected the path of one composite, got {' '.join(words)}")
    name = Path(words[0])
    if len(name.parts) > 1:
        composite = root / name
    else:  # a sub-set's list names files only
        composite = (beside if (beside / COMPOSITES).is_dir() else root) / COMPOSITES / name
    folder, stem = composite.parent.parent, composite.stem
    if stem.count("_") < 2:
        raise InputError(f"{place}: {name.name} is not <image>_<mask>_<variant>")
    # Cut from the end, never replace inside the path: image names and folders may hold anything.
    mask = folder / "masks" / f"{stem.rsplit('_', 1)[0]}.png"
    real = folder / "real_images" / f"{stem.rsplit('_', 2)[0]}.jpg"
    entry = FrameEntry(real, mask, composite)
    if check_files:
        for kind, file in zip(FrameEntry._fields, entry, strict=True):
            if not file.is_file():
                raise InputError(f"{place}: the {kind} {file} does not exist")
    return entry
