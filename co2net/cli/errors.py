"""How every command ends: 0 done, 2 bad input (one sentence), 1 our fault (traceback), 130 and 143 interrupted.

Messages of the library name arguments, in backquotes: "`size` must be at least 8". Whoever calls from Python reads
them as they are; the command puts its own flags in their place: "--size must be at least 8".
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from co2net.errors import DivergedError, InputError

_ARGUMENT = re.compile(r"`(\w+)`")


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end (SIGTERM: a job scheduler, a container); cleaned up after as Ctrl-C is."""


def exit_code(job: Callable[[], object], flags: Mapping[str, str] | None = None) -> int:
    """Run `job`, print an :class:`InputError` as one sentence, and return the exit code.

    Args:
        job: what to do.
        flags: the command's flag for each argument of the library, as the parser leaves them in ``options.flags``.
    """
    try:
        with _termination_interrupts():
            job()
    except InputError as error:
        print(f"co2net: {with_flags(str(error), flags or {})}", file=sys.stderr)
        return 2
    except DivergedError as error:
        print(f"co2net: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("co2net: interrupted; nothing half-written is left", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    return 0


def with_flags(message: str, flags: Mapping[str, str]) -> str:
    """The message with the command's flags in place of the arguments that it names; other words stay."""
    return _ARGUMENT.sub(lambda found: flags.get(found[1], found[0]), message)


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
