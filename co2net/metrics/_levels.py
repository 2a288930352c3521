"""What every metric does first: check its arguments and go to the 0..255 scale."""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.checks import check_alike, check_mask
from co2net.errors import ShapeError


def check_pair(image: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
    """Raise :class:`ShapeError` unless image, target and (if given) mask fit together and hold pixels."""
    for name, value in (("image", image), ("target", target), ("mask", mask)):
        if value is not None and not isinstance(value, Tensor):
            raise ShapeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    check_alike(image, target, ("image", "target"))
    if image.shape[2] == 0 or image.shape[3] == 0:
        raise ShapeError(f"image must have at least one pixel, got {tuple(image.shape)}")
    if mask is not None:
        check_mask(mask, image)


def levels(image: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """The image on the 0..255 scale, clamped, not rounded."""
    return (image.to(dtype) * 255).clamp(0, 255)


def nan_where(condition: Tensor, value: Tensor) -> Tensor:
    """The value, or ``nan`` where the condition says that there is none."""
    return torch.where(condition, torch.full_like(value, torch.nan), value)
