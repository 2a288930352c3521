"""Let a step finish before Ctrl-C or SIGTERM ends a training, so that a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Context in which the first SIGINT or SIGTERM is only noted; the second one does what it did before.

    Outside the main thread, which alone may set handlers, nothing changes.

    Attributes:
        noted: the signal that came, None so far.
    """

    def __init__(self) -> None:
        self.noted: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted is not None:
            self._act(number, frame)
        self.noted = number

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
