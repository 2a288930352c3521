"""The C++ kernel ``csrc/apply_lut.cpp`` with the contract of :mod:`trilinear.reference`: float32 and frames, CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from trilinear import _native
from trilinear.reference import Box


def apply_lut(lut: Tensor, image: Tensor, count: Tensor | None = None) -> Tensor:
    """See :func:`trilinear.reference.apply_lut`."""
    lut, image, count = lut.contiguous(), image.contiguous(), None if count is None else count.contiguous()
    output = torch.empty_like(image)
    sizes = (image.shape[0], image.shape[2] * image.shape[3], lut.shape[-1])
    _native.call("trilinear", "co2net_apply_lut", "image", lut, count, image, output, *sizes)
    return output


def apply_lut_frame(lut: Tensor, frame: Tensor, mask: Tensor | None, strength: float, box: Box) -> Tensor:
    """See :func:`trilinear.reference.apply_lut_frame`; `frame` and `mask` are contiguous."""
    output = torch.empty_like(frame)
    lut, factor = lut.contiguous(), torch.tensor(strength, dtype=torch.float32)
    kind = 0 if mask is None else 2 if mask.dtype == torch.uint8 else 1  # as MaskKind in csrc/apply_frame.h
    sizes = (*frame.shape[:2], lut.shape[-1], int(frame.dtype != torch.uint8), kind)
    _native.call("trilinear", "co2net_apply_lut_frame", "frame", lut, frame, mask, factor, output, *sizes, *box)
    return output


def apply_lut_backward(
    grad: Tensor, lut: Tensor, image: Tensor, count: Tensor | None, need_lut: bool, need_image: bool
) -> tuple[Tensor, Tensor]:
    """See :func:`trilinear.reference.apply_lut_backward`."""
    grad, lut, image = grad.contiguous(), lut.contiguous(), image.contiguous()
    count = None if count is None else count.contiguous()
    grad_lut = torch.empty_like(lut) if need_lut else lut.new_empty(0)
    grad_image = torch.empty_like(image) if need_image else image.new_empty(0)
    results = (grad_lut if need_lut else None, grad_image if need_image else None)
    sizes = (image.shape[0], image.shape[2] * image.shape[3], lut.shape[-1])
    _native.call("trilinear", "co2net_apply_lut_backward", "image", grad, lut, count, image, *results, *sizes)
    return grad_lut, grad_image


def unseen_map(count: Tensor, image: Tensor, all_empty: bool = False) -> Tensor:
    """See :func:`trilinear.reference.unseen_map`."""
    count, image = count.contiguous(), image.contiguous()
    output = image.new_empty((image.shape[0], 1, *image.shape[2:]))
    sizes = (image.shape[0], image.shape[2] * image.shape[3], count.shape[-1], int(all_empty))
    _native.call("trilinear", "co2net_unseen_map", "image", count, image, output, *sizes)
    return output
