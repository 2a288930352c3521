"""The colors of a decoded frame that nobody has converted yet: only those that are asked for leave the planes.

Converting a whole frame to RGB costs more than what is done with it where the foreground is small. Each result is that
of the whole conversion (:func:`co2net.video.color.to_rgb`); OpenCV rounds the last pixels of a row differently, which
may show in the last bit of a 16-bit code.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from co2net.video import color
from co2net.video.orientation import Orientation

Box = tuple[slice, slice]


@dataclass
class Patch:
    """A frame that differs from its source in one box only.

    Attributes:
        box: rows and columns, upright; whole chroma blocks.
        before: ``(h, w, 3)``, the source's colors there.
        after: the new ones, of the same type, or float32 in [0, 1].
    """

    box: Box
    before: np.ndarray
    after: np.ndarray

    def whole(self, image: np.ndarray) -> np.ndarray:
        """The whole picture, given the source's."""
        out = image.copy() if self.after.dtype == image.dtype else image.astype(np.float32) / np.iinfo(image.dtype).max
        out[self.box] = self.after
        return out


class LazyColors:
    """RGB of a frame of upright YUV planes, ``(H, W, 3)`` uint8 or uint16, converted where asked for.

    Args:
        frame: planar ``av.VideoFrame``; it must not be changed as long as this is asked.
        layout: of its planes; YUV without alpha.
        colorspace: its matrix.
        full: whether its codes are full range.
    """

    def __init__(self, frame: Any, layout: color.Layout, colorspace: int, full: bool) -> None:
        self._frame, self._layout, self._space, self._full = frame, layout, colorspace, full
        self._planes = color.plane_views(frame, layout)
        self.dtype = np.dtype(np.uint8 if layout.bits <= 8 else np.uint16)

    @staticmethod
    def serves(layout: color.Layout, orientation: Orientation) -> bool:
        """Whether frames of this kind can be converted in parts."""
        return layout.kind == "yuv" and not layout.alpha and not orientation.changes_pixels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the whole picture."""
        height, width = self._planes[0].shape
        return height, width, 3

    def whole(self) -> np.ndarray:
        """All of it."""
        return color.to_rgb(self._frame, self._layout, self._space, self._full, _scratch())[0]

    def aligned(self, box: Box) -> Box:
        """The least box of whole chroma blocks around `box`."""
        sides = zip(box, self.shape, (self._layout.shift_y, self._layout.shift_x), strict=False)
        return tuple(  # type: ignore[return-value]
            slice(part.start >> shift << shift, min(length, -(-part.stop // (1 << shift)) << shift))
            for part, length, shift in sides
        )

    def __getitem__(self, box: Box) -> np.ndarray:
        """``(h, w, 3)`` of the rows and columns of a box."""
        rows, columns = box
        layout = self._layout
        # Chroma is interpolated between neighboring samples: one more on each side.
        top, left = (
            max(0, (part.start >> shift) - 1) << shift
            for part, shift in ((rows, layout.shift_y), (columns, layout.shift_x))
        )
        luma = self._planes[0][top : rows.stop + (2 << layout.shift_y), left : columns.stop + (2 << layout.shift_x)]
        height, width = luma.shape
        chroma = [
            plane[top >> layout.shift_y :, left >> layout.shift_x :][
                : -(-height // (1 << layout.shift_y)), : -(-width // (1 << layout.shift_x))
            ]
            for plane in self._planes[1:]
        ]
        converted = color.yuv_to_rgb(luma, chroma, layout, self._space, self._full, _scratch())
        return np.ascontiguousarray(
            converted[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        )

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """``(len(rows), len(columns), 3)``: the pixels where these rows and columns cross."""
        layout, (height, width) = self._layout, self._planes[0].shape
        if 4 * len(rows) * len(columns) > height * width:
            return self.whole()[np.ix_(rows, columns)]  # in one sweep, faster than one by one
        luma = self._planes[0].take(rows, axis=0).take(columns, axis=1)
        chroma = [_interpolated(plane, layout, rows, columns) for plane in self._planes[1:]]
        return color.samples_to_rgb(luma, chroma, layout, self._space, self._full)


class ComposedColors(LazyColors):
    """Colors of planes with something laid over them that is not in the planes yet.

    Args:
        stored: what the planes hold.
        over: the box that differs.
    """

    def __init__(self, stored: LazyColors, over: Patch) -> None:
        super().__init__(stored._frame, stored._layout, stored._space, stored._full)
        self.stored, self.over = stored, over

    def whole(self) -> np.ndarray:
        """All of the composite."""
        return self.over.whole(super().whole())

    def __getitem__(self, box: Box) -> np.ndarray:
        """``(h, w, 3)`` of the composite in a box."""
        colors = super().__getitem__(box)
        if box == self.over.box:
            return self.over.after.copy()
        inner = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, self.over.box, strict=True)]
        if all(part.start < part.stop for part in inner):
            colors[_within(inner, box)] = self.over.after[_within(inner, self.over.box)]
        return colors

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """``(len(rows), len(columns), 3)`` of the composite."""
        colors = super().at(rows, columns)
        places = [
            np.flatnonzero((numbers >= part.start) & (numbers < part.stop))
            for numbers, part in zip((rows, columns), self.over.box, strict=True)
        ]
        top, left = (part.start for part in self.over.box)
        inner = np.ix_(rows[places[0]] - top, columns[places[1]] - left)
        colors[np.ix_(*places)] = self.over.after[inner]
        return colors

    def on_planes(self, patch: Patch | None) -> Patch:
        """What is to be written into the planes: the composite, with `patch` on it."""
        if patch is None:
            return self.over
        sides = zip(patch.box, self.over.box, strict=True)
        rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in sides)
        after = self[rows, columns]
        if after.dtype != patch.after.dtype:
            after = after.astype(np.float32) / np.iinfo(after.dtype).max
        after[_within(patch.box, (rows, columns))] = patch.after
        return Patch((rows, columns), self.stored[rows, columns], after)


def _within(box: Sequence[slice], outer: Box) -> Box:
    """The rows and columns of a box, counted from where another begins."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True))
    return rows, columns


def _scratch() -> color.Scratch:
    """Each thread has its own arrays to work in."""
    if not hasattr(_threads, "scratch"):
        _threads.scratch = color.Scratch()
    return _threads.scratch


_threads = threading.local()


def _interpolated(plane: np.ndarray, layout: color.Layout, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Chroma at pixels of the luma plane, bilinear, half-pixel centers, border repeated: exact in float32."""
    sides = ((rows, layout.shift_y), (columns, layout.shift_x))
    (above, below, down), (left, right, across) = (
        _between(numbers, shift, length) for (numbers, shift), length in zip(sides, plane.shape, strict=True)
    )
    # Whole rows first: they lie together in memory. Arithmetic comes last, where little is left.
    upper = plane.take(above, axis=0)
    lower = plane.take(below, axis=0) if layout.shift_y else upper
    lines = [
        _lerp(line.take(left, axis=1), line.take(right, axis=1), across) if layout.shift_x else line.take(left, axis=1)
        for line in ((upper, lower) if layout.shift_y else (upper,))
    ]
    return _lerp(lines[0], lines[1], down[:, None]) if layout.shift_y else lines[0]


def _between(numbers: np.ndarray, shift: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The samples before and after pixels of the luma plane, and how far towards the latter."""
    if not shift:
        return numbers, numbers, np.zeros(len(numbers), np.float32)
    position = ((numbers + 0.5) / (1 << shift) - 0.5).clip(0, length - 1)
    near = position.astype(np.intp)
    return near, np.minimum(near + 1, length - 1), (position - near).astype(np.float32)


def _lerp(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    first = first.astype(np.float32, copy=False)
    return first + (second.astype(np.float32, copy=False) - first) * share
