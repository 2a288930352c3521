"""Any data set on disk as one list of samples: :func:`read_dataset` finds out which layout it has.

=========================  ==========================================================================================
HYouTube, with a list      ``train_list.txt`` and so on, of clips or of frames (:mod:`co2net.data.frame_lists`)
HYouTube, without a list   every ``synthetic_composite_videos/<video>/<object>`` (or ``Composite/...``) on disk
iHarmony4                  ``IHD_train.txt``, ``IHD_test.txt``; or one sub-set (:mod:`co2net.data.iharmony4`)
plain folders              ``composite/``, ``mask/``, ``real/``: pictures directly, or folders of pictures (a clip each)
single composites          the same, several to a real picture (:mod:`co2net.data.single_pairs`)
photographs                ``images/``, ``masks/``, perhaps ``index.csv``, no composites (:mod:`co2net.data.stills`)
=========================  ==========================================================================================

Others: :func:`co2net.data.layouts.register_layout`.
"""

from __future__ import annotations

import os
from pathlib import Path

from co2net.data import folders, iharmony4, single_pairs, stills  # noqa: F401  # they register themselves
from co2net.data.folders import column_folder, split_list
from co2net.data.frame_lists import read_listed
from co2net.data.layouts import LAYOUTS, Request, layout_of
from co2net.data.samples import OnProblem, Sample, existing_folder
from co2net.errors import InputError

__all__ = ["column_folder", "find_list", "read_dataset", "split_list"]


def read_dataset(
    root: str | os.PathLike[str],
    list: str | os.PathLike[str] | None = None,  # the flag's own name, as in --list
    split: str | None = None,
    *,
    composites: bool = False,
    check_files: bool = True,
    on_problem: OnProblem | None = None,
) -> list[Sample]:
    """The samples of a data set, whatever its layout (table in the module docstring).

    Args:
        root: the data set's folder.
        list: which frames: a list of clips or frames (:func:`find_list`). Without it, all of `split`.
        split: "train", "test" or "val". iHarmony4, HYouTube and indexed photographs have their own, "val" means "test"
            where there is no list of its own; for others see :func:`co2net.data.layouts.split_by_hash`. None takes
            everything on disk.
        composites: refuse samples without composites (photographs).
        check_files: look whether every file of the list exists.
        on_problem: called for each line or clip that cannot be used, which is then left out; without it the first one
            raises.

    Returns:
        The samples, in the order of the list or of the names.

    Raises:
        InputError: no data set there, the list is missing or unusable, or nothing is left; names file and line.
    """
    root = existing_folder(root)
    if split not in (None, "train", "test", "val"):
        raise InputError(f"unknown split {split}; known are train, test and val")
    path = None if list is None else find_list(list, root)
    request = Request(root, path, split, check_files, on_problem)
    if layout := layout_of(root):
        samples = layout.read(request)
    elif path is not None:
        samples = read_listed(request)  # the list says all
    else:
        known = ", ".join(layout.title for layout in reversed(LAYOUTS))
        raise InputError(f"{root}: no data set that is known here; known are {known}")
    if not samples and on_problem is None:
        of_split = f" for the split '{split}'" if split else ""
        raise InputError(f"{path or root} holds no picture with a mask{of_split}")
    if composites and (bare := next((sample for sample in samples if not sample.has_composite), None)):
        raise InputError(
            f"{root} holds photographs with masks and no composites ({bare.real.name}); `co2net dataset stills` and "
            "`co2net dataset build` make them"
        )
    return samples


def find_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> Path:
    """The file of a list.

    A bare file name means the data set's own list before one of the same name in the current folder: a checkout of this
    project has a ``train_list.txt`` of its own. A path with a folder in it (``./train_list.txt`` too) is tried as given
    before it is tried under the data set's folder.

    Raises:
        InputError: it is in neither place (names both), or `root` does not exist.
    """
    root = existing_folder(root)
    candidates = [Path(path), root / path]
    if not os.path.dirname(path):
        candidates.reverse()
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise InputError(f"the list {path} does not exist, tried: {', '.join(map(str, dict.fromkeys(candidates)))}")
