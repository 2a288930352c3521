r"""Structural similarity, over the frame (SSIM) and over the foreground (fSSIM).

With a Gaussian window w (11 x 11, sigma 1.5, sum 1, zero padding), per channel, p, t = clamp(255 x, 0, 255)::

    mu_p = w*p   mu_t = w*t   s_p = w*p^2 - mu_p^2   s_t = w*t^2 - mu_t^2   s_pt = w*(p t) - mu_p mu_t
    q     = (2 mu_p mu_t + C1)(2 s_pt + C2) / ((mu_p^2 + mu_t^2 + C1)(s_p + s_t + C2))
    SSIM  = mean q                      fSSIM = mean over channels of  sum m q / sum m

    standard:  C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2, float64
    paper:     C1 = 0.01^2, C2 = 0.03^2 although values are 0..255, float32

In flat areas the paper's C2 is below the float32 rounding error of s_p, so q is arbitrary there. Published fSSIM values
contain that noise; a float64 evaluation of the same formula gives other numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.metrics._levels import check_pair, levels

_STANDARD = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
_PAPER = (0.01**2, 0.03**2)


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of the whole frame, mean over pixels and channels.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        target: as `image`.

    Returns:
        ``(B,)`` float64, at most 1 (equal).

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(image, target)
    return similarity_map(levels(image), levels(target)).mean(dim=(1, 2, 3))


def fssim(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Structural similarity of the foreground: the SSIM map averaged with the soft mask as weight.

    As :func:`ssim`, with the mask ``(B, 1, H, W)`` in [0, 1]; ``nan`` where it is empty. The published tables use other
    constants: :func:`fssim_paper`.
    """
    return ssim_and_fssim(image, target, mask)[1]


def ssim_and_fssim(image: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`ssim` and :func:`fssim` of one map, in half the time of asking for both; arguments as there."""
    check_pair(image, target, mask)
    similarity = similarity_map(levels(image), levels(target))
    return similarity.mean(dim=(1, 2, 3)), masked_mean(similarity, mask)


def fssim_paper(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The published fSSIM: constants of range 1 on values of range 255, in float32 (module docstring).

    As :func:`fssim`; the mask is soft, not truncated (unlike that of :func:`fmse_paper`).
    """
    check_pair(image, target, mask)
    prediction, truth = levels(image, torch.float32), levels(target, torch.float32)
    return masked_mean(similarity_map(prediction, truth, *_PAPER), mask)


def ssim_uniform(image: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """SSIM by 7 x 7 windows of equal weights and sample covariance, of values in [0, 1] in steps of 8 bits.

    Args:
        image: ``(B, C, H, W)`` in [0, 1], at least 7 x 7; values outside are clamped.
        target: as `image`.
        data_range: R in the constants (0.01 R)^2 and (0.03 R)^2; 1 is the values' own. SVCNet's published numbers have
            2, what a library took for the range of floats, and are higher for it.

    Returns:
        ``(B,)`` float64, mean over whole windows and channels.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(image, target)
    p, t = levels(image).round() / 255, levels(target).round() / 255
    count = 49
    mean_p, mean_t = F.avg_pool2d(p, 7, 1), F.avg_pool2d(t, 7, 1)
    unbiased = count / (count - 1)
    var_p = unbiased * (F.avg_pool2d(p * p, 7, 1) - mean_p.square())
    var_t = unbiased * (F.avg_pool2d(t * t, 7, 1) - mean_t.square())
    covariance = unbiased * (F.avg_pool2d(p * t, 7, 1) - mean_p * mean_t)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    above = (2 * mean_p * mean_t + c1) * (2 * covariance + c2)
    below = (mean_p.square() + mean_t.square() + c1) * (var_p + var_t + c2)
    return (above / below).mean(dim=(1, 2, 3))


def similarity_map(
    prediction: Tensor,
    target: Tensor,
    c1: float | Tensor = _STANDARD[0],
    c2: float | Tensor = _STANDARD[1],
    window: int = 11,
) -> Tensor:
    """The map q of the module docstring, ``(B, C, H, W)``, in the precision of the inputs (values 0..255)."""
    blur = _blur_exactly if prediction.dtype == torch.float64 else _blur_as_published
    line = _line(prediction, window)
    mean_p, mean_t = blur(prediction, line), blur(target, line)
    var_p = blur(prediction * prediction, line) - mean_p * mean_p
    var_t = blur(target * target, line) - mean_t * mean_t
    covariance = blur(prediction * target, line) - mean_p * mean_t
    above = (2 * mean_p * mean_t + c1) * (2 * covariance + c2)
    below = (mean_p * mean_p + mean_t * mean_t + c1) * (var_p + var_t + c2)
    return above / below


def _blur_as_published(x: Tensor, line: Tensor) -> Tensor:
    """Window of 11 x 11 taps at once: the published values hold the rounding errors of these float32 sums."""
    window = torch.outer(line, line).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, window, padding=len(line) // 2, groups=x.shape[1])


def _blur_exactly(x: Tensor, line: Tensor) -> Tensor:
    """Columns, then rows, tap by tap: on a CPU, PyTorch's float64 convolution takes thirty times as long."""
    reach, taps = len(line) // 2, line.tolist()
    for axis, padding in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
        padded, length = F.pad(x, padding), x.shape[axis]
        x = padded.narrow(axis, 0, length) * taps[0]
        for tap in range(1, len(taps)):
            x.add_(padded.narrow(axis, tap, length), alpha=taps[tap])
    return x


def _line(like: Tensor, size: int = 11, sigma: float = 1.5) -> Tensor:
    offset = torch.arange(size, dtype=torch.float64, device=like.device) - size // 2
    line = torch.exp(-(offset**2) / (2 * sigma**2))
    # Rounded to the working precision before the outer product, as published.
    return (line / line.sum()).to(like.dtype)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over pixels weighted by the mask, then over channels; an empty mask gives 0 / 0 = nan."""
    weight = mask.double()
    return ((values.double() * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))).mean(dim=1)
