"""Argument checks of both packages. Everything here is a :class:`ValueError` with the mend in its sentence."""

from __future__ import annotations

import torch
from torch import Tensor


def check_image(image: Tensor, name: str) -> None:
    """Raise unless `image` is a float32 or float64 tensor ``(B, 3, H, W)``."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"{name} must be (B, 3, H, W), got {tuple(image.shape)}")
    if image.dtype not in (torch.float32, torch.float64):
        mend = "call .float()" if image.is_floating_point() else "convert to float and divide by 255"
        raise ValueError(f"{name} must be float32 or float64 in [0, 1], got {image.dtype}; {mend}")


def check_lut(lut: Tensor, image: Tensor) -> None:
    """Raise unless `lut` is ``(B, 3, D, D, D)`` with D >= 2 and fits `image`."""
    dim = lut.shape[-1] if lut.ndim else 0
    if lut.ndim != 5 or dim < 2 or tuple(lut.shape[1:]) != (3, dim, dim, dim):
        raise ValueError(f"lut must be (B, 3, D, D, D) with D >= 2, got {tuple(lut.shape)}")
    check_like(lut, "lut", image, "image")


def check_count(count: Tensor, like: Tensor, owner: str = "lut") -> Tensor:
    """Raise unless `count` is ``(B, D, D, D)`` and fits `like`, which is called `owner`; return it."""
    dim = count.shape[-1] if count.ndim else 0
    if count.ndim != 4 or dim < 2 or tuple(count.shape[1:]) != (dim, dim, dim):
        raise ValueError(f"count must be (B, D, D, D) with D >= 2, got {tuple(count.shape)}")
    if owner == "lut" and dim != like.shape[-1]:
        raise ValueError(f"count has D = {dim}, the lut has D = {like.shape[-1]}")
    check_like(count, "count", like, owner, dtype=False)
    return count


def check_frame(frame: Tensor) -> None:
    """Raise unless `frame` is a uint8 or uint16 tensor ``(H, W, 3)``."""
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame must be (H, W, 3), got {tuple(frame.shape)}")
    if frame.dtype not in (torch.uint8, torch.uint16):
        raise ValueError(f"frame must be uint8 or uint16, got {frame.dtype}; for float images there is apply_lut")


def check_frame_lut(lut: Tensor, frame: Tensor) -> None:
    """Raise unless `lut` is one finite float32 LUT on the device of `frame`."""
    dim = lut.shape[-1] if lut.ndim else 0
    if lut.ndim != 5 or dim < 2 or tuple(lut.shape) != (1, 3, dim, dim, dim):
        raise ValueError(f"lut must be (1, 3, D, D, D) with D >= 2, got {tuple(lut.shape)}")
    if lut.dtype != torch.float32:
        raise ValueError(f"lut must be float32, got {lut.dtype}; call .float()")
    if lut.device != frame.device:
        raise ValueError(f"lut is on {lut.device}, frame is on {frame.device}; move one of them")
    if not bool(torch.isfinite(lut).all()):
        raise ValueError("lut holds NaN or infinity")


def check_frame_mask(mask: Tensor, frame: Tensor) -> None:
    """Raise unless `mask` is float32 or uint8, of the size and on the device of `frame`."""
    if mask.shape != frame.shape[:2]:
        raise ValueError(f"mask must be {tuple(frame.shape[:2])} to fit the frame, got {tuple(mask.shape)}")
    if mask.dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"mask must be float32 in [0, 1] or uint8, got {mask.dtype}; convert it")
    if mask.device != frame.device:
        raise ValueError(f"mask is on {mask.device}, frame is on {frame.device}; move one of them")


def window_box(window: tuple[slice, slice] | None, height: int, width: int) -> tuple[int, int, int, int]:
    """Return rows from, to and columns from, to of a window in a frame; of the whole frame without one.

    Raises:
        ValueError: the window has steps, or is no pair of slices.
    """
    if window is None:
        return 0, height, 0, width
    if len(window) != 2 or not all(isinstance(side, slice) and side.step in (None, 1) for side in window):
        raise ValueError(f"window must be two slices without steps, rows and columns, got {window!r}")
    (top, bottom, _), (left, right, _) = window[0].indices(height), window[1].indices(width)
    return top, bottom, left, right


def check_like(tensor: Tensor, name: str, like: Tensor, owner: str, dtype: bool = True) -> None:
    """Raise unless batch, device and (if `dtype`) dtype of `tensor` are those of `like`."""
    if tensor.shape[0] != like.shape[0]:
        raise ValueError(f"{name} has batch size {tensor.shape[0]}, {owner} has {like.shape[0]}")
    if tensor.device != like.device:
        raise ValueError(f"{name} is on {tensor.device}, {owner} is on {like.device}; move one of them")
    if dtype and tensor.dtype != like.dtype:
        raise ValueError(f"{name} is {tensor.dtype}, {owner} is {like.dtype}; convert one of them")


def count_as(count: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring a count of any dtype to `dtype`; only whether it is zero matters, so a small float64 must not become 0."""
    return count if count.dtype == dtype else (count != 0).to(dtype)


def check_finite(colors: Tensor, name: str) -> None:
    """Raise if `colors` holds NaN or infinity. Called inside the operators, hence never while tracing."""
    # A sum is several times faster than isfinite().all() and is finite only if all its terms are.
    if not bool(torch.isfinite(colors.sum())) and not bool(torch.isfinite(colors).all()):
        raise ValueError(nonfinite(name))


def nonfinite(name: str) -> str:
    """Return the sentence for colors that cannot be looked up."""
    return f"{name} holds NaN or infinity; colors must be finite numbers, normally in [0, 1]"
