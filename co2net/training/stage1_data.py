"""Samples of stage 1: real picture, mask, composite, all under one random crop and flip.

Sample number n of a run with seed s is always the same sample, whatever the number of workers and however often the
run was interrupted: its random numbers come from (s, n) alone. Resuming therefore needs the step number only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from co2net.errors import InputError
from co2net.training.examples import Example
from co2net.training.looks import Look, LookMix, apply_looks, draw_look

CACHE_BYTES = 3 << 30  # decoded pictures kept in memory; a data set larger than this is read again from disk


@dataclass
class Stage1Sample:
    """Arrays ``(H, W, 3)`` float32 in [0, 1]; `composite` is None where the looks make it."""

    real: np.ndarray
    mask: np.ndarray
    composite: np.ndarray | None
    scene: Look
    foreground: Look
    foreground_from_scene: bool


@dataclass
class Stage1Batch:
    """Tensors of one step: pictures ``(B, 3, S, S)`` and mask ``(B, 1, S, S)``, all in [0, 1]."""

    composite: Tensor
    target: Tensor
    mask: Tensor


class Stage1Dataset(Dataset[Stage1Sample]):
    """Endless numbered samples.

    Args:
        examples: pictures to draw from.
        size: side of the square samples in pixels.
        tables: number of color tables that looks may name.
        seed: of the run.
        augment: random crop (area 0.5 to 1, with `varied` 0.3 to 1; aspect 3/4 to 4/3) and flip; False only resizes
            and takes sample n from example n.
        varied: see :func:`co2net.training.looks.draw_look`; also grades some whole scenes and borrows some masks.
        mix: shares of the varied looks.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        size: int,
        tables: int,
        seed: int,
        *,
        augment: bool = True,
        varied: bool = True,
        mix: LookMix | None = None,
    ) -> None:
        self.mix = mix or LookMix()
        self.examples, self.size, self.tables, self.seed = list(examples), size, tables, seed
        self.augment, self.varied = augment, varied
        self._cache: dict[str, np.ndarray] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> Stage1Sample:
        rng = np.random.default_rng((self.seed, number))
        # Shuffled passes over the examples: each once per epoch, in an order that depends on seed and epoch only.
        epoch, position = divmod(number, len(self.examples))
        order = np.random.default_rng((self.seed, 1 << 40, epoch)).permutation(len(self.examples))
        example = self.examples[order[position] if self.augment else position]
        real = self._read(str(example.real), cv2.IMREAD_COLOR)
        composite = None if example.composite is None else self._read(str(example.composite), cv2.IMREAD_COLOR)
        mask = self._mask(example, rng, real.shape[:2])
        if composite is not None and composite.shape != real.shape:
            raise InputError(f"{example.composite} is {composite.shape[:2]}, its real picture {real.shape[:2]}")
        real, mask, composite = self._transform(rng, real, mask, composite)
        graded = self.varied and composite is None and rng.random() < self.mix.graded
        return Stage1Sample(
            real=real,
            mask=mask,
            composite=composite,
            scene=draw_look(rng, self.tables) if graded else Look(strength=0.0),
            foreground=draw_look(rng, self.tables, varied=self.varied, mix=self.mix),
            foreground_from_scene=bool(not graded or rng.random() < 0.6),
        )

    def _mask(self, example: Example, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        masks = example.masks
        if self.varied and example.composite is None and rng.random() < self.mix.borrowed:
            # A foreign outline: the region then holds parts of several things, which teaches to compare surfaces.
            masks = self.examples[rng.integers(len(self.examples))].masks
        mask = self._read(str(masks[rng.integers(len(masks))]), cv2.IMREAD_GRAYSCALE)
        if mask.shape != tuple(shape):
            mask = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        return mask

    def _transform(
        self, rng: np.random.Generator, real: np.ndarray, mask: np.ndarray, composite: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        height, width = mask.shape
        window, flip, smooth = (0, height, 0, width), False, True
        if self.augment:
            for _ in range(10):
                window = _draw_window(rng, height, width, smallest=0.3 if self.varied else 0.5)
                top, bottom, left, right = window
                # Redraw while (nearly) nothing of the foreground is inside; keep such a draw one time in twenty.
                if (mask[top:bottom:4, left:right:4] > 127).mean() > 0.01 or rng.random() < 0.05:
                    break
            flip, smooth = rng.random() < 0.5, rng.random() < 0.5
        top, bottom, left, right = window

        def cut(picture: np.ndarray) -> np.ndarray:
            # Half the samples are shrunk with area averaging, half without: videos reach the network either way.
            method = cv2.INTER_AREA if smooth else cv2.INTER_LINEAR
            out = cv2.resize(picture[top:bottom, left:right], (self.size, self.size), interpolation=method)
            out = out[:, ::-1] if flip else out
            return np.ascontiguousarray(out, dtype=np.float32) / 255

        return cut(real), cut(mask), None if composite is None else cut(composite)

    def _read(self, path: str, flag: int) -> np.ndarray:
        if path in self._cache:
            return self._cache[path]
        picture = cv2.imread(path, flag)
        if picture is None:
            raise InputError(f"{path} is missing or is not a picture; remove it from the list or restore it")
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if picture.ndim == 3 else picture
        if self._cached_bytes + picture.nbytes < CACHE_BYTES:
            self._cache[path] = picture
            self._cached_bytes += picture.nbytes
        return picture


def _draw_window(rng: np.random.Generator, height: int, width: int, smallest: float) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = height * width * rng.uniform(smallest, 1.0)
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))) * width / height
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            return top, top + h, left, left + w
    return 0, height, 0, width


def to_batch(samples: list[Stage1Sample], tables: Tensor) -> Stage1Batch:
    """Stack samples and make the missing composites, on the device of `tables`.

    ``composite = mask * look(real) + (1 - mask) * real``; where the whole scene is graded too, the target is the graded
    scene and the foreground shows another look.
    """
    device = tables.device

    def stack(arrays: list[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(arrays)).to(device)
        return stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()

    real, mask = stack([s.real for s in samples]), stack([s.mask for s in samples])
    given = [s.composite for s in samples if s.composite is not None]
    if len(given) == len(samples):
        return Stage1Batch(stack(given), real, mask)
    target = real.clone()
    graded = [i for i, s in enumerate(samples) if s.scene.strength > 0]
    if graded:
        target[graded] = apply_looks([samples[i].scene for i in graded], real[graded], tables)
    from_scene = torch.tensor([s.foreground_from_scene for s in samples], device=device).view(-1, 1, 1, 1)
    changed = apply_looks([s.foreground for s in samples], torch.where(from_scene, target, real), tables)
    return Stage1Batch(mask * changed + (1 - mask) * target, target, mask)
