"""The CUDA kernels ``csrc/accumulate.cu`` with the contract of :mod:`tridistribute.reference`: float32, NVIDIA GPUs.

One difference: waiting for the GPU to learn that a color is not finite would cost more than the work. So instead of
an error such pixels count as outside the mask. Sums are taken in float64 in an order that changes from run to run;
the float32 results rarely do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trilinear import _cuda


def accumulate(source: Tensor, target: Tensor, mask: Tensor, dim: int) -> Tensor:
    """See :func:`tridistribute.reference.accumulate`."""
    source, target, mask = source.contiguous(), target.contiguous(), mask.contiguous()
    batch, pixels = source.shape[0], source.shape[2] * source.shape[3]
    volume = source.new_empty((batch, 4, dim, dim, dim))
    if batch == 0:
        return volume
    sums = torch.zeros((batch, dim**3, 4), dtype=torch.float64, device=source.device)
    if pixels > 0:
        _cuda.launch(
            "tridistribute", "accumulate", source, _cuda.grid_for_sums(pixels, batch, source),
            source, target, mask, sums, batch, pixels, dim, _cuda.scale(dim),
        )  # fmt: skip
    _cuda.unpack_sums("tridistribute", sums, None, volume)
    return volume


def accumulate_backward(
    grad: Tensor, source: Tensor, target: Tensor, mask: Tensor, need_source: bool, need_target: bool
) -> tuple[Tensor, Tensor]:
    """See :func:`tridistribute.reference.accumulate_backward`."""
    grad, source, target, mask = (tensor.contiguous() for tensor in (grad, source, target, mask))
    grad_source = torch.empty_like(source) if need_source else source.new_empty(0)
    grad_target = torch.empty_like(target) if need_target else target.new_empty(0)
    batch, pixels, dim = source.shape[0], source.shape[2] * source.shape[3], grad.shape[-1]
    if batch > 0 and pixels > 0:
        flow = _cuda.pack_cells("tridistribute", grad, None)
        _cuda.launch(
            "tridistribute", "accumulate_backward", source, _cuda.grid_over(pixels, batch),
            flow, source, target, mask, grad_source if need_source else None, grad_target if need_target else None,
            batch, pixels, dim, _cuda.scale(dim),
        )  # fmt: skip
    return grad_source, grad_target
