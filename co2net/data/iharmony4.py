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

from co2net.data.frame_lists import list_lines, read_listed
from co2net.data.layouts import Request, register_layout
from co2net.data.samples import PICTURES, Sample
from co2net.errors import InputError

COMPOSITES = "composite_images"
_SPLITS = ("train", "test")


@register_layout
class IHarmony4:
    """The whole set, or one of its sub-sets."""

    title = "iHarmony4 (IHD_train.txt) and its sub-sets (composite_images/)"

    def fits(self, root: Path) -> bool:
        """The lists of the whole set, or a sub-set's folder of composites."""
        return (root / COMPOSITES).is_dir() or any((root / f"IHD_{split}.txt").is_file() for split in _SPLITS)

    def read(self, request: Request) -> list[Sample]:
        """See :class:`~co2net.data.layouts.Layout`."""
        root, lists = request.root, []
        if request.list is not None:
            if len(list_lines(request.list)[0][1]) != 1:
                return read_listed(request)
            lists = [request.list]
        elif request.split:
            lists = [iharmony4_list(root, request.split)]
        else:
            lists = _all_lists(root)
        samples: list[Sample] = []
        for path in lists:
            samples += _listed(path, request, len(samples))
        return samples


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


def _listed(path: Path, request: Request, first: int) -> list[Sample]:
    """The pictures of one of its lists, numbered from `first`."""
    samples: list[Sample] = []
    for place, words in list_lines(path):
        try:
            samples.append(_sample(words, path.parent, request, place, first + len(samples)))
        except InputError as error:
            request.trouble(error)
    return samples


def _sample(words: list[str], beside: Path, request: Request, place: str, number: int) -> Sample:
    root = request.root
    if len(words) != 1 or Path(words[0]).suffix.lower() not in PICTURES:
        raise InputError(f"{place}: expected the path of one composite, got {' '.join(words)[:80]}")
    name = Path(words[0])
    if len(name.parts) > 1:
        composite = root / name
    else:  # a sub-set's list names files only
        composite = (beside if (beside / COMPOSITES).is_dir() else root) / COMPOSITES / name
    folder, stem = composite.parent.parent, composite.stem
    if stem.count("_") < 2:
        raise InputError(f"{place}: {name.name[:80]} is not <image>_<mask>_<variant>")
    # Cut from the end, never replace inside the path: image names and folders may hold anything.
    mask = folder / "masks" / f"{stem.rsplit('_', 1)[0]}.png"
    real = folder / "real_images" / f"{stem.rsplit('_', 2)[0]}.jpg"
    sample = Sample(real, mask, composite, picture=number)
    if request.check_files:
        for kind, file in zip(("real", "mask", "composite"), sample, strict=True):
            if not os.path.isfile(file):
                raise InputError(f"{place}: the {kind} {str(file)[:1000]} does not exist")
    return sample


def _all_lists(root: Path) -> list[Path]:
    whole = [path for split in _SPLITS if (path := root / f"IHD_{split}.txt").is_file()]
    if whole:
        return whole
    if not any(root.glob("*.txt")):
        raise InputError(f"{root}: a folder {COMPOSITES} without any list; add the sub-set's .txt lists")
    return [iharmony4_list(root, split) for split in _SPLITS if any(root.glob(f"*{split}.txt"))]
