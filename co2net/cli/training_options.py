"""What the commands of training have in common."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def add_settings(group: argparse._ArgumentGroup, recipes: Mapping[str, Callable[[], Any]]) -> None:
    """An option for every field of a dataclass of settings that says what it is; None where it is not given.

    Args:
        group: where to.
        recipes: settings by name, the usual ones first; help shows their values.
    """
    configs = {name: make() for name, make in recipes.items()}
    usual, *others = configs
    for field in dataclasses.fields(configs[usual]):
        if "says" not in field.metadata:
            continue
        values = {name: getattr(config, field.name) for name, config in configs.items()}
        shown = [str(values[usual]), *(f"{name} {values[name]}" for name in others if values[name] != values[usual])]
        kind: dict[str, Any] = {"type": {"int": int, "float": float}.get(str(field.type), str)}
        if field.type == "bool":
            kind = {"action": argparse.BooleanOptionalAction}
        if field.metadata["choices"]:
            kind["choices"] = field.metadata["choices"]
        group.add_argument(
            f"--{field.metadata['flag'] or field.name}",
            dest=field.name,
            default=None,
            help=f"{field.metadata['says']} (default {', '.join(shown)})",
            **kind,
        )


def set_given(config: Any, options: argparse.Namespace) -> None:
    """Take over the options of :func:`add_settings` that were given."""
    for field in dataclasses.fields(config):
        if "says" in field.metadata and getattr(options, field.name) is not None:
            setattr(config, field.name, getattr(options, field.name))


def first_process() -> bool:
    """Whether this is the first of several processes, or the only one."""
    return not int(os.environ.get("RANK", "0"))


def spoken_by_first(run: Callable[[argparse.Namespace, bool], None]) -> Callable[[argparse.Namespace], None]:
    """A command whose ``run(options, quiet)`` is told to be quiet in all processes but the first.

    Those end without a word.
    """

    def alone(options: argparse.Namespace) -> None:
        first = first_process()
        try:
            run(options, options.quiet or not first)
        except (InputError, DivergedError) as error:
            if first:
                raise
            raise SystemExit(2 if isinstance(error, InputError) else 1) from None  # the first one says the same

    return alone


@contextlib.contextmanager
def notes(*, quiet: bool) -> Iterator[None]:
    """Show warnings as notes of one line, each once."""

    def show(message: Warning | str, *_place: object) -> None:
        if not quiet:
            print(f"note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("once", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def report(summary: Summary, folder: Path) -> None:
    """Say how a run ended, before its scores."""
    step = summary.progress.step
    if summary.was_finished:
        print(f"{folder} holds a finished run of {step} steps; it is left as it is")
    elif not summary.finished:
        print(f"stopped after step {step}; the same command goes on")
