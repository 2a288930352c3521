"""Colorization without weights: strokes spread where the luma is smooth, and carried through the clip by flow.

The idea of Levin, Lischinski and Weiss ("Colorization using optimization", SIGGRAPH 2004): neighbors of like luma have
like colors. Here the fast global smoother spreads strokes and what is known from the frame before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from co2net.colorization.lab import NEUTRAL
from co2net.colorization.points import CARRIED, Points
from co2net.colorization.regression import describe_frame, guess, regress
from co2net.colorization.smoother import smooth
from co2net.flow import FlowEstimator, consistency_mask, occlusion_mask, warp
from co2net.threads import result_of

Paint = Callable[[Tensor, Tensor, Tensor, np.ndarray | None], Tensor]
"""Luma ``(1, 1, H, W)`` in [0, 1], strokes ``(1, 2, H, W)``, where they are and :func:`~.regression.describe_frame`'s
features (None: not made yet) to colors ``(1, 2, H, W)``."""

# Wide spreading first, over weaker edges; what it cannot reach is filled by a yet wider one.
SPREAD = ((3e4, 6.0), (1e6, 20.0))
_NEAR = 0.1  # share of data above which spreading needs no regression
_FAINT = 1e-7  # share of data below which the next spreading takes over
_FADE = 0.1  # share by which what a frame knows beyond the guess is forgotten per frame
_FAR = 1e-2  # share of data below which what is known beyond the guess no longer counts
_ROUGH = 0.04  # share of the motion, both squared, that a point may come back beside itself
_ALIKE, _OTHER = 16.0, 40.0  # codes of luma: a carried color is trusted below the first, not at all above the second


def spread(luma8: Tensor, ab: Tensor, known: Tensor, features: np.ndarray | None = None) -> Tensor:
    """Colors for a whole frame from colors in places.

    Args:
        luma8: ``(B, H, W)`` codes of L, 0 to 255; ``(H, W)`` for a single frame.
        ab: ``(B, 2, H, W)`` in [0, 1].
        known: ``(B, 1, H, W)`` from 0 to 1, how far each color is known.
        features: of a single frame, :func:`~.regression.describe_frame`'s; None: made here.

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
        torch.cat([regress(*one, features) for one in zip(luma8, ab.split(1), known.split(1), strict=True)]),
        _NEAR / (reach + _NEAR),
    )
    return out.clamp(0, 1)


class Spreader:
    """Frame after frame: a guess from the strokes, moved along; to it what the frame before knew beyond its own.

    What a frame's luma alone says (its features, and how it moved) is found out by a thread of its own, while the frame
    before is colored.

    Args:
        estimate: flow between two gray frames; called in that thread.
        paint: colors a frame from its own strokes; None: :func:`spread`.
    """

    def __init__(self, estimate: FlowEstimator, paint: Paint | None = None) -> None:
        self._estimate = estimate
        self._paint = paint or (lambda luma, ab, known, features: spread(_codes(luma), ab, known, features))
        self._pool = ThreadPoolExecutor(1, "co2net-look")
        self.reset()

    def reset(self) -> None:
        """A new shot begins: forget all."""
        self._held: _Held | None = None
        self._stroked = False
        self._ab: Tensor | None = None
        self._points: Points | None = None

    def add(
        self, luma: Tensor, ab: Tensor, known: Tensor, tag: Any = None, *, centered: Tensor | None = None
    ) -> Iterator[tuple[Any, Tensor]]:
        """Take the next frame; yields ``(tag, ab)`` of the one before, ``(1, 2, H, W)`` in [0, 1].

        Args:
            luma: ``(1, 1, H, W)`` in [0, 1].
            ab: the frame's own strokes, ``(1, 2, H, W)`` in [0, 1].
            known: where they are, ``(1, 1, H, W)`` of 0 and 1.
            tag: comes back with the result.
            centered: plays no part; for :class:`~.window.Window`, whose place this takes.
        """
        held = self._held
        given = bool((known > 0).any())
        self._stroked |= given
        seen = self._pool.submit(self._look, luma, None if held is None else held.luma, self._stroked)
        self._held = _Held(luma, ab, known, given, seen, tag)
        if held is not None:
            yield held.tag, self._colored(held)

    def rest(self) -> Iterator[tuple[Any, Tensor]]:
        """The shot is over: yields the frame that is left, and forgets all."""
        if self._held is not None:
            yield self._held.tag, self._colored(self._held)
        self.reset()

    @torch.no_grad()
    def _look(self, luma: Tensor, before: Tensor | None, described: bool) -> _Seen:
        features = describe_frame(_codes(luma).cpu().numpy().astype(np.float32)) if described else None
        return _Seen(features, None if before is None else self._motion(luma, before))

    def _motion(self, luma: Tensor, before: Tensor) -> _Motion:
        pair = luma.expand(-1, 3, -1, -1), before.expand(-1, 3, -1, -1)
        there, back = self._estimate(*pair), self._estimate(*reversed(pair))
        # A color that would land on another brightness belongs to another thing.
        apart = (warp(before, there) - luma).abs() * 255
        alike = ((_OTHER - apart) / (_OTHER - _ALIKE)).clamp(0, 1)
        visible = consistency_mask(back, there, relative=_ROUGH, absolute=1.0)
        return _Motion(there, back, (1 - occlusion_mask(there, back)) * alike, visible)

    @torch.no_grad()
    def _colored(self, frame: _Held) -> Tensor:
        features, motion = result_of(frame.seen)
        guide = _codes(frame.luma)
        if self._ab is None or motion is None:
            result = self._paint(frame.luma, frame.ab, frame.known, features)
        else:
            result = self._carried(self._ab, guide, features, motion)
            if frame.given:
                # New strokes win near themselves, and fade into what is known already.
                reach = smooth(frame.known, guide, *SPREAD[0])
                own = self._paint(frame.luma, frame.ab, frame.known, features)
                result = torch.lerp(result, own, (reach / (reach + 1e-3)).clamp(0, 1))
        if frame.given and features is not None:
            newer = Points.of(features, frame.ab, frame.known).thinned(CARRIED)
            self._points = newer if self._points is None else self._points.joined(newer)
        self._ab = result
        return result

    def _carried(self, ab: Tensor, guide: Tensor, features: np.ndarray | None, motion: _Motion) -> Tensor:
        trust, carried = motion.trust, warp(ab, motion.there)
        if features is None or self._points is None:
            guessed = torch.full_like(carried, NEUTRAL)
        else:
            self._points.move(motion.back, motion.visible, features)
            guessed = guess(features, self._points).to(carried)
        # What came into view is guessed, and differs from the guess as its neighbors do.
        beyond = carried - guessed
        near = smooth(torch.cat([beyond * trust, trust], dim=1), guide, *SPREAD[0])
        beyond = torch.lerp(near[:, :2] / (near[:, 2:] + _FAR), beyond, trust)
        return (guessed + (1 - _FADE) * beyond).clamp(0, 1)


class _Motion(NamedTuple):
    """From a frame to the one before and back; how far carried colors are right; what is seen of the one before."""

    there: Tensor
    back: Tensor
    trust: Tensor
    visible: Tensor


class _Seen(NamedTuple):
    """What luma alone says; features only where there have been strokes, motion only after a frame."""

    features: np.ndarray | None
    motion: _Motion | None


class _Held(NamedTuple):
    """A frame that waits for its turn."""

    luma: Tensor
    ab: Tensor
    known: Tensor
    given: bool
    seen: Future[_Seen]
    tag: Any


def _codes(luma: Tensor) -> Tensor:
    """Luma ``(1, 1, H, W)`` in [0, 1] as ``(H, W)`` codes."""
    return (luma[0, 0] * 255).round()
