"""Let a step finish before Ctrl-C or SIGTERM ends a training, so that a checkpoint can be written."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Interrupts:
    """Context in which SIGINT, SIGTERM and SIGHUP wait for the end of what is :meth:`held`; a second one does not.

    What is not held they end at once. Outside the main thread, which alone may set handlers, nothing changes.

    Args:
        speaks: say that the signal was heard.

    Attributes:
        noted: the signal that came while something was held, None so far.
        killed: what was held was cut short.
    """

    def __init__(self, *, speaks: bool = True) -> None:
        self.noted: int | None = None
        self.killed = False
        self._speaks, self._holding = speaks, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What is inside is done whole; see :attr:`noted` after it."""
        self._holding = True
        try:
            yield
        except KeyboardInterrupt:
            self.killed = True
            raise
        finally:
            self._holding = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._holding or self.noted is not None:
            self._act(number, frame)
        self.noted = number
        if self._speaks:  # print() may be in the middle of a line just now
            os.write(2, b"\nco2net: stopping after this step; once more stops at once\n")

    def end(self) -> None:
        """Do now what the noted signal asked for.

        Raises:
            KeyboardInterrupt: always, or the subclass that the handler before raises.
        """
        self._act(self.noted or signal.SIGINT, None)

    def _act(self, number: int, frame: FrameType | None) -> None:
        handler = self._before.get(number)
        if callable(handler):
            handler(number, frame)
        raise KeyboardInterrupt


def ignore_in_worker(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the one that trains decides when its workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
