"""Peak signal-to-noise ratio in decibels.

    PSNR         = 10 log10(255^2 / MSE)
    PSNR (paper) = 10 log10(R^2 / MSE),   R = max p - min p over the prediction's pixels and channels

The published form rewards a prediction for spanning a wider range; compare only within one form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.metrics._levels import check_pair, levels
from co2net.metrics.mse import fmse_masked, mse


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of the whole frame, peak 255.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        target: as `image`.

    Returns:
        ``(B,)`` float64, decibels; infinite where the two are equal.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    return 10 * torch.log10(255.0**2 / mse(image, target))


def fpsnr(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """PSNR of the foreground, peak 255, from :func:`~co2net.metrics.fmse_masked`; used by other works on HYouTube.

    As :func:`psnr`, with the mask ``(B, 1, H, W)`` in [0, 1]; ``nan`` where it is empty.
    """
    return 10 * torch.log10(255.0**2 / fmse_masked(image, target, mask))


def psnr_paper(image: Tensor, target: Tensor) -> Tensor:
    """The published PSNR, whose peak is the value range of `image`, the prediction. Not symmetric.

    As :func:`psnr`, but minus infinity for a prediction of one single value, ``nan`` where that is right.
    """
    check_pair(image, target)
    prediction = levels(image)
    value_range = prediction.amax(dim=(1, 2, 3)) - prediction.amin(dim=(1, 2, 3))
    return 10 * torch.log10(value_range.square() / mse(image, target))
