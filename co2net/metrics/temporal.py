r"""Temporal loss (TL): does the result of frame t, moved along the true motion, agree with the result of frame t + 1?

With c, n the results of frames t and t + 1, R0, R1 their real frames, m the mask of t, and the field from R1 to R0::

    c', R', m' = c, R0, m warped by the field            on the grid of t + 1
    w  = m' * mean over channels of exp(-|R' - R1|)      one channel: less weight where the motion is not explained
    TL           = 255^2 * sum_{3,H,W} (w c' - w n)^2 / sum w          as published
    TL, weighted = 255^2 * sum_{3,H,W} w (c' - n)^2 / (3 sum w)        a weighted mean squared error

The published form squares the weight above and not below, so it depends on the level of w, and sums three channels
against one. In both, w never falls below 0.37 m', so what is hidden in one of the frames, or has left it, counts almost
fully (docs/published_defects.md). The sound form counts only what both frames show::

    v  = m' * m1 * visible                                        m1: mask of t + 1
    TL, visible  = 255^2 * sum_{3,H,W} v (c' - n)^2 / (3 sum v)   c, n clamped to [0, 1] first

All of them count real changes of brightness as flicker: the same with R0, R1 in place of c, n is the value that a
perfect result would get. The published table lets FlowNet2 estimate the field; values of other estimators differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.errors import ShapeError
from co2net.flow.warp import warp
from co2net.metrics._levels import check_pair, nan_where


def temporal_loss(
    current: Tensor, following: Tensor, current_real: Tensor, following_real: Tensor, mask: Tensor, flow: Tensor
) -> Tensor:
    """The published temporal loss of pairs of frames; the published value is its mean over 78 pairs of HYouTube.

    Args:
        current: result of frame t, ``(B, 3, H, W)`` in [0, 1] space, used unclamped as published.
        following: result of frame t + 1, likewise.
        current_real: real frame t, ``(B, 3, H, W)`` in [0, 1].
        following_real: real frame t + 1.
        mask: mask of frame t, ``(B, 1, H, W)`` in [0, 1].
        flow: ``(B, 2, H, W)`` in pixels, channel 0 = x: displacement from frame t + 1 to frame t, that is
            ``estimate(following_real, current_real)``.

    Returns:
        ``(B,)`` float64, squared 8-bit levels, 0 for perfect agreement; ``nan`` where the weight is zero everywhere
        (an empty mask): leave it out of a mean and count it.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    return temporal_losses(current, following, current_real, following_real, mask, flow)[0]


def temporal_loss_weighted(
    current: Tensor, following: Tensor, current_real: Tensor, following_real: Tensor, mask: Tensor, flow: Tensor
) -> Tensor:
    """The temporal loss as a weighted mean squared error, comparable with MSE and fMSE (module docstring).

    Arguments, result and errors are those of :func:`temporal_loss`.
    """
    return temporal_losses(current, following, current_real, following_real, mask, flow)[1]


def temporal_losses(
    current: Tensor, following: Tensor, current_real: Tensor, following_real: Tensor, mask: Tensor, flow: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`temporal_loss` and :func:`temporal_loss_weighted` of one warp, in half the time; arguments as there."""
    difference, weight = _difference_and_weight(current, following, current_real, following_real, mask, flow)
    published = _over_weight((weight * difference).square(), weight)
    return published, _over_weight(weight * difference.square(), weight) / 3


def temporal_loss_visible(
    current: Tensor, following: Tensor, mask: Tensor, following_mask: Tensor, flow: Tensor, visible: Tensor
) -> Tensor:
    """Mean squared change of the foreground along the motion, over what both frames show (module docstring).

    Args:
        current: result of frame t, ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        following: result of frame t + 1, likewise.
        mask: mask of frame t, ``(B, 1, H, W)`` in [0, 1].
        following_mask: mask of frame t + 1, likewise.
        flow: as in :func:`temporal_loss`.
        visible: ``(B, 1, H, W)`` in [0, 1] on the grid of frame t + 1: 1 where frame t shows the same point,
            ``1 - occlusion_mask(flow, back)`` of :mod:`co2net.flow.occlusion`.

    Returns:
        ``(B,)`` float64, squared 8-bit levels; ``nan`` where nothing of the foreground is seen in both frames.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(current, following, mask)
    check_pair(current, following, following_mask)
    check_pair(current, following, visible)
    frames = torch.cat([current.double().clamp(0, 1), mask.double()], dim=1)
    warped, warped_mask = warp(frames, flow).split([3, 1], dim=1)
    weight = warped_mask * following_mask.double() * visible.double()
    return _over_weight(weight * (warped - following.double().clamp(0, 1)).square(), weight) / 3


def _difference_and_weight(
    current: Tensor, following: Tensor, current_real: Tensor, following_real: Tensor, mask: Tensor, flow: Tensor
) -> tuple[Tensor, Tensor]:
    """C' - n ``(B, 3, H, W)`` and w ``(B, 1, H, W)``, float64."""
    check_pair(current, following, mask)
    check_pair(current_real, following_real)
    if current_real.shape != current.shape or current_real.device != current.device:
        raise ShapeError(
            f"results and real frames must have one shape and device, got {tuple(current.shape)} on {current.device} "
            f"and {tuple(current_real.shape)} on {current_real.device}"
        )
    frames = torch.cat([current.double(), current_real.double(), mask.double()], dim=1)
    warped, warped_real, warped_mask = warp(frames, flow).split([3, 3, 1], dim=1)
    confidence = torch.exp(-(warped_real - following_real.double()).abs()).mean(dim=1, keepdim=True)
    return warped - following.double(), warped_mask * confidence


def _over_weight(error: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum(dim=(1, 2, 3))
    return nan_where(total <= 0, 255.0**2 * error.sum(dim=(1, 2, 3)) / total)
