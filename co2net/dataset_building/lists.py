"""The lists of a data set that was built here."""

from __future__ import annotations

from pathlib import Path

from co2net.data.frame_lists import COLUMNS
from co2net.dataset_building.luts import draw_order
from co2net.errors import InputError
from co2net.files import write_beside
from co2net.provenance import Record

LUTS = "LUT_list.txt"


def write_lists(
    output: Path, records: dict[str, Record], layout: str, seed: int, train_share: float | None
) -> list[Path]:
    """Write the clip lists and ``LUT_list.txt``, sorted by the masks' path as HYouTube's.

    Args:
        output: the data set's folder.
        records: every clip, by ``<video>/<object>``.
        layout: "lists" (``train_list.txt``, ...) or "description" (``train.txt``, ...).
        seed: which videos are for testing.
        train_share: part of the videos in the train list; None writes no split.

    Returns:
        What was written.

    Raises:
        OutputError: a list cannot be written.
    """
    folders = [names[layout == "description"] for _, names in COLUMNS]
    names = sorted(records)
    contents = {"all": names}
    if train_share is not None:
        train = train_scenes([scene(name) for name in names], seed, train_share)
        contents["train"] = [name for name in names if scene(name) in train]
        contents["test"] = [name for name in names if scene(name) not in train]
    texts = {
        _list_name(split, layout): "".join(
            f"{folders[0]}/{name.split('/')[0]} {folders[1]}/{name} {folders[2]}/{name}\n" for name in clips
        )
        for split, clips in contents.items()
    }
    texts[LUTS] = "".join(f"{folders[2]}/{name} {records[name]['lut']}\n" for name in names)
    paths = [output / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_beside(path, text)
    return paths


def refuse_foreign_lists(output: Path, layout: str, with_split: bool) -> None:
    """Look whether a list would be replaced that was not written here.

    Raises:
        InputError: it would.
    """
    if (output / "build.json").exists():
        return
    splits = ("all", "train", "test") if with_split else ("all",)
    for name in (*(_list_name(split, layout) for split in splits), LUTS):
        if (output / name).exists():
            raise InputError(f"{output / name} is there, but this command did not write it; give another `output`")


def _list_name(split: str, layout: str) -> str:
    return f"{split}.txt" if layout == "description" else f"{split}_list.txt"


def scene(name: str) -> str:
    """What must not be in both splits: the video, or of clips made from one photograph the photograph.

    `co2net dataset stills` calls them ``<photo>``, ``<photo>+1``, ``<photo>+2``.
    """
    return name.split("/")[0].partition("+")[0]


def train_scenes(scenes: list[str], seed: int, share: float) -> set[str]:
    """Draw the scenes for training: `share` of them, but with two or more at least one on either side."""
    order = draw_order(seed, set(scenes))
    count = round(share * len(order))
    if 0 < share < 1 and len(order) > 1:
        count = min(max(count, 1), len(order) - 1)
    return set(order[:count])
