"""The sample data set: three short clips in HYouTube's layout that come with co2net."""

from __future__ import annotations

from pathlib import Path

from co2net.errors import InputError

LIST = "test_list.txt"
_PACKAGE = Path(__file__).resolve().parents[1]


def sample_dataset() -> Path:
    """Where the sample data set is: in the installed package or in the repository.

    Raises:
        InputError: if it is in neither.
    """
    return _folder_with(LIST, "synthetic_composite_videos")


def sample_clip() -> Path:
    """Where the sample clip's ``composite.mp4``, ``mask.mp4`` and ``real.mp4`` are.

    Raises:
        InputError: as :func:`sample_dataset`.
    """
    return _folder_with("composite.mp4")


def _folder_with(*names: str) -> Path:
    for folder in (_PACKAGE / "sample_data", _PACKAGE.parent / "sample_data"):
        if all((folder / name).exists() for name in names):
            return folder
    raise InputError("the sample data is missing from this installation; run this in a clone of the repository")
