"""Batch norm over the whole batch of several processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose training statistics are those of the whole batch, over all processes.

    PyTorch's SyncBatchNorm does not run on CPUs. The state dict is that of ``nn.BatchNorm2d``; processes may hold
    different numbers of items.

    Attributes:
        counts: whether this process's items are part of the batch; those of a process for which nothing was left only
            keep it in step with the others.
    """

    counts = True

    def forward(self, input: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(input)
        x, weight = input.float(), float(self.counts)
        pixels = x.new_tensor([x.numel() // x.shape[1]])
        # Two sums, mean before deviations: the difference of large numbers would lose digits.
        own = torch.cat([x.sum(dim=(0, 2, 3)), pixels]) * weight
        *sums, count = _SumOverProcesses.apply(own).split([x.shape[1], 1])  # type: ignore[union-attr]
        count = count.detach()
        mean = (sums[0] / count).view(1, -1, 1, 1)
        variance = _SumOverProcesses.apply(((x - mean) ** 2).sum(dim=(0, 2, 3)) * weight) / count  # type: ignore[operator]
        with torch.no_grad():
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        normal = (x - mean) * torch.rsqrt(variance.view(1, -1, 1, 1) + self.eps)
        return (normal * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(input.dtype)


def use_global_batch_norm(network: nn.Module) -> None:
    """Make every batch norm of `network` a :class:`GlobalBatchNorm2d`, with its parameters and names."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d


def count_in_batch_norm(networks: Iterable[nn.Module], *, counts: bool) -> None:
    """Set :attr:`GlobalBatchNorm2d.counts` in all of `networks`."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, GlobalBatchNorm2d):
                module.counts = counts
