r"""The definition of reading a color table, in PyTorch: any device, float32 and float64, differentiable.

A table with D points per axis has cells of size :math:`h = 1.000001 / (D - 1)`. The color :math:`x` lies in cell
:math:`i_k = \lfloor x_k / h \rfloor` at fraction :math:`d_k = x_k / h - i_k`, k = r, g, b. Corner
:math:`c \in \{0,1\}^3` of that cell is grid point :math:`i + c` with weight
:math:`w_c = \prod_k (d_k \text{ if } c_k \text{ else } 1 - d_k)`.
The factor 1.000001 keeps the value 1 inside the last cell.

The ``*_backward`` functions are the gradients written out. They work in float64: at a value of exactly 1 the near
corners weigh 3e-5, and a quotient of such weights needs the digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

EXTENT = 1.000001
"""Length of the table's axes in color units."""


class Corner(NamedTuple):
    """One of the eight corners of every pixel's cell."""

    cell: Tensor
    """``(B, N)`` its number r + D g + D² b."""
    weight: Tensor
    """``(B, N)`` in [0, 1]."""
    slope: Tensor | None
    """``(B, 3, N)`` derivative of the weight in r, g, b; 0 where the color was clamped."""


def precise(tensor: Tensor) -> torch.dtype:
    """Return float64, in which small weights keep their digits; float32 where the device has no other."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def corners(colors: Tensor, dim: int, slopes: bool = False) -> Iterator[Corner]:
    """Yield the eight corners of the cells of `colors` ``(B, 3, N)``; weights in float64 and differentiable."""
    position = colors.clamp(0, 1).to(precise(colors)) * ((dim - 1) / EXTENT)
    near = position.detach().floor().clamp(max=dim - 2)
    fraction = position - near
    sides = (1 - fraction, fraction)
    near = near.long()
    inside = ((colors >= 0) & (colors <= 1)) * ((dim - 1) / EXTENT) if slopes else None
    for number in range(8):
        r, g, b = number & 1, number >> 1 & 1, number >> 2
        cell = near[:, 0] + r + dim * (near[:, 1] + g + dim * (near[:, 2] + b))
        along_r, along_g, along_b = sides[r][:, 0], sides[g][:, 1], sides[b][:, 2]
        slope = None
        if inside is not None:
            slope = inside * torch.stack(
                [(2 * r - 1) * along_g * along_b, (2 * g - 1) * along_r * along_b, (2 * b - 1) * along_r * along_g], 1
            )
        yield Corner(cell, along_r * along_g * along_b, slope)


def apply_lut(lut: Tensor, image: Tensor, count: Tensor | None = None) -> Tensor:
    """Define :func:`trilinear.apply_lut`."""
    total, weight_sum = _weighted_sum(lut, image.flatten(2), count)
    if weight_sum is None:
        return total.reshape(image.shape)
    known = weight_sum >= torch.finfo(image.dtype).tiny
    return torch.where(known, total / torch.where(known, weight_sum, 1), 0).reshape(image.shape)


def apply_lut_backward(
    grad: Tensor, lut: Tensor, image: Tensor, count: Tensor | None, need_lut: bool, need_image: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of :func:`apply_lut` in `lut` and `image`; an empty tensor for one that is not needed."""
    dim, dtype, wide = lut.shape[-1], image.dtype, precise(image)
    colors, flow = image.flatten(2), grad.flatten(2).to(wide)
    table, filled = lut.flatten(2).to(wide), None if count is None else (count != 0).flatten(1)
    output, weight_sum = _weighted_sum(lut.to(wide), colors, count)
    if weight_sum is not None:
        known = weight_sum.to(dtype) >= torch.finfo(dtype).tiny
        weight_sum = torch.where(known, weight_sum, 1)
        flow = torch.where(known, flow / weight_sum, 0)
        output = output / weight_sum
    grad_lut = torch.zeros_like(table)
    grad_image = torch.zeros_like(colors, dtype=wide)
    for cell, weight, slope in corners(colors, dim, slopes=True):
        valid = 1.0 if filled is None else filled.gather(1, cell)[:, None].to(wide)
        cells = cell[:, None].expand(-1, 3, -1)
        if need_lut:
            grad_lut.scatter_add_(2, cells, valid * weight[:, None] * flow)
        if need_image and slope is not None:
            change = (flow * (table.gather(2, cells) - output)).sum(1, keepdim=True)
            grad_image += slope * valid * change
    return (
        grad_lut.to(dtype).reshape(lut.shape) if need_lut else lut.new_empty(0),
        grad_image.to(dtype).reshape(image.shape) if need_image else image.new_empty(0),
    )


def unseen_map(count: Tensor, image: Tensor, all_empty: bool = False) -> Tensor:
    """Define :func:`trilinear.unseen_map`; `all_empty` selects the published rule."""
    filled = (count != 0).flatten(1)
    seen = torch.zeros_like(image[:, 0].flatten(1))
    for cell, weight, _ in corners(image.flatten(2), count.shape[-1]):
        valid = filled.gather(1, cell)
        seen += valid if all_empty else valid * weight.to(image.dtype)
    return (seen < torch.finfo(image.dtype).tiny).to(image.dtype).reshape(-1, 1, *image.shape[2:])


def _weighted_sum(lut: Tensor, colors: Tensor, count: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return Σ v w L ``(B, 3, N)`` and, with a count, S = Σ v w ``(B, 1, N)``, in the dtype of `lut`."""
    table = lut.flatten(2)
    filled = None if count is None else (count != 0).flatten(1)
    total = torch.zeros_like(colors, dtype=lut.dtype)
    weight_sum = torch.zeros_like(total[:, :1])
    for cell, weight, _ in corners(colors, lut.shape[-1]):
        weight = weight[:, None].to(lut.dtype)
        if filled is not None:
            weight = weight * filled.gather(1, cell)[:, None]
            weight_sum = weight_sum + weight
        total = total + weight * table.gather(2, cell[:, None].expand(-1, 3, -1))
    return total, None if filled is None else weight_sum
