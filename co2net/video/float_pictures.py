"""Pictures with floating-point samples: OpenEXR (linear light) and TIFF (display-coded), unless the user says.

The networks see display-coded colors in [0, 1]. Linear light is coded by the sRGB curve (IEC 61966-2-1), continued
above 1 and below 0; the change of color is added there and taken back to linear light. Where nothing changed the file's
own samples stay, and values above 1 survive.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from co2net.errors import InputError, OutputError
from co2net.screen import silenced

Transfer = Literal["auto", "linear", "display"]
"""What floating-point samples are: linear light, or coded for display; "auto": linear in OpenEXR, display in TIFF."""


@dataclass
class FloatSamples:
    """What a floating-point picture holds beyond its display-coded copy."""

    values: np.ndarray
    """``(H, W, 3)`` float32, as stored."""
    linear: bool
    """Linear light, or display-coded."""
    half: bool = False
    alpha: np.ndarray | None = None
    """``(H, W)`` float32."""
    header: dict[str, Any] = field(default_factory=dict)
    stays: bool = False
    """Whether the user said what they are: then the result is the same, whatever file it goes to."""

    def coded(self) -> np.ndarray:
        """Display-coded colors, float32; not clipped."""
        return srgb_from_linear(self.values) if self.linear else self.values

    def changed(self, before: np.ndarray, after: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Add the change between two display-coded pictures, float in [0, 1], where the mask is not 0."""
        coded = self.coded() + (after - before)
        new = linear_from_srgb(coded) if self.linear else coded
        touched = (after != before).any(axis=-1)
        if mask is not None:
            touched &= mask != 0
        return np.where(touched[..., None], new, self.values).astype(np.float32)

    def codes(self) -> np.ndarray:
        """The display-coded copy that the networks see: ``(H, W, 3)`` uint16, clipped to 0..1."""
        return np.rint(np.clip(self.coded(), 0, 1) * 65535).astype(np.uint16)

    def beneath(self, front: FloatSamples, mask: np.ndarray, premultiplied: bool) -> FloatSamples:
        """This picture with another laid over it, mixed in this one's own kind of light.

        Args:
            front: of the same size.
            mask: ``(H, W)`` float in [0, 1]; where it is 0 the samples stay.
            premultiplied: whether the front's colors are multiplied by the mask already.
        """
        over = front.values if front.linear == self.linear else front.for_file(front.values, self.linear)
        weight = mask[..., None]
        mixed = (over if premultiplied else weight * over) + (1 - weight) * self.values
        return replace(self, values=np.where(weight == 0, self.values, mixed).astype(np.float32))

    def for_file(self, values: np.ndarray, linear: bool) -> np.ndarray:
        """Values of this kind as a file wants them that holds linear light, or is coded for display."""
        if self.stays or self.linear == linear:
            return values
        return linear_from_srgb(values) if linear else srgb_from_linear(values)


def srgb_from_linear(values: np.ndarray) -> np.ndarray:
    """Code linear light for display by the sRGB curve; odd about 0 and continued above 1."""
    size = np.abs(values).astype(np.float32)
    with np.errstate(over="ignore"):  # in the branch that is not taken
        coded = np.where(size <= 0.0031308, 12.92 * size, 1.055 * np.power(np.maximum(size, 1e-9), 1 / 2.4) - 0.055)
    return np.copysign(coded, values).astype(np.float32)


def linear_from_srgb(coded: np.ndarray) -> np.ndarray:
    """Undo :func:`srgb_from_linear`."""
    size = np.abs(coded).astype(np.float32)
    with np.errstate(over="ignore"):  # the writer clips
        values = np.where(size <= 0.04045, size / 12.92, np.power((size + 0.055) / 1.055, 2.4))
    return np.copysign(values, coded).astype(np.float32)


def _library(path: Path, error: type[InputError]) -> Any:
    try:
        import OpenEXR
    except ImportError:
        raise error(f"{path}: OpenEXR files need a library; pip install 'co2net[exr]'") from None
    return OpenEXR


def read_exr(path: Path) -> FloatSamples:
    """Read the R, G, B and A (or Y) of an OpenEXR file's first part, within its display window.

    Raises:
        InputError: damaged, no library, no such channels.
    """
    library = _library(path, InputError)
    try:
        with silenced(), library.File(str(path), separate_channels=True) as file:
            header, channels = dict(file.header()), {name: c.pixels for name, c in file.channels().items()}
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise InputError(f"{path}: not an OpenEXR file that can be read; it may be cut off, write it again") from error
    names = ("R", "G", "B") if "R" in channels else ("Y", "Y", "Y")
    missing = next((name for name in names if name not in channels), None)
    if missing or channels[names[0]].dtype.kind != "f":
        found = ", ".join(sorted(channels)[:6])
        raise InputError(f"{path}: no channels R, G, B or Y of floating-point light in it ({found}); rename them")
    half = channels[names[0]].dtype == np.float16
    planes = [channels[name].astype(np.float32) for name in names]
    if not all(plane.shape == planes[0].shape for plane in planes):
        raise InputError(f"{path}: its channels have different sizes; write it without subsampling")
    alpha = channels["A"].astype(np.float32) if "A" in channels else None
    values = _in_display_window(np.dstack(planes), header)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds nan or infinite values; render it again, or replace them")
    header["gray"] = names[0] == "Y"
    return FloatSamples(values, True, half, None if alpha is None else _in_display_window(alpha, header), header)


def _in_display_window(values: np.ndarray, header: dict[str, Any]) -> np.ndarray:
    """Cut overscan off, and fill with black what the data window leaves out."""
    (left, top), (right, bottom) = (np.asarray(corner, int) for corner in header["displayWindow"])
    (x, y), _ = (np.asarray(corner, int) for corner in header["dataWindow"])
    height, width = bottom - top + 1, right - left + 1
    if (x, y) == (left, top) and values.shape[:2] == (height, width):
        return values
    shown = np.zeros((height, width, *values.shape[2:]), np.float32)
    y0, x0 = max(y, top), max(x, left)
    y1, x1 = min(y + values.shape[0], bottom + 1), min(x + values.shape[1], right + 1)
    if y0 < y1 and x0 < x1:
        shown[y0 - top : y1 - top, x0 - left : x1 - left] = values[y0 - y : y1 - y, x0 - x : x1 - x]
    return shown


_OWN = ("channels", "dataWindow", "displayWindow", "type", "lineOrder", "chunkCount", "gray", "tiles", "name", "view")


def write_exr(path: Path, values: np.ndarray, alpha: np.ndarray | None, half: bool, header: dict[str, Any]) -> None:
    """Write ``(H, W, 3)`` linear light, with the other attributes of the header it came with.

    Raises:
        OutputError: no library.
        OSError: no room, no permission.
    """
    library = _library(path, OutputError)
    kind = np.float16 if half else np.float32
    limit = float(np.finfo(kind).max)
    channels = {"Y": values[..., 0]} if header.get("gray") else {c: values[..., k] for k, c in enumerate("RGB")}
    if alpha is not None:
        channels["A"] = alpha
    planes = {
        name: np.ascontiguousarray(np.clip(plane, -limit, limit).astype(kind)) for name, plane in channels.items()
    }
    kept = {name: value for name, value in header.items() if name not in _OWN}
    kept = {"compression": library.ZIP_COMPRESSION, **kept, "type": library.scanlineimage}
    path.touch()  # says why not, where the library only says that
    try:
        with silenced(), library.File(kept, planes) as file:
            file.write(str(path))
    except RuntimeError as error:
        raise OSError(str(error).splitlines()[0]) from error
    if sys.platform.startswith("linux") and path.stat().st_size == 0:
        raise OSError("nothing was written")
