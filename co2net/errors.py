"""Exceptions with a sentence for the person who reads them.

The command line prints an :class:`InputError` as one line and leaves with exit code 2; anything else is our fault and
keeps its traceback (exit code 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_ARGUMENT = re.compile(r"`(\w+)`")


def with_names(message: str, names: Mapping[str, str]) -> str:
    """The message with what its reader knows (a flag, a label) in place of the arguments it names; other words stay."""
    return _ARGUMENT.sub(lambda found: names.get(found[1], found[0]), message)


def listed(items: Iterable[object], most: int) -> str:
    """The first of some things and how many more there are, for a message: ``a, b, c and 4 more``."""
    items = list(items)
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


class Co2netError(Exception):
    """Base of every exception this project raises on purpose."""


class InputError(Co2netError):
    """A file or option given by the user cannot be used; the message names it, says why and how to mend it.

    Arguments stand in backquotes (like `size`), never as a command's flag: the command puts its flags there itself.
    """


class OutputError(InputError):
    """The result cannot be written (no permission, no space, unknown ending)."""


class Cancelled(Co2netError):
    """A job was ended from outside before it was done; its output does not exist."""


class WeightsError(InputError):
    """A weight file is missing, unsafe, or does not fit the network."""


class DivergedError(Co2netError):
    """A training's numbers left the finite; the command says so and leaves with exit code 1."""


class ShapeError(Co2netError, ValueError):
    """A tensor or array has the wrong shape, type, device or range; says what came and what was wanted."""
