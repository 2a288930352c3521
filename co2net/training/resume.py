"""Checkpoints that resume exactly: weights, optimizer state, step and settings, written beside and renamed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from co2net.errors import InputError
from co2net.files import write_beside

NAME = "last_checkpoint.pth"


def save_checkpoint(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, config: dict[str, Any]
) -> None:
    """Write ``folder/last_checkpoint.pth``; a kill at any moment leaves the previous file or the new one.

    Raises:
        OutputError: the folder is not writable or full.
    """
    state = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "config": json.dumps(config),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_beside(folder / NAME, buffer.getvalue())


def load_checkpoint(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, config: dict[str, Any]) -> int:
    """Restore `network` and `optimizer` in place; returns the steps done (0 without a checkpoint).

    Raises:
        InputError: if the checkpoint was made with other settings.
    """
    path = folder / NAME
    if not path.is_file():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    stored = json.loads(state["config"])
    fixed = ("backbone", "phases", "learning_rate", "schedule", "loss", "varied", "caution", "seed", "precision")
    changed = [name for name in fixed if stored.get(name) != json.loads(json.dumps(config.get(name)))]
    if changed:
        raise InputError(
            f"{path} was made with other settings for {', '.join(changed)}; "
            "use the same settings to resume it, or another experiment folder to start anew"
        )
    network.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
