"""Checkpoints that resume exactly: everything a run needs in one file, written beside and renamed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from co2net.errors import InputError
from co2net.files import write_beside
from co2net.training.adversary import Adversary
from co2net.training.averaging import Average

NAME = "last_checkpoint.pth"
STAGE1_FIXED = (
    "backbone",
    "phases",
    "learning_rate",
    "schedule",
    "loss",
    "varied",
    "caution",
    "seed",
    "precision",
    "settings",
    "mix",
    "area_only",
    "smoothness",
    "averaging",
    "largest_gradient",
    "temporal",
    "adversarial_weight",
)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`; a kill at any moment leaves the previous file or the new one.

    Raises:
        OutputError: the folder is not writable or full.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_beside(path, buffer.getvalue())


def read_state(path: Path, config: Mapping[str, Any], fixed: Iterable[str]) -> dict[str, Any] | None:
    """Read what :func:`write_state` wrote; None if there is no file.

    Args:
        path: the file; its entry ``config`` holds the settings as JSON.
        config: settings of the run that wants to go on.
        fixed: names of the settings that must be the same.

    Raises:
        InputError: if the file is damaged, or was made with other settings (names them).
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stored = json.loads(state["config"])
    except Exception as error:  # a damaged file raises anything: EOFError, KeyError, RuntimeError, UnpicklingError
        raise InputError(
            f"{path} cannot be resumed from ({type(error).__name__}); delete it to start anew, or use another folder"
        ) from error
    changed = [name for name in fixed if stored.get(name) != json.loads(json.dumps(config.get(name)))]
    if changed:
        raise InputError(
            f"{path} was made with other settings for {', '.join(changed)}; "
            "use the same settings to resume it, or another experiment folder to start anew"
        )
    return state


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    config: dict[str, Any],
    average: Average | None = None,
    adversary: Adversary | None = None,
) -> None:
    """Write stage 1's ``folder/last_checkpoint.pth``.

    Raises:
        OutputError: the folder is not writable or full.
    """
    state = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "config": json.dumps(config),
    }
    if average:
        state["average"] = average.state
    if adversary:
        state["adversary"] = adversary.state_dict()
    write_state(folder / NAME, state)


def load_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: dict[str, Any],
    average: Average | None = None,
    adversary: Adversary | None = None,
) -> int:
    """Restore all of stage 1 in place; returns the steps done (0: no checkpoint).

    Raises:
        InputError: if the checkpoint was made with other settings.
    """
    state = read_state(folder / NAME, config, STAGE1_FIXED)
    if state is None:
        return 0
    network.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if average:
        average.load(state["average"])
    if adversary:
        adversary.load_state_dict(state["adversary"])
    return int(state["step"])


def cpu_copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as own, contiguous CPU tensors: small in the file, and readable where there is no GPU."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
