"""What the colorization networks are trained by, and how a warped neighbor is trusted."""

from __future__ import annotations

import torch
from torch import Tensor


def visibility_mask(current: Tensor, warped: Tensor, parameter: float = 200.0) -> Tensor:
    """Where a warped frame shows what the current one shows: ``exp(-parameter * (sum_c (warped - current))^2)``.

    Args:
        current: ``(B, C, H, W)`` in [0, 1]; three equal luma planes in SVCNet.
        warped: the neighbor, warped to `current`, likewise.
        parameter: how strict.

    Returns:
        ``(B, 1, H, W)`` in [0, 1].
    """
    return torch.exp(-parameter * (warped - current).sum(dim=1, keepdim=True).square())


def total_variation(color: Tensor) -> Tensor:
    """Mean squared difference of neighbors ``(B, C, H, W)``, down plus across, twice; a scalar."""
    down, across = color[..., 1:, :] - color[..., :-1, :], color[..., 1:] - color[..., :-1]
    per_item = down.square().sum() / down[0].numel() + across.square().sum() / across[0].numel()
    return 2 * per_item / len(color)


def short_term_loss(out: Tensor, previous: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute change against a warped earlier result where it is visible; also the long-term loss. A scalar."""
    return (mask * out - mask * previous).abs().mean()


def contextual_loss(x: Tensor, y: Tensor, bandwidth: float = 0.5) -> Tensor:
    """Contextual loss of two feature maps ``(B, C, H, W)`` (Mechrez et al., ECCV 2018); not used by default."""
    center = y.mean(dim=(0, 2, 3), keepdim=True)
    x, y = ((z - center).flatten(2) for z in (x, y))
    x, y = (z / z.norm(dim=1, keepdim=True).clamp(min=1e-12) for z in (x, y))
    distance = 1 - torch.einsum("bci,bcj->bij", x, y)
    relative = distance / (distance.amin(dim=2, keepdim=True) + 1e-5)
    weight = torch.exp((1 - relative) / bandwidth)
    share = weight / weight.sum(dim=2, keepdim=True)
    return -(share.amax(dim=1).mean(dim=1) + 1e-5).log().mean()
