"""Open the pictures of a data set and say what is wrong with them: sizes, masks, damaged files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from co2net.data.frame_lists import FrameEntry
from co2net.data.pictures import read_image, read_mask
from co2net.errors import InputError


def check_pictures(
    entries: Sequence[FrameEntry],
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Look for what the metrics and the training cannot use (the masks' area is what fMSE and TL divide by).

    Per frame: the three files exist and decode to the end, all of one size; the mask has one channel, exactly two
    values, black and white, and some foreground.

    Args:
        entries: the frames.
        workers: threads; default one per core.
        on_progress: called with (frames done, all frames).

    Returns:
        A sentence per problem, naming the file, in the order of the entries; empty if all is well.
    """
    problems: dict[str, None] = {}  # in order and once: entries may share a real frame or a mask
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
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


def _check_frame(entry: FrameEntry) -> list[str]:
    problems = []
    sizes: dict[Path, tuple[int, ...]] = {}
    for path in (entry.real, entry.composite):
        try:
            sizes[path] = read_image(path).shape[:2]
        except InputError as error:
            problems.append(str(error))
    try:
        with Image.open(entry.mask) as picture:
            mode = picture.mode
        mask = read_mask(entry.mask)
    except InputError as error:
        return [*problems, str(error)]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return [*problems, _unreadable(entry.mask)]
    sizes[entry.mask] = mask.shape
    wanted = sizes.get(entry.composite, mask.shape)
    for path, size in sizes.items():
        if size != wanted:
            problems.append(f"{path} is {size[1]}x{size[0]}, its composite {wanted[1]}x{wanted[0]}")
    if mode not in ("L", "1", "P", "I", "I;16"):
        problems.append(f"{entry.mask}: a mask of one channel is wanted, this has {mode}; save it as grey")
    values = np.unique(mask)
    if values[-1] == 0:
        problems.append(f"{entry.mask}: the mask is empty; leave the frame out")
    elif not np.isin(values, (0, 1)).all():
        problems.append(f"{entry.mask}: the mask has {len(values)} values, 0 and 255 are wanted; cut it at one half")
    return problems


def _unreadable(path: Path) -> str:
    try:
        read_mask(path)
    except InputError as error:
        return str(error)
    return f"{path}: not a picture"
