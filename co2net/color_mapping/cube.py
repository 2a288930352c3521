r"""3D color tables as ``.cube`` files, the text format that grading programs exchange.

::

    # comments and empty lines anywhere
    TITLE "Warm evening"            optional
    LUT_3D_SIZE 33                  D, grid points per axis, 2..256; before the numbers
    DOMAIN_MIN 0 0 0                optional: the input color of the first grid point ...
    DOMAIN_MAX 1 1 1                ... and of the last one, per channel
    LUT_3D_INPUT_RANGE 0 1          optional: the same as one pair for all channels (written by Resolve)
    0 0 0                           D·D·D lines of red, green, blue; the red INPUT changes fastest,
    0.03 0.01 0                     then green, then blue
    ...

In memory a table is ``(1, 3, D, D, D)``, indexed ``[batch, channel, b, g, r]``: the file's order with the channel moved
to the front. Grid point k of an axis is input k / (D - 1) (:mod:`trilinear` spaces its grid by 1.000001 / (D - 1); the
difference of at most 1e-6 is far below one 8-bit step).

Values outside 0..1 are kept: interpolate first, clip after. A domain other than 0..1 is resampled onto 0..1 with the
same D; inputs outside the domain get the value of its border, as in every program that applies such a file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from co2net.errors import InputError, ShapeError
from co2net.files import write_beside

MIN_SIZE, MAX_SIZE = 2, 256  # the limits of Adobe's specification of the format
_MAX_BYTES = 64 * MAX_SIZE**3  # three numbers of 20 characters per line: longer files are no tables
_LARGEST = 3.40282356e38  # the largest that rounds to a finite float32
_DOMAIN = {"DOMAIN_MIN", "DOMAIN_MAX", "LUT_3D_INPUT_RANGE"}
_REFUSED = {
    "LUT_1D_SIZE": "is a 1D table (or has one in front); save it as a 3D table without shaper",
    "LUT_1D_INPUT_RANGE": "is a 1D table (or has one in front); save it as a 3D table without shaper",
    "LUT_IN_VIDEO_RANGE": "is for limited-range video; save it for full range (data levels)",
    "LUT_OUT_VIDEO_RANGE": "is for limited-range video; save it for full range (data levels)",
}


def load_cube(path: str | os.PathLike[str]) -> Tensor:
    """Read a 3D color table from a ``.cube`` file (format and dialects in the module docstring).

    Args:
        path: the file; any line ends, UTF-8 or Latin-1 comments.

    Returns:
        ``(1, 3, D, D, D)`` float32 on the CPU, indexed ``[batch, channel, b, g, r]``; not clipped.

    Raises:
        InputError: the file is missing or not a complete 3D table; names the file and the line.
    """
    size: int | None = None
    low, high = np.zeros(3), np.ones(3)
    colors: list[list[float]] = []
    for number, line in enumerate(_lines(path), start=1):
        words = line.split("#", 1)[0].split()
        if not words or words[0].upper() == "TITLE":
            continue
        place = f"{path}, line {number}"
        keyword = words[0].upper()
        if keyword in _REFUSED:
            raise InputError(f"{place}: {keyword}: this file {_REFUSED[keyword]}")
        if keyword == "LUT_3D_SIZE":
            if size is not None:
                raise InputError(f"{place}: a second LUT_3D_SIZE line")
            size = _size(words[1:], place)
        elif keyword in _DOMAIN:
            low, high = _domain(keyword, words[1:], low, high, place)
        elif size is None:
            raise InputError(f"{place}: expected a LUT_3D_SIZE line before {_shown(line)}")
        elif len(colors) == size**3:
            raise InputError(f"{place}: more than the {size**3} colors of LUT_3D_SIZE {size}")
        else:
            colors.append(_numbers(words, 3, place))
    if size is None:
        raise InputError(f"{path}: no LUT_3D_SIZE line; is it a .cube file?")
    if len(colors) != size**3:
        raise InputError(f"{path}: {len(colors)} colors, but LUT_3D_SIZE {size} wants {size**3}; the file is cut short")
    if not (low < high).all():
        raise InputError(f"{path}: the domain is empty: from {low.tolist()} to {high.tolist()}")
    table = _onto_unit_domain(np.array(colors).reshape(size, size, size, 3), low, high)
    return torch.from_numpy(table.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()


def save_cube(lut: Tensor, path: str | os.PathLike[str], title: str | None = None) -> None:
    """Write a 3D color table as a ``.cube`` file; reading it again gives the same float32 values, bit for bit.

    Args:
        lut: ``(1, 3, D, D, D)`` or ``(3, D, D, D)`` float, indexed ``[channel, b, g, r]``; finite, D in 2..256,
            any device.
        path: the file; written beside its place and renamed.
        title: shown by grading programs; quotes and line breaks are replaced.

    Raises:
        ShapeError: `lut` is no such table.
        OutputError: the file cannot be written.
    """
    table = _check_table(lut).permute(1, 2, 3, 0).reshape(-1, 3).tolist()
    size = round(len(table) ** (1 / 3))
    head = [f"LUT_3D_SIZE {size}", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1"]
    if title is not None:
        line = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+", " ", title).replace('"', "'")
        head.insert(0, f'TITLE "{line}"')
    # Nine significant digits identify every float32.
    lines = head + [f"{red:.9g} {green:.9g} {blue:.9g}" for red, green, blue in table]
    write_beside(path, "\n".join(lines) + "\n")


def _check_table(lut: Tensor) -> Tensor:
    if not isinstance(lut, Tensor):
        raise ShapeError(f"lut must be a torch tensor, got {type(lut).__name__}")
    table = lut[0] if lut.ndim == 5 and lut.shape[0] == 1 else lut
    size = lut.shape[-1] if lut.ndim else 0
    if tuple(table.shape) != (3, size, size, size):
        raise ShapeError(f"lut must be one table, (1, 3, D, D, D) or (3, D, D, D), got {tuple(lut.shape)}")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ShapeError(f"lut must have {MIN_SIZE} to {MAX_SIZE} grid points per axis, got {size}")
    if not lut.is_floating_point():
        raise ShapeError(f"lut must be a float tensor, got {lut.dtype}")
    table = table.detach().cpu().float()
    if not table.isfinite().all():
        raise ShapeError("lut must be finite, got nan or infinity; fill empty cells first")
    return table


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


def _size(words: list[str], place: str) -> int:
    if len(words) != 1 or not words[0].isascii() or not words[0].isdigit() or len(words[0]) > 9:
        raise InputError(f"{place}: LUT_3D_SIZE wants one whole number, got {_shown(' '.join(words))}")
    size = int(words[0])
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"{place}: LUT_3D_SIZE {size} is outside {MIN_SIZE}..{MAX_SIZE}")
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


def _onto_unit_domain(table: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The table ``(D, D, D, 3)`` [b, g, r] re-read at inputs k / (D - 1); trilinear, so one axis after the other."""
    last = len(table) - 1
    for axis, channel in ((0, 2), (1, 1), (2, 0)):
        if low[channel] == 0 and high[channel] == 1:
            continue
        inputs = np.arange(last + 1) / last
        position = np.clip((inputs - low[channel]) / (high[channel] - low[channel]), 0, 1) * last
        cell = np.minimum(position.astype(int), last - 1)
        fraction = (position - cell).reshape([-1 if i == axis else 1 for i in range(4)])
        table = (1 - fraction) * table.take(cell, axis) + fraction * table.take(cell + 1, axis)
    return table
