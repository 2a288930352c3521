"""The operator as PyTorch sees it: one kernel per device, shapes for tracing, gradient.

Public callers are in ``__init__.py``; arguments arrive checked. Same plan as :mod:`trilinear.ops`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.library import define, impl, register_autograd, register_fake

from tridistribute import cpp, cuda, reference
from trilinear import _cuda, _native, checks

define(
    "tridistribute::accumulate",
    "(Tensor source, Tensor target, Tensor mask, int dim) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)


@impl("tridistribute::accumulate", "default")
def _run_accumulate(source: Tensor, target: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Run the definition, or the kernel that takes `source`."""
    if (runs := backend(source)) != "torch":
        return (cpp if runs == "cpp" else cuda).accumulate(source, target, mask, dim)
    checks.check_finite(source, "source")
    return reference.accumulate(source, target, mask, dim)


define(
    "tridistribute::accumulate_backward",
    "(Tensor grad, Tensor source, Tensor target, Tensor mask, bool need_source, bool need_target) -> (Tensor, Tensor)",
    tags=torch.Tag.pt2_compliant_tag,
)


@impl("tridistribute::accumulate_backward", "default")
def _run_accumulate_backward(
    grad: Tensor, source: Tensor, target: Tensor, mask: Tensor, need_source: bool, need_target: bool
) -> tuple[Tensor, Tensor]:
    """Run the definition, or the kernel that takes `source`."""
    if (runs := backend(source)) != "torch":
        kernel = cpp if runs == "cpp" else cuda
        return kernel.accumulate_backward(grad, source, target, mask, need_source, need_target)
    return reference.accumulate_backward(grad, source, target, mask, need_source, need_target)


accumulate: OpOverload = torch.ops.tridistribute.accumulate.default
accumulate_backward: OpOverload = torch.ops.tridistribute.accumulate_backward.default


def backend(tensor: Tensor) -> Literal["cpp", "cuda", "torch"]:
    """See :func:`tridistribute.backend`: the one place where a device or dtype gets its kernel."""
    if _native.takes(tensor, "tridistribute"):
        return "cpp"
    # The order of a GPU's sums changes from run to run; the definition's does not where PyTorch is asked for that.
    if _cuda.takes(tensor, "tridistribute") and not torch.are_deterministic_algorithms_enabled():
        return "cuda"
    return "torch"


@register_fake("tridistribute::accumulate")
def _(source: Tensor, target: Tensor, mask: Tensor, dim: int) -> Tensor:
    return source.new_empty((source.shape[0], 4, dim, dim, dim))


@register_fake("tridistribute::accumulate_backward")
def _(
    grad: Tensor, source: Tensor, target: Tensor, mask: Tensor, need_source: bool, need_target: bool
) -> tuple[Tensor, Tensor]:
    return source.new_empty(source.shape if need_source else 0), target.new_empty(target.shape if need_target else 0)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    source, target, mask = ctx.saved_tensors
    need_source, need_target = ctx.needs_input_grad[:2]
    grad_source, grad_target = accumulate_backward(grad, source, target, mask, need_source, need_target)
    return grad_source if need_source else None, grad_target if need_target else None, None, None


register_autograd("tridistribute::accumulate", _backward, setup_context=_save)
