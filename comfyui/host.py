"""What the nodes need of ComfyUI: its device, its memory, its progress bar, its stop button, its folders."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
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


def place_to_save(prefix: str, ending: str) -> Path:
    """A new file in the output folder, named as ComfyUI names its own; it refuses names that lead out of there."""
    paths = importlib.import_module("folder_paths")
    folder, name, counter, *_ = paths.get_save_image_path(prefix, paths.get_output_directory())
    while (place := Path(folder) / f"{name}_{counter:05}_{ending}").exists():
        counter += 1
    return place


def stored_file(name: str) -> Path:
    """A file of the input folder, else of the output folder.

    Raises:
        ValueError: it is in neither; workflows come from other people, so no other folder is read.
    """
    paths = importlib.import_module("folder_paths")
    for folder in (paths.get_input_directory(), paths.get_output_directory()):
        root = Path(folder).resolve()
        place = (root / name).resolve()
        if place.is_relative_to(root) and place.is_file():
            return place
    raise ValueError(f"{name}: no such file in the input folder or the output folder; copy it there")


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
