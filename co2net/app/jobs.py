"""The queue of jobs under page and server: who is next, how far it is, what came of it, and when it is thrown away.

All of it runs in one event loop, so nothing is locked. Clips wait in one line, one at a time per device; pictures and
previews have a worker of their own, so that a look takes a moment while somebody's clip takes minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from co2net.app.limits import Limits
from co2net.app.process import WorkerGone, WorkerProcess
from co2net.errors import InputError
from co2net.files import process_lives

logger = logging.getLogger(__name__)
State = Literal["queued", "running", "done", "failed", "cancelled"]
Lane = Literal["clips", "quick"]
ENDED = ("done", "failed", "cancelled")
KEEP_ALIVE = 10.0
"""Seconds after which a watcher hears something even if nothing happened."""
_PREFIX = "co2net-app-"


class QueueFullError(InputError):
    """As many jobs wait as may."""


class UnknownJobError(InputError):
    """Nobody knows that job, or its time is over."""


@dataclass(eq=False)
class Job:
    """One piece of work.

    Attributes:
        id: unguessable: who knows it may see the results.
        kind: "harmonize", "matte", "colorize", "look" or "describe".
        folder: holds its files; gone with it.
        state: see :data:`State`.
        done: frames so far.
        total: frames in all; None where nobody knows.
        rate: frames per second over the last seconds.
        notes: sentences of the library about the result.
        error: why it failed.
        status: HTTP's number for that.
        results: name to file, when it is done.
        facts: what else came out, by kind.
    """

    id: str
    kind: str
    folder: Path
    lane: Lane
    order: dict[str, Any] = field(repr=False)
    state: State = "queued"
    created: float = field(default_factory=time.time)
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: str = ""
    status: int = 422
    results: dict[str, Path] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    cancelling: bool = False
    ended: float = 0.0
    _seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=30), repr=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def touch(self) -> None:
        """Wake those who watch."""
        self._changed.set()
        self._changed = asyncio.Event()

    def progress(self, done: int, total: int | None) -> None:
        """Note how far it is."""
        now = time.monotonic()
        if done < self.done:  # another pass, or the mask was made and the clip begins
            self._seen.clear()
        self._seen.append((now, done))
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        if last > first:
            self.rate = (after - before) / (last - first)
        self.done, self.total = done, total
        self.touch()

    def end(self, state: State, error: str = "", status: int = 422) -> None:
        """Nothing more will happen; inputs go, results stay for their time."""
        self.state, self.error, self.status, self.ended = state, error, status, time.monotonic()
        kept = {path.resolve() for path in self.results.values()}
        for path in list(self.folder.rglob("*")):
            if path.is_file() and path.resolve() not in kept:
                path.unlink(missing_ok=True)
        self.touch()

    async def changed(self, seconds: float = KEEP_ALIVE) -> bool:
        """Wait until something happens to it; False if nothing did in that time."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True


class JobQueue:
    """Takes jobs, has workers do them, keeps results for a while.

    ::

        async with JobQueue(Limits()) as jobs:
            folder = jobs.new_folder()
            ...                                     # files into it
            job = jobs.submit("harmonize", folder, {"composite": path}, names={}, options={})
            await jobs.wait(job)

    Args:
        limits: what is refused.
        devices: one worker for clips each; see :func:`co2net.devices.choose_device`.
        folder: where files lie meanwhile; None: in the system's place for temporary files.
    """

    def __init__(self, limits: Limits | None = None, devices: Sequence[str] = ("auto",), folder: Path | None = None):
        self.limits = limits or Limits()
        place = folder or Path(tempfile.gettempdir())
        clear_abandoned_folders(place)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        self.page_folder = self.folder / "page"
        """What visitors of the page send; each file goes when its time is over."""
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[Lane, deque[Job]] = {"clips": deque(), "quick": deque()}
        self._came: dict[Lane, asyncio.Event] = {}
        self._running: dict[Job, WorkerProcess] = {}
        self.workers = [
            *(WorkerProcess("clips", device, self.folder) for device in devices),
            WorkerProcess("quick", devices[0], self.folder),
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: dict[str, Any] = {}

    async def __aenter__(self) -> JobQueue:
        """Start the workers."""
        self._came = {"clips": asyncio.Event(), "quick": asyncio.Event()}
        self._tasks = [asyncio.create_task(self._serve(worker)) for worker in self.workers]
        self._tasks.append(asyncio.create_task(self._sweep()))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers and remove every file."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers:
            await worker.stop()
        self._jobs.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def facts(self) -> dict[str, Any]:
        """What the workers say about themselves: "device" and "models"; waits for the first to be up."""
        return await self.workers[-1].facts()

    def new_folder(self) -> Path:
        """A folder for the files of a job to come."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def has_room(self, lane: Lane = "clips") -> None:
        """Refuse early, before anything is uploaded.

        Raises:
            QueueFullError: the line is as long as it may be.
        """
        waiting = len(self._waiting[lane])
        if waiting >= self.limits.queue:
            raise QueueFullError(f"{waiting} jobs wait already, as many as may; try again in a minute")

    def submit(
        self,
        kind: str,
        folder: Path,
        files: Mapping[str, Path],
        names: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        lane: Lane = "clips",
    ) -> Job:
        """Put a job at the end of its line.

        Args:
            kind: see :class:`Job`.
            folder: of :meth:`new_folder`; the job owns it from now on, whatever happens.
            files: role to path.
            names: path to what its owner calls it.
            options: as the worker wants them.
            lane: "quick" for pictures and previews.

        Raises:
            QueueFullError: see :meth:`has_room`.
        """
        try:
            self.has_room(lane)
        except QueueFullError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        number = secrets.token_urlsafe(16)
        order = {
            "id": number,
            "kind": kind,
            "folder": str(folder),
            "files": {role: str(path) for role, path in files.items()},
            "names": dict(names or {}),
            "options": dict(options or {}),
            "limits": {name: value for name, value in asdict(self.limits).items() if name in ("pixels", "frames")},
        }
        job = self._jobs[number] = Job(number, kind, folder, lane, order)
        self._waiting[lane].append(job)
        self._came[lane].set()
        return job

    def get(self, number: str) -> Job:
        """The job of that id.

        Raises:
            UnknownJobError: there is none any more.
        """
        if number not in self._jobs:
            kept = max(1, round(self.limits.keep_seconds / 60))
            raise UnknownJobError(f"no job of that name is here; results are kept for {kept} minutes")
        return self._jobs[number]

    def position(self, job: Job) -> int:
        """How many jobs are before it in its line; 0 if it is running or next."""
        line = self._waiting[job.lane]
        return line.index(job) if job in line else 0

    @property
    def waiting(self) -> int:
        """How many clips wait."""
        return len(self._waiting["clips"])

    @property
    def kept(self) -> int:
        """How many jobs are known, ended ones included."""
        return len(self._jobs)

    def cancel(self, job: Job) -> None:
        """End a job; what is over already stays as it is."""
        if job in self._waiting[job.lane]:
            self._waiting[job.lane].remove(job)
            job.end("cancelled")
            for other in self._waiting[job.lane]:
                other.touch()
        elif worker := self._running.get(job):
            job.cancelling = True
            worker.cancel(job.id)
            job.touch()

    def forget(self, job: Job) -> None:
        """Cancel a job, and remove it with its results."""
        self.cancel(job)
        if job.is_over:
            self._jobs.pop(job.id, None)
            shutil.rmtree(job.folder, ignore_errors=True)
        else:  # it goes when it has ended
            job.facts["unwanted"] = True

    async def wait(self, job: Job) -> Job:
        """Wait for a job's end; if the waiting is given up, so is the job."""
        try:
            while not job.is_over:
                await job.changed()
        except asyncio.CancelledError:
            self.forget(job)
            raise
        return job

    async def watch(self, job: Job) -> AsyncIterator[Job | None]:
        """The job, each time something has happened to it, until it is over; None where nothing has for a while."""
        yield job
        while not job.is_over:
            yield job if await job.changed() else None

    async def _serve(self, worker: WorkerProcess) -> None:
        lane: Lane = worker.lane  # type: ignore[assignment]
        line = self._waiting[lane]
        while True:
            await self._bring_up(worker)
            if not await self._comes(lane, worker):
                continue
            job = line.popleft()
            for other in line:
                other.touch()
            job.state = "running"
            job.touch()
            self._running[job] = worker
            try:
                await self._work(worker, job)
            finally:
                del self._running[job]
                if not job.is_over:
                    job.end("cancelled")
                if job.facts.pop("unwanted", False):
                    self.forget(job)

    async def _bring_up(self, worker: WorkerProcess) -> None:
        """See that it lives; one that does not come up is tried again and again, less often each time."""
        pause = 1.0
        while worker.pid is None:
            try:
                await worker.start()
            except WorkerGone as gone:
                logger.error("%s", gone)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 60.0)

    async def _comes(self, lane: Lane, worker: WorkerProcess) -> bool:
        """Wait for a job in the line; False if the worker died instead."""
        while not self._waiting[lane]:
            self._came[lane].clear()
            both = [asyncio.create_task(self._came[lane].wait()), asyncio.create_task(worker.gone())]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
            if worker.pid is None:
                return False
        return True

    async def _work(self, worker: WorkerProcess, job: Job) -> None:
        try:
            answer = await worker.do(job.order, job.progress, self.limits.job_seconds)
        except WorkerGone as gone:
            job.end("cancelled" if job.cancelling else "failed", "" if job.cancelling else str(gone), 500)
            return
        if "done" in answer:
            found = answer["done"]
            job.results = {name: job.folder / "out" / Path(file).name for name, file in found["results"].items()}
            job.notes, job.seconds, job.facts = found["notes"], found["seconds"], job.facts | found["facts"]
            job.done = found["frames"]
            job.end("done")
        elif "failed" in answer:
            job.end("failed", answer["failed"], int(answer.get("status", 422)))
        else:
            job.end("cancelled")

    async def _sweep(self) -> None:
        """Throw away what is over its time."""
        pause = min(30.0, max(0.2, self.limits.keep_seconds / 4))
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for job in list(self._jobs.values()):
                if job.is_over and now - job.ended > self.limits.keep_seconds:
                    self.forget(job)
            # What waits or runs may need its files longer.
            if all(job.is_over for job in self._jobs.values()):
                _remove_older(self.page_folder, time.time() - self.limits.keep_seconds)


def _remove_older(folder: Path, than: float) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < than:
                path.rmdir() if path.is_dir() else path.unlink()  # a folder goes only if it is empty


def clear_abandoned_folders(place: Path) -> None:
    """Remove what servers that were killed have left."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        # A process of our own number was another one: this one has made no folder yet (in containers all are number 1).
        with contextlib.suppress(ValueError):
            if int(number) == os.getpid() or not process_lives(int(number)):
                shutil.rmtree(folder, ignore_errors=True)
