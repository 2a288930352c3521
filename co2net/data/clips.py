"""Frames of a list, gathered into the clips they belong to, and read as tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from co2net.data.frame_lists import STEP
from co2net.data.neighbors import neighbor_numbers
from co2net.data.pictures import check_fits, read_image, read_mask, resize_image, resize_mask, to_tensor
from co2net.data.samples import Sample, numbered_files
from co2net.errors import InputError

PAPER_SIZE = 256  # the published numbers are made at 256 x 256, aspect ratio not kept


class FrameTensors(NamedTuple):
    """A frame as the networks take it; values in [0, 1]."""

    composite: Tensor
    """``(3, H, W)`` float32."""
    mask: Tensor
    """``(1, H, W)`` float32, 1 = foreground."""
    real: Tensor
    """``(3, H, W)`` float32; empty ``(3, 0, 0)`` where it was not read."""


class Clip:
    """One clip of a data set: the frames a list names, and on disk whatever may be their neighbor.

    Attributes:
        entries: the listed frames, in the order of the list.
    """

    def __init__(self, entries: Iterable[Sample]) -> None:
        self.entries = list(entries)

    @property
    def name(self) -> str:
        """``<video>/<object>``, from the composites' folder."""
        return self.entries[0].clip

    @property
    def is_video(self) -> bool:
        """Whether the frames follow each other in time; False for pictures that only share a folder."""
        return self.entries[0].picture is None

    @cached_property
    def on_disk(self) -> dict[int, Sample]:
        """Every frame with a mask and a composite, by number, listed or not.

        The real frame's path is the likely one; it may not exist, and neighbors do not need it.

        Raises:
            InputError: a folder cannot be listed.
        """
        listed = {entry.number: entry for entry in self.entries}
        if not self.is_video:
            return listed
        first = self.entries[0]
        masks, composites = numbered_files(first.mask.parent), numbered_files(first.composite.parent)
        return {
            number: listed.get(number)
            or Sample(first.real.with_name(f"{path.stem}{first.real.suffix}"), masks[number], path)
            for number, path in composites.items()
            if number in masks
        }

    def neighbors(self, entry: Sample, previous: int, following: int, step: int = STEP) -> list[Sample]:
        """The neighbor frames of a frame; rule and order of :func:`co2net.data.neighbor_numbers`.

        A picture has none, so the rule repeats the picture itself.
        """
        if not self.is_video:
            return [entry] * (previous + following)
        numbers = neighbor_numbers(entry.number, self.on_disk, previous, following, step)
        return [entry if number == entry.number else self.on_disk[number] for number in numbers]


def group_clips(entries: Iterable[Sample]) -> list[Clip]:
    """The frames of a list by clip (folder of masks and folder of composites), clips in order of first appearance."""
    groups: dict[tuple[Path, Path], list[Sample]] = {}
    for entry in entries:
        groups.setdefault((entry.composite.parent, entry.mask.parent), []).append(entry)
    return [Clip(group) for group in groups.values()]


def with_previous(samples: Iterable[Sample], frame_step: int, *, need_real: bool = True) -> list[Sample]:
    """Frames of clips, each with its predecessor (:attr:`Sample.previous`), for training on pairs of frames.

    Args:
        samples: frames with composites.
        frame_step: distance of a frame and its predecessor, in frame numbers. Where there is no such frame, the frame
            itself takes its place.
        need_real: whether the real frames of predecessors are needed too.

    Raises:
        InputError: no frame has a predecessor, or files are missing.
    """
    pairs: list[Sample] = []
    for clip in group_clips(samples):
        listed = set(clip.entries)
        for entry in clip.entries:
            (previous,) = clip.neighbors(entry, 1, 0, frame_step)
            if need_real and previous not in listed and not previous.real.is_file():
                raise InputError(
                    f"{previous.real} does not exist, but the motion is found in real frames: restore it, or let it be "
                    "found in the composites (`flow_input` composite)"
                )
            pairs.append(replace(entry, previous=previous))
    if all(pair.previous is not None and pair.previous.composite == pair.composite for pair in pairs):
        raise InputError(
            f"no frame of {pairs[0].composite.parent if pairs else 'the list'} and the other clips has another "
            f"{frame_step} numbers before it in its clip; give the distance of the clips' frames (`frame_step`)"
        )
    return pairs


def read_parts(entry: Sample, *, real: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pictures of a sample as they are: composite ``(H, W, 3)`` uint8, mask ``(H, W)`` float32, the real one.

    That is ``(0, 0, 3)`` where it is not asked for. A mask that names the real picture stands for all of it.

    Raises:
        InputError: a file is missing or no picture, or they are not of one size; names the file.
    """
    composite = read_image(entry.composite)
    whole = entry.mask == entry.real
    mask: np.ndarray = np.ones(composite.shape[:2], np.float32) if whole else read_mask(entry.mask)
    truth: np.ndarray = read_image(entry.real) if real else np.empty((0, 0, 3), np.uint8)
    for path, picture in ((entry.mask, mask), *([(entry.real, truth)] if real else [])):
        check_fits(picture, path, composite, "its composite")
    return composite, mask, truth


def read_frame(entry: Sample, size: int | None = PAPER_SIZE, *, real: bool = True) -> FrameTensors:
    """Decode a frame and bring it to `size` x `size`, the way the published numbers were made.

    Args:
        entry: the frame.
        size: height and width; None keeps the frame's own.
        real: False leaves the real frame unread.

    Raises:
        InputError: a file is missing or no picture, or the three are not of one size; names the file.
    """
    composite, mask, truth = read_parts(entry, real=real)
    if size is not None:
        composite, mask = resize_image(composite, (size, size)), resize_mask(mask, (size, size))
        truth = resize_image(truth, (size, size)) if real else truth
    return FrameTensors(to_tensor(composite), torch.from_numpy(mask)[None], to_tensor(truth))
