r"""Squared error in 8-bit units.

With p, t = clamp(255 x, 0, 255) and a soft mask m over H x W pixels::

    MSE          = sum (p - t)^2 / (3 H W)
    fMSE         = sum m (p - t)^2 / (3 sum m)            the foreground alone
    fMSE (paper) = MSE * H W / A,   A = pixels with m >= 1
    fMSE (masked) = sum (m p - m t)^2 / (3 sum m)         other codes on the same data: soft edges count less

The published fMSE charges the whole frame's error (the background's JPEG noise too) to the fully covered pixels.
"""

from __future__ import annotations

from torch import Tensor

from co2net.metrics._levels import check_pair, levels, nan_where


def mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the whole frame, in squared 8-bit levels. The published tables use the same form.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        target: as `image`.

    Returns:
        ``(B,)`` float64, 0 (equal) to 65025.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(image, target)
    return (levels(image) - levels(target)).square().mean(dim=(1, 2, 3))


def fmse(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of the foreground, each pixel weighted by the soft mask, in squared 8-bit levels.

    The published tables use another form: :func:`fmse_paper`.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.
        target: as `image`.
        mask: ``(B, 1, H, W)`` in [0, 1].

    Returns:
        ``(B,)`` float64, ``nan`` where the mask is empty.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_pair(image, target, mask)
    return _per_foreground(mask.double() * (levels(image) - levels(target)).square(), mask)


def fmse_masked(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Error of the masked images over the mask's area, as other evaluations on HYouTube have it (module docstring).

    Equal to :func:`fmse` for masks of 0 and 1; arguments and result as there. Those evaluations read 8-bit files back;
    nothing is rounded here.
    """
    check_pair(image, target, mask)
    return _per_foreground((mask.double() * (levels(image) - levels(target))).square(), mask)


def fmse_paper(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The published fMSE: the whole frame's squared error per pixel whose mask is at least 1 (module docstring).

    As :func:`fmse`, but ``nan`` where no pixel is fully covered (the original returns infinity there). The original
    writes the factor 65536, its only frame size being 256 x 256; here it is H·W.
    """
    check_pair(image, target, mask)
    area = (mask >= 1).double().sum(dim=(1, 2, 3))
    pixels = image.shape[2] * image.shape[3]
    return nan_where(area == 0, mse(image, target) * pixels / area)


def _per_foreground(error: Tensor, mask: Tensor) -> Tensor:
    """The sum of ``(B, 3, H, W)`` per value of the foreground."""
    area = mask.double().sum(dim=(1, 2, 3))
    return nan_where(area <= 0, error.sum(dim=(1, 2, 3)) / (3 * area))
