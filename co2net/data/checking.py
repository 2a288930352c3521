"""Open the pictures of a data set and say what is wrong with them: sizes, masks, damaged files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from co2net.data.clips import Clip, group_clips
from co2net.data.pictures import read_image, read_mask
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.threads import cores


def check_pictures(
    entries: Sequence[Sample],
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Look for what the metrics and the training cannot use (the masks' area is what fMSE and TL divide by).

    Per clip: its folders can be listed, and no frame is named twice. Per frame: the three files exist and decode to
    the end, all of one size; the mask has one channel, exactly two values, black and white, and some foreground.

    Args:
        entries: the frames.
        workers: threads; default one per core.
        on_progress: called with (frames done, all frames).

    Returns:
        A sentence per problem, naming the file, in the order of the entries; empty if all is well.
    """
    # In order and once: entries may share a real frame or a mask.
    problems = dict.fromkeys(problem for clip in group_clips(entries) for problem in _check_clip(clip))
    with ThreadPoolExecutor(workers or cores()) as pool:
        # Decoding releases the interpreter, so threads do run side by side.
        futures = [pool.submit(_check_frame, entry) for entry in entries]
        try:
            for done, future in enumerate(futures, start=1):
                problems.update(dict.fromkeys(future.result()))
                if on_progress:
                    on_progress(done, len(entries))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return list(problems)


def _check_clip(clip: Clip) -> list[str]:
    try:
        clip.on_disk  # noqa: B018  # lists the folders
        numbers = Counter(entry.number for entry in clip.entries)
    except InputError as error:
        return [str(error)]
    twice = [number for number, count in numbers.items() if count > 1]
    return [f"{clip.name}: frame {twice[0]:05d} is listed twice"] if twice else []


def _check_frame(entry: Sample) -> list[str]:
    problems = []
    sizes: dict[Path, tuple[int, ...]] = {}
    for path in dict.fromkeys((entry.real, entry.composite)):
        try:
            sizes[path] = read_image(path).shape[:2]
        except InputError as error:
            problems.append(str(error))
    values: dict[Path, np.ndarray] = {}
    for path in entry.masks:
        try:
            mask = read_mask(path)
            with Image.open(path) as picture:
                mode = picture.mode
        except InputError as error:
            problems.append(str(error))
            continue
        sizes[path], values[path] = mask.shape, np.unique(mask)
        if mode not in ("L", "1", "P", "I", "I;16"):
            problems.append(f"{path}: a mask of one channel is wanted, this has {mode}; save it as grey")
    wanted = sizes.get(entry.composite)
    whose = "composite" if entry.has_composite else "picture"
    for path, size in sizes.items():
        if wanted and size != wanted:
            problems.append(f"{path} is {size[1]}x{size[0]}, its {whose} {wanted[1]}x{wanted[0]}")
    for path, found in values.items():
        if found[-1] == 0:
            problems.append(f"{path}: the mask is empty; leave the frame out")
        elif not np.isin(found, (0, 1)).all():
            problems.append(f"{path}: the mask has {len(found)} values, 0 and 255 are wanted; cut it at one half")
    return problems
