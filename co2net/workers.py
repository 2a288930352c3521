"""Many jobs on many workers: processes of this machine, each on one thread, or the machines of a Ray cluster.

A worker that is killed loses the job it was at and nothing else: another takes its place, and the job is tried again.
What a job made must be on disk, whole, before its work returns; then the run that gives out the jobs may be killed too,
and the next one finds what is done.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from co2net.errors import InputError
from co2net.screen import take_over
from co2net.threads import cores

Job = TypeVar("Job")
Result = TypeVar("Result")
Place = Literal["here", "ray"]
"""Where workers are: processes of this machine, or a Ray cluster that is running."""
PLACES: tuple[Place, ...] = ("here", "ray")
KILLED = "a worker process was killed, perhaps for want of memory; give fewer `workers`"


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a job ended.

    Attributes:
        index: its number among the jobs.
        result: what the work returned; None if it failed.
        error: why it failed; None if it did not.
        tries: how often it was begun.
    """

    index: int
    result: Result | None
    error: Exception | None
    tries: int


def run_jobs(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, *, on: Place = "here"
) -> Iterator[Result]:
    """Do `work` on every job and yield the results as they come; the first failure ends it.

    Args:
        work: a function of a module.
        jobs: what it is called with.
        workers: as for :func:`try_jobs`; 1 here is this process.
        on: where.

    Raises:
        Whatever `work` raises; jobs that have begun are finished first, the others are not begun.
        InputError: a worker was killed.
    """
    if on == "here" and (workers == 1 or len(jobs) <= 1):
        yield from map(work, jobs)
        return
    for outcome in try_jobs(work, jobs, workers, on=on, tries=1 if on == "here" else 3):
        if outcome.error is not None:
            raise outcome.error
        yield outcome.result  # type: ignore[misc]


def try_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int = 0,
    *,
    on: Place = "here",
    tries: int = 3,
    gpus: float = 0,
) -> Iterator[Outcome[Result]]:
    """Do `work` on every job and yield how each ended, as they end; a failure keeps no other from being done.

    An :class:`InputError` is final: the same input fails again. Whatever else goes wrong may be chance (a worker was
    killed, a disk hiccuped), so the job is tried again.

    Args:
        work: a function of a module; on Ray it must be importable on every machine.
        jobs: what it is called with; must be picklable.
        workers: jobs at a time; 0: one per core of this machine, or of the cluster.
        on: where.
        tries: how often a job is begun at most.
        gpus: of Ray, GPUs that a job keeps busy; 0.5 puts two jobs on one.

    Raises:
        InputError: there is no such place, no cluster runs, or a number is out of range.
    """
    if tries < 1 or workers < 0 or gpus < 0:
        raise InputError(f"`tries` {tries}, `workers` {workers}, `gpus` {gpus}: they cannot be fewer than 1, 0 and 0")
    if on not in PLACES:
        raise InputError(f"`on` {on}: jobs run on {' or '.join(PLACES)}")
    if not jobs:
        return
    with _ended_in_order():
        if on == "ray":
            yield from _on_ray(work, jobs, workers, tries, gpus)
        else:
            yield from _in_processes(work, jobs, min(workers or cores(), len(jobs)), tries)


def _in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, tries: int
) -> Iterator[Outcome[Result]]:
    """A thread of this process looks after each worker; when it dies, that thread knows which job it took along."""
    # Not "fork": a copy of a process that runs threads may hang. A fork server loads the libraries once for all.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([work.__module__, "torch", "cv2"])  # a worker in place of a dead one starts at once
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Outcome[Result]] = queue.SimpleQueue()
    stop = threading.Event()
    for index in range(len(jobs)):
        waiting.put(index)
    here = dict(os.environ)  # the fork server's own is that of its start

    def look_after() -> None:
        pool: ProcessPoolExecutor | None = None
        while not stop.is_set():
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                break
            error: Exception | None = None
            for number in range(1, tries + 1):
                pool = pool or ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker, initargs=(here,))
                try:
                    ended.put(Outcome(index, pool.submit(work, jobs[index]).result(), None, number))
                    break
                except BrokenProcessPool:
                    pool.shutdown()
                    pool, error = None, InputError(KILLED)
                except Exception as failure:  # noqa: BLE001 - whatever one job fails by, the others go on
                    error = failure
                if (isinstance(error, InputError) and pool is not None) or number == tries or stop.is_set():
                    ended.put(Outcome(index, None, error, number))
                    break
        if pool is not None:
            pool.shutdown()

    threads = [threading.Thread(target=look_after, name=f"co2net-worker-{n}") for n in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            yield _wait_for(ended)
    finally:
        stop.set()  # jobs that have begun are finished
        for thread in threads:
            thread.join()


def _on_ray(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, tries: int, gpus: float
) -> Iterator[Outcome[Result]]:
    ray = _cluster()
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_in_ray_worker)
    most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    todo = [(index, 1) for index in reversed(range(len(jobs)))]
    running: dict[Any, tuple[int, int]] = {}
    try:
        while todo or running:
            while todo and len(running) < most:
                index, number = todo.pop()
                running[remote.remote(work, jobs[index])] = index, number
            done, _ = ray.wait(list(running), num_returns=1, timeout=1)
            for place in done:
                index, number = running.pop(place)
                try:
                    result, error = ray.get(place)
                except ray.exceptions.RayError as failure:  # the worker or its machine died
                    result, error = None, RuntimeError(f"{KILLED} ({type(failure).__name__})")
                if error is not None and not isinstance(error, InputError) and number < tries:
                    todo.append((index, number + 1))
                else:
                    yield Outcome(index, result, error, number)
    finally:
        for place in running:
            ray.cancel(place)


def _cluster() -> Any:
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise InputError("`on` ray needs Ray, which is not installed; pip install 'co2net[ray]'") from error
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS") or "auto"
        host, _, port = address.rpartition(":")
        try:
            if host and port.isdecimal() and "/" not in host:  # Ray itself asks for minutes
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray raises many kinds
            reason = str(error).strip().splitlines()[0][:120]
            raise InputError(
                f"`on` ray: no Ray cluster was reached ({reason}); start one with ray start, or name it in RAY_ADDRESS"
            ) from error
    return ray


def _in_ray_worker(work: Callable[[Job], Result], job: Job) -> tuple[Result | None, Exception | None]:
    """Errors are results here: Ray wraps what is raised in an exception of its own."""
    _one_thread()
    try:
        return work(job), None
    except Exception as error:  # noqa: BLE001 - as in `look_after`
        return None, error if isinstance(error, InputError) else RuntimeError(f"{type(error).__name__}: {error}")


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM leaves as Ctrl-C does: jobs that have begun are finished, and no worker finds its parent gone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for(ended: queue.SimpleQueue[Outcome[Result]]) -> Outcome[Result]:
    """Wait with a time limit, because an endless wait cannot be interrupted on every system."""
    while True:
        try:
            return ended.get(timeout=0.2)
        except queue.Empty:
            continue


def _start_worker(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear; it lets begun jobs finish
    threading.Thread(target=_end_with_parent, daemon=True).start()
    take_over()
    _one_thread()


def _one_thread() -> None:
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
