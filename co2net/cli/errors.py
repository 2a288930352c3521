"""How every command ends: 0 done, 2 bad input (one sentence), 1 our fault (traceback), 130 and 143 interrupted.

Messages of the library name arguments, in backquotes: "`size` must be at least 8". Whoever calls from Python reads
them as they are; the command puts its own flags in their place: "--size must be at least 8".
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from co2net.errors import DivergedError, InputError, with_names
from co2net.screen import take_over

_LONGEST = 600
"""Characters of a message."""


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end (SIGTERM: a job scheduler, a container; SIGHUP: the terminal is gone).

    Cleaned up after as Ctrl-C is.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code(job: Callable[[], object], flags: Mapping[str, str] | None = None) -> int:
    """Run `job`, print an :class:`InputError` as one sentence, and return the exit code.

    Args:
        job: what to do.
        flags: the command's flag for each argument of the library, as the parser leaves them in ``options.flags``.
    """
    show_any_name()
    take_over()
    try:
        with _termination_interrupts():
            job()
        _flush()
    except InputError as error:
        say(with_names(str(error), flags or {}))
        return 2
    except DivergedError as error:
        say(str(error))
        return 1
    except BrokenPipeError:  # `| head`: whoever read has seen enough; what was to be done is done
        _close_quietly()
    except OSError as error:  # files that are read or written have sentences of their own
        if error.errno == errno.ENAMETOOLONG:
            say(f"{error.filename}: the name is longer than the system allows; give a shorter one")
            return 2
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _close_quietly()
        say("the standard output is full; nothing more is shown")
        return 2
    except ValueError as error:
        if not str(error).startswith("CO2NET_INSTRUCTIONS"):  # of the kernels, which know none of our exceptions
            raise
        say(str(error))
        return 2
    except KeyboardInterrupt as stop:
        say("interrupted; nothing half-written is left")
        return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)
    return 0


def say(message: str) -> None:
    """Print one line on stderr, of bearable length; a closed stderr is nobody's fault."""
    line = " ".join(message.split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"co2net: {line}", file=sys.stderr)


def show_any_name() -> None:
    """Show characters that the terminal's encoding lacks escaped, instead of failing after the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Have stdout written now: a full disk or a closed pipe under it does not undo the work."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _close_quietly()


def _close_quietly() -> None:
    """Keep the interpreter from complaining about the closed pipe once more when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    def stop(number: int, stack: object) -> None:
        raise Terminated(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    asked = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    # Where somebody ignores them (nohup), they stay ignored.
    before = {number: signal.signal(number, stop) for number in asked if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
