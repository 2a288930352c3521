"""Decode frames in threads, a bounded number ahead of the networks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from co2net.data.clips import FrameTensors, read_frame
from co2net.data.frame_lists import FrameEntry


class ReadAhead:
    """Iterator over the frames of `reads`, in order; close it (or use ``with``) to end its threads.

    Threads, not processes: decoders work outside Python's lock, and the pictures need not be copied.

    Args:
        reads: frames, and whether the real one is wanted; read lazily.
        size: height and width to bring them to; None keeps their own.
        workers: threads; 0 decodes when asked.
        ahead: frames that may wait, decoded, for the networks.

    Attributes:
        waited: seconds that the caller has spent waiting for a frame.
    """

    def __init__(
        self, reads: Iterable[tuple[FrameEntry, bool]], size: int | None, workers: int, ahead: int = 32
    ) -> None:
        self._reads, self._size, self._ahead = iter(reads), size, ahead
        self._pool = ThreadPoolExecutor(workers, "read") if workers > 0 else None
        self._pending: deque[Future[FrameTensors]] = deque()
        self.waited = 0.0

    def __iter__(self) -> Iterator[FrameTensors]:
        return self

    def __next__(self) -> FrameTensors:
        """The next frame.

        Raises:
            InputError: the frame is missing, damaged, or its pictures are not of one size; names the file.
        """
        started = time.perf_counter()
        try:
            if self._pool is None:
                entry, real = next(self._reads)
                return read_frame(entry, self._size, real=real)
            for entry, real in islice(self._reads, self._ahead - len(self._pending)):
                self._pending.append(self._pool.submit(read_frame, entry, self._size, real=real))
            if not self._pending:
                raise StopIteration
            return self._pending.popleft().result()
        finally:
            self.waited += time.perf_counter() - started

    def close(self) -> None:
        """End the threads; frames that nobody asked for are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
