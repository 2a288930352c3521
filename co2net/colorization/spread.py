"""Colorization without weights: strokes spread where the luma is smooth, and carried through the clip by flow.

The idea of Levin, Lischinski and Weiss ("Colorization using optimization", SIGGRAPH 2004): neighbors of like luma have
like colors. Here the fast global smoother spreads strokes and what is known from the frame before.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from co2net.colorization.lab import NEUTRAL
from co2net.colorization.points import CARRIED, Points
from co2net.colorization.regression import describe_frame, guess, regress
from co2net.colorization.smoother import smooth
from co2net.flow import FlowEstimator, consistency_mask, occlusion_mask, warp

Paint = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Luma ``(1, 1, H, W)`` in [0, 1], strokes ``(1, 2, H, W)`` and where they are, to colors ``(1, 2, H, W)``."""

# Wide spreading first, over weaker edges; what it cannot reach is filled by a yet wider one.
SPREAD = ((3e4, 6.0), (1e6, 20.0))
HOLD = (8.0, 4.0)  # what is known already is only snapped to the luma's edges
_NEAR = 0.1  # share of data above which spreading needs no regression
_FAINT = 1e-7  # share of data below which the next spreading takes over
_KEEP = 0.98  # how much of a color from the frame before counts against its own neighborhood
_FADE = 0.1  # share by which what a frame knows beyond the guess is forgotten per frame
_FAR = 1e-2  # share of data below which what is known beyond the guess no longer counts
_ROUGH = 0.04  # share of the motion, both squared, that a point may come back beside itself
_ALIKE, _OTHER = 16.0, 40.0  # codes of luma: a carried color is trusted below the first, not at all above the second


def spread(luma8: Tensor, ab: Tensor, known: Tensor) -> Tensor:
    """Colors for a whole frame from colors in places.

    Args:
        luma8: ``(B, H, W)`` codes of L, 0 to 255; ``(H, W)`` for a single frame.
        ab: ``(B, 2, H, W)`` in [0, 1].
        known: ``(B, 1, H, W)`` from 0 to 1, how far each color is known.

    Returns:
        ``(B, 2, H, W)`` in [0, 1]; neutral in frames where nothing is known.
    """
    luma8 = luma8.reshape(-1, *luma8.shape[-2:])
    given = (known > 0).flatten(1).any(dim=1)
    if not bool(given.all()):
        result = torch.full_like(ab, NEUTRAL)
        if bool(given.any()):
            result[given] = spread(luma8[given], ab[given], known[given])
        return result
    out, reach = None, known
    for strength, sigma in reversed(SPREAD):
        data = smooth(torch.cat([ab * known, known], dim=1), luma8, strength, sigma)
        reach = data[:, 2:]
        colors = data[:, :2] / data[:, 2:].clamp(min=1e-20)
        trust = data[:, 2:] / (data[:, 2:] + _FAINT)
        out = colors if out is None else torch.lerp(out, colors, trust)
    assert out is not None  # noqa: S101  (SPREAD is not empty)
    # Right beside a stroke its own color; farther off the regression guesses better (docs/decisions.md).
    out = torch.lerp(
        out,
        torch.cat([regress(*one) for one in zip(luma8, ab.split(1), known.split(1), strict=True)]),
        _NEAR / (reach + _NEAR),
    )
    return out.clamp(0, 1)


class Spreader:
    """Frame after frame: a guess from the strokes, moved along; to it what the frame before knew beyond its own.

    Args:
        estimate: flow between two gray frames.
        paint: colors a frame from its own strokes; None: :func:`spread`.
    """

    def __init__(self, estimate: FlowEstimator, paint: Paint | None = None) -> None:
        self._estimate = estimate
        self._paint = paint or (lambda luma, ab, known: spread((luma[0, 0] * 255).round(), ab, known))
        self.reset()

    def reset(self) -> None:
        """A new shot begins: forget all."""
        self._gray: Tensor | None = None
        self._ab: Tensor | None = None
        self._points: Points | None = None

    @torch.no_grad()
    def add(self, luma: Tensor, ab: Tensor, known: Tensor) -> Tensor:
        """Color the next frame.

        Args:
            luma: ``(1, 1, H, W)`` in [0, 1].
            ab: the frame's own strokes, ``(1, 2, H, W)`` in [0, 1].
            known: where they are, ``(1, 1, H, W)`` of 0 and 1.

        Returns:
            ``(1, 2, H, W)`` in [0, 1].
        """
        gray = luma.expand(-1, 3, -1, -1)
        guide = (luma[0, 0] * 255).round()
        given = bool((known > 0).any())
        features = None
        if given or self._points is not None:
            features = describe_frame(guide.cpu().numpy().astype(np.float32))
        if self._ab is None or self._gray is None:
            result = self._paint(luma, ab, known)
        else:
            result = self._carried(luma, gray, guide, features)
            if given:
                # New strokes win near themselves, and fade into what is known already.
                reach = smooth(known, guide, *SPREAD[0])
                own = self._paint(luma, ab, known)
                result = torch.lerp(result, own, (reach / (reach + 1e-3)).clamp(0, 1))
        if given and features is not None:
            newer = Points.of(features, ab, known).thinned(CARRIED)
            self._points = newer if self._points is None else self._points.joined(newer)
        self._gray, self._ab = gray, result
        return result

    def _carried(self, luma: Tensor, gray: Tensor, guide: Tensor, features: np.ndarray | None) -> Tensor:
        assert self._ab is not None and self._gray is not None  # noqa: S101  (the caller has looked)
        there, back = self._estimate(gray, self._gray), self._estimate(self._gray, gray)
        # A color that would land on another brightness belongs to another thing.
        apart = (warp(self._gray, there)[:, :1] - luma).abs() * 255
        alike = ((_OTHER - apart) / (_OTHER - _ALIKE)).clamp(0, 1)
        trust = (1 - occlusion_mask(there, back)) * alike
        carried = warp(self._ab, there)
        snapped = smooth(carried, guide, *HOLD, confidence=trust + 1e-4)
        beyond = torch.lerp(snapped, carried, _KEEP * trust)
        if features is None or self._points is None:
            guessed = torch.full_like(beyond, NEUTRAL)
        else:
            self._points.move(back, consistency_mask(back, there, relative=_ROUGH, absolute=1.0), features)
            guessed = guess(features, self._points).to(beyond)
        # What came into view is guessed, and differs from the guess as its neighbors do.
        beyond = beyond - guessed
        near = smooth(torch.cat([beyond * trust, trust], dim=1), guide, *SPREAD[0])
        beyond = torch.lerp(near[:, :2] / (near[:, 2:] + _FAR), beyond, trust)
        return (guessed + (1 - _FADE) * beyond).clamp(0, 1)
