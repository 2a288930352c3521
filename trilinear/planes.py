"""A LUT on decoded planes: what :func:`trilinear.apply_lut_frame` does to RGB, without making RGB on the way.

Only as a C++ kernel, for the CPU. Without it callers convert to RGB, apply the LUT there and carry the change back: the
same samples but for single codes, where sums lie at a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trilinear import _native

SHIFTS = ((0, 0), (1, 0), (1, 1))
"""Known subsampling, across and down: 4:4:4, 4:2:2, 4:2:0."""
_EVERYWHERE = slice(None), slice(None)


@dataclass(frozen=True)
class Planes:
    """Decoded planes of 8 bits, and what their codes mean.

    Attributes:
        samples: luma ``(H, W)`` and two of chroma, uint8; rows may lie apart.
        shifts: how many times chroma is halved, across and down.
        to_rgb: ``(3, 4)``, from luma and chroma times 64 to RGB times 256.
        from_rgb: ``(3, 3)``, from changes of RGB codes to changes of samples.
        origin: row and column of the whole luma plane that `samples` begin with, whole blocks of chroma, where of a
            layer only a part is here.
    """

    samples: Sequence[np.ndarray]
    shifts: tuple[int, int]
    to_rgb: np.ndarray
    from_rgb: np.ndarray
    origin: tuple[int, int] = (0, 0)

    def known(self) -> bool:
        """Whether the kernel knows such planes."""
        alike = all(plane.dtype == np.uint8 and plane.strides[1] == 1 for plane in self.samples)
        return len(self.samples) == 3 and alike and self.shifts in SHIFTS

    def begins(self) -> list[int]:
        """Where the first sample of each whole plane is, or would be: the kernel counts from there."""
        (top, left), (across, down) = self.origin, self.shifts
        places = [(top, left), *[(top >> down, left >> across)] * 2]
        return [
            plane.ctypes.data - row * plane.strides[0] - column
            for plane, (row, column) in zip(self.samples, places, strict=True)
        ]

    def holds(self, box: tuple[slice, slice], size: tuple[int, ...]) -> bool:
        """Whether a box of a picture of this size is here, with the neighbors that its chroma is interpolated from."""
        sides = zip(box, size, self.origin, self.samples[0].shape, self.shifts[::-1], strict=True)
        return all(
            first <= max(0, part.start - 2 * shift) and min(length, part.stop + 2 * shift) <= first + count <= length
            for part, length, first, count, shift in sides
        )


def serves(lut: Tensor, planes: Planes, *fronts: Planes, box: tuple[slice, slice] = _EVERYWHERE) -> bool:
    """Whether :func:`apply_lut_planes` takes this LUT, these planes, and what is laid over them in a box."""
    size = planes.samples[0].shape
    rows, columns = (slice(*part.indices(length)) for part, length in zip(box, size, strict=True))
    alike = planes.known() and all(
        front.known() and front.shifts == planes.shifts and front.holds((rows, columns), size) for front in fronts
    )
    return alike and _native.takes(lut, "trilinear")


def apply_lut_planes(
    lut: Tensor,
    planes: Planes,
    mask: np.ndarray,
    strength: float,
    box: tuple[slice, slice],
    *,
    table: np.ndarray | None = None,
    front: Planes | None = None,
) -> list[np.ndarray]:
    """New samples of a box of planes, whose colors are read out of a LUT and blended in under a mask.

    Args:
        lut: ``(1, 3, D, D, D)`` float32, indexed [channel, b, g, r].
        planes: what is changed; they themselves stay.
        mask: ``(h, w)`` of the box, float32 in [0, 1], or uint8 with a `table`.
        strength: how much of the change is made.
        box: rows and columns of the luma plane, whole blocks of chroma.
        table: ``(256,)`` float32, the value of each code of the mask.
        front: laid over the planes by the mask before the LUT is read; like them, or what :func:`serves` takes of it.

    Returns:
        The samples of the box, three arrays uint8.
    """
    (rows, columns), (across, down) = box, planes.shifts
    height, width = rows.stop - rows.start, columns.stop - columns.start
    chroma = -(-height // (1 << down)), -(-width // (1 << across))
    outputs = [np.empty(shape, np.uint8) for shape in ((height, width), chroma, chroma)]
    over = planes if front is None else front
    parts = (planes.to_rgb, planes.from_rgb, strength, over.to_rgb)
    settings = np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
    lut, table = lut.contiguous(), None if table is None else np.ascontiguousarray(table, np.float32)

    def strides(arrays: Sequence[np.ndarray]) -> list[int]:
        return [array.strides[0] for array in arrays]

    _native.call(
        "trilinear",
        "co2net_apply_lut_planes",
        "planes",
        lut,
        *planes.begins(),
        *strides(planes.samples),
        *(front.begins() if front is not None else [None] * 3),
        *strides(over.samples),
        *(mask.ctypes.data, mask.strides[0]),
        None if table is None else table.ctypes.data,
        settings.ctypes.data,
        *(array.ctypes.data for array in outputs),
        *(*planes.samples[0].shape, lut.shape[-1], across, down),
        *(rows.start, rows.stop, columns.start, columns.stop),
    )
    return outputs
