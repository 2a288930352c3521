"""What the nodes need of ComfyUI: its device, its memory, its progress bar, its stop button."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, device, nn

Item = TypeVar("Item")


def _management() -> Any:
    return importlib.import_module("comfy.model_management")


def working_device() -> device:
    """Where networks compute."""
    return _management().get_torch_device()


def resting_device() -> device:
    """Where images lie between nodes."""
    return _management().intermediate_device()


def watched(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The same items; the node's bar moves with each, and the stop button ends it before the next."""
    bar = importlib.import_module("comfy.utils").ProgressBar(count)
    management = _management()
    for item in items:
        management.throw_exception_if_processing_interrupted()
        yield item
        bar.update(1)


@contextmanager
def on_device(network: nn.Module) -> Iterator[device]:
    """Lend a network the working device, with room made for it; afterwards it rests on the CPU."""
    management, place = _management(), working_device()
    values: list[Tensor] = [*network.parameters(), *network.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in values)
    management.free_memory(4 * size, place)  # what it computes is small beside the weights of what else is loaded
    try:
        network.to(place)
        yield place
    finally:
        network.to("cpu")
