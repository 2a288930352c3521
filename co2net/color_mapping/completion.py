"""Complete a sparse color mapping: a smooth LUT that is defined for every color.

The paper's LUT is empty wherever the neighbor frames showed no color, and a cell that a handful of pixels touched
counts as much as one that thousands did. At a video's own size many pixels fall between the colors that the small
frames showed, so that emptiness and noise become speckles. Here every cell is shrunk towards what the coarser
neighborhood says, by how few pixels it saw: a pyramid of grids from the finest to the coarsest, with a smooth trend (a
square polynomial per channel) above it.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Both chosen on three training clips with six training LUTs (docs/decisions.md).
SHRINKAGE = 10.0  # a cell that saw this many times a mean cell's pixels is half its own, half the coarser grid's
RIDGE = 1e-3  # of the fitted trend, against slopes that the few colors at hand do not determine


def complete(volume: Tensor) -> Tensor:
    """Turn summed corrections into a full LUT.

    Args:
        volume: ``(B, 4, D, D, D)``, from :func:`tridistribute.accumulate` with ``target = harmonized - source``:
            weighted sums of color *corrections* (3) and of weights (1). Corrections vary slowly with color, so their
            mean over a cell holds for the cell's center, which a mean of colors does not.

    Returns:
        LUT ``(B, 3, D, D, D)`` of output colors in [0, 1] space, indexed ``[channel, b, g, r]``, not clamped. Without
        any pixel it is the identity.
    """
    trend, weights = _trend(volume), volume[:, 3:]
    left_over = torch.cat([volume[:, :3] - weights * trend, weights], dim=1)
    return identity_lut(volume.shape[-1], volume) + trend + _pyramid(left_over)


def identity_lut(dim: int, like: Tensor) -> Tensor:
    """The LUT that changes nothing, ``(1, 3, D, D, D)`` on the device and in the type of `like`."""
    steps = torch.arange(dim, device=like.device, dtype=like.dtype) * (1.000001 / (dim - 1))
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([red, green, blue])[None]


def _trend(volume: Tensor) -> Tensor:
    """Ridge fit of the corrections by 1, r, g, b, r², g², b² (around mid-gray), for every cell: ``(B, 3, D, D, D)``."""
    grid = identity_lut(volume.shape[-1], volume)[0].flatten(1) - 0.5
    basis = torch.cat([torch.ones_like(grid[:1]), grid, grid**2])
    sums, weights = volume[:, :3].flatten(2), volume[:, 3].flatten(1)
    total = weights.sum(dim=1).clamp(min=1e-12)[:, None, None]
    gram = torch.einsum("in,bn,jn->bij", basis, weights, basis) / total
    right = torch.einsum("in,bcn->bic", basis, sums) / total
    # The mean correction is sure, slopes less so, curvature least.
    ridge = RIDGE * torch.tensor([1e-4, 1, 1, 1, 3, 3, 3], dtype=volume.dtype, device=volume.device)
    coefficients = torch.linalg.solve(gram + torch.diag(ridge), right)
    return torch.einsum("bic,in->bcn", coefficients, basis).unflatten(2, volume.shape[2:])


def _pyramid(volume: Tensor) -> Tensor:
    """Mean of the sums per cell, shrunk level by level towards the coarser grid's: ``(B, 3, D, D, D)``."""
    levels = [volume]
    while levels[-1].shape[-1] > 3:
        levels.append(_resample(levels[-1], _interpolation(levels[-1]).T))
    estimate = torch.zeros_like(levels[-1][:, :3])
    for level in reversed(levels):
        if estimate.shape != level[:, :3].shape:
            estimate = _resample(estimate, _interpolation(level))
        sums, weights = level[:, :3], level[:, 3:]
        occupied = (weights > 0).sum(dim=(2, 3, 4), keepdim=True).clamp(min=1)
        prior = SHRINKAGE * weights.sum(dim=(2, 3, 4), keepdim=True) / occupied
        estimate = (sums + prior * estimate) / (weights + prior).clamp(min=1e-12)
    return estimate


def _interpolation(fine: Tensor) -> Tensor:
    """Matrix ``(D, (D + 1) // 2)`` of linear interpolation along one axis; its transpose gathers sums."""
    dim = fine.shape[-1]
    coarse = (dim + 1) // 2
    position = torch.arange(dim, dtype=fine.dtype, device=fine.device) * ((coarse - 1) / (dim - 1))
    nodes = torch.arange(coarse, dtype=fine.dtype, device=fine.device)
    return (1 - (position[:, None] - nodes[None, :]).abs()).clamp(min=0)


def _resample(grid: Tensor, matrix: Tensor) -> Tensor:
    """Multiply all three color axes of ``(B, C, D, D, D)`` by `matrix`."""
    for axis in (2, 3, 4):
        grid = (grid.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    return grid
