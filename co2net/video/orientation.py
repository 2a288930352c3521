"""Upright pictures: read a display matrix, turn a picture by it and back again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Orientation:
    """A turn by a multiple of 90 degrees, with or without mirroring: transpose, then flip rows, then columns."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    matrix: tuple[int, ...] | None = None
    """The file's own nine numbers, written back unchanged; None where the file has none."""

    @classmethod
    def from_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """Read FFmpeg's display matrix ``(a, b, u, c, d, v, x, y, w)``: x' = a·x + c·y, y' = b·x + d·y.

        A turn that is no multiple of 90 degrees is kept for the output, but the pictures are left as stored.
        """
        numbers = tuple(int(v) for v in matrix)
        a, b, c, d = numbers[0], numbers[1], numbers[3], numbers[4]
        if b == 0 and c == 0 and a and d:
            return cls(False, d < 0, a < 0, numbers)
        if a == 0 and d == 0 and b and c:
            return cls(True, b < 0, c < 0, numbers)
        return cls(matrix=numbers)

    @property
    def degrees(self) -> int:
        """Counterclockwise turn (after mirroring, where there is any)."""
        if self.transpose:
            return 90 if self.flip_rows else 270
        return 180 if self.flip_rows and self.flip_columns else 0

    @property
    def changes_pixels(self) -> bool:
        """Whether stored and upright pictures differ."""
        return self.transpose or self.flip_rows or self.flip_columns

    def upright(self, stored: np.ndarray) -> np.ndarray:
        """Turn a stored ``(H, W, ...)`` picture upright; a copy, or the picture itself if nothing changes."""
        if not self.changes_pixels:
            return stored
        turned = stored.swapaxes(0, 1) if self.transpose else stored
        return np.ascontiguousarray(self._flip(turned))

    def as_stored(self, upright: np.ndarray) -> np.ndarray:
        """Undo :meth:`upright`."""
        if not self.changes_pixels:
            return upright
        turned = self._flip(upright)
        return np.ascontiguousarray(turned.swapaxes(0, 1) if self.transpose else turned)

    def _flip(self, picture: np.ndarray) -> np.ndarray:
        return picture[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


UPRIGHT = Orientation()
