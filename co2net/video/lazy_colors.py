"""The colors of a decoded frame that nobody has converted yet: only those that are asked for leave the planes.

Converting a whole frame to RGB costs more than what is done with it where the foreground is small. Each result is that
of the whole conversion (:func:`co2net.video.color.to_rgb`); OpenCV rounds the last pixels of a row differently, which
may show in the last bit of a 16-bit code.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from co2net.video import color
from co2net.video.coded_masks import Box, CodedMask
from co2net.video.orientation import Orientation


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


@dataclass
class PlanesPatch:
    """New samples of one box of a frame's planes.

    Attributes:
        box: rows and columns of the luma plane; whole chroma blocks.
        planes: luma and two of chroma, of the planes' type.
    """

    box: Box
    planes: list[np.ndarray]

    def put_on(self, planes: list[np.ndarray], layout: color.Layout) -> None:
        """Write them into the planes of a frame, in place."""
        rows, columns = self.box
        for number, (plane, part) in enumerate(zip(planes, self.planes, strict=True)):
            top = rows.start >> layout.shift_y if number else rows.start
            left = columns.start >> layout.shift_x if number else columns.start
            plane[top : top + part.shape[0], left : left + part.shape[1]] = part


class LazyColors:
    """RGB of a frame of upright YUV planes, ``(H, W, 3)`` uint8 or uint16, converted where asked for.

    Args:
        frame: planar ``av.VideoFrame``; it must not be changed as long as this is asked.
        layout: of its planes; YUV without alpha.
        colorspace: its matrix.
        full: whether its codes are full range.

    Attributes:
        planes: luma and chroma.
        origin: row and column of the picture that luma begins with.
    """

    origin = (0, 0)

    def __init__(self, frame: Any, layout: color.Layout, colorspace: int, full: bool) -> None:
        self._frame, self._layout, self._space, self._full = frame, layout, colorspace, full
        self.planes = color.plane_views(frame, layout)
        self.dtype = np.dtype(np.uint8 if layout.bits <= 8 else np.uint16)

    @staticmethod
    def serves(layout: color.Layout, orientation: Orientation) -> bool:
        """Whether frames of this kind can be converted in parts."""
        return layout.kind == "yuv" and not layout.alpha and not orientation.changes_pixels

    def codes(self) -> tuple[list[np.ndarray], tuple[int, int], np.ndarray, np.ndarray, tuple[int, int]]:
        """Planes, subsampling, the matrices of :func:`co2net.video.color.matrices_of_codes`, and where planes begin."""
        matrices = color.matrices_of_codes(self._layout, self._space, self._full)
        return self.planes, (self._layout.shift_x, self._layout.shift_y), *matrices, self.origin

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the whole picture."""
        height, width = self.planes[0].shape
        return height, width, 3

    def whole(self) -> np.ndarray:
        """All of it."""
        return color.to_rgb(self._frame, self._layout, self._space, self._full, _scratch())[0]

    def whole_with(self, patch: PlanesPatch) -> np.ndarray:
        """All of it, with other samples in a box."""
        planes = [plane.copy() for plane in self.planes]
        patch.put_on(planes, self._layout)
        return color.yuv_to_rgb(planes[0], planes[1:], self._layout, self._space, self._full, _scratch()).copy()

    def aligned(self, box: Box) -> Box:
        """The least box of whole chroma blocks around `box`."""
        sides = zip(box, self.shape, (self._layout.shift_y, self._layout.shift_x), strict=False)
        return tuple(  # type: ignore[return-value]
            slice(part.start >> shift << shift, min(length, -(-part.stop // (1 << shift)) << shift))
            for part, length, shift in sides
        )

    def __getitem__(self, box: Box) -> np.ndarray:
        """``(h, w, 3)`` of the rows and columns of a box."""
        (top, left), (luma, *chroma) = self._around(box)
        converted = color.yuv_to_rgb(luma, chroma, self._layout, self._space, self._full, _scratch())
        return np.ascontiguousarray(converted[_within(box, (slice(top, None), slice(left, None)))])

    def _around(self, box: Box) -> tuple[tuple[int, int], list[np.ndarray]]:
        """Views of the samples that the colors of a box are made of, and the row and column of luma they begin with.

        Chroma is interpolated between neighboring samples: one more on each side.
        """
        rows, columns = box
        down, across = self._layout.shift_y, self._layout.shift_x
        top, left = max(0, (rows.start >> down) - 1) << down, max(0, (columns.start >> across) - 1) << across
        luma = self.planes[0][top : rows.stop + (2 << down), left : columns.stop + (2 << across)]
        height, width = -(-luma.shape[0] // (1 << down)), -(-luma.shape[1] // (1 << across))
        chroma = [plane[top >> down :, left >> across :][:height, :width] for plane in self.planes[1:]]
        return (top, left), [luma, *chroma]

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """``(len(rows), len(columns), 3)``: the pixels where these rows and columns cross."""
        layout, (height, width) = self._layout, self.planes[0].shape
        if 4 * len(rows) * len(columns) > height * width:
            return self.whole()[np.ix_(rows, columns)]  # in one sweep, faster than one by one
        luma = self.planes[0].take(rows, axis=0).take(columns, axis=1)
        chroma = [_interpolated(plane, layout, rows, columns) for plane in self.planes[1:]]
        return color.samples_to_rgb(luma, chroma, layout, self._space, self._full)

    def shrunk(self, shape: tuple[int, int]) -> np.ndarray:
        """Mean colors of `shape` areas, float32 ``(h, w, 3)`` in [0, 1].

        The mean of the colors is the color of the mean samples (but for codes outside RGB), so planes are shrunk, and
        nothing is interpolated.
        """
        means = [_area_means(plane, shape) for plane in self.planes[:3]]
        return color.means_to_rgb(cv2.merge(means), self._layout, self._space, self._full)


class PartOfColors(LazyColors):
    """The colors of one box, its samples on memory of their own: the frame need not be kept.

    Args:
        source: whose.
        box: whole chroma blocks. Only colors inside may be asked for, by rows and columns of the whole picture.
    """

    def __init__(self, source: LazyColors, box: Box) -> None:
        self._layout, self._space, self._full = source._layout, source._space, source._full
        self.origin, samples = source._around(box)
        self.planes, self.dtype = [np.array(plane) for plane in samples], source.dtype

    def whole(self) -> np.ndarray:
        """All that is here."""
        return color.yuv_to_rgb(self.planes[0], self.planes[1:], self._layout, self._space, self._full, _scratch())

    def __getitem__(self, box: Box) -> np.ndarray:
        """``(h, w, 3)`` of the rows and columns of a box."""
        top, left = self.origin
        return super().__getitem__(_within(box, (slice(top, None), slice(left, None))))

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """``(len(rows), len(columns), 3)``: the pixels where these rows and columns cross."""
        return super().at(rows - self.origin[0], columns - self.origin[1])


class ComposedColors(LazyColors):
    """Colors of planes with something laid over them that is not in the planes yet.

    Args:
        stored: what the planes hold.
        over: the box that differs.
    """

    over: Patch

    def __init__(self, stored: LazyColors, over: Patch) -> None:
        super().__init__(stored._frame, stored._layout, stored._space, stored._full)
        self.stored, self.over, self.box = stored, over, over.box

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

    def shrunk(self, shape: tuple[int, int]) -> np.ndarray:
        """Mean colors of `shape` areas of the composite, float32 ``(h, w, 3)`` in [0, 1]."""
        (rows, columns), (height, width, _) = self.box, self.shape
        step = _row_step(height, shape[0])
        chosen = np.arange(step // 2, height, step)
        inside = np.flatnonzero((chosen >= rows.start) & (chosen < rows.stop))
        change = np.zeros((len(chosen), width, 3), np.float32)
        if len(inside):
            before, after = self._rows(chosen[inside])
            change[inside[0] : inside[-1] + 1, columns] = cv2.subtract(after, before, dtype=cv2.CV_32F)
        means = cv2.resize(change, shape[::-1], interpolation=cv2.INTER_AREA)
        return (super().shrunk(shape) + means / np.float32(np.iinfo(self.dtype).max)).clip(0, 1)

    def _rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stored and laid-over colors of some rows of the box."""
        lines = rows - self.box[0].start
        return self.over.before[lines], self.over.after[lines]

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


class LayeredColors(ComposedColors):
    """A foreground over a background, both in planes of one size and of 8 bits: mixed where somebody asks.

    Args:
        stored: the background.
        front: the foreground, all of it or the box.
        mask: ``(h, w)`` in the box.
        box: whole chroma blocks that hold the whole mask.
    """

    def __init__(self, stored: LazyColors, front: LazyColors, mask: np.ndarray | CodedMask, box: Box) -> None:
        LazyColors.__init__(self, stored._frame, stored._layout, stored._space, stored._full)
        self.stored, self.front, self.mask, self.box = stored, front, mask, box

    @cached_property
    def over(self) -> Patch:  # type: ignore[override]
        """The composite in the box."""
        before = self.stored[self.box]
        return Patch(self.box, before, mix(self.front[self.box], before, np.asarray(self.mask)))

    def shrunk(self, shape: tuple[int, int]) -> np.ndarray:
        """Mean colors of `shape` areas of the composite, float32 ``(h, w, 3)`` in [0, 1].

        Where both layers are coded alike, the mean is taken on their planes, of which nothing is converted.
        """
        back, front = self.stored, self.front
        if (back._layout, back._space, back._full) != (front._layout, front._space, front._full):
            return super().shrunk(shape)
        means = [_area_means(plane, shape) + self._mean_change(n, shape) for n, plane in enumerate(self.planes[:3])]
        return color.means_to_rgb(cv2.merge(means), self._layout, self._space, self._full)

    def _mean_change(self, number: int, shape: tuple[int, int]) -> np.ndarray:
        """How far the front moves the means of a plane."""
        down, across = (self._layout.shift_y, self._layout.shift_x) if number else (0, 0)
        back, front = self.planes[number], self.front.planes[number]
        step = _row_step(back.shape[0], shape[0])
        chosen = np.arange(step // 2, back.shape[0], step)
        (top, bottom), (left, right) = ((part.start, part.stop) for part in self.box)
        inside = np.flatnonzero((chosen << down >= top) & (chosen << down < bottom))
        change = np.zeros((len(chosen), back.shape[1]), np.float32)
        rows = chosen[inside]
        first, end = left >> across, -(-right >> across)
        y, x = self.front.origin[0] >> down, self.front.origin[1] >> across
        share = self._shares((rows << down) - top)[:, :: 1 << across]
        layers = front[rows - y, first - x : end - x], back[rows, first:end]
        difference = cv2.subtract(*layers, dtype=cv2.CV_32F) if len(rows) else 0
        change[inside, first:end] = share * difference
        return _means_of_rows(change, shape)

    def _shares(self, lines: np.ndarray) -> np.ndarray:
        """The mask in some rows of the box."""
        return self.mask.table[self.mask.codes[lines]] if isinstance(self.mask, CodedMask) else self.mask[lines]

    def _rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = np.arange(self.box[1].start, self.box[1].stop)
        before = self.stored.at(rows, columns)
        return before, mix(self.front.at(rows, columns), before, self._shares(rows - self.box[0].start))


def mix(front: np.ndarray, back: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lay colors over others of their type by a mask ``(h, w)`` in [0, 1]; exactly the background's where it is 0."""
    mixed = np.array(back)
    # Most pixels are of one of them, only those between need arithmetic.
    cv2.copyTo(front, cv2.compare(np.ascontiguousarray(mask), 1, cv2.CMP_EQ), mixed)  # type: ignore[call-overload]
    rows, columns = np.nonzero((mask > 0) & (mask < 1))
    weight = mask[rows, columns, None]
    between = weight * front[rows, columns].astype(np.float32) + (1 - weight) * back[rows, columns].astype(np.float32)
    mixed[rows, columns] = np.rint(between).astype(back.dtype)
    return mixed


def _within(box: Sequence[slice], outer: Box) -> Box:
    """The rows and columns of a box, counted from where another begins."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True))
    return rows, columns


def _row_step(height: int, areas: int) -> int:
    """Every how manieth row of a picture counts in means of so many areas down it: two rows tell enough of an area."""
    return max(1, height // max(2 * areas, _FEWEST_ROWS))


def _area_means(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means of `shape` areas of a plane, float32; of a large one from some rows: those lie together in memory."""
    step = _row_step(plane.shape[0], shape[0])
    return _means_of_rows(plane[step // 2 :: step], shape)


def _means_of_rows(rows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means of `shape` areas of the rows that count of a plane, float32."""
    width = rows.shape[1]
    if width >= _WIDE * shape[1]:  # areas of whole columns: a tenth of the time
        edges = np.linspace(0, width, shape[1] + 1).astype(np.intp)
        rows = np.add.reduceat(rows, edges[:-1], axis=1, dtype=np.float32) / np.diff(edges).astype(np.float32)
    return cv2.resize(rows.astype(np.float32, copy=False), shape[::-1], interpolation=cv2.INTER_AREA)


def _scratch() -> color.Scratch:
    """Each thread has its own arrays to work in."""
    if not hasattr(_threads, "scratch"):
        _threads.scratch = color.Scratch()
    return _threads.scratch


_threads = threading.local()
_FEWEST_ROWS = 48
_WIDE = 32
"""Columns of an area from which on the share of one that lies across a border does not matter."""


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
