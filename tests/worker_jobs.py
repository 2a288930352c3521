"""Work for the tests of workers and batches; a worker imports it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from co2net.errors import InputError


def job(number: int) -> int:
    """Squares; 13 is bad input, 7 fails."""
    if number == 13:
        raise InputError("13 is bad luck")
    if number == 7:
        raise ZeroDivisionError("seven")
    return number * number


def killed_once(mark: Path) -> str:
    """Its worker is killed the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return mark.name


def always_killed(mark: Path) -> None:
    """Its worker is killed every time."""
    with mark.open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def slow(mark: Path) -> str:
    """Takes a moment, and says that it ended."""
    time.sleep(0.3)
    mark.touch()
    return mark.name
