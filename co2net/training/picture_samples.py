"""Samples of stage 1: real picture, mask, composite, perhaps the clip's frame before; all under one crop and flip.

Sample number n of a run with seed s is always the same sample, whatever the number of workers and however often the
run was interrupted: its random numbers come from (s, n) alone. Resuming therefore needs the step number only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from co2net.data.pictures import read_image, read_mask8, resize_mask8
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.flow import FlowEstimator
from co2net.training.color_changes import ColorChange, ColorChangeMix, apply_color_changes, draw_color_change
from co2net.training.composites import CompositeMix, make_composites
from co2net.training.views import View, cut, draw_scene_view, draw_view, resize_as_published

CACHE_BYTES = 3 << 30  # decoded pictures kept in memory; a data set larger than this is read again from disk

UNCHANGED = ColorChange(strength=0.0)

FlowInput = Literal["real", "composite", "normalized"]


@dataclass
class PreviousSample:
    """The clip's frame before, in the same view.

    Attributes:
        composite: as in :class:`Stage1Sample`.
        mask: likewise.
        real: the real frame, where the flow estimator is to see it.
        field: ``(2, H, W)`` in pixels, from the sample's frame to this one, where it was made with the sample.
    """

    composite: np.ndarray
    mask: np.ndarray
    real: np.ndarray | None = None
    field: np.ndarray | None = None


@dataclass
class Stage1Sample:
    """Arrays ``(H, W, 3)`` float32 in [0, 1]; `composite` is None where the color changes make it."""

    number: int
    real: np.ndarray
    mask: np.ndarray
    composite: np.ndarray | None
    scene: ColorChange
    foreground: ColorChange
    foreground_from_scene: bool
    previous: PreviousSample | None = None


@dataclass
class PreviousBatch:
    """:class:`PreviousSample` of all samples: ``(B, 3, S, S)``, mask ``(B, 1, S, S)``, field ``(B, 2, S, S)``."""

    composite: Tensor
    mask: Tensor
    real: Tensor | None
    field: Tensor | None


@dataclass
class Stage1Batch:
    """Tensors of one step: pictures ``(B, 3, S, S)`` and mask ``(B, 1, S, S)``, all in [0, 1]."""

    composite: Tensor
    target: Tensor
    mask: Tensor
    previous: PreviousBatch | None = None


class Stage1Dataset(Dataset[Stage1Sample]):
    """Endless numbered samples.

    Args:
        examples: pictures to draw from.
        size: side of the square samples in pixels.
        luts: number of LUTs that color changes may name.
        seed: of the run.
        augment: random crop (area 0.5 to 1, with `varied` 0.3 to 1; aspect 3/4 to 4/3) and flip; False only resizes
            and takes sample n from example n.
        varied: see :func:`co2net.training.color_changes.draw_color_change`; also grades some whole scenes and borrows
            some masks.
        mix: shares of the varied color changes.
        area_only: shrink by area averaging in every view, not in half of them.
        resize_only: with `augment`, draws samples but shows whole frames, resized as published
            (as the HYouTube baseline does: the mask of the frame before by nearest neighbor).
        flow_input: reads the frame before of every example too, its real frame with "real" only.
        estimate: makes the fields to the frames before right here; None leaves them to the training loop.
        least_foreground: pixels of a sample; see :attr:`~co2net.models.backbones.base.Recipe.least_foreground`. 0: a
            hundredth of it.
        scenes: shows pictures as they are, for :func:`scene_batch`; views are those of
            :func:`co2net.training.views.draw_scene_view`, `mix` counts for borrowed masks only.
    """

    def __init__(
        self,
        examples: Sequence[Sample],
        size: int,
        luts: int,
        seed: int,
        *,
        augment: bool = True,
        varied: bool = True,
        mix: ColorChangeMix | None = None,
        area_only: bool = False,
        resize_only: bool = False,
        flow_input: FlowInput | None = None,
        estimate: FlowEstimator | None = None,
        least_foreground: float = 0.0,
        scenes: bool = False,
    ) -> None:
        self.scenes, self.least_foreground = scenes, least_foreground
        self.mix = mix or ColorChangeMix()
        self.examples, self.size, self.luts, self.seed = list(examples), size, luts, seed
        self.augment, self.varied, self.resize_only = augment, varied, resize_only
        self.area_only = area_only
        self.flow_input, self.estimate = flow_input, estimate
        self._cache: dict[Path, np.ndarray] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> Stage1Sample:
        rng = np.random.default_rng((self.seed, number))
        # Shuffled passes over the examples: each once per epoch, in an order that depends on seed and epoch only.
        epoch, position = divmod(number, len(self.examples))
        order = np.random.default_rng((self.seed, 1 << 40, epoch)).permutation(len(self.examples))
        example = self.examples[order[position] if self.augment else position]
        real = self._read(example.real)
        composite = self._read(example.composite) if example.has_composite else None
        mask = self._mask(example, rng, real.shape[:2])
        if composite is not None and composite.shape != real.shape:
            raise InputError(f"{example.composite} is {composite.shape[:2]}, its real picture {real.shape[:2]}")
        view, shape = self._view(rng, mask), mask.shape
        real, mask = self._cut(real, view), self._cut(mask, view)
        composite = None if composite is None else self._cut(composite, view)
        previous = None
        if self.flow_input and example.previous and composite is not None:
            previous = self._previous(example.previous, view, real, composite, shape)
        if self.scenes:
            return Stage1Sample(number, real, mask, composite, UNCHANGED, UNCHANGED, foreground_from_scene=True)
        graded = self.varied and composite is None and rng.random() < self.mix.graded
        return Stage1Sample(
            number=number,
            real=real,
            mask=mask,
            composite=composite,
            scene=draw_color_change(rng, self.luts) if graded else UNCHANGED,
            foreground=draw_color_change(rng, self.luts, varied=self.varied, mix=self.mix),
            foreground_from_scene=bool(not graded or rng.random() < 0.6),
            previous=previous,
        )

    def _mask(self, example: Sample, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        masks = example.masks
        if self.varied and not example.has_composite and rng.random() < self.mix.borrowed:
            # A foreign outline: the region then holds parts of several things, which teaches to compare surfaces.
            masks = self.examples[rng.integers(len(self.examples))].masks
        return resize_mask8(self._read(masks[rng.integers(len(masks))], read_mask8), shape)

    def _view(self, rng: np.random.Generator, mask: np.ndarray) -> View:
        if self.scenes:
            return draw_scene_view(rng, mask)
        if self.augment and not self.resize_only:
            enough = self._shows_enough(mask) if self.least_foreground else None
            view = draw_view(rng, mask, 0.3 if self.varied else 0.5, enough)
            return view._replace(smooth=True) if self.area_only else view
        return View(0, mask.shape[0], 0, mask.shape[1])

    def _shows_enough(self, mask: np.ndarray) -> Callable[[View], bool]:
        return lambda view: bool(cut(mask, view, self.size).sum() > self.least_foreground)

    def _cut(self, picture: np.ndarray, view: View, *, nearest: bool = False) -> np.ndarray:
        if self.resize_only:
            return resize_as_published(picture, self.size, nearest=nearest)
        return cut(picture, view, self.size)

    def _previous(
        self, before: Sample, view: View, real: np.ndarray, composite: np.ndarray, shape: tuple[int, ...]
    ) -> PreviousSample:
        mask = resize_mask8(self._read(before.mask, read_mask8), shape)
        previous = PreviousSample(self._cut_like(before.composite, shape, view), self._cut(mask, view, nearest=True))
        if self.flow_input == "real":
            previous.real = self._cut_like(before.real, shape, view)
        if self.estimate is not None:
            frames = (composite, previous.composite) if previous.real is None else (real, previous.real)
            first, second = (torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in frames)
            previous.field = self.estimate(first, second)[0].numpy()
        return previous

    def _cut_like(self, path: Path, shape: tuple[int, ...], view: View) -> np.ndarray:
        picture = self._read(path)
        if picture.shape[:2] != tuple(shape):
            raise InputError(f"{path} is {picture.shape[:2]}, the next frame of its clip {tuple(shape)}")
        return self._cut(picture, view)

    def _read(self, path: Path, read: Callable[[Path], np.ndarray] = read_image) -> np.ndarray:
        if path in self._cache:
            return self._cache[path]
        picture = read(path)
        if self._cached_bytes + picture.nbytes < CACHE_BYTES:
            self._cache[path] = picture
            self._cached_bytes += picture.nbytes
        return picture


def to_batch(samples: list[Stage1Sample], luts: Tensor) -> Stage1Batch:
    """Stack samples and make the missing composites, on the device of `luts`.

    ``composite = mask * color_change(real) + (1 - mask) * real``; where the whole scene is graded too, the target is
    the graded scene and the foreground shows another color change.
    """
    device = luts.device

    def stack(arrays: list[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(arrays)).to(device)
        return stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()

    real, mask = stack([s.real for s in samples]), stack([s.mask for s in samples])
    given = [s.composite for s in samples if s.composite is not None]
    if len(given) == len(samples):
        before = [s.previous for s in samples if s.previous is not None]
        return Stage1Batch(stack(given), real, mask, _previous_batch(before, stack, device) if before else None)
    target = real.clone()
    graded = [i for i, s in enumerate(samples) if s.scene.strength > 0]
    if graded:
        target[graded] = apply_color_changes([samples[i].scene for i in graded], real[graded], luts)
    from_scene = torch.tensor([s.foreground_from_scene for s in samples], device=device).view(-1, 1, 1, 1)
    changed = apply_color_changes([s.foreground for s in samples], torch.where(from_scene, target, real), luts)
    return Stage1Batch(mask * changed + (1 - mask) * target, target, mask)


def scene_batch(samples: list[Stage1Sample], luts: Tensor, mix: CompositeMix, seed: int) -> Stage1Batch:
    """Stack plain samples and make all their composites at once (:mod:`co2net.training.composites`).

    They follow from the seed, the first sample's number and the samples, whatever came before.
    """
    real = torch.from_numpy(np.stack([s.real for s in samples])).permute(0, 3, 1, 2).contiguous()
    mask = torch.from_numpy(np.stack([s.mask for s in samples]))[:, None]
    generator = torch.Generator().manual_seed(seed * 1_000_003 + samples[0].number)
    made = make_composites(real, mask, luts.cpu(), mix, generator)
    composite, target, mask = (part.to(luts.device) for part in (made.composite, made.target, made.mask))
    return Stage1Batch(composite, target, mask)


def _previous_batch(
    samples: list[PreviousSample], stack: Callable[[list[np.ndarray]], Tensor], device: torch.device
) -> PreviousBatch:
    reals = [s.real for s in samples if s.real is not None]
    fields = [s.field for s in samples if s.field is not None]
    return PreviousBatch(
        composite=stack([s.composite for s in samples]),
        mask=stack([s.mask for s in samples]),
        real=stack(reals) if reals else None,
        field=torch.from_numpy(np.stack(fields)).to(device) if fields else None,
    )
