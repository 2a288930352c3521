"""One visitor: the jobs asked for, the frame on show, and what goes when the visitor goes."""

from __future__ import annotations

import asyncio
import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from co2net.app.jobs import Job, JobQueue, Lane
from co2net.app.uploads import shown_name
from co2net.errors import InputError, with_names
from co2net.files import write_beside

LABELS = {
    "mask": "Mask",
    "composite": "Composite",
    "background": "Background",
    "mask_fit": "Scale the mask",
    "mask_retime": "the mask's frame rate",
    "clip": "Clip",
    "key": "Screen color",
    "model": "Network",
}
"""The library's arguments as the page calls them, for its messages."""
TICK = 0.25
"""Seconds between two looks at a job."""


class Session:
    """A visitor.

    Args:
        jobs: the queue.
    """

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs, self._loop = jobs, asyncio.get_running_loop()
        self._mine: list[Job] = []
        self._folder = Path(tempfile.mkdtemp(dir=jobs.page_folder))
        self._closed = False
        self._shown = 0
        self.current: Job | None = None
        self.look: Job | None = None
        self._pair: tuple[bytes, np.ndarray, np.ndarray] | None = None

    def place(self, name: str) -> Path:
        """Where a file of this visitor may be written."""
        self._folder.mkdir(exist_ok=True)  # who comes back after hours finds it swept away
        return self._folder / name

    def kept(self, result: Path) -> Path:
        """A copy of a job's result that outlives the job."""
        return Path(shutil.copy(result, self.place(result.name)))

    def submit(
        self, kind: str, files: Mapping[str, str | Path | None], options: Mapping[str, Any], lane: Lane = "clips"
    ) -> Job:
        """Put a job into the queue.

        Raises:
            gr.Error: it is full.
        """
        paths = {role: Path(path) for role, path in files.items() if path is not None}
        names = {str(path): shown_name(path.name) for path in paths.values()}
        try:
            job = self._jobs.submit(kind, self._jobs.new_folder(), paths, names, options, lane)
        except InputError as error:
            raise gr.Error(as_said_here(str(error)), duration=12, title="That did not work") from error
        self._mine.append(job)
        return job

    async def quick(self, kind: str, files: Mapping[str, str | Path | None], options: Mapping[str, Any]) -> Job:
        """Have a small job done and wait for it, whatever becomes of it."""
        return await self._jobs.wait(self.submit(kind, files, options, "quick"))

    async def watch(self, job: Job) -> AsyncIterator[Job]:
        """The job at bearable intervals, until it is over."""
        self.current = job
        while not job.is_over:
            yield job
            await job.changed(1.0)
            await asyncio.sleep(TICK)
        yield job

    def position(self, job: Job) -> int:
        """How many jobs are before it."""
        return self._jobs.position(job)

    def cancel(self) -> None:
        """End the job that is under way."""
        if self.current is not None:
            self._jobs.cancel(self.current)

    def drop(self, job: Job | None) -> None:
        """Throw a job's results away."""
        if job is not None:
            self._jobs.forget(job)
            self._mine = [mine for mine in self._mine if mine is not job]

    def show(self, job: Job) -> None:
        """Keep a frame's look for :meth:`blended`."""
        with Image.open(job.results["before"]) as opened:
            before = np.asarray(opened.convert("RGB"))
        change = np.load(job.results["change"], allow_pickle=False)
        self._pair = job.results["before"].read_bytes(), before, change
        self.drop(self.look)
        self.look = job

    def blended(self, strength: float) -> tuple[str, str] | None:
        """Before and after, as pictures' paths; the change is there already, so any strength takes a moment."""
        if self._pair is None:
            return None
        coded, before, change = self._pair
        after = np.clip(before + change.astype(np.float32) * (255 * strength), 0, 255).round().astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(after).save(buffer, "JPEG", quality=93)
        # New names each time: under an old one the browser would go on showing what it has.
        self._shown += 1
        places = [self.place(f"{side}-{self._shown}.jpg") for side in ("before", "after")]
        for place, data in zip(places, (coded, buffer.getvalue()), strict=True):
            write_beside(place, data)
        for side in ("before", "after"):  # the browser may still be at the last ones
            self.place(f"{side}-{self._shown - 4}.jpg").unlink(missing_ok=True)
        return str(places[0]), str(places[1])

    def close(self) -> None:
        """The visitor has gone: so do the jobs and files."""
        self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for job in self._mine:
            self._jobs.forget(job)
        shutil.rmtree(self._folder, ignore_errors=True)


def as_said_here(message: str) -> str:
    """A message of the library with the page's labels in place of arguments."""
    return with_names(message.replace("`mask_fit` resize to scale it", "have it scaled, under More"), LABELS)


def needs(**given: Any) -> None:
    """Ask for what is missing, by its label.

    Raises:
        gr.Error: something is.
    """
    missing = [label.replace("_", " ") for label, value in given.items() if value is None]
    if missing:
        raise gr.Error(f"{' and '.join(missing)} is still missing: choose a file first.", title="One step before that")
