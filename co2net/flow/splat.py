"""Forward splatting: send every pixel to where the field points, and settle what meets there.

Niklaus and Liu, "Softmax Splatting for Video Frame Interpolation", CVPR 2020, arXiv:2003.05534, section 3.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from co2net.errors import InputError, ShapeError
from co2net.flow.warp import check_field, corners, inside, positions
from co2net.flow.warp_variants import warp_variant

Splatting = Literal["summation", "average", "linear", "softmax"]

_EPSILON = 1e-7  # keeps places that nothing reaches at zero
_STEEPNESS = -20.0  # of the published metric


def splat(source: Tensor, field: Tensor, metric: Tensor | None = None, kind: Splatting = "softmax") -> Tensor:
    """Send the pixels of `source` along `field`. Differentiable in all three.

    Args:
        source: ``(B, C, H, W)`` float, any range.
        field: ``(B, 2, H, W)`` float and finite, pixels, channel 0 = x; where each pixel of `source` goes.
        metric: ``(B, 1, H, W)``, what counts where pixels meet; for ``linear`` and ``softmax`` only.
        kind: ``summation``: the sum of what arrives. ``average``: divided by the weight that arrives. ``linear``,
            ``softmax``: average weighted by the metric, or by its exponential.

    Returns:
        ``(B, C, H, W)``; zero where nothing arrives.

    Raises:
        InputError: the kind is unknown, or the metric is missing, or not wanted.
        ShapeError: shape, type or device do not fit.
    """
    check_field(source, field)
    if kind not in ("summation", "average", "linear", "softmax"):
        raise InputError(f"there is no splatting {kind!r}; there are: summation, average, linear, softmax")
    if (metric is not None) != (kind in ("linear", "softmax")):
        raise InputError(f"splatting {kind!r} takes {'no' if metric is not None else 'a'} metric")
    if kind == "summation":
        return _sum(source, field)
    if metric is None:
        weight = torch.ones_like(source[:, :1])
    elif metric.shape != (wanted := (len(source), 1, *source.shape[2:])):
        raise ShapeError(f"metric must be {wanted} to fit the source, got {tuple(metric.shape)}")
    else:
        weight = metric.exp() if kind == "softmax" else metric
    total = _sum(torch.cat([source * weight, weight], 1), field)
    return total[:, :-1] / (total[:, -1:] + _EPSILON)


def splat_metric(source: Tensor, target: Tensor, field: Tensor) -> Tensor:
    """How well a pixel is found again: ``-20 · mean_c |source - warp(target, field)|``, ``(B, 1, H, W)``, at most 0.

    Args:
        source: ``(B, C, H, W)`` float in [0, 1].
        target: as `source`.
        field: ``(B, 2, H, W)``, pixels, from `source` to `target`.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    return _STEEPNESS * (source - warp_variant(target, field, "splat_metric")).abs().mean(1, keepdim=True)


def _sum(source: Tensor, field: Tensor) -> Tensor:
    """Every pixel added to the four around its place, with bilinear weights; outside is dropped."""
    batch, channels, height, width = source.shape
    total = source.new_zeros(batch, channels, height * width)
    for row, column, weight in corners(*positions(field), source.dtype):
        place = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long().flatten(1)
        arriving = (source * (weight * inside(row, column))).flatten(2)
        total = total.scatter_add(2, place[:, None].expand(-1, channels, -1), arriving)
    return total.view_as(source)
