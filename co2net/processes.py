"""Several processes that work on one job, as ``torchrun`` starts them: who is who, sums over all, waiting for all.

``torchrun`` tells every process its number in environment variables. Alone, everything here does nothing and costs
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from co2net.errors import InputError

T = TypeVar("T")
_PATIENCE = timedelta(days=30)  # one process may have nothing to do while another works for days


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

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part: each `count`-th item."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            dist.barrier()

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

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every parameter the sum of its gradients over the processes."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(total)
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))


@contextmanager
def process_group(device: torch.device, *, alike: bool = True) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; a single process stays alone.

    Args:
        device: kind of device; with CUDA every process of a machine takes the GPU of its local number.
        alike: the processes compute in step and exchange tensors, each on a GPU of its own. Otherwise each works by
            itself, for as long as it takes, and several may use one GPU or the one that `device` names.

    Raises:
        InputError: more processes on a machine than GPUs, or a device that cannot be shared.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(device)
        return
    if device.type == "cuda" and (alike or device.index is None):
        local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if alike and local >= gpus:
            raise InputError(
                f"torchrun started more processes than this machine has GPUs ({gpus}); lower --nproc-per-node"
            )
        device = torch.device("cuda", local % gpus)
        torch.cuda.set_device(device)
    elif alike and device.type not in ("cpu", "cuda"):
        raise InputError(f"several processes need `device` cuda or cpu, not {device.type}")
    if alike:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    else:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(device, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
