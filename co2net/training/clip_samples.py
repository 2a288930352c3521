"""Samples of stage 2: a frame with its neighbors, or with the stored result of the color mapping.

Sample number n of a run with seed s is always the same sample, whatever the number of workers or processes and however
often the run was interrupted. Resuming therefore needs the step only.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from co2net.data.clips import Clip, group_clips, read_frame
from co2net.data.samples import Sample
from co2net.data.stored_results import read_lut, stored_path
from co2net.errors import InputError
from co2net.training.refinement_config import Stage2Config

StoredFolders = tuple[Path, Path]
"""Folders of LUT outputs and of LUT maps."""


@dataclass(frozen=True)
class View:
    """What the refinement sees of a frame: a square window, perhaps mirrored."""

    top: int = 0
    left: int = 0
    flip: bool = False


@dataclass
class Stage2Batch:
    """Frames from disk; images float32 in [0, 1].

    Either the neighbors or the stored results are there; neither where no neighbors are asked for.

    Attributes:
        image: composites ``(B, 3, H, W)``.
        mask: ``(B, 1, H, W)``.
        target: real frames ``(B, 3, H, W)``.
        neighbor_images: ``(M, 3, H, W)``, the distinct neighbors of all items, item 0's first.
        neighbor_masks: ``(M, 1, H, W)``.
        neighbor_counts: ``(M,)`` float32, how often each counts (clip ends repeat frames).
        owner: ``(M,)`` int64, the item each belongs to.
        stored_lut: ``(B, 3, H, W)``, the color mapping's result.
        stored_map: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, where it says nothing.
    """

    image: Tensor
    mask: Tensor
    target: Tensor
    neighbor_images: Tensor | None = None
    neighbor_masks: Tensor | None = None
    neighbor_counts: Tensor | None = None
    owner: Tensor | None = None
    stored_lut: Tensor | None = None
    stored_map: Tensor | None = None

    def _map(self, change: Callable[[Tensor], Tensor]) -> Stage2Batch:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Stage2Batch(**{name: None if value is None else change(value) for name, value in values.items()})  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Stage2Batch:
        """A copy on `device`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Stage2Batch:
        """A copy in memory that CUDA can fetch by itself; DataLoader calls this."""
        return self._map(lambda tensor: tensor.pin_memory())


def join(batches: Sequence[Stage2Batch]) -> Stage2Batch:
    """Several batches as one."""

    def cat(name: str) -> Tensor | None:
        tensors = [getattr(batch, name) for batch in batches]
        if tensors[0] is None:
            return None
        if name == "owner":
            first = np.cumsum([0, *(len(batch.image) for batch in batches)])
            tensors = [tensor + int(offset) for tensor, offset in zip(tensors, first, strict=False)]
        return torch.cat(tensors)

    return Stage2Batch(**{field.name: cat(field.name) for field in dataclasses.fields(Stage2Batch)})  # type: ignore[arg-type]


class Frames:
    """The frames of a list, read as batches of one.

    Args:
        entries: the frames.
        config: settings.
        stored: folders of stored results, with ``config.stored``.

    Raises:
        InputError: stored results are missing, or a folder cannot be listed.
    """

    def __init__(self, entries: Sequence[Sample], config: Stage2Config, stored: StoredFolders | None) -> None:
        self.entries, self.config, self.stored = list(entries), config, stored
        self._clips: dict[Sample, Clip] = {}
        if stored is not None:
            _check_stored(self.entries, stored)
        elif config.previous + config.future:
            for clip in group_clips(self.entries):
                clip.on_disk  # noqa: B018  # list the folders now: trouble is told before training, and workers share it
                self._clips.update(dict.fromkeys(clip.entries, clip))

    def __len__(self) -> int:
        return len(self.entries)

    def neighbors(self, entry: Sample) -> dict[Sample, int]:
        """The distinct neighbors of a frame, by number, and how often each counts; empty without neighbors."""
        clip = self._clips.get(entry)
        if clip is None:
            return {}
        config = self.config
        counts = Counter(clip.neighbors(entry, config.previous, config.future, config.frame_step))
        return dict(sorted(counts.items(), key=lambda item: item[0].number))

    def clips(self) -> list[list[int]]:
        """Positions of the frames, clip by clip."""
        position = {entry: i for i, entry in enumerate(self.entries)}
        return [[position[entry] for entry in clip.entries] for clip in group_clips(position)]

    def read(self, index: int, *, with_neighbors: bool = True) -> Stage2Batch:
        """Frame number `index` of the list, with what the color mapping needs.

        Raises:
            InputError: a file cannot be used; names it.
        """
        entry, size = self.entries[index], self.config.size
        composite, mask, real = read_frame(entry, size)
        batch = Stage2Batch(composite[None], mask[None], real[None])
        if self.stored is not None:
            lut, unseen = read_lut(*self.stored, entry)
            if lut.shape[1:] != (size, size) or unseen.shape[1:] != (size, size):
                raise InputError(
                    f"the stored result {stored_path(self.stored[0], entry)} is {lut.shape[2]}x{lut.shape[1]} pixels, "
                    f"the frames are {size}x{size}; give the `size` it was made with, or make it again"
                )
            batch.stored_lut, batch.stored_map = lut[None], unseen[None]
        elif with_neighbors and (counts := self.neighbors(entry)):
            # A clip's first and last frames may be their own neighbors, and are read already.
            frames = [(composite, mask) if e == entry else read_frame(e, size, real=False)[:2] for e in counts]
            batch.neighbor_images = torch.stack([image for image, _ in frames])
            batch.neighbor_masks = torch.stack([mask for _, mask in frames])
            batch.neighbor_counts = torch.tensor([float(count) for count in counts.values()])
            batch.owner = torch.zeros(len(counts), dtype=torch.int64)
        return batch


def _check_stored(entries: Sequence[Sample], stored: StoredFolders) -> None:
    for folder, flag in zip(stored, ("`lut_output_dir`", "`lut_map_dir`"), strict=True):
        try:
            there = {path.name for path in folder.iterdir()}
        except OSError as error:
            raise InputError(f"{flag} {folder}: cannot list the folder: {error.strerror or error}") from error
        missing = [entry for entry in entries if stored_path(folder, entry).name not in there]
        if missing:
            raise InputError(
                f"{flag} {folder} lacks the stored results of {len(missing)} of {len(entries)} frames, first "
                f"{stored_path(folder, missing[0]).name}; make them by an evaluation that "
                "stores its results (docs/evaluation.md), or leave both folders out to make them from the neighbors"
            )


class SampleOrder:
    """Which frame sample number n is: shuffled passes, each frame once per epoch; and the view of it.

    Args:
        frames: number of frames.
        config: settings; seed, crop and flip count.
    """

    def __init__(self, frames: int, config: Stage2Config) -> None:
        self.frames, self.config = frames, config
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def frame(self, number: int) -> int:
        """Position of sample `number`'s frame in the list."""
        epoch, position = divmod(number, self.frames)
        if epoch != self._epoch:
            rng = np.random.default_rng((self.config.seed, 1 << 40, epoch))
            self._epoch, self._order = epoch, rng.permutation(self.frames)
        return int(self._order[position])

    def view(self, number: int, mask: Tensor) -> View:
        """The view of sample `number`, whose frame has the mask ``(1, H, W)``."""
        config, rng = self.config, np.random.default_rng((self.config.seed, number))
        top = left = 0
        if config.crop:
            bounds = [int(side) - config.crop + 1 for side in mask.shape[1:]]
            for _ in range(10):  # look for a window with some foreground: the others teach nothing
                top, left = (int(rng.integers(bound)) for bound in bounds)
                if mask[0, top : top + config.crop, left : left + config.crop].mean() > 0.01:
                    break
        return View(top, left, bool(config.flip and rng.random() < 0.5))


@dataclass
class LoadedStep:
    """What a worker hands over: frames and views of a step, or what is wrong with them."""

    parts: list[Stage2Batch]
    views: list[View]
    error: str = ""

    def pin_memory(self) -> LoadedStep:
        """A copy that CUDA can fetch by itself."""
        return LoadedStep([part.pin_memory() for part in self.parts], self.views, self.error)


class Stage2Dataset(Dataset[LoadedStep]):
    """Numbered training samples, each a :class:`LoadedStep` of one; for a DataLoader with :func:`collate`."""

    def __init__(self, frames: Frames, order: SampleOrder) -> None:
        self.frames, self.order = frames, order

    def __getitem__(self, number: int) -> LoadedStep:
        # An exception that crosses from a worker arrives as a traceback in a string; a value arrives as it is.
        try:
            batch = self.frames.read(self.order.frame(number))
        except InputError as error:
            return LoadedStep([], [], str(error))
        return LoadedStep([batch], [self.order.view(number, batch.mask[0])])


class PlainDataset(Dataset[LoadedStep]):
    """The frames of a list in their order, whole: for validation."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def __getitem__(self, index: int) -> LoadedStep:
        try:
            return LoadedStep([self.frames.read(index)], [View()])
        except InputError as error:
            return LoadedStep([], [], str(error))


def collate(samples: list[LoadedStep]) -> LoadedStep:
    """Put samples together, their frames side by side (a CPU runs them one by one) and not yet as one tensor."""
    parts = [part for sample in samples for part in sample.parts]
    views = [view for sample in samples for view in sample.views]
    return LoadedStep(parts, views, next((sample.error for sample in samples if sample.error), ""))


def collate_joined(samples: list[LoadedStep]) -> LoadedStep:
    """Put samples together as one tensor each, the way a GPU likes it."""
    step = collate(samples)
    return step if step.error else LoadedStep([join(step.parts)], step.views)
