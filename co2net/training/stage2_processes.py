"""Several processes that train one model: who is who, sums over all, and batch norm over the whole batch.

Started by ``torchrun``, which tells every process its number in environment variables. Alone, everything here does
nothing and costs nothing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from co2net.errors import InputError


class Processes:
    """The group of processes.

    Attributes:
        rank: number of this process, 0 for the one that writes and logs.
        count: number of processes.
        device: where this process computes.
    """

    def __init__(self, device: torch.device, rank: int = 0, count: int = 1) -> None:
        self.device, self.rank, self.count = device, rank, count

    @property
    def first(self) -> bool:
        """Whether this process writes and logs."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Every value summed over the processes."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def share_error(self, error: str) -> None:
        """Raise :class:`InputError` in every process if one of them has an error, with its sentence."""
        if self.count > 1 and self.sum(float(bool(error)))[0]:
            errors: list[Any] = [None] * self.count
            dist.all_gather_object(errors, error)
            error = next(text for text in errors if text)
        if error:
            raise InputError(error)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over the processes."""
        if self.count == 1:
            return network
        # Every process computes the same batch statistics, so nothing needs to be sent around for them.
        with warnings.catch_warnings():
            # The name that replaces `broadcast_buffers` is not known to the oldest PyTorch that may run this.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return nn.parallel.DistributedDataParallel(
                network, device_ids=[self.device.index] if self.device.type == "cuda" else None, broadcast_buffers=False
            )


@contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; a single process stays alone.

    Args:
        device: kind of device; with CUDA every process of a machine takes the GPU of its local number.

    Raises:
        InputError: more processes on a machine than GPUs, or a device that cannot be shared.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(device)
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise InputError(
                f"torchrun started more processes than this machine has GPUs ({torch.cuda.device_count()}); "
                "lower --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise InputError(f"several processes need --device cuda or cpu, not {device.type}")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(device, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


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

    PyTorch's SyncBatchNorm does not run on CPUs. The state dict is that of ``nn.BatchNorm2d``; a process may hold any
    number of items, none included.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(input)
        x = input.float()
        pixels = x.new_tensor([x.numel() // x.shape[1]])
        # Two sums, mean before deviations: the difference of large numbers would lose digits.
        *sums, count = _SumOverProcesses.apply(torch.cat([x.sum(dim=(0, 2, 3)), pixels])).split([x.shape[1], 1])  # type: ignore[union-attr]
        count = count.detach()
        mean = (sums[0] / count).view(1, -1, 1, 1)
        variance = _SumOverProcesses.apply(((x - mean) ** 2).sum(dim=(0, 2, 3))) / count  # type: ignore[operator]
        with torch.no_grad():
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        normal = (x - mean) * torch.rsqrt(variance.view(1, -1, 1, 1) + self.eps)
        return (normal * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(input.dtype)


def use_global_batch_norm(network: nn.Module) -> None:
    """Replace every batch norm of `network` by :class:`GlobalBatchNorm2d`, with its values and names."""
    for name, module in network.named_children():
        if type(module) is nn.BatchNorm2d:
            other = GlobalBatchNorm2d(module.num_features, module.eps, module.momentum)
            other.load_state_dict(module.state_dict())
            setattr(network, name, other.to(module.weight.device).train(module.training))
        else:
            use_global_batch_norm(module)
