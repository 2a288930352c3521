"""Jobs in worker processes, each on one thread: pictures are many, and every one is small."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import TypeVar

from co2net.errors import InputError
from co2net.screen import take_over

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Do `work` on every job and yield the results as they come.

    Args:
        work: a function of a module.
        jobs: what it is called with.
        workers: processes; 1 or fewer works in this one.

    Raises:
        Whatever `work` raises; jobs that have begun are finished first, the others are not begun.
        InputError: a worker was killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(work, jobs)
        return
    # Not "fork": a copy of a process that runs threads may hang. A fork server loads the libraries once for all.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([work.__module__])
    with _ended_in_order():
        yield from _in_processes(work, jobs, workers, context)


def _in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, context: BaseContext
) -> Iterator[Result]:
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        for future in as_completed([pool.submit(work, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise InputError("a worker process was killed, perhaps for want of memory; give fewer `workers`") from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM leaves as Ctrl-C does: clips that have begun are finished, and no worker finds its parent gone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear; it lets begun clips finish
    threading.Thread(target=_end_with_parent, daemon=True).start()
    take_over()
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    """A killed run must not go on in its workers, beside the next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
