r"""Brightness consistency of a clip (R-RTC, fR-RTC): does the result get brighter and darker as the real clip does?

Without optical flow, on 8-bit pictures with V = max(R, G, B), 0..255::

    b_i = mean of V over frame i (R-RTC) or over its foreground (fR-RTC)
    d_i = |(b_{i+1} - b_i) of the result - the same of the real clip|,   D = mean d
    score = mean over i of  d_i^2 + max(0, d_i - D)^2                    lower is better
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from co2net.errors import ShapeError
from co2net.metrics._levels import check_pair, levels


class BrightnessConsistency(NamedTuple):
    """Scores of one clip, float64 scalars in squared 8-bit levels."""

    image: Tensor
    """R-RTC: brightness of whole frames."""
    foreground: Tensor
    """fR-RTC: brightness of the foreground; ``nan`` if no two neighboring frames have one."""


def brightness_consistency(harmonized: Tensor, real: Tensor, mask: Tensor) -> BrightnessConsistency:
    """R-RTC and fR-RTC of one clip; a data set's value is the mean over its clips (published at 256 x 256).

    Args:
        harmonized: the result's frames in order, ``(T, 3, H, W)`` in [0, 1], T at least 2; rounded to 8 bits.
        real: the real frames, likewise.
        mask: ``(T, 1, H, W)`` in [0, 1]; foreground is where it is at least 0.5.

    Returns:
        ``(image, foreground)``, that is (R-RTC, fR-RTC). A frame without foreground is left out of the second, with
        both changes that it takes part in; a :class:`UserWarning` says how many there were.

    Raises:
        ShapeError: shape, type or device do not fit, or the clip has fewer than two frames.
    """
    check_pair(harmonized, real, mask)
    if len(harmonized) < 2:
        raise ShapeError(f"a clip needs at least two frames, got {tuple(harmonized.shape)}")
    empty = int((mask < 0.5).all(dim=(1, 2, 3)).sum())
    if empty:
        warnings.warn(f"fR-RTC leaves out {empty} of {len(mask)} frames: their mask is empty", stacklevel=2)
    costs = brightness_costs(frame_brightness(harmonized, mask), frame_brightness(real, mask))
    image, foreground = costs.nanmean(dim=0)  # the mean of nothing is nan: a clip without a usable change
    return BrightnessConsistency(image, foreground)


def frame_brightness(image: Tensor, mask: Tensor) -> Tensor:
    """What the scores need of every frame, so that a clip can be measured frame by frame.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; rounded to 8 bits.
        mask: ``(B, 1, H, W)`` in [0, 1]; foreground is where it is at least 0.5.

    Returns:
        ``(B, 2)`` float64, 0..255: b_i of the whole frame and of its foreground, ``nan`` without a foreground.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(image, image, mask)
    value = levels(image).round().amax(dim=1, keepdim=True)
    inside = mask >= 0.5
    foreground = (value * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3))  # 0 / 0 = nan where there is none
    return torch.stack([value.mean(dim=(1, 2, 3)), foreground], dim=1)


def brightness_costs(brightness: Tensor, real: Tensor) -> Tensor:
    """What every change of a clip adds to its scores: ``d_i^2 + max(0, d_i - D)^2``.

    Args:
        brightness: ``(T, N)``, frame by frame, of :func:`frame_brightness`; a row of ``nan`` separates frames that are
            no neighbors in time.
        real: the same of the real clip.

    Returns:
        ``(T - 1, N)``, squared 8-bit levels; ``nan`` for a change that does not exist. The scores are the means of the
        others.
    """
    difference = (brightness.diff(dim=0) - real.diff(dim=0)).abs()
    return difference.square() + (difference - difference.nanmean(dim=0)).clamp(min=0).square()
