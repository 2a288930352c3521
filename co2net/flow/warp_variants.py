"""Backward warps as published systems compute them, beside the sound one (docs/published_defects.md).

They differ in what lies outside the picture, in how values between pixels are taken, and one of them in the scale of
the field. Networks run with one of them give the published numbers with that one only.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from co2net.errors import InputError
from co2net.flow.warp import check_field, corners, fetch, inside, positions, warp

WarpVariant = Literal["exact", "svcnet", "scribble", "legacy", "splat_metric"]

_COVERED = 0.999  # a pixel counts as known if that much of it comes from inside


def warp_variant(image: Tensor, field: Tensor, variant: WarpVariant = "exact") -> Tensor:
    """Move `image` along `field`. Differentiable in both, ``scribble`` in the image only.

    Args:
        image: ``(B, C, H, W)`` float, any range.
        field: ``(B, 2, H, W)`` float, pixels, channel 0 = x; where in `image` each pixel of the result comes from.
        variant:
            ``exact``: bilinear; zero where the field points outside, be it by less than a pixel.
            ``svcnet``: bilinear, border clamped: :func:`~co2net.flow.warp`. Of a recoloring network.
            ``scribble``: the nearest pixel, zero outside. Of a scribble propagator.
            ``legacy``: as ``exact``, with the field stretched by ``W / (W - 1)`` and ``H / (H - 1)``. Of a matting
            system; a defect.
            ``splat_metric``: bilinear with zeros outside: fades out over the last pixel.

    Returns:
        ``(B, C, H, W)`` of the image's type; ``nan`` where the field is not finite, zero there with ``scribble``.

    Raises:
        InputError: the variant is unknown.
        ShapeError: shape, type or device do not fit.
    """
    check_variant(variant)
    if variant == "svcnet":
        return warp(image, field)
    check_field(image, field)
    stretch_y, stretch_x = (side / (side - 1) if variant == "legacy" and side > 1 else 1.0 for side in image.shape[2:])
    x, y = positions(field, stretch_x, stretch_y)
    if variant == "scribble":
        row, column = y.round(), x.round()  # half to even
        return fetch(image, row, column) * inside(row, column)
    warped, covered = torch.zeros_like(image), torch.zeros_like(image[:, :1])
    for row, column, weight in corners(x, y, image.dtype):
        weight = weight * inside(row, column)
        warped = warped + fetch(image, row, column) * weight
        covered = covered + weight.detach()
    return warped if variant == "splat_metric" else warped * (covered > _COVERED)


def check_variant(variant: str) -> None:
    """Raise :class:`InputError` unless :func:`warp_variant` knows `variant`."""
    if variant not in get_args(WarpVariant):
        raise InputError(f"there is no warp {variant!r}; there are: {', '.join(get_args(WarpVariant))}")
