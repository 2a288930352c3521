"""Checkpoints that resume exactly: everything a run needs in one file, written beside and renamed."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from co2net.errors import InputError
from co2net.files import write_beside

RENAMED = {"caution": "held_back"}
"""Settings that runs which began with an earlier version call otherwise."""


@dataclass
class Progress:
    """Where a run stands; stored in its checkpoints.

    Attributes:
        step: optimizer steps done.
        judged: the step whose epoch end (validation, files) is done; -1: none.
        sums: of the values that the task's steps gave since the epoch began.
        counted: number of those steps.
        best: lowest validation loss, infinity before the first validation.
        best_step: its step; 0: the start.
        best_scores: of that validation.
        last_scores: of the newest validation.
    """

    step: int = 0
    judged: int = -1
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    best: float = math.inf
    best_step: int = 0
    best_scores: dict[str, float] = field(default_factory=dict)
    last_scores: dict[str, float] = field(default_factory=dict)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`; a kill at any moment leaves the previous file or the new one.

    Raises:
        OutputError: the folder is not writable or full.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_beside(path, buffer.getvalue())


def read_state(path: Path, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read what :func:`write_state` wrote; None if there is no file.

    Args:
        path: the file; its entry ``config`` holds the settings as JSON.
        facts: settings of the run that wants to go on; the file's must be the same.

    Raises:
        InputError: if the file is damaged, or was made with other settings (names them).
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stored = {RENAMED.get(name, name): value for name, value in dict(json.loads(state["config"])).items()}
    except Exception as error:  # a damaged file raises anything: EOFError, KeyError, RuntimeError, UnpicklingError
        raise InputError(
            f"{path} cannot be resumed from ({type(error).__name__}); delete it to start anew, or use another folder"
        ) from error
    changed = [name for name, value in facts.items() if stored.get(name) != json.loads(json.dumps(value))]
    if changed:
        raise InputError(
            f"{path} was made with other settings for {', '.join(changed)}; "
            "use the same settings to resume it, or another experiment folder to start anew"
        )
    return state


def take_up(state: Mapping[str, Any], parts: Mapping[str, Any], path: Path) -> tuple[Progress, int]:
    """Bring the parts of a run to where a checkpoint stands.

    Args:
        state: what :func:`read_state` gave.
        parts: networks, optimizers and so on by the names they were stored under.
        path: of the checkpoint, for the message.

    Returns:
        How far the run was, and how many bytes its log had.

    Raises:
        InputError: something is missing in it, or has another shape.
    """
    try:
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return Progress(**state["progress"]), int(state["log_bytes"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        cause = f"{type(error).__name__}: {(str(error).splitlines() or [''])[-1].strip()[:120]}"
        raise InputError(
            f"{path} does not hold what this run needs ({cause}); delete it to start anew, or use another folder"
        ) from error


def cpu_copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as own, contiguous CPU tensors: small in the file, and readable where there is no GPU."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
