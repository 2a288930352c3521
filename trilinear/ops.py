"""The operators as PyTorch sees them: one kernel per device, shapes for tracing, gradients.

Public callers are in ``__init__.py``; arguments arrive checked. Each gradient is an operator of its own, so
``torch.compile``, ``torch.export`` and fake tensors never look inside. Registered piece by piece: what
``torch.library.custom_op`` makes imports PyTorch's compiler at its first call, which takes two seconds.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.library import define, impl, register_autograd, register_fake

from trilinear import _cuda, _native, checks, cpp, cuda, reference

define(
    "trilinear::apply_lut",
    "(Tensor lut, Tensor image, Tensor? count) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)


@impl("trilinear::apply_lut", "default")
def _run_apply_lut(lut: Tensor, image: Tensor, count: Tensor | None) -> Tensor:
    """Run the definition, or the kernel that takes `image`."""
    if (runs := backend(image)) != "torch":
        return (cpp if runs == "cpp" else cuda).apply_lut(lut, image, count)
    checks.check_finite(image, "image")
    return reference.apply_lut(lut, image, count)


define(
    "trilinear::apply_lut_backward",
    "(Tensor grad, Tensor lut, Tensor image, Tensor? count, bool need_lut, bool need_image) -> (Tensor, Tensor)",
    tags=torch.Tag.pt2_compliant_tag,
)


@impl("trilinear::apply_lut_backward", "default")
def _run_apply_lut_backward(
    grad: Tensor, lut: Tensor, image: Tensor, count: Tensor | None, need_lut: bool, need_image: bool
) -> tuple[Tensor, Tensor]:
    """Run the definition, or the kernel that takes `image`."""
    runs = backend(image)
    if runs == "cpp":
        return cpp.apply_lut_backward(grad, lut, image, count, need_lut, need_image)
    # The order of a GPU's sums changes from run to run; the definition's does not where PyTorch is asked for that.
    if runs == "cuda" and not (need_lut and torch.are_deterministic_algorithms_enabled()):
        return cuda.apply_lut_backward(grad, lut, image, count, need_lut, need_image)
    return reference.apply_lut_backward(grad, lut, image, count, need_lut, need_image)


define(
    "trilinear::unseen_map",
    "(Tensor count, Tensor image, bool all_empty) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)


@impl("trilinear::unseen_map", "default")
def _run_unseen_map(count: Tensor, image: Tensor, all_empty: bool) -> Tensor:
    """Run the definition, or the kernel that takes `image`."""
    if (runs := backend(image)) != "torch":
        return (cpp if runs == "cpp" else cuda).unseen_map(count, image, all_empty)
    checks.check_finite(image, "image")
    return reference.unseen_map(count, image, all_empty)


apply_lut: OpOverload = torch.ops.trilinear.apply_lut.default
apply_lut_backward: OpOverload = torch.ops.trilinear.apply_lut_backward.default
unseen_map: OpOverload = torch.ops.trilinear.unseen_map.default


def backend(tensor: Tensor) -> Literal["cpp", "cuda", "torch"]:
    """See :func:`trilinear.backend`: the one place where a device or dtype gets its kernel."""
    if _native.takes(tensor, "trilinear"):
        return "cpp"
    return "cuda" if _cuda.takes(tensor, "trilinear") else "torch"


@register_fake("trilinear::apply_lut")
def _(lut: Tensor, image: Tensor, count: Tensor | None) -> Tensor:
    return image.new_empty(image.shape)


@register_fake("trilinear::apply_lut_backward")
def _(
    grad: Tensor, lut: Tensor, image: Tensor, count: Tensor | None, need_lut: bool, need_image: bool
) -> tuple[Tensor, Tensor]:
    return lut.new_empty(lut.shape if need_lut else 0), image.new_empty(image.shape if need_image else 0)


@register_fake("trilinear::unseen_map")
def _(count: Tensor, image: Tensor, all_empty: bool) -> Tensor:
    return image.new_empty((image.shape[0], 1, *image.shape[2:]))


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    lut, image, count = ctx.saved_tensors
    need_lut, need_image, _ = ctx.needs_input_grad
    grad_lut, grad_image = apply_lut_backward(grad, lut, image, count, need_lut, need_image)
    return grad_lut if need_lut else None, grad_image if need_image else None, None


register_autograd("trilinear::apply_lut", _backward, setup_context=_save)
