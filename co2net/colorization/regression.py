"""Colors of a frame guessed from some of its pixels' colors: regression over place, luma, texture and what is shown.

A Gaussian process. How alike two pixels are, what color a pixel has by its looks alone, and how far a stroke's single
pixel is to be believed, was fitted on photographs (:mod:`co2net.colorization.fitting`): some ten thousand numbers, in
``guess.safetensors`` beside this file. Where strokes are few and far apart it guesses better than spreading them along
edges; :func:`co2net.colorization.spread.spread` takes both.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.colorization.features import GEOMETRY, describe
from co2net.colorization.lab import NEUTRAL
from co2net.colorization.points import Points
from co2net.colorization.revision import CORRECTIONS, Revision, corrected
from co2net.colorization.semantics import SHOWN, Sight, look
from co2net.weight_files import load_whole, read_weights

FITTED = Path(__file__).with_name("guess.safetensors")
UNIT = 20.0  # codes of a and b that the process calls 1
_CHUNK = 1 << 12  # pixels at a time
_ASKED = 64  # pixels of the short side that are asked, evenly; all 256 would bring 0.01 dB and take 16 times as long
_JITTER, _LEAST_VARIANCE = 1e-4, 1e-3
_DROPPED = 0.1  # share of the image features that a step of the fit does without


class Known(NamedTuple):
    """What known pixels say: their places, the inverse covariance, what each contributes, the revision's tokens."""

    places: Tensor
    inverse: Tensor
    weights: Tensor
    read: list[Tensor]


class Regression(nn.Module):
    """The process: looks to a place among colors, kernels over places.

    Args:
        features: how many :func:`~.features.describe` gives.
        hidden: width of the two hidden layers.
        places: how many numbers stand beside the features of :data:`~.features.GEOMETRY`.
        shown: how many numbers the image features of :mod:`~.semantics` are summed up to; 0 does without them.
        width: of the revision's tokens (:mod:`~.revision`); 0 does without it.
        layers: the revision's.
    """

    title = "the regression of colors"

    def __init__(
        self, features: int, hidden: int = 64, places: int = 12, shown: int = 0, width: int = 0, layers: int = 2
    ) -> None:
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
        self.revision = Revision(features + shown + places + 4, width, layers) if width else None

    def looks(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features to places ``(..., P)``, prior colors ``(..., 2)`` in units, log noise ``(...)``.

        Args:
            features: ``(..., F + shown)``, of :func:`~.features.describe`, then of :meth:`sums`.
        """
        seen = self._scaled(features)
        out = self.last(
            torch.cat([F.silu(self.second(F.silu(self.first(seen)))), seen[..., len(self.offset) :]], dim=-1)
        )
        places = torch.cat([features[..., :GEOMETRY], out[..., : self.places]], dim=-1)
        return places, out[..., self.places : self.places + 2], self.noise + out[..., -1]

    def forward(self, support: Tensor, colors: Tensor, asked: Tensor) -> Tensor:
        """Colors of pixels from those of others.

        Args:
            support: features ``(B, N, F + shown)`` of pixels whose colors are known.
            colors: theirs ``(B, N, 2)``, 0 is gray, in units.
            asked: features ``(B, M, F + shown)``.

        Returns:
            ``(B, M, 2)``.
        """
        return corrected(*self.ask(self.know(support, colors), asked))

    def know(self, support: Tensor, colors: Tensor) -> Known:
        """What can be said of other pixels; arguments as of :meth:`forward`."""
        places, prior, noise = self.looks(support)
        alike = self._alike(places, places)
        inverse = torch.linalg.inv(self._covariance(alike) + torch.diag_embed(noise.exp() + _JITTER))
        weights = inverse @ (colors - prior)
        if self.revision is None:
            return Known(places, inverse, weights, [])
        # Guessed from the others a color has this variance, and is missed by its weight times that (leaving one out).
        variance = 1 / inverse.diagonal(dim1=-2, dim2=-1)[..., None]
        looks = self._shown_to_revision(support, places, prior, noise, variance)
        return Known(places, inverse, weights, self.revision.read(looks, colors, weights * variance, alike))

    def ask(self, known: Known, asked: Tensor) -> tuple[Tensor, Tensor]:
        """For features ``(B, M, F + shown)`` the process's guess ``(B, M, 2)`` and the revision's corrections of it."""
        places, prior, noise = self.looks(asked)
        alike = self._alike(places, known.places)
        covariance = self._covariance(alike)
        guess = prior + covariance @ known.weights
        if self.revision is None:
            return guess, guess.new_zeros(*guess.shape[:-1], CORRECTIONS)
        explained = ((covariance @ known.inverse) * covariance).sum(-1, keepdim=True)
        variance = (self.common.exp() + self.shares.exp().sum() - explained).clamp(min=_LEAST_VARIANCE)
        looks = self._shown_to_revision(asked, places, prior, noise, variance)
        return guess, self.revision(looks, guess, known.read, alike)

    def _scaled(self, features: Tensor) -> Tensor:
        plain, sums = features[..., : len(self.offset)], features[..., len(self.offset) :]
        return torch.cat([(plain - self.offset) / self.scale, sums], dim=-1)

    def _shown_to_revision(
        self, features: Tensor, places: Tensor, prior: Tensor, noise: Tensor, variance: Tensor
    ) -> Tensor:
        own = self._scaled(features), places[..., GEOMETRY:], prior, noise[..., None], variance.log()
        return torch.cat(own, dim=-1)

    def _alike(self, a: Tensor, b: Tensor) -> Tensor:
        """Places ``(B, N, P)`` and ``(B, M, P)`` to ``(B, 2, N, M)``: logarithms of both kernels."""
        result = []
        for lengths, exponent in zip(self.lengths, self.exponents.exp(), strict=True):
            one, two = a * (-lengths).exp(), b * (-lengths).exp()
            squares = one.square().sum(-1, keepdim=True) + two.square().sum(-1)[..., None, :]
            far = (squares - 2 * one @ two.transpose(-1, -2)).clamp(min=0)
            result.append(-exponent * (far / (2 * exponent)).log1p())
        return torch.stack(result, dim=-3)

    def _covariance(self, alike: Tensor) -> Tensor:
        """``(B, N, M)``."""
        return self.common.exp() + (self.shares.exp()[:, None, None] * alike.exp()).sum(dim=-3)


class _Sums(nn.Module):
    """Image features of a pixel and their means over its frame, summed up, through a SiLU."""

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
        return F.silu(own + self.frame(self.dropout((frames - self.offset[1]) / self.scale[1]))[..., None, :])

    def of(self, sight: Sight) -> Tensor:
        """The same for every pixel of a frame, ``(count, H, W)``."""
        weights = self.pixel.weight / self.scale[0]
        frame = self.frame((sight.whole - self.offset[1]) / self.scale[1])
        constant = frame + self.pixel.bias - weights @ self.offset[0]
        return F.silu(sight.summed(weights) + constant[:, None, None], inplace=True)


def describe_frame(luma: np.ndarray, model: Regression | None = None) -> np.ndarray:
    """All that the regression knows of a frame's pixels, ``(H, W, F + shown)`` float32.

    Args:
        luma: ``(H, W)`` float32 codes of L, 0 to 255.
        model: None: the shipped one.
    """
    sums = (model or fitted()).sums
    return describe(luma, None if sums is None else sums.of(look(luma)).numpy())


@cache
def fitted(path: Path = FITTED) -> Regression:
    """The regression of a file.

    Raises:
        WeightsError: it is missing, or is no such file.
    """
    file = read_weights(path)
    state = file.state
    sizes = "offset", "second.bias", "last.bias", "sums.pixel.bias", "revision.known.bias"
    features, hidden, out, shown, width = (len(state.get(name, ())) for name in sizes)
    layers = sum(name.startswith("revision.among.") and name.endswith(".trust") for name in state)
    network = Regression(features, hidden, out - 3, shown, width, layers)
    load_whole(network, state, path, Regression.title)
    return network.eval().requires_grad_(False)


def regress(luma8: Tensor, ab: Tensor, known: Tensor, features: np.ndarray | None = None) -> Tensor:
    """Colors for a whole frame.

    Args:
        luma8: ``(H, W)`` codes of L, 0 to 255.
        ab: ``(1, 2, H, W)`` in [0, 1].
        known: ``(1, 1, H, W)``, above 0 where a color is known.
        features: of :func:`describe_frame`; None: made here.

    Returns:
        ``(1, 2, H, W)``, about [0, 1]; neutral where nothing is known.
    """
    if not bool((known > 0).any()):
        return torch.full_like(ab, NEUTRAL)
    if features is None:
        features = describe_frame(luma8.cpu().numpy().astype(np.float32))
    return guess(features, Points.of(features, ab, known)).to(ab)


@torch.no_grad()
def guess(features: np.ndarray, points: Points) -> Tensor:
    """Colors ``(1, 2, H, W)``, about [0, 1], for pixels ``(H, W, F)`` from points; neutral without any."""
    shape = features.shape[:2]
    if not len(points):
        return torch.full((1, 2, *shape), NEUTRAL)
    model = fitted()
    colors = (torch.from_numpy(points.colors) - NEUTRAL) * (255 / UNIT)
    known = model.know(torch.from_numpy(points.features)[None], colors[None])
    step = max(1, min(shape) // _ASKED)
    asked = torch.from_numpy(np.ascontiguousarray(features[::step, ::step]))
    parts = asked.flatten(0, 1).split(_CHUNK)
    found = torch.cat([corrected(*model.ask(known, part[None]))[0] for part in parts]).unflatten(0, asked.shape[:2])
    between = cv2.warpAffine(  # what was asked lies on multiples of the step
        (found * (UNIT / 255) + NEUTRAL).numpy(),
        np.diag([1 / step, 1 / step, 1]).astype(np.float32)[:2],
        shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return torch.from_numpy(between).permute(2, 0, 1)[None]
