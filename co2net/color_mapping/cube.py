r"""LUTs as ``.cube`` files, the text format that grading programs exchange.

::

    # comments and empty lines anywhere
    TITLE "Warm evening"            optional
    LUT_3D_SIZE 33                  D, grid points per axis, 2..256; before the numbers
    DOMAIN_MIN 0 0 0                optional: the input color of the first grid point ...
    DOMAIN_MAX 1 1 1                ... and of the last one, per channel
    LUT_3D_INPUT_RANGE 0 1          optional: the same as one pair for all channels (written by Resolve)
    LUT_1D_SIZE 1024                optional: a shaper of N points stands in front (Resolve, OpenColorIO); N lines of
    LUT_1D_INPUT_RANGE 0 1          red, green, blue come before the 3D LUT's; the range is that of its inputs
    LUT_IN_VIDEO_RANGE              optional (Resolve): the LUT is to be fed limited-range colors, ...
    LUT_OUT_VIDEO_RANGE             ... gives limited-range colors: (16 + 219 x) / 255 for a full-range x
    0 0 0                           D·D·D lines of red, green, blue; the red INPUT changes fastest,
    0.03 0.01 0                     then green, then blue
    ...

In memory a LUT is ``(1, 3, D, D, D)``, indexed ``[batch, channel, b, g, r]``: the file's order with the channel moved
to the front. Grid point k of an axis is input k / (D - 1) (:mod:`trilinear` spaces its grid by 1.000001 / (D - 1); the
difference of at most 1e-6 is far below one 8-bit step).

Values outside 0..1 are kept: interpolate first, clip after. A domain other than 0..1 is resampled onto 0..1 with the
same D; inputs outside the domain get the value of its border, as in every program that applies such a file. So is a
LUT for limited-range input: it is re-read at (16 + 219 x) / 255, and limited-range output is stretched to full range.

A shaper is worked into the LUT, on a finer grid if need be: of D, 33, 65 and 129 grid points (those not below D) the
first at which 8192 test colors come out within a quarter of an 8-bit level, else the finest, with a warning that says
how far it is off. A file that is a shaper alone (a 1D LUT: three curves) becomes such a LUT where that is wanted.
Keywords may be in any case and order but stand before the numbers; everything unknown is refused.

Written for video range, a LUT says LUT_IN_VIDEO_RANGE and LUT_OUT_VIDEO_RANGE, and programs that know neither word may
feed it limited-range codes as they are. Codes beyond black and white continue with the border's change.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from co2net.errors import InputError, ShapeError
from co2net.files import write_beside

MIN_SIZE, MAX_SIZE = 2, 256  # the limits of Adobe's specification of the format
_MAX_BYTES = 64 * MAX_SIZE**3  # three numbers of 20 characters per line: longer files are no LUTs
_LARGEST = 3.40282356e38  # the largest that rounds to a finite float32
MAX_SHAPER_SIZE = 65536
_DOMAIN = {"DOMAIN_MIN", "DOMAIN_MAX", "LUT_3D_INPUT_RANGE"}
_VIDEO_RANGE = {"LUT_IN_VIDEO_RANGE", "LUT_OUT_VIDEO_RANGE"}
_VIDEO_LOW, _VIDEO_SPAN = 16 / 255, 219 / 255  # limited range of 8 bits, which BT.709 keeps at other depths
_SHAPED_SIZES = (33, 65, 129)
_SHAPED_ACCURACY = 0.25 / 255

_TITLE = re.compile(r'\s*TITLE(\s|"|#|$)', re.IGNORECASE)
logger = logging.getLogger(__name__)


def load_cube(path: str | os.PathLike[str], curves: bool = False) -> Tensor:
    """Read a 3D LUT from a ``.cube`` file (format and dialects in the module docstring).

    Args:
        path: the file; any line ends, UTF-8 or Latin-1 comments.
        curves: take a 1D LUT too; else it is refused, as it cannot mix channels.

    Returns:
        ``(1, 3, D, D, D)`` float32 on the CPU, indexed ``[batch, channel, b, g, r]``; not clipped.

    Raises:
        InputError: the file is missing or not a complete 3D LUT; names the file and the line.
    """
    lines = _lines(path)
    head, first = _read_head(lines, path, curves)
    size, shaper_size = head.size, head.shaper_size
    colors = _read_colors(lines, first, size**3 + shaper_size, head, path)
    lut = colors[shaper_size:].reshape(size, size, size, 3) if size else _identity(2)
    if shaper_size:
        lut = _shaped(lut, colors[:shaper_size], head, str(path))
    elif head.from_video_range:
        # Input x is fed as low + span x, so the LUT's own domain begins and ends there.
        low, high = ((side - _VIDEO_LOW) / _VIDEO_SPAN for side in (head.low, head.high))
        lut = _onto_unit_domain(lut, low, high)
    else:
        lut = _onto_unit_domain(lut, head.low, head.high)
    if head.to_video_range:
        lut = (lut - _VIDEO_LOW) / _VIDEO_SPAN
    return torch.from_numpy(lut.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()


def save_cube(lut: Tensor, path: str | os.PathLike[str], title: str | None = None, video_range: bool = False) -> None:
    """Write a LUT as a ``.cube`` file; reading it again gives the same float32 values, bit for bit.

    Args:
        lut: ``(1, 3, D, D, D)`` or ``(3, D, D, D)`` float, indexed ``[channel, b, g, r]``; finite, D in 2..256,
            any device. Or three curves ``(N, 3)``, N in 2..65536, for a 1D LUT.
        path: the file; written beside its place and renamed.
        title: shown by grading programs; quotes and line breaks are replaced.
        video_range: for limited-range codes in and out; resampled onto their grid, so no longer bit for bit.

    Raises:
        ShapeError: `lut` is no such LUT.
        OutputError: the file cannot be written.
    """
    lut = _check_lut(lut)
    values = (lut if lut.ndim == 2 else lut.permute(1, 2, 3, 0)).double().numpy()
    size = len(values)
    head = [f"LUT_{'1' if lut.ndim == 2 else '3'}D_SIZE {size}", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1"]
    if video_range:
        values = _for_video_range(values)
        head += ["LUT_IN_VIDEO_RANGE", "LUT_OUT_VIDEO_RANGE"]
    colors = values.reshape(-1, 3).tolist()
    if title is not None:
        line = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+", " ", title).replace('"', "'")
        head.insert(0, f'TITLE "{line}"')
    # Nine significant digits identify every float32.
    lines = head + [f"{red:.9g} {green:.9g} {blue:.9g}" for red, green, blue in colors]
    write_beside(path, "\n".join(lines) + "\n")


def _check_lut(lut: Tensor) -> Tensor:
    if not isinstance(lut, Tensor):
        raise ShapeError(f"lut must be a torch tensor, got {type(lut).__name__}")
    lut = lut[0] if lut.ndim == 5 and lut.shape[0] == 1 else lut
    curves = lut.ndim == 2 and lut.shape[1] == 3
    size = lut.shape[0 if curves else -1] if lut.ndim else 0
    if not curves and tuple(lut.shape) != (3, size, size, size):
        raise ShapeError(f"lut must be one LUT, (1, 3, D, D, D) or (3, D, D, D), got {tuple(lut.shape)}")
    largest = MAX_SHAPER_SIZE if curves else MAX_SIZE
    if not MIN_SIZE <= size <= largest:
        raise ShapeError(f"lut must have {MIN_SIZE} to {largest} grid points per axis, got {size}")
    if not lut.is_floating_point():
        raise ShapeError(f"lut must be a float tensor, got {lut.dtype}")
    lut = lut.detach().cpu().float()
    if not lut.isfinite().all():
        raise ShapeError("lut must be finite, got nan or infinity; fill empty cells first")
    return lut


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise InputError(f"{path}: larger than any .cube file ({_MAX_BYTES >> 20} MiB); is it the right file?")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    else:
        # Latin-1 never fails and is ASCII where it matters; only comments and titles may hold other bytes.
        text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if "\x00" in text:
        raise InputError(f"{path}: not a text file; is it a .cube file?")
    return re.split(r"\r\n|\n|\r", text)  # str.splitlines would also cut a comment at Latin-1's 0x85


@dataclass
class _Head:
    """What the keywords say."""

    size: int = 0
    low: np.ndarray = field(default_factory=lambda: np.zeros(3))
    high: np.ndarray = field(default_factory=lambda: np.ones(3))
    shaper_size: int = 0
    shaper_range: tuple[Any, Any] = (0.0, 1.0)
    """Numbers, or ``(3,)`` per channel."""
    from_video_range: bool = False
    to_video_range: bool = False
    places: dict[str, str] = field(default_factory=dict)
    """Keyword -> file and line."""


def _read_head(lines: list[str], path: str | os.PathLike[str], curves: bool) -> tuple[_Head, int]:
    """The keywords, and the index of the first line of numbers."""
    head = _Head()
    first = len(lines)
    for index, line in enumerate(lines):
        words = line.split("#", 1)[0].split()
        if not words or _TITLE.match(line):
            continue
        if words[0][0] in "+-.0123456789" and (head.size or head.shaper_size):
            first = index
            break
        _read_keyword(head, words, line, f"{path}, line {index + 1}")
    if head.shaper_size and not head.size and not curves:
        raise InputError(
            f"{head.places['LUT_1D_SIZE']}: LUT_1D_SIZE: this file is a 1D LUT, it cannot mix channels; "
            "export it as a 3D LUT"
        )
    if not head.size and not head.shaper_size:
        raise InputError(f"{path}: no LUT_3D_SIZE line; is it a .cube file?")
    if not (head.low < head.high).all():
        raise InputError(f"{path}: the domain is empty: from {head.low.tolist()} to {head.high.tolist()}")
    if head.shaper_size and not head.size:  # a 1D LUT may have either way of saying its domain
        if "LUT_1D_INPUT_RANGE" not in head.places:
            head.shaper_range, head.low, head.high = (head.low, head.high), np.zeros(3), np.ones(3)
    elif head.shaper_size:
        for keyword in ("DOMAIN_MIN", "DOMAIN_MAX"):
            if keyword in head.places:
                raise InputError(
                    f"{head.places[keyword]}: {keyword} beside LUT_1D_SIZE; a shaper has LUT_1D_INPUT_RANGE"
                )
    if head.shaper_size:
        low, high = head.shaper_range
        if not np.all(np.less(low, high)):
            raise InputError(f"{path}: the shaper's range is empty: {low} to {high}")
    elif "LUT_1D_INPUT_RANGE" in head.places:
        raise InputError(f"{head.places['LUT_1D_INPUT_RANGE']}: LUT_1D_INPUT_RANGE without LUT_1D_SIZE")
    return head, first


def _read_keyword(head: _Head, words: list[str], line: str, place: str) -> None:
    keyword = words[0].upper()
    if keyword == "LUT_3D_SIZE":
        if head.size:
            raise InputError(f"{place}: a second LUT_3D_SIZE line")
        head.size = _size(words, MAX_SIZE, place)
    elif keyword == "LUT_1D_SIZE":
        if head.shaper_size:
            raise InputError(f"{place}: a second LUT_1D_SIZE line")
        head.shaper_size = _size(words, MAX_SHAPER_SIZE, place)
    elif keyword == "LUT_1D_INPUT_RANGE":
        low, high = _numbers(words[1:], 2, place)
        head.shaper_range = low, high
    elif keyword in _DOMAIN:
        head.low, head.high = _domain(keyword, words[1:], head.low, head.high, place)
    elif keyword in _VIDEO_RANGE:
        if len(words) > 1:
            raise InputError(f"{place}: {keyword} stands alone, got {_shown(line)}")
        if keyword == "LUT_IN_VIDEO_RANGE":
            head.from_video_range = True
        else:
            head.to_video_range = True
    elif head.size or head.shaper_size:
        _numbers(words, 3, place)
        raise InputError(f"{place}: unknown keyword in {_shown(line)}")
    else:
        raise InputError(f"{place}: expected a LUT_3D_SIZE line before {_shown(line)}")
    head.places[keyword] = place


def _read_colors(lines: list[str], first: int, count: int, head: _Head, path: str | os.PathLike[str]) -> np.ndarray:
    """The ``(count, 3)`` numbers of a file, float64."""
    try:
        # Thirty times as fast as line by line, but without a word on what is wrong, or where.
        colors = np.loadtxt(lines[first:], comments="#", ndmin=2) if first < len(lines) else np.empty((0, 3))
        if colors.shape == (count, 3) and (np.abs(colors) <= _LARGEST).all() and "".join(lines[first:]).isascii():
            return colors
    except ValueError:
        pass
    rows: list[list[float]] = []
    sizes = (("LUT_3D_SIZE", head.size), ("LUT_1D_SIZE", head.shaper_size))
    wanted = " and ".join(f"{keyword} {size}" for keyword, size in sizes if size)
    for index in range(first, len(lines)):
        words = lines[index].split("#", 1)[0].split()
        if not words:
            continue
        place = f"{path}, line {index + 1}"
        if words[0].upper() in {"LUT_3D_SIZE", "LUT_1D_SIZE", "LUT_1D_INPUT_RANGE", "TITLE"} | _DOMAIN | _VIDEO_RANGE:
            again = words[0].upper() in head.places
            raise InputError(f"{place}: {'a second ' if again else ''}{words[0].upper()} after the first color")
        if len(rows) == count:
            raise InputError(f"{place}: more than the {count} colors of {wanted}")
        rows.append(_numbers(words, 3, place))
    if len(rows) != count:
        raise InputError(f"{path}: {len(rows)} colors, but {wanted} wants {count}; the file is cut short")
    return np.array(rows)


def _size(words: list[str], largest: int, place: str) -> int:
    keyword, words = words[0].upper(), words[1:]
    if len(words) != 1 or not words[0].isascii() or not words[0].isdigit() or len(words[0]) > 9:
        raise InputError(f"{place}: {keyword} wants one whole number, got {_shown(' '.join(words))}")
    size = int(words[0])
    if not MIN_SIZE <= size <= largest:
        raise InputError(f"{place}: {keyword} {size} is outside {MIN_SIZE}..{largest}")
    return size


def _domain(
    keyword: str, words: list[str], low: np.ndarray, high: np.ndarray, place: str
) -> tuple[np.ndarray, np.ndarray]:
    if keyword == "LUT_3D_INPUT_RANGE":
        first, last = _numbers(words, 2, place)
        return np.full(3, first), np.full(3, last)
    values = np.array(_numbers(words, 3, place))
    return (values, high) if keyword == "DOMAIN_MIN" else (low, values)


def _numbers(words: list[str], count: int, place: str) -> list[float]:
    line = " ".join(words)
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or "_" in line or not line.isascii():  # float() also takes 1_000 and other scripts' digits
        raise InputError(f"{place}: expected {count} numbers, got {_shown(line)}")
    if not all(abs(value) <= _LARGEST for value in values):  # false for nan too
        raise InputError(f"{place}: not a finite number in {_shown(line)}")
    return values


def _shown(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= 60 else line[:57] + "...")


def _onto_unit_domain(lut: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The LUT ``(D, D, D, 3)`` [b, g, r] re-read at inputs k / (D - 1); trilinear, so one axis after the other."""
    last = len(lut) - 1
    for axis, channel in ((0, 2), (1, 1), (2, 0)):
        if low[channel] == 0 and high[channel] == 1:
            continue
        inputs = np.arange(last + 1) / last
        position = np.clip((inputs - low[channel]) / (high[channel] - low[channel]), 0, 1) * last
        lut = _along(lut, axis, position)
    return lut


def _shaped(lut: np.ndarray, shaper: np.ndarray, head: _Head, path: str) -> np.ndarray:
    """The LUT ``(D, D, D, 3)`` with the shaper ``(N, 3)`` worked in, on the grid that the module docstring says."""

    def shape(inputs: np.ndarray) -> np.ndarray:  # (M, 3) colors in 0..1 -> positions in the LUT's domain, 0..1
        if head.from_video_range:
            inputs = _VIDEO_LOW + _VIDEO_SPAN * inputs
        low, high = (np.broadcast_to(end, 3) for end in head.shaper_range)
        points = np.linspace(low, high, len(shaper))
        curves = [np.interp(inputs[:, c], points[:, c], shaper[:, c]) for c in range(3)]
        return ((np.stack(curves, axis=1) - head.low) / (head.high - head.low)).clip(0, 1)

    tests = np.random.RandomState(0).uniform(0, 1, (8192, 3))
    tests[:2048] = tests[:2048, :1]  # gray, where eyes are sharpest
    wanted = _look_up(lut, shape(tests))
    size, last = len(lut), len(lut) - 1
    shaped, error = lut, np.inf
    for finer in sorted({size} | {s for s in _SHAPED_SIZES if s > size}):
        curve = shape(np.repeat(np.linspace(0, 1, finer)[:, None], 3, axis=1))
        shaped = lut
        for axis, channel in ((0, 2), (1, 1), (2, 0)):
            shaped = _along(shaped, axis, curve[:, channel] * last)
        error = float(np.abs(_look_up(shaped, tests) - wanted).max())
        if error <= _SHAPED_ACCURACY:
            return shaped
    logger.warning("%s: a steep shaper; the LUT of %d points is up to %.2g off in 0..1", path, len(shaped), error)
    return shaped


def _identity(size: int) -> np.ndarray:
    """The LUT ``(D, D, D, 3)`` [b, g, r] that changes nothing."""
    return np.stack(np.meshgrid(*[np.linspace(0, 1, size)] * 3, indexing="ij")[::-1], axis=-1)


def _for_video_range(values: np.ndarray) -> np.ndarray:
    """A LUT ``(D, D, D, 3)`` [b, g, r] or curves ``(N, 3)`` for limited-range codes; it gives such codes too."""
    last = len(values) - 1
    full = (np.linspace(0, 1, len(values)) - _VIDEO_LOW) / _VIDEO_SPAN
    inside = full.clip(0, 1)
    if values.ndim == 2:
        shaped = np.stack([np.interp(inside, np.linspace(0, 1, last + 1), curve) for curve in values.T], axis=1)
        return _VIDEO_LOW + _VIDEO_SPAN * (shaped + (full - inside)[:, None])
    for axis, channel in ((0, 2), (1, 1), (2, 0)):
        values = _along(values, axis, inside * last)
        values[..., channel] += (full - inside).reshape([-1 if i == axis else 1 for i in range(3)])
    return _VIDEO_LOW + _VIDEO_SPAN * values


def _look_up(lut: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Trilinear: colors ``(M, 3)`` in 0..1 through a LUT ``(D, D, D, 3)`` [b, g, r]."""
    last = len(lut) - 1
    position = colors * last
    cell = np.minimum(position.astype(int), last - 1)
    fraction = position - cell
    result = np.zeros(colors.shape)
    for corner in range(8):
        up = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        weight = np.where(up, fraction, 1 - fraction).prod(axis=1)
        r, g, b = (cell + up).T
        result += weight[:, None] * lut[b, g, r]
    return result


def _along(lut: np.ndarray, axis: int, position: np.ndarray) -> np.ndarray:
    """Re-read a LUT along one axis at positions in grid points."""
    cell = np.minimum(position.astype(int), lut.shape[axis] - 2)
    fraction = (position - cell).reshape([-1 if i == axis else 1 for i in range(4)])
    return (1 - fraction) * lut.take(cell, axis) + fraction * lut.take(cell + 1, axis)
