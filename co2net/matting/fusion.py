"""A network that weighs the witnesses of a propagation: the matting U-Net on more planes, whose logit is added."""

from __future__ import annotations

import os

import numpy as np
import torch

from co2net.matting.carry import PLANES, Fuse
from co2net.matting.unet import MattingNetwork, create_network

WF, LEVELS = 3, 5
SHIPPED = "matting.safetensors"


def fuse_by(network: MattingNetwork) -> Fuse:
    """The function that :class:`~co2net.matting.carry.Carrier` asks, from a network on :data:`PLANES`."""
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def fuse(planes: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            given = torch.from_numpy(planes)[None].contiguous(memory_format=torch.channels_last)
            return network.logits(given)[0, 0].numpy()

    return fuse


def load_fuse(weights: str | os.PathLike[str]) -> Fuse:
    """As :func:`fuse_by`, from a file.

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    return fuse_by(create_fusion(weights))


def create_fusion(weights: str | os.PathLike[str] | None = None) -> MattingNetwork:
    """The network itself; without weights a fresh one.

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    return create_network(weights, in_channels=len(PLANES), wf=WF, depth=LEVELS)


def shipped_fuse() -> Fuse | None:
    """That of the released weights; None in an installation without them."""
    from co2net.models.releases import releases_folder

    folder = releases_folder()
    path = None if folder is None else folder / SHIPPED
    return load_fuse(path) if path is not None and path.is_file() else None
