"""The definition of writing a LUT, in PyTorch: any device, float32 and float64, differentiable.

Cells, corners and weights are those of :mod:`trilinear.reference`, of which this is the transpose. Sums are taken in
float64: in float32 a cell that already holds a million pixels no longer grows properly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trilinear.reference import corners, position_slope, precise


def accumulate(source: Tensor, target: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Define :func:`tridistribute.accumulate`."""
    batch = source.shape[0]
    values = _gated(target, mask)
    volume = torch.zeros((batch, 4, dim**3), dtype=values.dtype, device=source.device)
    for cell, weight, *_ in corners(source.flatten(2), dim):
        volume = volume.scatter_add(2, cell[:, None].expand(-1, 4, -1), weight[:, None] * values)
    return volume.to(source.dtype).reshape(batch, 4, dim, dim, dim)


def accumulate_backward(
    grad: Tensor, source: Tensor, target: Tensor, mask: Tensor, need_source: bool, need_target: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of :func:`accumulate` in `source` and `target`; empty for one that is not needed."""
    lut = grad.flatten(2).to(precise(grad))
    values = _gated(target, mask)
    grad_source = torch.zeros_like(values[:, :3])
    grad_target = torch.zeros_like(values[:, :3])
    for corner in corners(source.flatten(2), grad.shape[-1]):
        flow = lut.gather(2, corner.cell[:, None].expand(-1, 4, -1))
        grad_target += corner.weight[:, None] * flow[:, :3]
        change = (flow * values).sum(1)
        for axis, (side, share) in enumerate(zip(corner.sides, corner.shares, strict=True)):
            grad_source[:, axis] += (2 * side - 1) * share * change
    grad_source *= position_slope(source.flatten(2), grad.shape[-1])
    grad_target *= values[:, 3:]
    return (
        grad_source.to(source.dtype).reshape(source.shape) if need_source else source.new_empty(0),
        grad_target.to(target.dtype).reshape(target.shape) if need_target else target.new_empty(0),
    )


def _gated(target: Tensor, mask: Tensor) -> Tensor:
    """Return (target, 1) where the mask is above one half and 0 elsewhere: ``(B, 4, N)`` in float64."""
    gate = mask.flatten(2) > 0.5
    # Not a product with the gate: what is NaN outside the mask must stay outside.
    colors = torch.where(gate, target.flatten(2), 0).to(precise(target))
    return torch.cat([colors, gate.to(colors.dtype)], 1)
