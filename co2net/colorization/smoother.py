"""The fast global smoother: edge-aware smoothing as a few tridiagonal systems per row and column.

Min et al., "Fast global image smoothing based on weighted least squares", IEEE TIP 2014. Along a line the smoothed
signal ``o`` of a signal ``f`` solves, with ``w = exp(-|u_p - u_q| / sigma)`` between neighbors of the guide ``u``,

    (1 + lambda w_left + lambda w_right) o_i - lambda w_left o_{i-1} - lambda w_right o_{i+1} = f_i

All rows, then all columns, three times, lambda a quarter of the one before each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from co2net.errors import ShapeError

ATTENUATION, ITERATIONS = 0.25, 3


def smooth(signal: Tensor, guide8: Tensor, lam: float, sigma: float, confidence: Tensor | None = None) -> Tensor:
    """Smooth planes where the guide is smooth.

    Args:
        signal: ``(..., H, W)`` float planes, any range.
        guide8: ``(H, W)``, or ``(N, H, W)`` for a signal ``(N, C, H, W)``: codes 0 to 255, any type.
        lam: how strong; 500 spreads over a hundred pixels.
        sigma: difference of codes that counts as an edge.
        confidence: ``(..., 1, H, W)`` for a signal ``(..., C, H, W)``, at least 0: how much of each value is data. The
            smoothed ``confidence * signal`` is divided by the smoothed confidence: values spread from where they are
            known to where they are not.

    Returns:
        As `signal`, float32.

    Raises:
        ShapeError: the guide does not fit the signal.
    """
    if signal.ndim < 2 or guide8.shape[-2:] != signal.shape[-2:] or guide8.ndim not in (2, 3):
        raise ShapeError(f"guide8 {tuple(guide8.shape)} does not fit the signal {tuple(signal.shape)}")
    if guide8.ndim == 3 and (signal.ndim != 4 or len(guide8) != len(signal)):
        raise ShapeError(f"guide8 {tuple(guide8.shape)} needs a signal (N, C, H, W), got {tuple(signal.shape)}")
    signal = signal.float()
    if confidence is not None:
        if signal.ndim < 3:
            raise ShapeError("a signal with a confidence must be (..., C, H, W)")
        confidence = confidence.float().expand(*signal.shape[:-3], 1, *signal.shape[-2:])
        done = smooth(torch.cat([signal * confidence, confidence], dim=-3), guide8, lam, sigma)
        return done[..., :-1, :, :] / done[..., -1:, :, :].clamp(min=1e-12)
    height, width = signal.shape[-2:]
    guide = guide8.to(signal).reshape(-1, height, width)
    across = torch.exp(-(guide[..., 1:] - guide[..., :-1]).abs() / sigma)  # (N, H, W - 1), between columns
    down = torch.exp(-(guide[:, 1:] - guide[:, :-1]).abs() / sigma)
    across, down = (
        across.permute(2, 0, 1).flatten(1),
        down.permute(1, 0, 2).flatten(1),
    )  # lines of all pictures together
    planes = signal.reshape(len(guide), -1, height, width)
    count, planes_each = planes.shape[:2]
    for i in range(ITERATIONS):
        strength = lam * ATTENUATION**i
        lines = planes.permute(3, 1, 0, 2).reshape(width, planes_each, count * height)
        lines = _solve(lines, strength * across).reshape(width, planes_each, count, height)
        lines = lines.permute(3, 1, 2, 0).reshape(height, planes_each, count * width)
        planes = _solve(lines, strength * down).reshape(height, planes_each, count, width).permute(2, 1, 0, 3)
    return planes.reshape(signal.shape)


def _solve(f: Tensor, w: Tensor) -> Tensor:
    """Thomas algorithm along axis 0: `f` ``(L, P, M)``, ``lambda w`` between neighbors `w` ``(L - 1, M)``."""
    edge = w.new_zeros(1, w.shape[1])
    before, after = torch.cat([edge, w]), torch.cat([w, edge])
    scale, ratio = _eliminated(1 + before + after, before, after)
    # What went before is added on the way down, what follows on the way up.
    out = f.contiguous() * scale[:, None]
    _add_neighbors(out, before * scale)
    _add_neighbors(out, ratio, -1)
    return out


def _eliminated(diagonal: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of the elimination, of the guide only: 1 / the diagonal that is left, and the next value's share."""
    library = _library(after)
    scale, ratio = torch.empty_like(after), torch.empty_like(after)
    last = None
    for d, b, a, one, share in zip(*map(_rows, (diagonal, before, after, scale, ratio)), strict=True):
        left = d if last is None else library.subtract(d, library.multiply(b, last, out=one), out=one)
        last = library.multiply(a, library.reciprocal(left, out=one), out=share)
    return scale, ratio


def _add_neighbors(lines: Tensor, weights: Tensor, way: int = 1) -> None:
    """Add to each line the one before it, the sum, times its weight; the one after it if the way is -1."""
    library, spare = _library(lines), _rows(torch.empty_like(lines[:1]))[0]
    rows = _rows(lines)[::way]
    for row, before, weight in zip(rows[1:], rows, _rows(weights)[::way][1:], strict=False):
        library.add(row, library.multiply(before, weight, out=spare), out=row)


def _rows(lines: Tensor) -> Sequence[Any]:
    return list(lines.numpy()) if lines.device.type == "cpu" else lines.unbind()


def _library(lines: Tensor) -> Any:
    """NumPy on the CPU: an operation on so few numbers takes a third of PyTorch's time."""
    return np if lines.device.type == "cpu" else torch
