"""What a mask means: one rule for mask files, data sets and arrays.

* Black is 0, white is 1, anything between stays soft. An alpha channel is the mask unless it is the same everywhere.
* Of a color picture the brightest channel counts, so that a shape of any color on black counts fully.
* Palette pictures: their grey values, or, with a colored palette (label maps), 0 for entry 0 and 1 for all others.
* Object numbers: where nothing in a whole clip is above 31 and edges are hard, 0 is background and all else foreground.
* 8, 10, 12 or 14 bits in a file of 16, 16 in a file of 32: white is the greatest value of those bits.
* Black at 16 and white at 235 in a full-range file (a limited-range export) are black and white.
* Codecs with loss (H.264, JPEG) leave noise near black and white, which would make the whole background "slightly
  masked": there, up to 2/255 counts as 0 and from 253/255 as 1, and a noise floor of up to 16/255 is cut off.

Whatever is not plain black and white is said (:attr:`MaskReading.note`); what could mean two things is refused.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from co2net.checks import check_choice
from co2net.errors import InputError
from co2net.video import mask_evidence as evidence
from co2net.video.pictures import LOSSY_ENDINGS
from co2net.video.raw_masks import RawMask, peak, read_raw

Channel = Literal["auto", "luma", "alpha"]

DEAD_ZONE = 2 / 255
NUMBERS = 31
"""Greatest object number that is taken for one; brighter values are levels of grey."""
_LOOKS = 9
"""So many pictures with an opaque alpha channel are looked at before it is taken to hold nothing."""
_BITS = {1023: 10, 4095: 12, 16383: 14, 32767: 15}


@dataclass(frozen=True)
class MaskOptions:
    """What the user says about a mask."""

    channel: Channel = "auto"
    """"luma" or "alpha" to choose; "auto" takes an alpha channel that is not the same everywhere."""
    invert: bool = False
    """The mask is black on the foreground."""
    threshold: tuple[float, float] | None = None
    """Levels of 255 that become 0 and 1, with a ramp between; equal ones cut hard."""
    number: int | None = None
    """Only this object number (grey value or palette entry) is foreground."""

    def __post_init__(self) -> None:
        check_choice("mask_channel", self.channel, get_args(Channel))
        if self.threshold is not None:
            low, high = self.threshold
            if not 0 <= low <= high <= 255:
                raise InputError(f"mask threshold {low:g},{high:g}: must be two levels from 0 to 255, the lower first")
        if self.number is not None and self.number < 0:
            raise InputError(f"mask object {self.number}: must be 0 or greater")


@dataclass(frozen=True)
class MaskReading:
    """How the masks of one source are read; made by :func:`decide`. Calling it gives ``float32 (H, W)`` in [0, 1]."""

    kind: Literal["alpha", "levels", "numbers"]
    options: MaskOptions = MaskOptions()
    black: float = 0.0
    """Codes of black and white; white 0 is the type's own."""
    white: float = 0.0
    floor: float = 0.0
    """Values up to here, in [0, 1], count as 0, and from `ceiling` on as 1."""
    ceiling: float = 1.0
    note: str = ""
    """What the mask was taken for where that is not plain black and white; empty otherwise."""
    _tables: dict[tuple[float, float], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, raw: RawMask, name: object) -> np.ndarray:
        """Read one mask; `name` stands in messages.

        Raises:
            InputError: it is written unlike the ones before, or holds what a mask cannot.
        """
        number = self.options.number
        if number is not None:
            if raw.values.ndim != 2 or raw.values.dtype.kind not in "ui":
                raise InputError(
                    f"{name}: has no object numbers (a grey or palette picture of integers has); leave the number out"
                )
            return self._inverted((raw.values == number).astype(np.float32))
        if self.kind == "alpha":
            if raw.alpha is None:
                raise InputError(f"{name}: no alpha channel, the first mask has one; write all masks alike")
            return self._levels(raw.alpha, 0.0, peak(raw.alpha.dtype))
        self.check_alpha(raw.alpha, name)
        if raw.palette is not None:
            if self.kind == "numbers" or evidence.is_label_palette(raw.values, raw.palette):
                return self._inverted((raw.values > 0).astype(np.float32))
            raw = replace(raw, values=_through_palette(raw), palette=None, white=0.0)
        plane = evidence.brightest(raw.values)
        if self.kind == "numbers":
            if raw.values.ndim == 2 and float(plane.max()) > NUMBERS:
                raise InputError(
                    f"{name}: holds {plane.max()}, the masks before only 0 to {NUMBERS}, which were read as object "
                    "numbers (0 and 1 as black and white); write all masks with 0 and 255"
                )
            return self._inverted((plane > 0).astype(np.float32))
        if plane.dtype.kind == "f":
            _check_float(plane, name)
        return self._levels(plane, self.black, self.white or raw.white)

    def check_alpha(self, alpha: np.ndarray | None, name: object) -> None:
        """Refuse an alpha channel that begins to hold something after masks where it was opaque.

        Raises:
            InputError: it does, and the user did not choose.
        """
        if self.kind != "alpha" and alpha is not None and self.options.channel == "auto":
            if int(alpha.min()) < int(alpha.max()):
                raise InputError(
                    f"{name}: its alpha channel is not opaque, those of the masks before are; choose the channel "
                    "(alpha or luma)"
                )

    def of_shares(self, mask: np.ndarray) -> np.ndarray:
        """Read luma that is float32 in [0, 1] already."""
        if self.white:
            mask = np.clip(_stretch(mask * 255, self.black, self.white), 0, 1)
        return self.clean(mask)

    def clean(self, mask: np.ndarray) -> np.ndarray:
        """Take what is near black and white for it, then apply the user's levels; float32 in [0, 1], in place."""
        if self.floor:
            mask[mask <= self.floor + 1e-6] = 0.0
        if self.ceiling < 1:
            mask[mask >= self.ceiling - 1e-6] = 1.0
        if self.options.threshold is not None:
            low, high = (np.float32(v / 255) for v in self.options.threshold)
            mask = np.clip((mask - low) / (high - low), 0, 1) if high > low else (mask >= low).astype(np.float32)
        return self._inverted(mask)

    def _inverted(self, mask: np.ndarray) -> np.ndarray:
        return 1 - mask if self.options.invert else mask

    def _levels(self, plane: np.ndarray, black: float, white: float) -> np.ndarray:
        if plane.dtype != np.uint8:
            mask = plane.astype(np.float32) / np.float32(white) if not black else _stretch(plane, black, white)
            return self.clean(np.clip(mask, 0, 1))
        table = self._tables.get((black, white))
        if table is None:
            codes = np.arange(256, dtype=np.float32)
            table = codes / np.float32(white) if not black else _stretch(codes, black, white)
            table = self._tables[black, white] = self.clean(np.clip(table, 0, 1))
        return cv2.LUT(np.ascontiguousarray(plane), table)


def decide(
    raws: Iterable[RawMask], name: object, options: MaskOptions | None = None, lossy: bool = False
) -> MaskReading:
    """Find out what the masks of one source mean.

    Args:
        raws: Some masks of the source, then the rest of it; walked until one is bright enough to tell, so all of them
            only where all are dark. An empty one says nothing.
        name: Stands in messages.
        options: What the user says.
        lossy: Whether the coding leaves noise (H.264, JPEG).

    Raises:
        InputError: the masks could mean two things; the message says which, and what to write instead.
    """
    options = options or MaskOptions()
    floor, ceiling = (DEAD_ZONE, 1 - DEAD_ZONE) if lossy else (0.0, 1.0)
    plain = MaskReading("levels", options, floor=floor, ceiling=ceiling)
    if options.number is not None:
        return replace(plain, note=f"{name}: only object number {options.number} is foreground")
    said = options.threshold is not None
    found: list[RawMask] = []
    seen = 0
    for raw in raws:
        if options.channel != "luma" and raw.alpha is not None:
            if options.channel == "alpha" or int(raw.alpha.min()) < int(raw.alpha.max()):
                note = f"{name}: the mask is its alpha channel" if options.channel == "auto" else ""
                return replace(plain, kind="alpha", note=note)
        if raw.palette is not None and not said:
            reading = _decide_palette(raw, name, plain)
            if reading is not None:
                return reading
            raw = replace(raw, values=_through_palette(raw), palette=None, white=0.0)
        seen, top = seen + 1, float(raw.values.max())
        found = sorted([*found, raw], key=lambda one: float(one.values.max()))[-3:]  # an empty one tells nothing
        may_be_alpha = raw.alpha is not None and options.channel == "auto" and seen < _LOOKS
        if (top > NUMBERS or raw.values.dtype.kind in "fb") and not may_be_alpha:
            break
    if not found or said:
        return plain
    best = found[-1]
    if best.values.dtype.kind == "f":
        _check_float(best.values, name)
    if best.values.dtype.kind in "fb":
        return plain
    return _decide_values(best, found, name, plain, lossy)


def _decide_palette(raw: RawMask, name: object, plain: MaskReading) -> MaskReading | None:
    """Palette pictures with colors are label maps; None for grey palettes."""
    assert raw.palette is not None  # noqa: S101  # the caller asked
    if not evidence.is_label_palette(raw.values, raw.palette):
        return None
    colors = evidence.used_colors(raw.values, raw.palette)
    if raw.palette[0].any() and not colors.any(axis=1).all():
        raise InputError(
            f"{name}: entry 0 of its palette is a color and another one is black; which is the background? Name the "
            "object's number, or write the mask in grey, 0 and 255"
        )
    return replace(plain, kind="numbers", note=f"{name}: a palette picture; every entry but 0 is foreground")


def _decide_values(best: RawMask, found: list[RawMask], name: object, plain: MaskReading, lossy: bool) -> MaskReading:
    plane, peak = evidence.brightest(best.values), best.white
    top = int(plane.max())
    if top == 0:
        return plain
    if best.values.ndim == 3 and evidence.is_colored(best.values):
        if not lossy and evidence.is_flat_colors(best.values):
            return replace(plain, kind="numbers", note=f"{name}: a mask in colors; all that is not black is foreground")
        note = f"{name}: a mask in color; the brightest channel counts"
        return replace(plain, note=note + _dim(top / peak))
    if top <= NUMBERS:
        nowhere_black = top > 1 and all(evidence.brightest(raw.values).min() > 0 for raw in found)
        if lossy or nowhere_black or any(evidence.looks_soft(evidence.brightest(raw.values)) for raw in found):
            return replace(plain, note=f"{name}: a very dark mask, its brightest value is {top} of {peak:.0f}")
        what = "a mask of 0 and 1" if top == 1 else f"a mask of object numbers up to {top}; all but 0 are foreground"
        return replace(plain, kind="numbers", note=f"{name}: {what}")
    if not lossy:
        evidence.refuse_ambiguous(plane, peak, name)
    white, note = _white(plane, top, peak, name)
    levels = np.clip(plane.astype(np.float32) * (255 / white), 0, 255)
    if evidence.is_limited(levels):
        black, white = 16 / 255 * white, 235 / 255 * white
        return replace(plain, black=black, white=white, note=f"{name}: black is 16 and white 235, read as 0 and 255")
    noise = evidence.noise_floor(levels)
    if noise and lossy:
        note = f"{name}: noise up to level {noise} in the mask's black was cut off"
        return replace(plain, white=white if white != peak else 0.0, floor=max(plain.floor, noise / 255), note=note)
    if noise:
        note = (
            f"{name}: levels up to {noise} of 255 lie all over the mask's black and move the background; "
            f"a threshold of {noise},255 cuts them off"
        )
    dim = _dim(top / white)
    note = note or (f"{name}: the mask is nowhere white" if dim else "")
    return replace(plain, white=white if white != peak else 0.0, note=note + dim)


def _white(plane: np.ndarray, top: int, peak: float, name: object) -> tuple[float, str]:
    """The code of white in integers of more than 8 bits: fewer bits may be used."""
    if peak <= 255:
        return peak, ""
    if top <= 255:
        return 255.0, f"{name}: 8-bit values in {_depth(peak)}, white is 255"
    if top in _BITS and top < peak:
        return float(top), f"{name}: {_BITS[top]}-bit values in {_depth(peak)}, white is {top}"
    if peak > 65535 and top <= 65535:
        return 65535.0, f"{name}: 16-bit values in {_depth(peak)}, white is 65535"
    if peak > 65535 and top == (1 << 31) - 1:
        return float(top), f"{name}: signed 32-bit values, white is {top}"
    if top == 65280 and not (plane & 255).any():
        return 65280.0, ""  # 8 bits, shifted
    if top < peak / 16:
        raise InputError(
            f"{name}: its brightest value is {top} of {peak:.0f}: other bits, object numbers, or a dark mask? "
            "Write it with 0 and 255, or give a threshold"
        )
    return peak, ""


def _depth(peak: float) -> str:
    return f"{round(np.log2(peak + 1))} bits"


def _dim(share: float) -> str:
    return f" (its brightest value is {share:.0%}: harmonized by so much only)" if share < 0.9 else ""


def _stretch(codes: np.ndarray, black: float, white: float) -> np.ndarray:
    return (codes.astype(np.float32) - np.float32(black)) / np.float32(white - black)


def _check_float(values: np.ndarray, name: object) -> None:
    low, high = float(values.min()), float(values.max())
    if not (-0.1 <= low and high <= 1.1):  # also nan; what interpolation overshoots is clipped
        what = "holds nan" if np.isnan(low) else f"goes from {low:g} to {high:g}"
        raise InputError(f"{name}: a floating-point mask must be in 0..1, this one {what}; scale it or write 8 bits")


def _through_palette(raw: RawMask) -> np.ndarray:
    assert raw.palette is not None  # noqa: S101
    table = np.zeros((256, 3), np.uint8)
    table[: len(raw.palette)] = raw.palette[:256]
    return table[:, 0][raw.values] if not evidence.is_colored(raw.palette) else table[raw.values]


def read_mask(path: str | os.PathLike[str], options: MaskOptions | None = None) -> tuple[np.ndarray, str]:
    """Read one mask picture by itself: ``(float32 (H, W) in [0, 1], note)``; the note is empty for plain ones.

    Raises:
        InputError: missing, no picture, damaged, or it could mean two things.
    """
    raw = read_raw(path)
    reading = decide([raw], path, options, lossy=Path(path).suffix.lower() in LOSSY_ENDINGS)
    return reading(raw, path), reading.note


class MaskArrays:
    """Reads the arrays of one clip by the same rules; what is not plain black and white gives a Python warning, once.

    The first mask that is not empty decides. A file's masks are known in advance, these are not: a dark one first and
    a bright one later are refused.
    """

    def __init__(self) -> None:
        self._reading: MaskReading | None = None
        self._count = 0

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        """Read ``(H, W)`` bool, uint8, uint16 or float: float32 in [0, 1].

        Raises:
            InputError: the mask could mean two things, or is unlike the ones before.
        """
        raw, name = RawMask(mask.astype(np.float32) if mask.dtype.kind == "f" else mask), f"mask {self._count}"
        self._count += 1
        if self._reading is None:
            reading = decide([raw], name)
            if mask.dtype.kind in "ui" and mask.any():
                self._reading = reading
                if reading.note:
                    warnings.warn(f"{reading.note}; give float in [0, 1] or bool to be sure", stacklevel=2)
            return reading(raw, name)
        return self._reading(raw, name)
