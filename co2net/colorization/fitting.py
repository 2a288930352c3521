"""Fitting the regression that guesses colors away from strokes: pixels of photographs, and the error in decibels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from co2net.colorization.features import GEOMETRY, describe
from co2net.colorization.regression import UNIT, Regression
from co2net.colorization.semantics import look
from co2net.data.pictures import read_image
from co2net.errors import InputError
from co2net.training.schedule import cosine
from co2net.weight_files import save_weights

SHORT_SIDE = 256  # larger pictures are shrunk to what the way without weights works at
PIXELS, ASKED = 320, 160  # kept of a picture; and of these, guessed in a step
POINTS = (5, 10, 20, 40, 40, 40, 40, 60)  # known in a step, drawn from these
_FOLLOWS = 0.13  # rate of the process while the revision is fitted, as a share of the revision's
_REVISION_DECAY = 1e-2
_LEAST = 0.01  # squared units: below this an error no longer counts
_LARGEST_GRADIENT, _DECAY = 1.0, 1e-3


@dataclass(frozen=True)
class FitRecipe:
    """Settings of a fit.

    Attributes:
        steps: of Adam.
        batch_size: pictures per step.
        learning_rate: the largest one.
        hidden: width of the regression's layers.
        places, shown, width, layers: see :class:`~.regression.Regression`.
        revision_steps: of the revision and the process together, after the process alone.
        revision_rate: the revision's largest one.
        seed: of pixels, start and order.
    """

    steps: int = 8000
    batch_size: int = 16
    learning_rate: float = 3e-3
    hidden: int = 64
    places: int = 12
    shown: int = 0
    width: int = 0
    layers: int = 2
    revision_steps: int = 8000
    revision_rate: float = 1.5e-3
    seed: int = 0

    @property
    def all_steps(self) -> int:
        """Of the process, and of the revision where there is one."""
        return self.steps + (self.revision_steps if self.width else 0)


@dataclass(frozen=True)
class Pixels:
    """Random pixels of pictures.

    Attributes:
        features: ``(N, PIXELS, F)`` float16, of :func:`~.features.describe`.
        colors: ``(N, PIXELS, 2)`` float32, a and b without gray's 128, in units of :data:`~.regression.UNIT` codes.
        shown: ``(N, PIXELS, SHOWN)`` float16, image features; None: not looked at.
        frames: ``(N, SHOWN)`` float32, their means over whole pictures.
    """

    features: Tensor
    colors: Tensor
    shown: Tensor | None = None
    frames: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)

    def known_to(self, model: Regression, pictures: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Of some pixels of pictures what the model sees ``(B, M, F + shown)``, and their colors ``(B, M, 2)``."""
        place = pictures[:, None], which
        features = self.features[place].float()
        if model.sums is not None and self.shown is not None and self.frames is not None:
            sums = model.sums(self.shown[place].float(), self.frames[pictures])
            features = torch.cat([features, sums], dim=-1)
        return features, self.colors[place]


def sample_pixels(
    paths: Sequence[Path], seed: int = 0, on_progress: Callable[[int], None] | None = None, *, shown: bool = False
) -> Pixels:
    """Pixels of every picture; what is drawn depends on the seed and the picture's place in the list.

    Args:
        paths: of the pictures.
        seed: of the pixels.
        on_progress: called with the number of pictures that are done.
        shown: with image features.

    Raises:
        InputError: a picture cannot be read, or is smaller than :data:`PIXELS` pixels.
    """
    features, colors = [], []
    sights, frames = [], []
    for number, path in enumerate(paths):
        rgb8 = read_image(path)
        height, width = rgb8.shape[:2]
        if height * width < PIXELS:
            raise InputError(f"{path} is {width}x{height}, too small to fit anything on")
        if (scale := SHORT_SIDE / min(height, width)) < 1:
            size = round(width * scale), round(height * scale)
            rgb8 = cv2.resize(rgb8, size, interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(rgb8.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        luma = (lab[..., 0] * 2.55).round()
        found = describe(luma)
        rng = np.random.default_rng([seed, number])
        chosen = rng.choice(lab.shape[0] * lab.shape[1], PIXELS, replace=False)
        features.append(found[np.divmod(chosen, luma.shape[1])].astype(np.float16))
        colors.append(lab[..., 1:].reshape(-1, 2)[chosen] / np.float32(UNIT))
        if shown:
            sight = look(luma)
            sights.append(sight.at(*np.divmod(chosen, luma.shape[1])).half())
            frames.append(sight.whole)
        if on_progress is not None:
            on_progress(number + 1)
    if not features:
        raise InputError("there are no pictures to fit the regression on")
    seen = (torch.stack(sights), torch.stack(frames)) if shown else (None, None)
    return Pixels(torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(colors)), *seen)


def fit(pixels: Pixels, recipe: FitRecipe, on_step: Callable[[int, float], None] | None = None) -> Regression:
    """Fit the regression by the mean error in decibels of pixels that are guessed from others of their picture.

    Args:
        pixels: of training pictures.
        recipe: settings.
        on_step: called with the number of steps done and the step's loss, in nepers of squared units.

    Raises:
        InputError: image features are wanted, and the pixels have none.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # of the start, and of what is dropped
        return _fit(pixels, recipe, on_step)


def _fit(pixels: Pixels, recipe: FitRecipe, on_step: Callable[[int, float], None] | None) -> Regression:
    model = _start(pixels, recipe)
    revision, model.revision = model.revision, None
    process = list(model.parameters())
    alone = [{"params": process, "lr": recipe.learning_rate, "weight_decay": _DECAY}]
    _descend(model, pixels, recipe, alone, recipe.steps, on_step)
    if revision is not None:
        model.revision, rate = revision, recipe.revision_rate
        both = [
            {"params": process, "lr": _FOLLOWS * rate, "weight_decay": _DECAY},
            {"params": list(revision.parameters()), "lr": rate, "weight_decay": _REVISION_DECAY},
        ]
        done = recipe.steps
        later = None if on_step is None else (lambda step, loss: on_step(done + step, loss))
        _descend(model, pixels, recipe, both, recipe.revision_steps, later)
    return model.eval().requires_grad_(False)


def _descend(
    model: Regression,
    pixels: Pixels,
    recipe: FitRecipe,
    groups: list[dict[str, Any]],
    steps: int,
    on_step: Callable[[int, float], None] | None,
) -> None:
    """Steps of Adam over groups of parameters, each at its own rate that falls along a cosine."""
    generator = torch.Generator().manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.AdamW(groups)
    rates = [group["lr"] for group in groups]
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * cosine(step / steps)
        batch = torch.randint(len(pixels), (recipe.batch_size,), generator=generator)
        order = torch.randperm(PIXELS, generator=generator)
        count = int(rng.choice(POINTS))
        features, colors = pixels.known_to(model, batch, order[: count + ASKED])
        guess = model(features[:, :count], colors[:, :count], features[:, count:])
        error = (guess - colors[:, count:]).square().mean(dim=(1, 2))
        loss = (error + _LEAST).log().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        if on_step is not None:
            on_step(step + 1, float(loss.detach()))


@torch.no_grad()
def gain(model: Regression, pixels: Pixels, points: int = 40) -> float:
    """How many decibels the guess from so many pixels is above gray, mean over pictures, for a and b alone."""
    gains = []
    for picture in range(len(pixels)):
        features, colors = pixels.known_to(model, torch.tensor([picture]), torch.arange(PIXELS))
        guess = model(features[:, :points], colors[:, :points], features[:, points:])
        errors = [(other - colors[:, points:]).square().mean() + _LEAST / 4 for other in (torch.zeros(()), guess)]
        gains.append(10 * math.log10(float(errors[0] / errors[1])))
    return sum(gains) / len(gains)


def save_fit(model: Regression, path: Path, recipe: FitRecipe, pictures: int) -> None:
    """Write the file of a fit, in half precision.

    Raises:
        OutputError: it cannot be written.
    """
    facts = {name: str(value) for name, value in asdict(recipe).items()} | {"pictures": str(pictures)}
    save_weights(path, {name: value.half() for name, value in model.state_dict().items()}, facts)


def _start(pixels: Pixels, recipe: FitRecipe) -> Regression:
    model = Regression(
        pixels.features.shape[-1], recipe.hidden, recipe.places, recipe.shown, recipe.width, recipe.layers
    )
    seen = pixels.features[:500].float().flatten(0, 1)
    model.offset.copy_(seen.mean(dim=0))
    model.scale.copy_(seen.std(dim=0) + 1e-3)
    if model.sums is not None:
        if pixels.shown is None or pixels.frames is None:
            raise InputError("`shown` numbers per pixel need pixels sampled with image features")
        for number, some in enumerate((pixels.shown[:500].float().flatten(0, 1), pixels.frames)):
            model.sums.offset[number] = some.mean(dim=0)
            model.sums.scale[number] = some.std(dim=0, correction=0) + 1e-3
    with torch.no_grad():
        # Distances begin as an earlier fit of the geometry alone left them.
        model.lengths[:, :GEOMETRY] = torch.tensor(_LENGTHS).log()
    return model


_LENGTHS = (
    (1.75, 0.385, 1.546, 0.678, 1.708, 1.118, 1.597, 4.551, 2.432),
    (0.092, 0.065, 1.478, 0.657, 1.493, 1.165, 2.549, 2.384, 0.951),
)
