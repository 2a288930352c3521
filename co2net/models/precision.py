"""In how many digits networks compute: as asked for, or in fewer where the processor is faster at it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from co2net.checks import check_choice
from co2net.devices import has_bfloat16
from co2net.models.backbones.base import Backbone, BackboneOutput

Arithmetic = Literal["fp32", "tf32", "bf16", "fp16"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Precision = Literal["auto", "full"]
"""Digits of the backbone's convolutions: "full" float32, "auto" bfloat16 where that is faster."""


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context in which networks compute in "bf16" or "fp16", or ("fp32", "tf32") as ever; losses belong outside."""
    return torch.autocast(device.type, _DTYPES.get(precision), enabled=precision in _DTYPES)


def training_autocast(device: torch.device, precision: str) -> torch.autocast:
    """As :func:`autocast`, but a processor that only imitates "bf16" computes in float32: ten times as fast."""
    imitated = precision == "bf16" and device.type == "cpu" and not has_bfloat16()
    return autocast(device, "fp32" if imitated else precision)


def backbone_pass(backbone: Backbone, device: torch.device, precision: Precision) -> Callable[..., BackboneOutput]:
    """How to run `backbone` with that precision; arguments and result as of the backbone itself.

    "auto" takes a copy of a network that paints pixels, with its batch norms folded into the convolutions, channels
    last, convolutions in bfloat16; on CPUs that have instructions for it only. What it says is rounded to about a third
    of an 8-bit level, which the mean over pixels and frames takes out again (docs/performance.md has the cost in dB).

    Raises:
        InputError: the precision is unknown.
    """
    check_choice("precision", precision, get_args(Precision))
    if precision == "full" or device.type != "cpu" or backbone.predicts_mapping or not has_bfloat16():
        return backbone
    fast = fold_batch_norms(copy.deepcopy(backbone)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(image: Tensor, mask: Tensor, **planes: Tensor) -> BackboneOutput:
        with torch.autocast("cpu", torch.bfloat16):
            out = fast(image.contiguous(memory_format=torch.channels_last), mask, **planes)
        return replace(
            out, image=out.image.float().contiguous(), features=out.features.float(), raw=out.raw.float().contiguous()
        )

    return run


@contextmanager
def one_thread_for(backbone: Backbone, device: torch.device) -> Iterator[None]:
    """Run what is inside on one thread if `backbone` is small and runs on the CPU.

    A pass of some milliseconds in a hundred steps gains nothing from more threads, and between the steps they would
    wait busily for each other on the cores that decoder and encoder need.
    """
    before = torch.get_num_threads()
    few = not backbone.paints and device.type == "cpu" and before > 1
    if few:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if few:
            torch.set_num_threads(before)


def fold_batch_norms(network: Backbone) -> Backbone:
    """Fold every batch norm that follows a convolution in a sequence into it, in place; eval results stay."""
    for sequence in network.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        parts: Mapping[str, nn.Module] = dict(sequence.named_children())
        for (name, part), (next_name, following) in zip(parts.items(), list(parts.items())[1:], strict=False):
            if isinstance(part, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(sequence, name, fuse_conv_bn_eval(part, following))
                setattr(sequence, next_name, nn.Identity())
    return network
