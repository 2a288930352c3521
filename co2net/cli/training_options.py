"""What the commands of training have in common."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.errors import DivergedError, InputError

if TYPE_CHECKING:
    from co2net.training.loop import Summary

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def add_time_limit(group: argparse._ArgumentGroup) -> None:
    """``--time_limit``, in seconds."""
    group.add_argument(
        "--time_limit",
        type=_seconds,
        metavar="TIME",
        help="stop with a checkpoint after so long, such as 90s, 30m or 2h; the same command goes on",
    )


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text} is no time; write such as 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def at_least(options: argparse.Namespace, least: int, *names: str) -> None:
    """Raise :class:`InputError` if one of the options is given and smaller."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"--{name} must be {least} or more, got {value}")


def positive(options: argparse.Namespace, *names: str) -> None:
    """Raise :class:`InputError` if one of the options is given and is no finite number above 0."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"--{name} must be a number above 0, got {value:g}")


def spoken_by_first(run: Callable[[bool], None]) -> None:
    """Call `run` with whether this is the first of several processes; the others end without a word."""
    first = not int(os.environ.get("RANK", "0"))
    try:
        run(first)
    except (InputError, DivergedError) as error:
        if first:
            raise
        raise SystemExit(2 if isinstance(error, InputError) else 1) from None  # the first one says the same


def report(summary: Summary, folder: Path) -> None:
    """Say how a run ended, before its scores."""
    step = summary.progress.step
    if summary.was_finished:
        print(f"{folder} holds a finished run of {step} steps; it is left as it is")
    elif not summary.finished:
        print(f"stopped after step {step}; the same command goes on")
