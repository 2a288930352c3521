"""Which conversion made a clip gray, read off strokes that carry the true colors.

New colors must leave untouched what the conversion kept: Lab's L, or the luma of BT.601 or BT.709. The three differ by
up to tens of codes for vivid colors. A stroke in its place's true color tells which it was; a stroke painted by hand
matches none, and then L stays. A shot keeps what was decided at its first strokes, from all strokes until then: changed
half way, the brightness of vivid colors would jump.
"""

from __future__ import annotations

import cv2
import numpy as np

from co2net.color_spaces import LUMA, LUMA_601

LUMAS = {"BT.601": np.array(LUMA_601, np.float32), "BT.709": np.array(LUMA, np.float32)}
_NEAR = 0.8  # pixels around a stroke's middle that are compared: small strokes have the color of their middle
_CODES = 2.0  # of difference that noise explains
_MARGIN = 1.0  # by so much, in log likelihood, a luma must be better than L
_MATCH = 3.0  # codes that the better half of all strokes must agree within
_MOST = 20.0  # codes; a stroke that is further off says no more


class GrayConversion:
    """What strokes have told so far.

    Attributes:
        name: of :data:`LUMAS`, None for Lab's L: what the present shot keeps.
        told: likewise, what all strokes together tell by now.
        overruled: some shot kept another one than its later strokes told.
    """

    def __init__(self) -> None:
        self._misses = np.zeros((1 + len(LUMAS), 0))
        self._decided = False
        self.name: str | None = None
        self.told: str | None = None
        self.overruled = False

    def next_shot(self) -> None:
        """A cut: the next strokes decide again."""
        self._decided = False

    @property
    def weights(self) -> np.ndarray | None:
        """Of red, green and blue in what stays, ``(3,)``; None: Lab's L stays."""
        return None if self.name is None else LUMAS[self.name]

    def look(self, strokes: np.ndarray, lightness: np.ndarray) -> None:
        """Compare strokes with the gray frame they lie on; the first ones of a shot decide.

        Args:
            strokes: on black, ``(H, W, 3)`` uint8.
            lightness: the frame's L, ``(H, W)`` float32, 0 to 100.
        """
        there = np.asarray(strokes.any(axis=2), np.uint8)
        count, owners, _, middles = cv2.connectedComponentsWithStats(there, connectivity=8)
        rows, columns = np.nonzero(there)
        owner = np.asarray(owners, np.intp)[rows, columns]
        middle = middles[owner]
        near = (np.abs(columns - middle[:, 0]) < _NEAR) & (np.abs(rows - middle[:, 1]) < _NEAR)
        rows, columns, owner = rows[near], columns[near], owner[near] - 1
        if not len(rows):
            return
        colors = strokes[rows, columns].astype(np.float32) / 255
        shown = _gray_of(lightness[rows, columns])
        by_lightness = _gray_of(cv2.cvtColor(colors[None], cv2.COLOR_RGB2Lab)[0, :, 0])
        misses = np.full((1 + len(LUMAS), count - 1), _MOST)
        for row, made in zip(misses, (by_lightness, *(colors @ weights for weights in LUMAS.values())), strict=True):
            np.minimum.at(row, owner, np.abs(shown - made) * 255)
        self._misses = np.concatenate([self._misses, misses], axis=1)
        unlikely = np.log1p((self._misses / _CODES) ** 2).sum(axis=1)
        best = int(unlikely.argmin())
        sure = unlikely[best] + _MARGIN < unlikely[0] and np.median(self._misses[best]) < _MATCH
        self.told = list(LUMAS)[best - 1] if best and sure else None
        if not self._decided:
            self.name, self._decided = self.told, True
        self.overruled |= self.name != self.told


def _gray_of(lightness: np.ndarray) -> np.ndarray:
    """Display-coded grays ``(N,)`` in [0, 1] from their L ``(N,)``."""
    planes = np.zeros((1, len(lightness), 3), np.float32)
    planes[0, :, 0] = lightness
    return cv2.cvtColor(planes, cv2.COLOR_Lab2RGB)[0, :, 0]
