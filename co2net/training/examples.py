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

from dataclasses import dataclass
from pathlib import Path

from co2net.data.datasets import read_dataset
from co2net.data.frame_lists import FrameEntry
from co2net.data.iharmony4 import iharmony4_list, is_iharmony4, read_iharmony4
from co2net.data.stills import find_stills, has_stills
from co2net.errors import InputError


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
    if (root / "index.csv").is_file() or not is_iharmony4(root):
        if not has_stills(root):
            raise InputError(
                f"{root} holds neither index.csv nor IHD_train.txt nor the folders images/ and masks/; "
                "for HYouTube pass its list with --train_list"
            )
        examples = [Example(still.real, still.masks) for still in find_stills(root, split)]
    else:
        examples = _used_as_they_are(read_iharmony4(iharmony4_list(root, split), root, check_files=False))
    if not examples:
        raise InputError(f"{root} holds no picture with a mask for the split '{split}'")
    return examples


def examples_from_list(list_path: str | Path, root: str | Path) -> list[Example]:
    """Examples of a HYouTube list (clip or frame list), with the composites on disk.

    Args:
        list_path: see :func:`co2net.data.datasets.find_list`.
        root: the data set's folder.

    Raises:
        InputError: the list, or a file it names, is missing; or a line cannot be used.
    """
    return _used_as_they_are(read_dataset(root, list_path))


def _used_as_they_are(entries: list[FrameEntry]) -> list[Example]:
    return [Example(entry.real, (entry.mask,), entry.composite) for entry in entries]
