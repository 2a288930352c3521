"""The C++ kernel ``csrc/accumulate.cpp`` with the contract of :mod:`tridistribute.reference`: float32, CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from trilinear import _native


def accumulate(source: Tensor, target: Tensor, mask: Tensor, dim: int) -> Tensor:
    """See :func:`tridistribute.reference.accumulate`."""
    source, target, mask = source.contiguous(), target.contiguous(), mask.contiguous()
    volume = source.new_empty((source.shape[0], 4, dim, dim, dim))
    sizes = (source.shape[0], source.shape[2] * source.shape[3], dim)
    _native.call("tridistribute", "co2net_accumulate", "source", source, target, mask, volume, *sizes)
    return volume


def accumulate_backward(
    grad: Tensor, source: Tensor, target: Tensor, mask: Tensor, need_source: bool, need_target: bool
) -> tuple[Tensor, Tensor]:
    """See :func:`tridistribute.reference.accumulate_backward`."""
    inputs = tuple(tensor.contiguous() for tensor in (grad, source, target, mask))
    grad_source = torch.empty_like(inputs[1]) if need_source else source.new_empty(0)
    grad_target = torch.empty_like(inputs[2]) if need_target else target.new_empty(0)
    results = (grad_source if need_source else None, grad_target if need_target else None)
    sizes = (source.shape[0], source.shape[2] * source.shape[3], grad.shape[-1])
    _native.call("tridistribute", "co2net_accumulate_backward", "source", *inputs, *results, *sizes)
    return grad_source, grad_target
