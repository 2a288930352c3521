"""A mask whose values nobody has looked up yet: the codes of a decoded picture, and what each of them means.

Where the foreground is small, floating-point numbers for the whole frame cost more than what is done with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from co2net.video.color import nonzero

Box = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class CodedMask:
    """A mask ``(H, W)``; ``numpy.asarray`` makes float32 in [0, 1] of it.

    Attributes:
        codes: ``(H, W)`` uint8, not changed by anybody.
        table: ``(256,)`` float32, the value of each code.
    """

    codes: np.ndarray
    table: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.codes.shape
        return height, width

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it."""
        values = cv2.LUT(self.codes, self.table)
        return values if dtype is None else values.astype(dtype, copy=False)

    def __getitem__(self, box: Box) -> CodedMask:
        """The mask in the rows and columns of a box, on memory of its own: the frame need not be kept."""
        return CodedMask(np.array(self.codes[box]), self.table)

    def box(self) -> Box | None:
        """Rows and columns that hold what is not 0; None if everything is."""
        return self._box

    @cached_property
    def _box(self) -> Box | None:
        counts = self.table != 0
        first = int(np.argmax(counts))
        if not counts[first:].all():
            return _around(cv2.LUT(self.codes, counts.view(np.uint8)))
        # Most masks begin at some code, so the largest of each row and column tells, in half the time.
        rows = np.flatnonzero(self.codes.max(axis=1) >= first)
        if not len(rows):
            return None
        within = slice(int(rows[0]), int(rows[-1]) + 1)
        columns = np.flatnonzero(self.codes[within].max(axis=0) >= first)
        return within, slice(int(columns[0]), int(columns[-1]) + 1)


def bounding_box(mask: np.ndarray | CodedMask) -> Box | None:
    """Rows and columns that hold what is not 0 of a mask ``(H, W)``; None if everything is."""
    return mask.box() if isinstance(mask, CodedMask) else _around(nonzero(mask))


def _around(inside: np.ndarray) -> Box | None:
    left, top, width, height = cv2.boundingRect(inside)
    return (slice(top, top + height), slice(left, left + width)) if width else None
