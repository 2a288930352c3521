"""Doing the shots of a batch: on which workers, what is done already, how each ended.

Every shot has a record in ``<folder>/shots/``, written by the worker when its result is in place. Whatever is killed
(a worker, the machine, the run itself), the next run of the same batch sees from the records what is left to do. A shot
is done again where its options, inputs, weights or the version changed, or its result is gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from co2net.batch.shots import Shot
from co2net.errors import InputError
from co2net.files import only_one, remove
from co2net.provenance import NoteKind, Record, Records, differences, version
from co2net.video.picture_clips import is_pattern, list_sequence
from co2net.workers import Place, try_jobs

Work = Callable[[Shot, Path], Record]
"""Does one shot of the batch in a folder and says what it did: ``output`` (path), and perhaps ``frames``, ``seconds``,
``notes``, ``concerns``, ``numbers`` and ``sheet`` (a picture in the folder). A function of a module; raises InputError
where the shot cannot be done."""


def _is_record(record: Record) -> bool:
    texts = all(isinstance(record.get(name, ""), str) for name in ("error", "output"))
    return texts and isinstance(record.get("made_from"), dict) and record.get("state") in ("done", "failed")


RECORD = NoteKind("co2net shot", "the record of a shot", "delete it to do the shot again", fits=_is_record)


@dataclass(frozen=True)
class ShotResult:
    """How a shot ended.

    Attributes:
        shot: which.
        record: what is written down about it: ``state`` ("done" or "failed"), ``error``, ``tries`` and what the work
            said.
        kept: whether an earlier run did it.
    """

    shot: Shot
    record: Record
    kept: bool = False

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.record["state"] == "failed"

    @property
    def concerns(self) -> list[str]:
        """Why somebody should look at it."""
        return list(self.record.get("concerns", []))


@dataclass
class Batch:
    """What a run did.

    Attributes:
        folder: of records and report.
        results: of all shots, in their order.
        seconds: wall time.
    """

    folder: Path
    results: list[ShotResult] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> list[ShotResult]:
        """Shots without a result."""
        return [result for result in self.results if result.failed]

    @property
    def done(self) -> list[ShotResult]:
        """Shots with a result."""
        return [result for result in self.results if not result.failed]

    @property
    def worth_a_look(self) -> list[ShotResult]:
        """Shots with a result that somebody should look at."""
        return [result for result in self.done if result.concerns]


@dataclass(frozen=True)
class ShotJob:
    """A shot on its way to a worker."""

    shot: Shot
    work: Work
    folder: Path
    made_from: Record
    here: str
    """Where the run was started: the worker's current folder."""


def run_batch(
    shots: Sequence[Shot],
    work: Work,
    folder: str | Path,
    *,
    conditions: Callable[[Shot], Record] = lambda shot: {},
    workers: int = 0,
    on: Place = "here",
    tries: int = 3,
    gpus: float = 0,
    again: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    on_result: Callable[[ShotResult], None] | None = None,
) -> Batch:
    """Do all shots that are not done yet.

    Args:
        shots: of :func:`~co2net.batch.shots.read_shots`, with different names.
        work: does one of them, in a worker.
        folder: of the records; on a disk that all workers share.
        conditions: what else the result of a shot depends on, such as weights; compared as JSON.
        workers: shots at a time, see :func:`~co2net.workers.try_jobs`, as `on`, `tries` and `gpus`.
        on: where the workers are.
        tries: how often a shot is begun whose worker dies.
        gpus: per shot, on Ray.
        again: do those too that are done.
        on_progress: called with the shots that ended and the number of all.
        on_result: called with every shot that ends now.

    Returns:
        How every shot ended.

    Raises:
        InputError: the folder is in use by another run, a record is damaged, or the workers cannot be had. A shot that
            fails raises nothing.
    """
    started, batch = time.monotonic(), Batch(Path(folder).absolute())
    with only_one(batch.folder, "`co2net batch`"):
        records = shot_records(batch.folder)
        for left in records.folder.rglob(".*.partial-*"):  # of workers of a run that was killed; nobody else is here
            remove(left)
        results: dict[str, ShotResult] = {}
        jobs = []
        for shot in shots:
            made_from = {"options": shot.options, "inputs": _stamps(shot), "version": version(), **conditions(shot)}
            record = records.read(shot.name)
            if record is not None and not again and _holds(record, made_from):
                results[shot.name] = ShotResult(shot, record, kept=True)
            else:
                jobs.append(ShotJob(shot, work, batch.folder, made_from, str(Path.cwd())))
        if on_progress is not None:
            on_progress(len(results), len(shots))
        for outcome in try_jobs(do_shot, jobs, workers, on=on, tries=tries, gpus=gpus):
            job = jobs[outcome.index]
            if outcome.result is not None:
                record = {**outcome.result, "tries": outcome.tries}
            else:
                error = outcome.error
                text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                record = {"state": "failed", "error": text, "made_from": job.made_from, "tries": outcome.tries}
                records.write(job.shot.name, record)
            results[job.shot.name] = result = ShotResult(job.shot, record)
            if on_result is not None:
                on_result(result)
            if on_progress is not None:
                on_progress(len(results), len(shots))
    batch.results = [results[shot.name] for shot in shots]
    batch.seconds = time.monotonic() - started
    return batch


def shot_records(folder: Path) -> Records:
    """The records of a batch."""
    return Records(folder / "shots", RECORD)


def do_shot(job: ShotJob) -> Record:
    """Do one shot in a worker and write it down; returns its record.

    Raises:
        InputError: it cannot be done.
    """
    os.chdir(job.here)
    record = {**job.work(job.shot, job.folder), "state": "done", "made_from": job.made_from}
    shot_records(job.folder).write(job.shot.name, record)
    return record


def _holds(record: Record, made_from: Record) -> bool:
    """Whether a shot need not be done."""
    if record["state"] != "done" or differences(record["made_from"], made_from):
        return False
    return is_there(Path(record["output"]))


def is_there(output: Path) -> bool:
    """Whether a result is still in its place; of a sequence, any frame of it."""
    if output.exists():
        return True
    try:
        return is_pattern(output) and bool(list_sequence(output))
    except InputError:
        return False


def _stamps(shot: Shot) -> dict[str, Any]:
    """What tells whether an input was changed: size and time of each file, without reading it."""
    return {str(path): _stamp(path) for path in shot.inputs}


def _stamp(path: Path) -> list[int] | None:
    try:
        if path.is_dir():
            files = [file.stat() for file in path.iterdir() if file.is_file()]
        elif is_pattern(path):
            files = [file.stat() for file in list_sequence(path)]
        else:
            files = [path.stat()]
    except (OSError, InputError):
        return None  # the work says what is wrong with it
    return [len(files), sum(file.st_size for file in files), max((file.st_mtime_ns for file in files), default=0)]
