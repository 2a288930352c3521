r"""Scores as published for iHarmony4 (iDIH, CDTNet, DucoNet), where they are neither HYouTube's nor the textbook's.

MSE and fMSE are :func:`~co2net.metrics.mse` and :func:`~co2net.metrics.fmse`. The others, with values 0..255::

    PSNR   = 10 log10(P^2 / (MSE + 1e-6)),   P = the largest value of the truth, not 255
    fPSNR  = the same with fMSE
    SSIM   = as the standard one, window 7 x 7, C1 = (0.01 R)^2, C2 = (0.03 R)^2, R = max p - min p of the prediction
    fSSIM  = its map, averaged with the soft mask as weight
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.metrics._levels import check_pair, levels
from co2net.metrics.mse import fmse, mse
from co2net.metrics.ssim import masked_mean, similarity_map

_EPSILON = 1e-6
_WINDOW = 7


def psnr_iharmony4(image: Tensor, target: Tensor) -> Tensor:
    """PSNR whose peak is the largest value of `target`; finite for equal pictures.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        target: as `image`.

    Returns:
        ``(B,)`` float64, decibels.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    return _decibels(target, mse(image, target))


def fpsnr_iharmony4(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """As :func:`psnr_iharmony4`, of the foreground; ``nan`` where the mask ``(B, 1, H, W)`` is empty."""
    return _decibels(target, fmse(image, target, mask))


def ssim_iharmony4(image: Tensor, target: Tensor) -> Tensor:
    """SSIM with a small window, whose constants follow the prediction's range; arguments as above, ``(B,)``."""
    return _similarity(image, target).mean(dim=(1, 2, 3))


def fssim_iharmony4(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """As :func:`ssim_iharmony4`, of the foreground; ``nan`` where the mask ``(B, 1, H, W)`` is empty."""
    check_pair(image, target, mask)
    return masked_mean(_similarity(image, target), mask)


def _decibels(target: Tensor, error: Tensor) -> Tensor:
    peak = levels(target).amax(dim=(1, 2, 3))
    return 10 * torch.log10(peak.square() / (error + _EPSILON))


def _similarity(image: Tensor, target: Tensor) -> Tensor:
    check_pair(image, target)
    prediction = levels(image)
    spread = prediction.amax(dim=(1, 2, 3), keepdim=True) - prediction.amin(dim=(1, 2, 3), keepdim=True)
    return similarity_map(prediction, levels(target), (0.01 * spread) ** 2, (0.03 * spread) ** 2, _WINDOW)
