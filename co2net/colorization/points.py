"""Points of a frame whose colors are known, taken from strokes and moved along with the clip."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from co2net.colorization.features import LUMA, SURROUNDINGS

MOST = 400  # points of one frame; more are thinned
CARRIED = 150  # of all points that are moved along a clip
_SLIPPED = 0.08  # change of luma (codes / 100) above which a moved point lies on something else by now
_APART = 4  # pixels between the places that tell the general motion
_REFITS = 4  # of it, each counting what is off less
_STEADY = 0.3  # pixels of difference from it that count fully
_CELL = 0.05  # of the short side: a long stroke counts once per cell


class Points:
    """Colors, and what the pixels that have them look like.

    Attributes:
        features: ``(N, F)`` float32, of :func:`~.features.describe`.
        colors: ``(N, 2)`` float32, a and b in [0, 1].
        places: ``(N, 2)``, x and y in pixels; outside the frame too.
        seen: ``(N,)`` bool; a point that was covered or left the frame keeps its last looks.
        first: ``(N, F)``, what they looked like as strokes; a point that comes to lie on another luma looks like that.
    """

    def __init__(self, features: np.ndarray, colors: np.ndarray, places: np.ndarray) -> None:
        self.features, self.colors, self.places = features, colors, places
        self.first = features.copy()
        self.seen = np.ones(len(features), bool)

    @classmethod
    def of(cls, features: np.ndarray, ab: Tensor, known: Tensor) -> Points:
        """The strokes of a frame, one point per cell that they touch.

        Args:
            features: ``(H, W, F)``.
            ab: ``(1, 2, H, W)`` in [0, 1].
            known: ``(1, 1, H, W)``, above 0 where a color is known.
        """
        rows, columns = np.nonzero(known[0, 0].cpu().numpy() > 0)
        height, width = features.shape[:2]
        cell = max(1, round(_CELL * min(height, width)))
        _, owner = np.unique((rows // cell) * width + columns // cell, return_inverse=True)
        colors = ab[0].permute(1, 2, 0).cpu().numpy()[rows, columns]
        places = np.stack([columns, rows], axis=1)
        return cls(*(_means(part, owner) for part in (features[rows, columns], colors, places))).thinned(MOST)

    def __len__(self) -> int:
        return len(self.features)

    def thinned(self, most: int) -> Points:
        """So many of them at most, evenly."""
        if len(self) <= most:
            return self
        return self._only(np.linspace(0, len(self) - 1, most).astype(int))

    def joined(self, newer: Points) -> Points:
        """Both; where there are too many, the newer ones."""
        both = Points(
            *(np.concatenate([getattr(p, n) for p in (self, newer)]) for n in ("features", "colors", "places"))
        )
        both.seen = np.concatenate([self.seen, newer.seen])
        both.first = np.concatenate([self.first, newer.first])
        return both._only(np.arange(max(0, len(both) - CARRIED), len(both)))

    def move(self, flow: Tensor, visible: Tensor, features: np.ndarray) -> None:
        """Go to the next frame.

        A point that is covered, has left the frame or was lost goes on with the general motion. It is seen again where
        the frame looks like it.

        Args:
            flow: ``(1, 2, H, W)`` pixels, from this frame to the next one.
            visible: ``(1, 1, H, W)``, what the next frame shows too.
            features: of the next frame, ``(H, W, F)``.
        """
        if not len(self):
            return
        height, width = features.shape[:2]
        limit = np.array([width - 1, height - 1])
        field, shown = flow[0].cpu().numpy(), visible[0, 0].cpu().numpy()
        x, y = self.places.round().astype(int).clip(0, limit).T
        followed = self.seen & (shown[y, x] > 0.5)
        general = _corners(self.places, height, width) @ _general_motion(field, shown)
        self.places = self.places + np.where(followed[:, None], field[:, y, x].T, general)
        inside = ((self.places >= -0.5) & (self.places <= limit + 0.5)).all(axis=1)
        x, y = self.places.round().astype(int).clip(0, limit).T
        found = features[y, x]
        same = np.abs(found - self.first)[:, (LUMA, SURROUNDINGS)] <= _SLIPPED
        self.seen = inside & (followed | same.all(axis=1))
        alike = self.seen & same[:, 0]
        kept = np.where(self.seen[:, None], self.first, self.features)
        self.features = np.where(alike[:, None], found, kept)
        self.features[:, :2] = self.places / np.hypot(height, width)

    def _only(self, which: np.ndarray) -> Points:
        part = Points(self.features[which], self.colors[which], self.places[which])
        part.seen, part.first = self.seen[which], self.first[which]
        return part


def _means(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    count = int(owner.max()) + 1 if len(owner) else 0
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, owner, values)
    return (sums / np.bincount(owner, minlength=count)[:, None]).astype(np.float32)


def _corners(places: np.ndarray, height: int, width: int) -> np.ndarray:
    """Places ``(N, 2)`` as ``(N, 3)``: shares of the frame from its middle, and 1."""
    return np.column_stack([places / (width, height) - 0.5, np.ones(len(places))])


def _general_motion(flow: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The affine motion ``(3, 2)`` that most of a frame follows, for places as :func:`_corners` writes them.

    Args:
        flow: ``(2, H, W)``.
        visible: ``(H, W)``, above 0.5 where it can be trusted.
    """
    height, width = visible.shape
    rows, columns = (grid.ravel() for grid in np.mgrid[:height:_APART, :width:_APART])
    places = _corners(np.column_stack([columns, rows]), height, width)
    moved, trust = flow[:, rows, columns].T, visible[rows, columns] + 1e-3
    fit = np.zeros((3, 2))
    fit[2] = np.median(moved[trust > 0.5] if (trust > 0.5).any() else moved, axis=0)
    for _ in range(_REFITS):
        off = np.linalg.norm(moved - places @ fit, axis=1)
        weighed = places * (trust / (1 + (off / (np.median(off) + _STEADY)) ** 2))[:, None]
        fit = np.linalg.solve(places.T @ weighed + 1e-6 * np.eye(3) * len(places), weighed.T @ moved)
    return fit
