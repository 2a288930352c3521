"""Three curves, one for each channel: what a 1D LUT can hold of a color mapping.

A curve gives, for every value of its channel, the mean change of the foreground's pixels that have it, so among all
triples of curves these are the nearest to the results in the least squares. Where the foreground has few or no pixels
the change is carried on from its neighbors.
"""

from __future__ import annotations

import torch
from torch import Tensor

import tridistribute

POINTS = 33
_STIFFNESS = 0.02
"""Weight of the difference between neighboring points, in shares of the pixels that a point has on average."""


def curve_sums(source: Tensor, change: Tensor, mask: Tensor) -> Tensor:
    """Sums over one frame: ``(3, POINTS, 2)``, weighted changes and weights at every value of each channel.

    Args:
        source: ``(1, 3, h, w)`` in [0, 1].
        change: what is to be added to it, ``(1, 3, h, w)``.
        mask: ``(1, 1, h, w)`` in [0, 1].
    """
    volume = tridistribute.accumulate(source, change / mask.clamp(min=0.5), mask, dim=POINTS)[0]
    others = ((0, 1), (0, 2), (1, 2))  # a volume's axes are b, g, r
    return torch.stack(
        [torch.stack([volume[c].sum(dim=others[c]), volume[3].sum(dim=others[c])], dim=-1) for c in range(3)]
    )


def complete_curves(sums: Tensor, points: int) -> Tensor:
    """Curves ``(points, 3)`` of output values at inputs k / (points - 1), from summed :func:`curve_sums`."""
    sums = sums.double()
    steps = torch.diff(torch.eye(POINTS, dtype=torch.float64), dim=0)
    curves = []
    for changes, weights in sums.transpose(1, 2):
        stiffness = _STIFFNESS * weights.mean().clamp(min=1e-9)
        curves.append(torch.linalg.solve(torch.diag(weights) + stiffness * steps.T @ steps + 1e-12, changes))
    fitted = torch.stack(curves)[None]  # (1, 3, POINTS)
    change = torch.nn.functional.interpolate(fitted, points, mode="linear", align_corners=True)[0].T
    return (torch.linspace(0, 1, points, dtype=torch.float64)[:, None] + change).float()
