"""How well the features of one frame fit those of the other at every displacement of a window (the cost volume).

    volume(k; y, x) = 1/C Σ_c first(c, y, x) · second(c, y + dy, x + dx),   dy, dx ∈ {-reach, -reach + step, ..., reach}

``k`` counts the displacements row by row, dx fastest; `second` is zero outside. FlowNetC (Dosovitskiy et al., ICCV
2015, section 3) uses reach 20 and step 2, PWC-Net (Sun et al., CVPR 2018, section 3) reach 4 and step 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.errors import ShapeError

_TILE = 16  # columns that share one matrix product; the fastest for both networks among 16, 32 and whole rows


def correlation(first: Tensor, second: Tensor, reach: int = 4, step: int = 1) -> Tensor:
    """The cost volume of two feature maps. Differentiable in both.

    One row of displacements at a time, as products of small matrices: 16 neighboring columns of `first` with all that
    they reach in a row of `second`. The wanted values lie on the diagonals of the products. Besides the result this
    takes a few times the memory of `second`, whatever the number of displacements.

    Args:
        first: ``(B, C, H, W)`` float features, any range.
        second: as `first`.
        reach: largest displacement in pixels of the feature maps, a multiple of `step`.
        step: pixels between displacements.

    Returns:
        ``(B, D * D, H, W)`` with ``D = 2 * reach / step + 1``.

    Raises:
        ShapeError: the maps do not fit, or `reach` is no multiple of `step`.
    """
    if first.ndim != 4 or first.shape != second.shape or 0 in first.shape[1:]:
        raise ShapeError(
            f"feature maps must have one shape (B, C, H, W) without a zero, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    if step < 1 or reach < 0 or reach % step:
        raise ShapeError(f"reach must be a multiple of step, got reach {reach} and step {step}")
    batch, channels, height, width = first.shape
    tiles, count = -(-width // _TILE), 2 * reach // step + 1
    spare, span = tiles * _TILE - width, _TILE + 2 * reach  # columns past the right edge; columns that a tile reaches
    left = F.pad(first, (0, spare)).permute(0, 2, 3, 1).reshape(batch, height, tiles, _TILE, channels)
    right = F.pad(second, (reach, reach + spare, reach, reach)).permute(0, 2, 1, 3)
    right = right.unfold(3, span, _TILE).permute(0, 1, 3, 2, 4).contiguous()  # (B, H + 2 reach, tiles, C, span)
    rows = []
    for dy in range(0, 2 * reach + 1, step):
        products = left @ right[:, dy : dy + height]  # (B, H, tiles, 16, span)
        # Column x of a tile meets displacement i at x + i * step: one further for each x, hence span + 1.
        strides = (*products.stride()[:3], span + 1, step)
        diagonals = products.as_strided((batch, height, tiles, _TILE, count), strides)
        rows.append(diagonals.reshape(batch, height, tiles * _TILE, count)[:, :, :width].permute(0, 3, 1, 2))
    return torch.cat(rows, 1) / channels
