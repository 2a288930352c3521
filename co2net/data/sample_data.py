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
    for folder in (_PACKAGE / "sample_data", _PACKAGE.parent / "sample_data"):
        if (folder / LIST).is_file() and (folder / "synthetic_composite_videos").is_dir():
            return folder
    raise InputError("the sample data set is missing from this installation; evaluate in a clone of the repository")
