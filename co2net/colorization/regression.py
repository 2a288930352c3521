"""Colors of a frame guessed from some of its pixels' colors: regression over place, luma, texture and what is shown.

A Gaussian process. How alike two pixels are, what color a pixel has by its looks alone, and how far a stroke's single
pixel is to be believed, was fitted on photographs (:mod:`co2net.colorization.fitting`): some ten thousand numbers, in
``guess.safetensors`` beside this file. Where strokes are few and far apart it guesses better than spreading them along
edges; :func:`co2net.colorization.spread.spread` takes both.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.colorization.features import GEOMETRY, describe
from co2net.colorization.lab import NEUTRAL
from co2net.colorization.points import Points
from co2net.colorization.semantics import SHOWN, Sight, look
from co2net.weight_files import load_whole, read_weights

FITTED = Path(__file__).with_name("guess.safetensors")
UNIT = 20.0  # codes of a and b that the process calls 1
_CHUNK = 1 << 14  # pixels at a time
_JITTER = 1e-4
_DROPPED = 0.1  # share of the image features that a step of the fit does without


class Regression(nn.Module):
    """The process: looks to a place among colors, kernels over places.

    Args:
        features: how many :func:`~.features.describe` gives.
        hidden: width of the two hidden layers.
        places: how many numbers stand beside the features of :data:`~.features.GEOMETRY`.
        shown: how many numbers the image features of :mod:`~.semantics` are summed up to; 0 does without them.
    """

    title = "the regression of colors"

    def __init__(self, features: int, hidden: int = 64, places: int = 12, shown: int = 0) -> None:
        super().__init__()
        self.places, self.shown = places, shown
        self.offset: Tensor
        self.scale: Tensor
        self.register_buffer("offset", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.first, self.second = nn.Linear(features + shown, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden + shown, places + 3)
        self.sums = _Sums(shown) if shown else None
        nn.init.normal_(self.last.weight, std=0.02)
        nn.init.zeros_(self.last.bias)
        # Two rational quadratic kernels: what counts as far, share of the variance, exponent; all as logarithms.
        self.lengths = nn.Parameter(torch.zeros(2, GEOMETRY + places))
        self.shares, self.exponents = nn.Parameter(torch.tensor([-0.3, -1.4])), nn.Parameter(torch.tensor([-1.2, -0.4]))
        self.common, self.noise = nn.Parameter(torch.zeros(())), nn.Parameter(torch.tensor(-2.3))

    def looks(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features to places ``(..., P)``, prior colors ``(..., 2)`` in units, log noise ``(...)``.

        Args:
            features: ``(..., F + shown)``, of :func:`~.features.describe`, then of :meth:`sums`.
        """
        plain, sums = features[..., : len(self.offset)], F.silu(features[..., len(self.offset) :])
        hidden = F.silu(self.first(torch.cat([(plain - self.offset) / self.scale, sums], dim=-1)))
        out = self.last(torch.cat([F.silu(self.second(hidden)), sums], dim=-1))
        places = torch.cat([features[..., :GEOMETRY], out[..., : self.places]], dim=-1)
        return places, out[..., self.places : self.places + 2], self.noise + out[..., -1]

    def kernel(self, a: Tensor, b: Tensor) -> Tensor:
        """Places ``(..., N, P)`` and ``(..., M, P)`` to ``(..., N, M)``: how alike their colors are."""
        result = self.common.exp()
        for lengths, share, exponent in zip(self.lengths, self.shares.exp(), self.exponents.exp(), strict=True):
            one, two = a * (-lengths).exp(), b * (-lengths).exp()
            squares = one.square().sum(-1, keepdim=True) + two.square().sum(-1)[..., None, :]
            far = (squares - 2 * one @ two.transpose(-1, -2)).clamp(min=0)
            result = result + share * (far / (2 * exponent)).log1p().mul(-exponent).exp()
        return result

    def forward(self, support: Tensor, colors: Tensor, asked: Tensor) -> Tensor:
        """Colors of pixels from those of others.

        Args:
            support: features ``(..., N, F + shown)`` of pixels whose colors are known.
            colors: theirs ``(..., N, 2)``, 0 is gray, in units.
            asked: features ``(..., M, F + shown)``.

        Returns:
            ``(..., M, 2)``.
        """
        places, prior, noise = self.looks(support)
        weights = self.solve(places, colors - prior, noise)
        own, prior, _ = self.looks(asked)
        return prior + self.kernel(own, places) @ weights

    def solve(self, places: Tensor, rest: Tensor, noise: Tensor) -> Tensor:
        """What every known pixel contributes, ``(..., N, 2)``."""
        return torch.linalg.solve(self.kernel(places, places) + torch.diag_embed(noise.exp() + _JITTER), rest)


class _Sums(nn.Module):
    """Image features of a pixel and their means over its frame, summed up."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.offset: Tensor
        self.scale: Tensor
        self.register_buffer("offset", torch.zeros(2, SHOWN))  # of pixels, of frames
        self.register_buffer("scale", torch.ones(2, SHOWN))
        self.pixel, self.frame = nn.Linear(SHOWN, count), nn.Linear(SHOWN, count, bias=False)
        self.dropout = nn.Dropout(_DROPPED)

    def forward(self, pixels: Tensor, frames: Tensor) -> Tensor:
        """``(..., N, SHOWN)`` and ``(..., SHOWN)`` to ``(..., N, count)``."""
        own = self.pixel(self.dropout((pixels - self.offset[0]) / self.scale[0]))
        return own + self.frame(self.dropout((frames - self.offset[1]) / self.scale[1]))[..., None, :]

    def of(self, sight: Sight) -> Tensor:
        """The same for every pixel of a frame, ``(count, H, W)``."""
        weights = self.pixel.weight / self.scale[0]
        constant = self(self.offset[0][None], sight.whole)[0] - weights @ self.offset[0]
        return sight.summed(weights) + constant[:, None, None]


def describe_frame(luma: np.ndarray, model: Regression | None = None) -> np.ndarray:
    """All that the regression knows of a frame's pixels, ``(H, W, F + shown)`` float32.

    Args:
        luma: ``(H, W)`` float32 codes of L, 0 to 255.
        model: None: the shipped one.
    """
    features, sums = describe(luma), (model or fitted()).sums
    if sums is None:
        return features
    return np.concatenate([features, sums.of(look(luma)).permute(1, 2, 0).numpy()], axis=-1)


@cache
def fitted(path: Path = FITTED) -> Regression:
    """The regression of a file.

    Raises:
        WeightsError: it is missing, or is no such file.
    """
    file = read_weights(path)
    state = file.state
    sizes = (len(state.get(name, ())) for name in ("offset", "second.bias", "last.bias", "sums.pixel.bias"))
    features, hidden, out, shown = sizes
    network = Regression(features, hidden, out - 3, shown)
    load_whole(network, state, path, Regression.title)
    return network.eval().requires_grad_(False)


def regress(luma8: Tensor, ab: Tensor, known: Tensor) -> Tensor:
    """Colors for a whole frame.

    Args:
        luma8: ``(H, W)`` codes of L, 0 to 255.
        ab: ``(1, 2, H, W)`` in [0, 1].
        known: ``(1, 1, H, W)``, above 0 where a color is known.

    Returns:
        ``(1, 2, H, W)``, about [0, 1]; neutral where nothing is known.
    """
    if not bool((known > 0).any()):
        return torch.full_like(ab, NEUTRAL)
    features = describe_frame(luma8.cpu().numpy().astype(np.float32))
    return guess(features, Points.of(features, ab, known)).to(ab)


@torch.no_grad()
def guess(features: np.ndarray, points: Points) -> Tensor:
    """Colors ``(1, 2, H, W)``, about [0, 1], for pixels ``(H, W, F)`` from points; neutral without any."""
    shape = features.shape[:2]
    if not len(points):
        return torch.full((1, 2, *shape), NEUTRAL)
    model = fitted()
    places, prior, noise = model.looks(torch.from_numpy(points.features))
    weights = model.solve(places, (torch.from_numpy(points.colors) - NEUTRAL) * (255 / UNIT) - prior, noise)
    flat = torch.from_numpy(features.reshape(-1, features.shape[-1]))
    found = torch.empty(len(flat), 2)
    for start in range(0, len(flat), _CHUNK):
        part = slice(start, start + _CHUNK)
        own, prior, _ = model.looks(flat[part])
        found[part] = prior + model.kernel(own, places) @ weights
    return (found * (UNIT / 255) + NEUTRAL).T.reshape(1, 2, *shape)
