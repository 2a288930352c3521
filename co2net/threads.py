"""Work in threads of its own: reading ahead of the computing, writing behind it.

:func:`read_ahead`, :func:`map_ahead` and :class:`WriteBehind` are context managers around the loop, over
:mod:`concurrent.futures`. Leaving one ends its threads; only then may files that they use be closed. What fails in a
thread is raised in the caller's, where its result would have come.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_END: Any = object()


def wait_passively() -> None:
    """Keep PyTorch's waiting threads from being busy on the cores that decoder and encoder need; before it loads."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def read_ahead(items: Iterable[Item], depth: int = 4) -> Iterator[Iterator[Item]]:
    """Iterate over `items` in a thread, a few items ahead at most.

    Args:
        items: what to read; only touched by the thread.
        depth: items that may wait; memory stays bounded.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "co2net-reader") as pool:
        waiting: deque[Future[Any]] = deque()

        def walk() -> Iterator[Item]:
            while (item := result_of(waiting.popleft())) is not _END:
                waiting.append(pool.submit(next, source, _END))
                yield item

        try:
            waiting.extend(pool.submit(next, source, _END) for _ in range(depth))
            yield walk()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def map_ahead(
    function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], workers: int, ahead: int = 32
) -> Iterator[Iterator[Result]]:
    """``function(*call)`` for every call, in order, computed in threads.

    Threads, not processes: decoders work outside Python's lock, and pictures need not be copied.

    Args:
        function: what to call.
        calls: its arguments; read lazily.
        workers: threads; 0 calls when asked.
        ahead: results that may wait.
    """
    source = iter(calls)
    if workers == 0:
        yield (function(*call) for call in source)
        return
    with ThreadPoolExecutor(workers, "co2net-read") as pool:
        waiting: deque[Future[Result]] = deque()

        def walk() -> Iterator[Result]:
            while True:
                waiting.extend(pool.submit(function, *call) for call in islice(source, ahead - len(waiting)))
                if not waiting:
                    return
                yield result_of(waiting.popleft())

        try:
            yield walk()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class WriteBehind:
    """Call a function in order, in one thread, a few calls behind at most.

    Leaving normally waits for the calls still due; leaving by an exception drops them. After a call that failed none
    is made any more, and its exception is raised by the next call or on leaving.

    Args:
        function: what to call.
        depth: calls that may wait; the caller then waits too, so that memory stays bounded.

    Attributes:
        done: number of finished calls.
    """

    def __init__(self, function: Callable[..., object], depth: int = 4) -> None:
        self.done = 0
        self._function, self._depth, self._failed = function, depth, False
        self._waiting: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, "co2net-writer")

    def __call__(self, *arguments: Any) -> None:
        """Have the function called with `arguments`, after all calls before."""
        self._settle(self._depth)
        self._waiting.append(self._pool.submit(self._run, arguments))

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._settle(0)
        finally:
            self._failed = True
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _settle(self, most: int) -> None:
        """Wait until no more than `most` calls are due; raise what one of them raised."""
        while self._waiting and (len(self._waiting) > most or self._waiting[0].done()):
            result_of(self._waiting.popleft())

    def _run(self, arguments: tuple[Any, ...]) -> None:
        if self._failed:
            return
        try:
            self._function(*arguments)
        except BaseException:
            self._failed = True
            raise
        self.done += 1


def result_of(future: Future[Result]) -> Result:
    """What a thread's work gives; waits with a time limit, as an endless wait cannot be interrupted on every system."""
    while not future.done():
        wait([future], timeout=0.1)
    return future.result()
