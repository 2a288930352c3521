"""Where training pictures come from: folders and lists on disk, as one list of :class:`Example`.

Accepted under ``root``:

* a folder with ``images/``, ``masks/`` and ``index.csv`` (columns ``id``, ``masks``, ``split``): ``images/<id>.*`` with
  ``masks/<id>_<k>.png``, k counting from 0; the masks of one picture are alternatives;
* plain folders ``images/`` and ``masks/`` (``<name>.png`` or ``<name>_<k>.png``) without an index: every tenth picture
  by a hash of its name is validation;
* iHarmony4 (``IHD_train.txt``, ``IHD_test.txt``), whose composites are used as they are;
* HYouTube, through a list (:func:`examples_from_list`).
"""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

from co2net.errors import InputError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Example:
    """A real picture with foreground masks to choose from; `composite` is None where it is made on the fly."""

    real: Path
    masks: tuple[Path, ...]
    composite: Path | None = None


def find_examples(root: str | Path, split: str) -> list[Example]:
    """All examples of `split` ("train" or "val") under `root`, in a fixed order.

    Raises:
        InputError: if the folder has none of the known layouts or no example of the split.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give the folder that holds the training pictures")
    if (root / "index.csv").is_file():
        examples = _from_index(root, split)
    elif (root / "IHD_train.txt").is_file():
        examples = _from_iharmony4(root, split)
    elif (root / "images").is_dir() and (root / "masks").is_dir():
        examples = _from_folders(root, split)
    else:
        raise InputError(
            f"{root} holds neither index.csv nor IHD_train.txt nor the folders images/ and masks/; "
            "for HYouTube pass its list with --train_list"
        )
    if not examples:
        raise InputError(f"{root} holds no picture with a mask for the split '{split}'")
    return examples


def examples_from_list(list_path: str | Path, root: str | Path) -> list[Example]:
    """Examples of a HYouTube list (clip or frame list), with the composites on disk.

    Args:
        list_path: as given, or else relative to `root`.
        root: the data set's folder.

    Raises:
        InputError: the list, or a file it names, is missing; or a line cannot be used.
    """
    from co2net import data

    list_path = Path(list_path)
    if not list_path.is_file() and (Path(root) / list_path).is_file():
        list_path = Path(root) / list_path
    return [Example(entry.real, (entry.mask,), entry.composite) for entry in data.read_frame_list(list_path, root)]


def _from_index(root: Path, split: str) -> list[Example]:
    pictures = _pictures_by_stem(root / "images")
    examples = []
    with (root / "index.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row.get("split") != split:
                continue
            name = row["id"]
            masks = tuple(root / "masks" / f"{name}_{k}.png" for k in range(int(row["masks"])))
            if name not in pictures:
                raise InputError(f"{root / 'index.csv'} names {name}, but images/ holds no picture of that name")
            if masks:
                examples.append(Example(pictures[name], masks))
    return examples


def _from_folders(root: Path, split: str) -> list[Example]:
    masks: dict[str, list[Path]] = {}
    pictures = _pictures_by_stem(root / "images")
    for stem, path in sorted(_pictures_by_stem(root / "masks").items()):
        owner = stem if stem in pictures else stem.rpartition("_")[0]
        masks.setdefault(owner, []).append(path)
    chosen = [name for name in sorted(pictures) if name in masks and _hashed_split(name) == split]
    return [Example(pictures[name], tuple(masks[name])) for name in chosen]


def _hashed_split(name: str) -> str:
    return "val" if zlib.crc32(name.encode()) % 10 == 0 else "train"


def _from_iharmony4(root: Path, split: str) -> list[Example]:
    list_path = root / ("IHD_train.txt" if split == "train" else "IHD_test.txt")
    if not list_path.is_file():
        raise InputError(f"{list_path} is missing; iHarmony4 needs its list for the split '{split}'")
    examples = []
    for line in list_path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        composite = root / line.strip().replace("\\", "/")
        folder, stem = composite.parent.parent, composite.stem
        # Names end in <image>_<mask>_<variant>: cut from the end, never replace inside the path.
        mask = folder / "masks" / f"{stem.rsplit('_', 1)[0]}.png"
        real = folder / "real_images" / f"{stem.rsplit('_', 2)[0]}.jpg"
        examples.append(Example(real, (mask,), composite))
    return examples


def _pictures_by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURE_ENDINGS}
