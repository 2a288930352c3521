r"""Flicker without optical flow: do the foreground's colors change over time as those of the real clip do?

Per frame i, over the foreground with its soft mask m as weight, values 0..255::

    s_i = mean and standard deviation of R, G and B                    six numbers
    a_i = s_{i-1} - 2 s_i + s_{i+1}                                    how far frame i stands out from its neighbors
    flicker_i = sqrt(mean over the six of (a_i - a_i of the real clip)^2)

The score of a clip is the mean over its frames, in 8-bit levels. A wrong color that stays, or drifts at one pace, costs
nothing here (fMSE tells it); a color that jumps back and forth costs twice its height in every frame. The movement of
the foreground cancels, as the real clip moves alike. What flickers inside the foreground without changing its mean and
spread, such as noise, goes unseen: the temporal loss sees that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.errors import ShapeError
from co2net.metrics._levels import check_pair, levels, nan_where


def color_flicker(harmonized: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Flicker of one clip (module docstring); a data set's value is the mean over all its frames.

    Args:
        harmonized: the result's frames in order, ``(T, 3, H, W)`` in [0, 1], T at least 3; values outside are clamped.
        real: the real frames, likewise.
        mask: ``(T, 1, H, W)`` in [0, 1].

    Returns:
        A float64 scalar in 8-bit levels, 0 for no flicker; ``nan`` if no three neighboring frames have a foreground.

    Raises:
        ShapeError: shape, type or device do not fit, or the clip has fewer than three frames.
    """
    check_pair(harmonized, real, mask)
    if len(harmonized) < 3:
        raise ShapeError(f"flicker needs a clip of at least three frames, got {tuple(harmonized.shape)}")
    return frame_flicker(foreground_colors(harmonized, mask), foreground_colors(real, mask)).nanmean()


def foreground_colors(image: Tensor, mask: Tensor) -> Tensor:
    """What the score needs of every frame, so that a clip can be measured frame by frame.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        mask: ``(B, 1, H, W)`` in [0, 1].

    Returns:
        ``(B, 6)`` float64, 8-bit levels: means of R, G, B in the foreground, then their standard deviations; ``nan``
        where the mask is empty.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(image, image, mask)
    value, weight = levels(image).flatten(2), mask.double().flatten(2)
    area = weight.sum(dim=2)
    mean = (weight * value).sum(dim=2) / area
    spread = ((weight * (value - mean[..., None]).square()).sum(dim=2) / area).sqrt()
    return nan_where(area.expand(-1, 6) <= 0, torch.cat([mean, spread], dim=1))


def frame_flicker(colors: Tensor, real: Tensor) -> Tensor:
    """Flicker of every frame of a clip.

    Args:
        colors: ``(T, 6)``, frame by frame, of :func:`foreground_colors`; a row of ``nan`` separates frames that are no
            neighbors in time.
        real: the same of the real clip.

    Returns:
        ``(T,)``, 8-bit levels; ``nan`` for the first and the last frame and wherever a neighbor has no foreground.
    """
    flicker = torch.full((len(colors),), torch.nan, dtype=colors.dtype, device=colors.device)
    if len(colors) > 2:
        flicker[1:-1] = (colors - real).diff(n=2, dim=0).square().mean(dim=1).sqrt()
    return flicker
