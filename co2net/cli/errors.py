"""How every command ends: 0 done, 2 bad input (one sentence), 1 our fault (traceback), 130 and 143 interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from co2net.errors import InputError


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end (SIGTERM: a job scheduler, a container); cleaned up after as Ctrl-C is."""


def exit_code(job: Callable[[], object]) -> int:
    """Run `job`, print an :class:`InputError` as one sentence, and return the exit code."""
    try:
        with _termination_interrupts():
            job()
    except InputError as error:
        print(f"co2net: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print("co2net: interrupted; nothing half-written is left", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    return 0


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    def stop(number: int, stack: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
