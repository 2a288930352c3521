"""Backward warp: fetch every pixel from where the field points.

    warped(x, y) = image(X, Y),  X = x + field_x(x, y),  Y = y + field_y(x, y),  bilinear

Columns ``floor X`` and ``floor X + 1`` are clamped to the picture one by one; the fraction ``X - floor X`` is taken
before. Outside positions therefore take the nearest border value. Nothing is scaled to -1..1 on the way, as grid
samplers want it: in single precision that moves X by 1e-4 pixels on large frames, here whole pixels move exactly.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from co2net.errors import ShapeError


def warp(image: Tensor, field: Tensor) -> Tensor:
    """Move `image` along `field`: bilinear, border clamped. Differentiable in both.

    Args:
        image: ``(B, C, H, W)`` float, any range and number of channels (frames, masks, features).
        field: ``(B, 2, H, W)`` float, pixels, channel 0 = x; where in `image` each pixel of the result comes from.

    Returns:
        ``(B, C, H, W)`` of the image's type; ``nan`` where the field is not finite.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_field(image, field)
    warped = torch.zeros_like(image)
    for row, column, weight in corners(*positions(field), image.dtype):
        warped = warped + fetch(image, row, column) * weight
    return warped


def positions(field: Tensor, stretch_x: float = 1.0, stretch_y: float = 1.0) -> tuple[Tensor, Tensor]:
    """Where the field points, ``x`` and ``y``, each ``(B, H, W)`` in pixels; the field may be stretched."""
    height, width = field.shape[2:]
    exact = torch.float32 if field.device.type == "mps" else torch.float64  # MPS has no double precision
    x = torch.arange(width, dtype=exact, device=field.device) + stretch_x * field[:, 0].to(exact)
    y = torch.arange(height, dtype=exact, device=field.device)[:, None] + stretch_y * field[:, 1].to(exact)
    return x, y


def corners(x: Tensor, y: Tensor, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The four pixels around each position: row and column, ``(B, H, W)``, maybe outside; weight ``(B, 1, H, W)``."""
    left, top = x.detach().floor(), y.detach().floor()
    right_share, lower_share = (x - left).to(dtype), (y - top).to(dtype)
    for row, row_share in ((top, 1 - lower_share), (top + 1, lower_share)):
        for column, column_share in ((left, 1 - right_share), (left + 1, right_share)):
            yield row, column, (row_share * column_share)[:, None]


def fetch(image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The pixels of `image` at whole positions, ``(B, C, H, W)``; those outside are moved to the border."""
    height, width = image.shape[2:]
    row, column = row.nan_to_num(0).clamp(0, height - 1).long(), column.nan_to_num(0).clamp(0, width - 1).long()
    place = (row * width + column).flatten(1)[:, None].expand(-1, image.shape[1], -1)
    return image.flatten(2).gather(2, place).view_as(image)


def inside(row: Tensor, column: Tensor) -> Tensor:
    """Which positions are in the picture: bool ``(B, 1, H, W)`` of two ``(B, H, W)``."""
    height, width = row.shape[1:]
    return ((row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1))[:, None]


def check_field(image: Tensor, field: Tensor) -> None:
    """Raise :class:`ShapeError` unless `field` fits `image`."""
    for name, value in (("image", image), ("field", field)):
        if not isinstance(value, Tensor):
            raise ShapeError(f"{name} must be a torch tensor, got {type(value).__name__}")
        if not value.is_floating_point():
            raise ShapeError(f"{name} must be a float tensor, got {value.dtype}")
    if image.ndim != 4 or 0 in image.shape[2:]:
        raise ShapeError(f"image must be (B, C, H, W) with at least one pixel, got {tuple(image.shape)}")
    wanted = (image.shape[0], 2, *image.shape[2:])
    if tuple(field.shape) != wanted:
        raise ShapeError(f"field must be {wanted} to fit the image, got {tuple(field.shape)}")
    if field.device != image.device:
        raise ShapeError(f"field is on {field.device}, the image on {image.device}; move one of them")
