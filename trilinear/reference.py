r"""The definition of reading a LUT, in PyTorch: any device, float32 and float64, differentiable.

A LUT with D points per axis has cells of size :math:`h = 1.000001 / (D - 1)`. The color :math:`x` lies in cell
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
"""Length of the LUT's axes in color units."""

Box = tuple[int, int, int, int]
"""A part of a frame: rows from, to, columns from, to; the ends do not belong to it."""


class Corner(NamedTuple):
    """One of the eight corners of every pixel's cell."""

    cell: Tensor
    """``(B, N)`` its number r + D g + D² b."""
    weight: Tensor
    """``(B, N)`` in [0, 1]."""
    sides: tuple[int, int, int]
    """Along r, g, b: 0 for the near side, 1 for the far side."""
    shares: tuple[Tensor, Tensor, Tensor]
    """Along r, g, b: ``(B, N)``, the weight without that axis' factor; with a minus on the near side, its slope."""


def precise(tensor: Tensor) -> torch.dtype:
    """Return float64, in which small weights keep their digits; float32 where the device has no other."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def corners(colors: Tensor, dim: int) -> Iterator[Corner]:
    """Yield the eight corners of the cells of `colors` ``(B, 3, N)``; weights in float64 and differentiable."""
    position = _clamped(colors).to(precise(colors)) * ((dim - 1) / EXTENT)
    near = position.detach().floor().clamp(max=dim - 2)
    fraction = position - near
    weights = (1 - fraction, fraction)
    near = near.long()
    for number in range(8):
        r, g, b = number & 1, number >> 1 & 1, number >> 2
        cell = near[:, 0] + r + dim * (near[:, 1] + g + dim * (near[:, 2] + b))
        along_r, along_g, along_b = weights[r][:, 0], weights[g][:, 1], weights[b][:, 2]
        shares = (along_g * along_b, along_r * along_b, along_r * along_g)
        yield Corner(cell, along_r * along_g * along_b, (r, g, b), shares)


def position_slope(colors: Tensor, dim: int) -> Tensor:
    """Return the derivative of x / h in x, shaped like `colors`: 1 / h, and 0 where the color was clamped."""
    return ((colors >= 0) & (colors <= 1)).to(precise(colors)) * ((dim - 1) / EXTENT)


def apply_lut(lut: Tensor, image: Tensor, count: Tensor | None = None) -> Tensor:
    """Define :func:`trilinear.apply_lut`."""
    total, weight_sum = _weighted_sum(lut, image.flatten(2), count)
    if weight_sum is None:
        return total.reshape(image.shape)
    known = weight_sum >= torch.finfo(image.dtype).tiny
    return torch.where(known, total / torch.where(known, weight_sum, 1), 0).reshape(image.shape)


def apply_lut_frame(lut: Tensor, frame: Tensor, mask: Tensor | None, strength: float, box: Box) -> Tensor:
    """Define :func:`trilinear.apply_lut_frame`: x + strength m (LUT(x) - x) in codes, rounded half to even."""
    top, bottom, left, right = box
    output = frame.clone()
    if top >= bottom or left >= right:
        return output
    largest = largest_code(frame.dtype)
    codes = frame[top:bottom, left:right].float()
    read = apply_lut(lut, (codes / largest).permute(2, 0, 1)[None])[0].permute(1, 2, 0) * largest
    shares = codes.new_ones((*codes.shape[:2], 1))
    if mask is not None:
        shares = mask[top:bottom, left:right, None].float() * (1 / 255 if mask.dtype == torch.uint8 else 1)
    blended = (codes + strength * shares * (read - codes)).clamp(0, largest).round()
    output[top:bottom, left:right] = torch.where(shares > 0, blended, codes).to(frame.dtype)
    return output


def largest_code(dtype: torch.dtype) -> int:
    """Return the code of full brightness: 255 for uint8, 65535 for uint16."""
    return 255 if dtype == torch.uint8 else 65535


def apply_lut_backward(
    grad: Tensor, lut: Tensor, image: Tensor, count: Tensor | None, need_lut: bool, need_image: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of :func:`apply_lut` in `lut` and `image`; an empty tensor for one that is not needed.

    Along an axis the output is ((1 - d) n0 + d n1) / ((1 - d) s0 + d s1), where n and s sum v w L and v w over the near
    and the far side without that axis' factor. Its derivative in d is taken as (n1 s0 - n0 s1) / S²: this is exactly 0
    where one side is empty, while in the textbook form terms of 1 / S would have to cancel.
    """
    dim, dtype, wide = lut.shape[-1], image.dtype, precise(image)
    colors, flow = image.flatten(2), grad.flatten(2).to(wide)
    entries = lut.flatten(2).to(wide)
    filled = torch.ones_like(entries[:, :1]) if count is None else (count != 0).flatten(1)[:, None].to(wide)
    entries = torch.cat([entries * filled, filled], 1)
    total = entries.new_zeros((image.shape[0], 4, colors.shape[2]))
    sides = entries.new_zeros((2, 3, *total.shape))  # near and far; along r, g, b; the rest holds (n, s) of every pixel
    for corner in corners(colors, dim):
        value = entries.gather(2, corner.cell[:, None].expand(-1, 4, -1))
        total += corner.weight[:, None] * value
        for axis in range(3):
            sides[corner.sides[axis], axis] += corner.shares[axis][:, None] * value
    known = total[:, 3:].to(dtype) >= torch.finfo(dtype).tiny
    weight_sum = torch.where(known, total[:, 3:], 1)
    flow = torch.where(known, flow / weight_sum, 0)

    near, far = sides
    quotient_slope = (far[:, :, :3] * near[:, :, 3:] - near[:, :, :3] * far[:, :, 3:]) / weight_sum
    grad_image = (flow * quotient_slope).sum(2).transpose(0, 1) * position_slope(colors, dim)
    grad_lut = torch.zeros_like(entries[:, :3])
    for corner in corners(colors, dim):
        grad_lut.scatter_add_(2, corner.cell[:, None].expand(-1, 3, -1), corner.weight[:, None] * flow)
    grad_lut *= filled
    return (
        grad_lut.to(dtype).reshape(lut.shape) if need_lut else lut.new_empty(0),
        grad_image.to(dtype).reshape(image.shape) if need_image else image.new_empty(0),
    )


def unseen_map(count: Tensor, image: Tensor, all_empty: bool = False) -> Tensor:
    """Define :func:`trilinear.unseen_map`; `all_empty` selects the published rule."""
    filled = (count != 0).flatten(1)
    seen = torch.zeros_like(image[:, 0].flatten(1))
    for cell, weight, *_ in corners(image.flatten(2), count.shape[-1]):
        valid = filled.gather(1, cell)
        seen += valid if all_empty else valid * weight.to(image.dtype)
    return (seen < torch.finfo(image.dtype).tiny).to(image.dtype).reshape(image.shape[0], 1, *image.shape[2:])


def _clamped(colors: Tensor) -> Tensor:
    """Clamp to [0, 1] with slope 1 at both ends, where PyTorch's own clamp has slope 0 from 2.14 on."""
    outside = (colors < 0) | (colors > 1)
    return torch.where(outside, colors.detach().clamp(0, 1), colors)


def _weighted_sum(lut: Tensor, colors: Tensor, count: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return Σ v w L ``(B, 3, N)`` and, with a count, S = Σ v w ``(B, 1, N)``, in the dtype of `lut`."""
    entries = lut.flatten(2)
    filled = None if count is None else (count != 0).flatten(1)
    total = lut.new_zeros(colors.shape)  # contiguous, whatever the layout of the colors
    weight_sum = torch.zeros_like(total[:, :1])
    for cell, weight, *_ in corners(colors, lut.shape[-1]):
        weight = weight[:, None].to(lut.dtype)
        if filled is not None:
            weight = weight * filled.gather(1, cell)[:, None]
            weight_sum = weight_sum + weight
        total = total + weight * entries.gather(2, cell[:, None].expand(-1, 3, -1))
    return total, None if filled is None else weight_sum
