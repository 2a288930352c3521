"""Which device runs the networks."""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """The device to use: ``auto`` takes CUDA, then MPS, then the CPU; anything else must be there.

    Raises:
        InputError: if the device asked for is unknown or absent.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind, _, index = name.partition(":")
    if kind not in available or (index and not index.isdigit()):
        raise InputError(f"`device` {name} is unknown; use auto, cpu, cuda, cuda:N or mps")
    if not available[kind]:
        raise InputError(
            f"`device` {name} was asked for, but PyTorch {torch.__version__} finds none here; use `device` cpu"
        )
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise InputError(f"`device` {name} was asked for, but there are only {torch.cuda.device_count()} CUDA devices")
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Name a device as its owner would: ``cuda (NVIDIA H200)``, ``cpu (2 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`; to a CUDA device through pinned memory, without waiting for what runs there."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; without, PyTorch only imitates it."""
    checks = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(check() for check in checks if check is not None)
