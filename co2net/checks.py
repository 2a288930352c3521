"""Checks of arguments, each with its sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from co2net.errors import InputError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise :class:`InputError` unless the argument `name` has one of its values."""
    known = list(choices)
    if value not in known:
        raise InputError(f"`{name}` {value}: must be one of {', '.join(map(str, known))}")


def check_least(name: str, value: float, least: float) -> None:
    """Raise :class:`InputError` if the argument `name` is smaller than it may be."""
    if value < least:
        raise InputError(f"`{name}` must be {least} or more, got {value}")


def check_image(image: Tensor, name: str = "image") -> None:
    """Raise :class:`ShapeError` unless `image` is a floating ``(B, 3, H, W)`` tensor."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise ShapeError(f"{name} must be (B, 3, H, W), got {tuple(image.shape)}")
    if not image.is_floating_point():
        raise ShapeError(f"{name} must be a float tensor in [0, 1], got {image.dtype}; divide 8-bit values by 255")


def check_alike(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Raise :class:`ShapeError` unless both are images (:func:`check_image`) of one shape on one device."""
    for image, name in zip((first, second), names, strict=True):
        check_image(image, name)
    one, other = names
    if first.shape != second.shape:
        raise ShapeError(f"{one} and {other} must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
    if first.device != second.device:
        raise ShapeError(f"{other} is on {second.device}, {one} on {first.device}; move one of them")


def check_mask(mask: Tensor, image: Tensor, name: str = "mask") -> None:
    """Raise :class:`ShapeError` unless `mask` is a floating ``(B, 1, H, W)`` tensor that fits `image`."""
    wanted = (image.shape[0], 1, *image.shape[2:])
    if tuple(mask.shape) != wanted:
        raise ShapeError(f"{name} must be {wanted} to fit the image, got {tuple(mask.shape)}")
    if not mask.is_floating_point():
        raise ShapeError(f"{name} must be a float tensor in [0, 1], got {mask.dtype}")
    if mask.device != image.device:
        raise ShapeError(f"{name} is on {mask.device}, the image on {image.device}; move one of them")
