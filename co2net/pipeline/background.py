"""Writing beside the computing: frames are converted and encoded in a thread of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any


class BackgroundCalls:
    """Calls a function in order, in one thread, a few calls behind at most.

    Use as a context manager around the loop. Leaving it normally waits for the calls still due; leaving it by an
    exception drops them. A call that fails ends the thread, and its exception is raised by the next :meth:`__call__` or
    on leaving.

    Args:
        function: what to call.
        depth: calls that may wait; the caller then waits too, so that memory stays bounded.

    Attributes:
        done: number of finished calls.
    """

    def __init__(self, function: Callable[..., object], depth: int = 4) -> None:
        self.done = 0
        self._function = function
        self._queue: queue.Queue[tuple[Any, ...] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="co2net-writer", daemon=True)

    def __call__(self, *arguments: Any) -> None:
        """Have the function called with `arguments`, after all calls before."""
        self._put(arguments)

    def __enter__(self) -> BackgroundCalls:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stopped.set()
            self._thread.join()
            return
        try:
            self._put(None)
            self._thread.join()
        except BaseException:
            # Interrupted while waiting: whoever cleans up next must find the thread at rest.
            self._stopped.set()
            self._thread.join()
            raise
        self._raise_failure()

    def _put(self, item: tuple[Any, ...] | None) -> None:
        while True:
            self._raise_failure()
            try:
                return self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue

    def _raise_failure(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._stopped.set()
            raise error

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                item = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if item is None:
                return
            try:
                self._function(*item)
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
                self._error = error
                return
            self.done += 1
