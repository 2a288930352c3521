"""Frames as users hold them, to tensors and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from co2net.devices import upload
from co2net.errors import ShapeError
from co2net.video.coded_masks import Box, CodedMask
from co2net.video.lazy_colors import LazyColors, Patch
from co2net.video.mask_files import MaskArrays

Picture = np.ndarray | Tensor
"""A frame as its owner holds it: ``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1]; or a mask."""
Pixels = Picture | LazyColors
"""The same, or the colors of decoded planes, which are converted where they are needed."""


def frame_shape(frame: Pixels) -> tuple[int, int]:
    """Height and width of a frame: ``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1].

    Raises:
        ShapeError: if it is neither.
    """
    if isinstance(frame, LazyColors):
        return frame.shape[:2]
    tensor = as_tensor(frame, "frame")
    if tensor.is_floating_point():
        if tensor.ndim != 3 or tensor.shape[0] != 3:
            raise ShapeError(f"a float frame must be (3, H, W) in [0, 1], got {tuple(tensor.shape)}")
        return int(tensor.shape[1]), int(tensor.shape[2])
    if tensor.ndim != 3 or tensor.shape[2] != 3 or tensor.dtype not in FULL_SCALE:
        raise ShapeError(
            f"a frame must be (3, H, W) float in [0, 1] or (H, W, 3) uint8 or uint16, "
            f"got {tuple(tensor.shape)} {tensor.dtype}"
        )
    return int(tensor.shape[0]), int(tensor.shape[1])


def frame_to_tensor(frame: Pixels, device: torch.device | None = None) -> Tensor:
    """``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1] to float32 ``(1, 3, H, W)`` in [0, 1].

    Args:
        frame: see :func:`frame_shape`.
        device: where to; None: where the frame is.

    Raises:
        ShapeError: as :func:`frame_shape`.
    """
    frame_shape(frame)
    tensor = as_tensor(frame, "frame")
    tensor = tensor if device is None else upload(tensor, device)
    if tensor.is_floating_point():
        return tensor.to(torch.float32)[None]
    return (tensor.permute(2, 0, 1).to(torch.float32) / FULL_SCALE[tensor.dtype])[None]


def as_bytes(frame: Pixels) -> np.ndarray:
    """``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1] to ``(H, W, 3)`` uint8, rounded."""
    tensor = as_tensor(frame, "frame")
    if tensor.dtype == torch.uint8:
        return tensor.cpu().numpy()
    values = frame_to_tensor(frame)[0].clamp(0, 1).mul(255).round_().to(torch.uint8)
    return values.permute(1, 2, 0).contiguous().cpu().numpy()


def mask_to_tensor(mask: Picture | CodedMask, shape: tuple[int, int], read: MaskArrays | None = None) -> Tensor:
    """``(1, H, W)`` or ``(H, W)``, float in [0, 1], uint8, uint16 or bool, to float32 ``(1, 1, H, W)`` in [0, 1].

    It stays on its device; float32 is not copied.

    Args:
        mask: the mask; what integers mean is decided in :mod:`co2net.video.mask_files`.
        shape: the frame's.
        read: remembers the clip's masks so far; None reads this one by itself.

    Raises:
        ShapeError: if it is something else or does not have the frame's `shape`.
        InputError: integers that could mean two things.
    """
    tensor = as_tensor(np.asarray(mask) if isinstance(mask, CodedMask) else mask, "mask")
    if tensor.ndim == 3 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tuple(tensor.shape) != tuple(shape):
        raise ShapeError(f"the mask is {tuple(tensor.shape)}, its frame {tuple(shape)}; they must have the same size")
    if tensor.dtype in FULL_SCALE:
        values = (read or MaskArrays())(tensor.cpu().numpy())
        tensor = torch.from_numpy(values).to(tensor.device)
    elif tensor.is_floating_point() or tensor.dtype == torch.bool:
        tensor = tensor.to(torch.float32)
    else:
        raise ShapeError(f"a mask must be float in [0, 1], uint8, uint16 or bool, got {tensor.dtype}")
    return tensor[None, None]


def check_mask_range(mask: Picture) -> None:
    """Refuse a floating-point mask that leaves [0, 1] or holds nan; a tenth beyond, as interpolation gives, is taken.

    Raises:
        ShapeError: with what it holds.
    """
    tensor = as_tensor(mask, "mask")
    if not tensor.is_floating_point() or not tensor.numel():
        return
    low, high = (float(value) for value in torch.aminmax(tensor))
    if not (low >= -0.1 and high <= 1.1):
        held = "nan" if low != low else f"values from {low:g} to {high:g}"
        raise ShapeError(f"a float mask must be in [0, 1], this one holds {held}; scale it, or give uint8")


def cut(frame: Pixels, box: Box) -> Pixels:
    """The part of a frame inside a box, on the frame's own memory where it has one."""
    if isinstance(frame, LazyColors):
        return frame[box]
    return frame[:, box[0], box[1]] if as_tensor(frame).is_floating_point() else frame[box]


def put_back(frame: Pixels, box: Box, colors: Tensor, mask: Tensor) -> Pixels | Patch:
    """A copy of `frame`, same kind, with new colors in `box`, clamped to the valid range, where `mask` is above 0.

    The frame's own values stay elsewhere, to the bit: they do not pass through float32.

    Args:
        frame: as for :func:`frame_to_tensor`.
        box: rows and columns.
        colors: ``(1, 3, rows, columns)`` in [0, 1] space.
        mask: ``(1, 1, rows, columns)``.
    """
    if isinstance(frame, LazyColors):
        before = frame[box]
        inner = slice(0, before.shape[0]), slice(0, before.shape[1])
        after = put_back(before, inner, colors, mask)
        assert isinstance(after, np.ndarray)  # noqa: S101  (as `before` is)
        return Patch(box, before, after)
    colors = colors[0].clamp(0, 1)
    inside = mask[0] > 0
    tensor = as_tensor(frame, "frame")
    if tensor.is_floating_point():
        out = tensor.clone()
        part = out[:, box[0], box[1]]
        part.copy_(torch.where(inside.to(out.device), colors.to(out.device, out.dtype), part))
    else:
        scaled = (colors * FULL_SCALE[tensor.dtype]).round_().permute(1, 2, 0).cpu()
        # PyTorch has few operations for uint16; numpy assigns it.
        out_array = np.array(tensor.cpu().numpy())
        np.copyto(out_array[box], scaled.numpy(), casting="unsafe", where=inside[0].cpu().numpy()[..., None])
        out = torch.from_numpy(out_array).to(tensor.device)
    return out.numpy() if isinstance(frame, np.ndarray) else out


FULL_SCALE = {torch.uint8: 255.0, torch.uint16: 65535.0}


def as_tensor(picture: Pixels, name: str = "picture") -> Tensor:
    """The picture as a tensor on its own memory, as far as PyTorch can see it there; planes are converted whole.

    Raises:
        ShapeError: if it is neither a numpy array nor a tensor.
    """
    if isinstance(picture, Tensor):
        return picture
    if isinstance(picture, LazyColors):
        picture = picture.whole()
    if isinstance(picture, np.ndarray):
        # PyTorch has no read-only tensors and warns about them, though nothing here writes to the input.
        return torch.from_numpy(np.require(picture, requirements=["C", "W"]))
    raise ShapeError(f"a {name} must be a numpy array or a tensor, got {type(picture).__name__}")
