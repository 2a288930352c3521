"""Where training pictures come from: folders and lists on disk, as one list of :class:`Example`.

Accepted under ``root``:

* a folder with ``images/``, ``masks/`` and ``index.csv`` (columns ``id``, ``masks``, ``split``): ``images/<id>.*`` with
  ``masks/<id>_<k>.png``, k counting from 0; the masks of one picture are alternatives;
* plain folders ``images/`` and ``masks/`` (``<name>.png`` or ``<name>_<k>.png``) without an index: every tenth picture
  by a hash of its name is validation;
* iHarmony4 (``IHD_train.txt``, ``IHD_test.txt``), whose composites are used as they are;
* HYouTube, through a list (:func:`examples_from_list`);
* clips, for pairs of frames (:func:`find_pairs`): HYouTube, or folders of composites, masks and real frames.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from co2net.data.clips import Clip, group_clips
from co2net.data.datasets import read_dataset
from co2net.data.frame_lists import FrameEntry
from co2net.data.iharmony4 import iharmony4_list, is_iharmony4, read_iharmony4
from co2net.data.stills import find_stills, has_stills
from co2net.errors import InputError


@dataclass(frozen=True)
class Example:
    """A real picture with foreground masks to choose from.

    Attributes:
        real: the picture.
        masks: one of them is drawn.
        composite: None where it is made on the fly.
        previous: the frame before in the same clip, for pairs of frames; at the start of a clip the frame itself.
    """

    real: Path
    masks: tuple[Path, ...]
    composite: Path | None = None
    previous: FrameEntry | None = None


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
                "for HYouTube pass its list with `train_list`"
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


def find_pairs(
    root: str | Path, split: str, frame_step: int, *, list_path: str | Path | None = None, need_real: bool = True
) -> list[Example]:
    """Frames of clips, each with its predecessor, composites on disk.

    Args:
        root: a data set of clips, see :func:`co2net.data.datasets.read_dataset`.
        split: "train" or "val". Without a list the data set's own lists say what belongs to it; where it has none,
            "val" is the tenth of the videos (at least one) that is first by a hash of their names.
        frame_step: distance of a frame and its predecessor, in frame numbers. Where there is no such frame, the frame
            itself takes its place.
        list_path: the frames to use instead of those of `split`.
        need_real: whether the real frames of predecessors are needed too.

    Raises:
        InputError: no clips there, no frame has a predecessor, or files are missing.
    """
    root = Path(root)
    if list_path is not None or (root.is_dir() and any(root.glob("*.txt"))):
        clips = group_clips(read_dataset(root, list_path, None if list_path is not None else split))
    else:
        clips = _held_out(group_clips(read_dataset(root)), split, root)
    examples = []
    for clip in clips:
        listed = set(clip.entries)
        for entry in clip.entries:
            (previous,) = clip.neighbors(entry, 1, 0, frame_step)
            if need_real and previous not in listed and not previous.real.is_file():
                raise InputError(
                    f"{previous.real} does not exist, but the motion is found in real frames: restore it, or let it be "
                    "found in the composites (`flow_input` composite)"
                )
            examples.append(Example(entry.real, (entry.mask,), entry.composite, previous))
    if all(example.previous.composite == example.composite for example in examples if example.previous):
        raise InputError(
            f"no frame of {list_path or root} has another {frame_step} numbers before it in its clip; "
            "give the distance of the clips' frames (`frame_step`)"
        )
    return examples


def _held_out(clips: Iterable[Clip], split: str, root: Path) -> list[Clip]:
    """The clips of a split; clips with the same real frames stay together."""
    clips = list(clips)
    videos = {clip.entries[0].real.parent for clip in clips}
    if len(videos) < 2:
        raise InputError(f"{root} holds one video only, none can be held out; name lists (`train_list`, `val_list`)")
    by_hash = sorted(videos, key=lambda folder: (zlib.crc32(folder.relative_to(root).as_posix().encode()), folder))
    validation = set(by_hash[: max(1, len(videos) // 10)])
    return [clip for clip in clips if (clip.entries[0].real.parent in validation) == (split == "val")]


def _used_as_they_are(entries: list[FrameEntry]) -> list[Example]:
    return [Example(entry.real, (entry.mask,), entry.composite) for entry in entries]
