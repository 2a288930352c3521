"""Keying: the matte of a subject before a screen of one color, and the subject's colors without that screen.

A pixel is a mix ``I = alpha·F + (1 - alpha)·S`` of foreground and screen. The screen S is never one color: it is fitted
to each frame as a smooth field and continued behind the subject. Where the mix is not plain, F is taken from the solid
foreground nearby, and alpha is how far I lies on the way from S to F. The plain cases are told by the color difference
of Vlahos (US patent 3,595,987, 1971), here for a screen of any hue: how far a color leans to the screen's hue, less how
far it leans away sideways; for a green screen that is ``G - max(R, B)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from co2net.errors import InputError, listed
from co2net.matting.screen import Lean, Screen, find_color, parse_color
from co2net.pipeline.frames import Picture, as_bytes
from co2net.pipeline.job import results_of

SOLID_LEAN = 0.04  # of the screen's own lean: what leans less is foreground, away from the edge
EDGE = 3  # pixels about the screen that are never taken for solid
WIDTHS = (2.0, 6.0, 18.0)  # pixels over which solid foreground lends its color, the nearest first
FAR = 0.03  # of the frame's height: further inside, slight transparency is taken for the subject's own tint
SPILL_REACH = 0.04  # of the frame's height: how far from the screen its light is removed from the subject


class Keyer:
    """Keys the frames of one shot.

    Args:
        color: RGB levels of the screen.
        spill: how much of the screen's light on the subject is removed, 0 to 1.
    """

    def __init__(self, color: tuple[float, float, float], spill: float = 1.0) -> None:
        if not 0 <= spill <= 1:
            raise InputError(f"`spill` must be between 0 and 1, got {spill}")
        self.lean = Lean(color)
        self.screen = Screen(self.lean)
        self.spill = spill

    def key(self, frame: np.ndarray, keep: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """One frame.

        Args:
            frame: ``(H, W, 3)`` uint8.
            keep: ``(H, W)`` bool, the garbage mask: False is background whatever its color. None: all counts.

        Returns:
            The foreground's colors ``(H, W, 3)`` float32 in [0, 1], everywhere (continued where it is not), and alpha
            ``(H, W)`` float32 in [0, 1].

        Raises:
            InputError: there is no such screen in the frame.
        """
        colors = frame.astype(np.float32) / 255
        counted = np.ones(frame.shape[:2], bool) if keep is None else keep
        if not self.screen.fit(colors, counted):
            raise InputError(
                f"no screen of the color {self.lean.name} in the picture; give another `color`, or a frame where it "
                "can be seen"
            )
        field, noise = self.screen.field(frame.shape[:2]), self.screen.noise
        lean = self.lean(colors) / np.maximum(self.lean(field), 1e-3)
        empty = self.screen.covers(colors, field)
        empty = cv2.morphologyEx(empty.astype(np.uint8), cv2.MORPH_OPEN, _block(1)).astype(bool) & counted
        away = cv2.distanceTransform((~empty).astype(np.uint8), cv2.DIST_L2, 3)
        solid = (lean < SOLID_LEAN + 2 * noise) & (away > EDGE) & counted
        lent = _lend(colors, solid, field)
        alpha = (solid & counted).astype(np.float32)
        open_ = ~(empty | solid) & counted  # neither plainly one nor the other
        alpha[open_] = self._mixed(colors[open_], field[open_], [front[open_] for front in lent], lean[open_])
        inside = open_ & (away > max(8.0, FAR * len(frame)))
        alpha[inside] = np.clip(alpha[inside] / 0.8, 0, 1)
        return self._foreground(colors, field, lent[0], alpha, away), alpha

    def _mixed(self, colors: np.ndarray, field: np.ndarray, lent: list[np.ndarray], lean: np.ndarray) -> np.ndarray:
        """Alpha of pixels ``(N, 3)``; what the screen's grain could be is all or nothing."""
        alpha = _mix(colors, field, lent, lean)
        way = np.linalg.norm(lent[0] - field, axis=-1)
        least = np.clip(3 * self.screen.noise / np.maximum(way, 0.05), 0.01, 0.2)
        return np.where(alpha < least, 0, np.where(alpha > 1 - least, 1, alpha)).astype(np.float32)

    def _foreground(
        self, colors: np.ndarray, field: np.ndarray, lent: np.ndarray, alpha: np.ndarray, away: np.ndarray
    ) -> np.ndarray:
        """The colors without the screen: unmixed where alpha is large, lent where it is small, without spill."""
        pure = np.where(alpha[..., None] > 0.5, colors, lent)
        part = (alpha > 0) & (alpha < 1)
        weight = alpha[part][:, None]
        unmixed = (colors[part] - (1 - weight) * field[part]) / np.maximum(weight, 0.05)
        sure = np.clip((weight - 0.1) / 0.4, 0, 1)
        pure[part] = np.clip(sure * unmixed + (1 - sure) * lent[part], 0, 1)
        reach = max(4.0, SPILL_REACH * len(alpha))
        near = away < 2 * reach
        amount = np.clip(1 - (away[near] - reach) / reach, 0, 1) * self.spill
        pure[near] = self.lean.remove(pure[near], amount.astype(np.float32))
        return pure


def _lend(colors: np.ndarray, solid: np.ndarray, field: np.ndarray) -> list[np.ndarray]:
    """Colors of the solid foreground about every pixel, from near to far; where there is none, from farther away."""
    found: list[np.ndarray] = []
    weight = solid.astype(np.float32)
    stack = np.dstack([colors * weight[..., None], weight])
    # Farther than the widest: the mean of all, or the screen's opposite where nothing is solid.
    total = float(weight.sum())
    far = stack[..., :3].sum((0, 1)) / total if total else 1 - field.mean((0, 1))
    last = np.broadcast_to(far.astype(np.float32), colors.shape)
    for width in reversed(WIDTHS):
        factor = max(1, int(width / 2))
        size = max(1, colors.shape[1] // factor), max(1, colors.shape[0] // factor)
        small = cv2.resize(stack, size, interpolation=cv2.INTER_AREA) if factor > 1 else stack
        small = cv2.GaussianBlur(small, (0, 0), width / factor)
        near = cv2.resize(small, colors.shape[1::-1]) if factor > 1 else small
        share = np.clip(near[..., 3:] / 0.02, 0, 1)
        last = share * near[..., :3] / np.maximum(near[..., 3:], 1e-6) + (1 - share) * last
        found.insert(0, last.astype(np.float32))
    return found


def _mix(colors: np.ndarray, field: np.ndarray, lent: list[np.ndarray], lean: np.ndarray) -> np.ndarray:
    """Alpha of the mix that explains each pixel ``(N, 3)`` best, over the lent colors."""
    offset = colors - field
    best, least = np.zeros(len(colors), np.float32), np.full(len(colors), np.inf, np.float32)
    for rank, front in enumerate(lent):
        way = front - field
        share = np.clip((offset * way).sum(-1) / np.maximum(np.square(way).sum(-1), 1e-4), 0, 1)
        rest = np.square(offset - share[:, None] * way).sum(-1) * (1 + 0.2 * rank)
        better = rest < least
        best, least = np.where(better, share, best), np.where(better, rest, least)
    # What no mix explains is as much foreground as it does not lean to the screen.
    plain = np.clip(1 - lean, 0, 1)
    unexplained = np.clip((np.sqrt(least) - 0.08) / 0.12, 0, 1)
    return (1 - unexplained) * best + unexplained * np.maximum(best, plain)


def _block(radius: int) -> np.ndarray:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


class KeyingStream:
    """Keys a clip; a stream for :func:`co2net.pipeline.job.run_job`, whose results are ``(foreground, alpha)``.

    Args:
        color: "green", "blue", "auto", ``#RRGGBB``, or three levels; see :func:`~co2net.matting.screen.parse_color`.
        spill: see :class:`Keyer`.
        garbage: ``(H, W)`` mask, white where the subject may be; None: everywhere.

    Raises:
        InputError: the color is none.
    """

    def __init__(self, color: Any = "auto", spill: float = 1.0, garbage: np.ndarray | None = None) -> None:
        self._color = parse_color(color)
        self._spill, self._garbage = spill, garbage
        self._keyer: Keyer | None = None
        self._number = -1
        self._missing: list[int] = []
        self._full = self._empty = 0

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, tuple[np.ndarray, np.ndarray]]]:
        """Key one frame; yields ``(tag, (foreground, alpha))``: ``(H, W, 3)`` and ``(H, W)``, float32 in [0, 1].

        Raises:
            InputError: the first frame has no screen, or the garbage mask has another size.
        """
        self._number += 1
        picture = as_bytes(frame)
        keep = None
        if self._garbage is not None:
            if self._garbage.shape != picture.shape[:2]:
                size = f"{self._garbage.shape[1]}x{self._garbage.shape[0]}"
                raise InputError(f"the garbage mask is {size}, the clip {picture.shape[1]}x{picture.shape[0]}")
            keep = self._garbage > (0.5 if self._garbage.dtype.kind == "f" else 127)
        if self._keyer is None:
            color = self._color if self._color is not None else find_color(picture, keep)
            self._keyer = Keyer(color, self._spill)
        try:
            front, alpha = self._keyer.key(picture, keep)
        except InputError:
            if self._number == 0:
                raise
            # Later on the subject may fill the frame: then all of it is foreground.
            self._missing.append(self._number)
            counted = np.ones(picture.shape[:2], bool) if keep is None else keep
            front, alpha = picture.astype(np.float32) / 255, counted.astype(np.float32)
        self._full += bool(alpha.min() >= 1)
        self._empty += bool(alpha.max() <= 0)
        yield tag, (front, alpha)

    def finish(self) -> Iterator[tuple[Any, tuple[np.ndarray, np.ndarray]]]:
        """Nothing waits.

        Raises:
            InputError: all frames are screen and nothing else.
        """
        if self._number >= 0 and self._empty == self._number + 1:
            raise InputError("every frame is screen and nothing else; is it the right clip, or the right `color`?")
        yield from ()

    @property
    def notes(self) -> list[str]:
        """What the user should know, in sentences."""
        notes = []
        if self._keyer is not None and self._color is None:
            notes.append(f"the screen was found to be {self._keyer.lean.name}")
        if self._missing:
            frames = listed(self._missing, 6)
            notes.append(f"no screen was seen in frames {frames}: all of the picture was taken for the subject")
        return notes


def key_frames_by_color(
    frames: Iterable[Picture], color: Any = "auto", spill: float = 1.0, garbage: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Key a clip before a screen of one color.

    Args:
        frames: in order: ``(H, W, 3)`` uint8 or uint16, or ``(3, H, W)`` float in [0, 1].
        color: "green", "blue", "auto" (found in the first frame), ``#RRGGBB``, a name of a color, or three levels.
        spill: how much of the screen's light on the subject is removed, 0 to 1.
        garbage: ``(H, W)`` mask, white where the subject may be; the rest is background whatever its color.

    Yields:
        ``(foreground, alpha)`` of every frame: ``(H, W, 3)`` colors without the screen, and ``(H, W)``, float32 in
        [0, 1]. Over a new background N: ``alpha·foreground + (1 - alpha)·N``.

    Raises:
        InputError: the first frame has no such screen, or the clip nothing before it.
        ShapeError: a frame is no such picture.
    """
    stream = KeyingStream(color, spill, garbage)
    yield from (result for _, result in results_of(stream, ((frame, None, None) for frame in frames)))
