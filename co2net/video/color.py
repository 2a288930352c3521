"""Planes and RGB: decode exactly, and carry a change of RGB back into the planes it came from.

YUV to RGB and back is not exact, so the way back never converts a whole picture. The matrix is linear: a change of
RGB gives a change of YUV, and that is added to the samples that were decoded. Where nothing changed, nothing is added.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np

from co2net.errors import InputError
from co2net.video.metadata import FULL_RANGE, LIMITED_RANGE, UNSPECIFIED

BT709, BT601, BT2020 = 1, 6, 9
# Luma weights (red, blue) per matrix code of ITU-T H.273, table 4.
_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),  # constant luminance; read with the plain matrix, as players do
}
_YCGCO = 8


@dataclass(frozen=True)
class Layout:
    """How the samples of a planar pixel format lie."""

    name: str
    kind: str
    """"yuv", "rgb" (planes in the order green, blue, red) or "gray"."""
    bits: int
    shift_x: int
    """Base-2 logarithm of how many pixels share a chroma sample, across and down."""
    shift_y: int
    alpha: bool

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of a stored sample."""
        return np.uint8 if self.bits <= 8 else np.uint16

    @property
    def peak(self) -> int:
        """The greatest code."""
        return (1 << self.bits) - 1


@lru_cache(maxsize=64)
def planar_layout(pixel_format: str) -> Layout:
    """Describe the planar format that holds every sample of `pixel_format` unchanged (itself where it is planar).

    Raises:
        InputError: floating-point samples (scene-linear light) are not display-coded pictures.
    """
    described = av.VideoFormat(pixel_format)
    if re.search(r"f(16|32)(le|be)?$", pixel_format):
        raise InputError(
            f"pixel format {pixel_format} holds floating-point light, not display-coded colors; "
            "convert it to 16-bit integers (PNG, TIFF, ProRes, FFV1) first"
        )
    components = described.components
    bits = max(c.bits for c in components)
    alpha = any(c.is_alpha for c in components) and not described.has_palette
    colors = [c for c in components if not c.is_alpha]
    if described.has_palette or described.is_rgb or (len(colors) == 1 and alpha):
        bits = next((b for b in (8, 9, 10, 12, 14, 16) if bits <= b and not (alpha and b in (9, 14))), 16)
        name = f"gbr{'a' if alpha else ''}p{'' if bits == 8 else f'{bits}le'}"
        return Layout(name, "rgb", bits, 0, 0, alpha)
    if len(colors) == 1:
        bits = next(b for b in (8, 9, 10, 12, 14, 16) if bits <= b)
        return Layout("gray" if bits == 8 else f"gray{bits}le", "gray", bits, 0, 0, False)
    # 64 divides by every subsampling there is.
    shift_x = 6 - (described.chroma_width(64)).bit_length() + 1
    shift_y = 6 - (described.chroma_height(64)).bit_length() + 1
    scheme = {(0, 0): 444, (1, 0): 422, (1, 1): 420, (0, 1): 440, (2, 0): 411, (2, 2): 410}[shift_x, shift_y]
    name = f"yuv{'a' if alpha else ''}{scheme}p{'' if bits == 8 else f'{bits}le'}"
    return Layout(name, "yuv", bits, shift_x, shift_y, alpha)


def guess_colorspace(colorspace: int, primaries: int, width: int, height: int) -> int:
    """Return the matrix to decode with; an untagged one as mpv and VLC take it: BT.601 up to 576 lines, else BT.709.

    Raises:
        InputError: the file asks for a matrix that is none (ICtCp and its like).
    """
    if colorspace in _WEIGHTS or colorspace == _YCGCO:
        return colorspace
    if colorspace in (0, UNSPECIFIED, 3):
        if primaries == BT2020:
            return BT2020
        return BT709 if width >= 1280 or height > 576 else BT601
    raise InputError(
        f"color matrix number {colorspace} (ITU-T H.273) is not supported; convert the clip to BT.709 first"
    )


def is_full_range(layout: Layout, color_range: int, pixel_format: str = "") -> bool:
    """Tell whether codes run from 0 to the peak; untagged: no for YUV, yes for the old "yuvj" formats, RGB and grey."""
    if layout.kind == "rgb" or pixel_format.startswith("yuvj"):
        return True
    if layout.kind == "gray":
        return color_range != LIMITED_RANGE
    return color_range == FULL_RANGE


@lru_cache(maxsize=64)
def _yuv_from_rgb(layout: Layout, colorspace: int, full: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(matrix (3, 3), offset (3,))``: codes = matrix · rgb + offset, with rgb in [0, 1]."""
    unit = 1 << (layout.bits - 8)
    luma_span = layout.peak if full else 219 * unit
    chroma_span = layout.peak if full else 224 * unit
    offset = np.array([0 if full else 16 * unit, 128 * unit, 128 * unit], np.float64)
    if colorspace == _YCGCO:
        rows = np.array([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]])
    else:
        red, blue = _WEIGHTS[colorspace]
        luma = np.array([red, 1 - red - blue, blue])
        rows = np.stack(
            [luma, (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)), (np.array([1, 0, 0]) - luma) / (2 * (1 - red))]
        )
    return rows * np.array([[luma_span], [chroma_span], [chroma_span]]), offset


def plane_views(frame: av.VideoFrame, layout: Layout) -> list[np.ndarray]:
    """Return writable ``(H, W)`` views of the planes of a frame in `layout`."""
    size = np.dtype(layout.dtype).itemsize
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, layout.dtype).reshape(plane.height, plane.line_size // size)  # type: ignore[arg-type]
        views.append(rows[:, : plane.width])
    return views


def to_planar(frame: av.VideoFrame, layout: Layout) -> av.VideoFrame:
    """Return `frame` in its planar `layout`: the same samples, laid out plane by plane."""
    if frame.format.name == layout.name or frame.format.name == layout.name.replace("yuv", "yuvj", 1):
        return frame
    return frame.reformat(format=layout.name)


class Scratch:
    """Arrays that are used again from frame to frame: fresh memory of a frame's size costs more than the arithmetic."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the uint16 array of that name; it holds whatever was left in it."""
        size = math.prod(shape)
        found = self._arrays.get(name)
        if found is None or found.size < size:
            found = self._arrays[name] = np.empty(size, np.uint16)
        return found[:size].reshape(shape)


def to_rgb(
    frame: av.VideoFrame, layout: Layout, colorspace: int, full: bool, scratch: Scratch | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a planar frame: ``(image (H, W, 3), alpha (H, W) or None)``, uint8, or uint16 above 8 bits; full range.

    A caller of many frames passes the same `scratch` each time, and from one thread.
    """
    planes = plane_views(frame, layout)
    peak = 255 if layout.bits <= 8 else 65535
    alpha = planes.pop() if layout.alpha else None
    if alpha is not None:
        # A copy: the writer may give the frame's memory back while the array is still in use.
        alpha = _spread(alpha, layout, peak, True).copy()
    if layout.kind == "gray":
        gray = _spread(planes[0], layout, peak, full)
        return cv2.merge([gray, gray, gray]), alpha
    if layout.kind == "rgb":
        green, blue, red = (_spread(plane, layout, peak, True) for plane in planes)
        return cv2.merge([red, green, blue]), alpha
    luma, *chroma = planes
    return yuv_to_rgb(luma, chroma, layout, colorspace, full, scratch or Scratch()), alpha


def yuv_to_rgb(
    luma: np.ndarray, chroma: list[np.ndarray], layout: Layout, colorspace: int, full: bool, scratch: Scratch
) -> np.ndarray:
    """Convert planes, or parts of them that begin with a whole chroma block: ``(H, W, 3)`` uint8 or uint16."""
    height, width = luma.shape
    if layout.bits > 8:
        chroma = [_enlarge(plane, layout, width, height) for plane in chroma]
        return samples_to_rgb(luma, chroma, layout, colorspace, full)
    samples = [scratch.array("luma", luma.shape)]
    np.copyto(samples[0], luma)
    for index, plane in enumerate(chroma):
        wide = np.multiply(plane, _FINER, out=scratch.array(f"wide {index}", plane.shape), dtype=np.uint16)
        into = scratch.array(f"chroma {index}", _full_size(plane, layout))
        samples.append(_enlarge(wide, layout, width, height, into))
    merged = cv2.merge(samples, scratch.array("merged", (height, width, 3)))
    colors = cv2.transform(merged, _to_wide_rgb(layout, colorspace, full), scratch.array("colors", merged.shape))
    return cv2.convertScaleAbs(colors, alpha=1 / 256)


def samples_to_rgb(
    luma: np.ndarray, chroma: list[np.ndarray], layout: Layout, colorspace: int, full: bool
) -> np.ndarray:
    """Convert pixels that have a luma and two chroma samples each; interpolated chroma may be float32."""
    if layout.bits > 8:
        matrix, offset = _yuv_from_rgb(layout, colorspace, full)
        inverse = np.linalg.inv(matrix) * 65535
        affine = np.column_stack([inverse, -inverse @ offset]).astype(np.float32)
        merged = cv2.merge([luma, *(np.rint(plane).astype(np.uint16, copy=False) for plane in chroma)])
        return cv2.transform(merged, affine)
    merged = cv2.merge([luma.astype(np.uint16), *((plane * np.float32(_FINER)).astype(np.uint16) for plane in chroma)])
    return cv2.convertScaleAbs(cv2.transform(merged, _to_wide_rgb(layout, colorspace, full)), alpha=1 / 256)


def matrices_of_codes(layout: Layout, colorspace: int, full: bool) -> tuple[np.ndarray, np.ndarray]:
    """``to_rgb`` and ``from_rgb`` of :class:`trilinear.planes.Planes`, of planes of 8 bits."""
    return _to_wide_rgb(layout, colorspace, full), (_yuv_from_rgb(layout, colorspace, full)[0] / 255).astype(np.float32)


def means_to_rgb(means: np.ndarray, layout: Layout, colorspace: int, full: bool) -> np.ndarray:
    """Convert mean samples ``(h, w, 3)`` float32 of areas to RGB in [0, 1], float32."""
    matrix, offset = _yuv_from_rgb(layout, colorspace, full)
    inverse = np.linalg.inv(matrix)
    return cv2.transform(means, np.column_stack([inverse, -inverse @ offset]).astype(np.float32)).clip(0, 1)


# OpenCV multiplies 8-bit samples in coarse fixed point, up to a code off. In 16 bits it is exact, and interpolated
# chroma keeps its fractions.
_FINER = 64


@lru_cache(maxsize=64)
def _to_wide_rgb(layout: Layout, colorspace: int, full: bool) -> np.ndarray:
    """Affine map from codes, chroma times :data:`_FINER`, to RGB in codes of 8 bits times 256."""
    matrix, offset = _yuv_from_rgb(layout, colorspace, full)
    inverse = np.linalg.inv(matrix) * 255
    affine = np.column_stack([inverse, -inverse @ offset]) * 256
    affine[:, 1:3] /= _FINER
    return affine.astype(np.float32)


def _full_size(plane: np.ndarray, layout: Layout) -> tuple[int, int]:
    """Return the size of a chroma plane's whole blocks; at odd sizes a row or column more than the luma plane."""
    return plane.shape[0] << layout.shift_y, plane.shape[1] << layout.shift_x


def _enlarge(plane: np.ndarray, layout: Layout, width: int, height: int, into: np.ndarray | None = None) -> np.ndarray:
    """Interpolate a chroma plane to the size of the luma plane, bilinear; odd sizes keep the samples' places."""
    if not (layout.shift_x or layout.shift_y):
        return plane
    down, across = _full_size(plane, layout)
    return cv2.resize(plane, (across, down), dst=into, interpolation=cv2.INTER_LINEAR)[:height, :width]


def _spread(plane: np.ndarray, layout: Layout, peak: int, full: bool) -> np.ndarray:
    """Stretch single-channel codes to 0..`peak`."""
    if full and layout.peak == peak:
        return np.ascontiguousarray(plane)
    unit = 1 << (layout.bits - 8)
    low, span = (0, layout.peak) if full else (16 * unit, 219 * unit)
    values = (plane.astype(np.float32) - low) * (peak / span)
    return _saturate(values, np.uint8 if peak == 255 else np.uint16)


def _saturate(values: np.ndarray, dtype: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    """Round to the nearest and clip to the type's range, in one pass."""
    return cv2.add(values, 0.0, dtype=cv2.CV_8U if dtype is np.uint8 else cv2.CV_16U)  # type: ignore[call-overload]


def add_change(
    frame: av.VideoFrame,
    layout: Layout,
    colorspace: int,
    full: bool,
    change: np.ndarray,
    top: int,
    left: int,
    white: float = 1.0,
) -> None:
    """Add a change of RGB to the planes of `frame`, in place.

    Args:
        frame: Planar, in `layout`, not shared with a decoder.
        layout: Its layout.
        colorspace: Matrix of the frame.
        full: Whether its codes are full range.
        change: ``(h, w, 3)`` float32, new minus old RGB in units of white = `white`. Zero adds exactly nothing.
        top: Row of the frame where `change` begins; a multiple of the chroma block.
        left: Column, likewise.
        white: The value of white in `change`.
    """
    planes = plane_views(frame, layout)
    height, width = change.shape[:2]
    if layout.kind == "rgb":
        channels = cv2.split(change * np.float32(layout.peak / white))
        for plane, channel in zip(planes, (1, 2, 0), strict=False):
            _add(plane[top : top + height, left : left + width], channels[channel], layout.peak)
        return
    matrix = (_yuv_from_rgb(layout, colorspace, full)[0] / white).astype(np.float32)
    change = np.ascontiguousarray(change, np.float32)
    _add(planes[0][top : top + height, left : left + width], cv2.transform(change, matrix[:1]), layout.peak)
    if layout.kind == "gray":
        return
    block_w, block_h = 1 << layout.shift_x, 1 << layout.shift_y
    columns, rows = -(-width // block_w), -(-height // block_h)
    row, column = top // block_h, left // block_w
    if (block_w, block_h) != (1, 1):
        if width % block_w or height % block_h:
            # The last block of an odd size has fewer pixels: with its edge repeated its mean stays that of its own.
            missing = -height % block_h, -width % block_w
            change = cv2.copyMakeBorder(change, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        change = cv2.resize(change, (columns, rows), interpolation=cv2.INTER_AREA)  # linear, so before the matrix
    for plane, chroma in zip(planes[1:3], cv2.split(cv2.transform(change, matrix[1:])), strict=True):
        _add(plane[row : row + rows, column : column + columns], chroma, layout.peak)


def _add(samples: np.ndarray, change: np.ndarray, peak: int) -> None:
    """Add in place, rounding to the nearest code and clipping to 0..`peak`."""
    total = cv2.add(samples, change, dtype=cv2.CV_8U if samples.dtype == np.uint8 else cv2.CV_16U)
    samples[...] = total if peak in (255, 65535) else np.minimum(total, peak)


def black_frame(width: int, height: int, layout: Layout, colorspace: int, full: bool) -> av.VideoFrame:
    """Return a new black frame in `layout`: the start for pictures that come as RGB; its alpha is opaque."""
    frame = av.VideoFrame(width, height, layout.name)
    _, offset = _yuv_from_rgb(layout, colorspace, full)
    for index, view in enumerate(plane_views(frame, layout)):
        is_alpha = layout.alpha and index == len(frame.planes) - 1
        view[...] = layout.peak if is_alpha else 0 if layout.kind == "rgb" else round(float(offset[index]))
    return frame


def nonzero(mask: np.ndarray) -> np.ndarray:
    """Return ``(H, W)`` uint8, 255 where the mask is not 0."""
    if mask.size == 1:  # OpenCV cannot tell a picture of one pixel from a number
        return (mask != 0).astype(np.uint8) * 255
    if mask.dtype not in (np.uint8, np.uint16, np.float32):
        mask = (mask != 0).view(np.uint8)
    return cv2.compare(np.ascontiguousarray(mask), 0, cv2.CMP_NE)  # type: ignore[call-overload]
