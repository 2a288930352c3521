"""Reading beside the computing: frames are decoded and converted in a thread of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Iterates over `items` in a thread, a few items ahead at most.

    Use as a context manager around the loop; leaving it ends the thread, after which the source may be closed. What
    the source raises is raised where the item would have come.

    Args:
        items: what to read; only touched by the thread.
        depth: items that may wait; the thread then waits too, so that memory stays bounded.
    """

    def __init__(self, items: Iterable[Item], depth: int = 4) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="co2net-reader", daemon=True)

    def __enter__(self) -> ReadAhead[Item]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            # With a time limit, because an endless wait cannot be interrupted on every system.
            try:
                found = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found[0]

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self._put(error)

    def _put(self, found: tuple[Item] | BaseException | None) -> bool:
        """Hand over; False where nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self._queue.put(found, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
