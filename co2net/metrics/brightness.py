r"""Brightness consistency of a clip (R-RTC, fR-RTC): does the result get brighter and darker as the real clip does?

Without optical flow, on 8-bit pictures with V = max(R, G, B), 0..255::

    b_i = mean of V over frame i (R-RTC) or over its foreground (fR-RTC)
    d_i = |(b_{i+1} - b_i) of the result - the same of the real clip|,   D = mean d
    score = mean over i of  d_i^2 + max(0, d_i - D)^2                    lower is better
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

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
    value, value_real = (levels(clip).round().amax(dim=1, keepdim=True) for clip in (harmonized, real))
    inside = mask >= 0.5
    area = inside.sum(dim=(1, 2, 3))
    empty = int((area == 0).sum())
    if empty:
        warnings.warn(f"fR-RTC leaves out {empty} of {len(mask)} frames: their mask is empty", stacklevel=2)

    def foreground(brightness: Tensor) -> Tensor:
        return (brightness * inside).sum(dim=(1, 2, 3)) / area  # 0 / 0 = nan where there is none

    return BrightnessConsistency(
        image=_score(value.mean(dim=(1, 2, 3)), value_real.mean(dim=(1, 2, 3))),
        foreground=_score(foreground(value), foreground(value_real)),
    )


def _score(brightness: Tensor, real: Tensor) -> Tensor:
    difference = (brightness.diff() - real.diff()).abs()
    difference = difference[difference.isfinite()]
    # The mean of nothing is nan, which is what a clip without a usable change has.
    return (difference.square() + (difference - difference.mean()).clamp(min=0).square()).mean()
