"""Colorization without weights: strokes spread where the luma is smooth, and carried through the clip by flow.

The idea of Levin, Lischinski and Weiss ("Colorization using optimization", SIGGRAPH 2004): neighbors of like luma have
like colors. Here the fast global smoother spreads strokes and what is known from the frame before.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from co2net.colorization.lab import NEUTRAL
from co2net.colorization.regression import regress
from co2net.colorization.smoother import smooth
from co2net.flow import FlowEstimator, occlusion_mask, warp

Paint = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Luma ``(1, 1, H, W)`` in [0, 1], strokes ``(1, 2, H, W)`` and where they are, to colors ``(1, 2, H, W)``."""

# Wide spreading first, over weaker edges; what it cannot reach is filled by a yet wider one.
SPREAD = ((3e4, 6.0), (1e6, 20.0))
HOLD = (8.0, 4.0)  # what is known already is only snapped to the luma's edges
_NEAR = 0.1  # share of data above which spreading needs no regression
_FAINT = 1e-7  # share of data below which the next spreading takes over
_KEEP = 0.98  # how much of a color from the frame before counts against its own neighborhood
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
    """Frame after frame: what the frame before knew, carried by flow, then new strokes, then spreading.

    Args:
        estimate: flow between two gray frames.
        paint: colors a frame from its own strokes; None: :func:`spread`.
    """

    def __init__(self, estimate: FlowEstimator, paint: Paint | None = None) -> None:
        self._estimate = estimate
        self._paint = paint or (lambda luma, ab, known: spread((luma[0, 0] * 255).round(), ab, known))
        self._gray: Tensor | None = None
        self._ab: Tensor | None = None

    def reset(self) -> None:
        """A new shot begins: forget all."""
        self._gray = self._ab = None

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
        if self._ab is None or self._gray is None:
            result = self._paint(luma, ab, known)
        else:
            there, back = self._estimate(gray, self._gray), self._estimate(self._gray, gray)
            visible = 1 - occlusion_mask(there, back)
            # A color that would land on another brightness belongs to another thing.
            apart = (warp(self._gray, there)[:, :1] - luma).abs() * 255
            alike = ((_OTHER - apart) / (_OTHER - _ALIKE)).clamp(0, 1)
            trust = visible * alike
            carried = warp(self._ab, there)
            result = smooth(carried, guide, *HOLD, confidence=trust + 1e-4)
            # What came into view takes the colors of what it resembles nearby.
            filled = smooth(carried, guide, *SPREAD[0], confidence=(trust > 0.5) * trust + 1e-12)
            result = torch.lerp(filled, torch.lerp(result, carried, _KEEP * trust), trust.clamp(max=1))
            if bool((known > 0).any()):
                # New strokes win near themselves, and fade into what is known already.
                reach = smooth(known, guide, *SPREAD[0])
                own = self._paint(luma, ab, known)
                result = torch.lerp(result, own, (reach / (reach + 1e-3)).clamp(0, 1))
        self._gray, self._ab = gray, result
        return result
