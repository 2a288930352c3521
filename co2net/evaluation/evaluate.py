"""Evaluate a model on the listed frames of a data set: scores, stored results, pictures; resumable clip by clip."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from co2net.data.clips import Clip, FrameTensors, group_clips, read_frame
from co2net.data.pictures import to_picture
from co2net.data.samples import Sample
from co2net.data.stored_results import stored_path
from co2net.errors import InputError, OutputError
from co2net.evaluation.batches import Batch, batches, other_methods, with_methods
from co2net.evaluation.clip_pass import ClipPlan, plan_clip
from co2net.evaluation.methods import result_of
from co2net.evaluation.pictures import WorstAndBest
from co2net.evaluation.records import read_record, record_path, write_record
from co2net.evaluation.scores import score_frames
from co2net.evaluation.segmentation import Understanding
from co2net.evaluation.settings import EvaluationSettings
from co2net.evaluation.store import ResultStore, note_origin
from co2net.evaluation.tasks import task_of
from co2net.evaluation.temporal.clip_pass import TemporalPass
from co2net.files import make_folder
from co2net.models.co2net import CO2Net
from co2net.pipeline.job import OnProgress
from co2net.processes import Processes
from co2net.threads import cores, map_ahead

Record = dict[str, Any]


@dataclass
class Run:
    """What one process did.

    Attributes:
        records: of its clips, in the order of the list: ``clip``, ``frames``, ``pictures``, ``stored``. Frames hold
            ``temporal`` if the settings name a flow.
        computed: frames that were computed now, not found in records.
        passes: frames that went through the backbone.
        seconds: time of computing.
        waited: part of it that the device waited for decoded frames.
    """

    records: list[Record]
    computed: int
    passes: int
    seconds: float
    waited: float


def evaluate(
    model: CO2Net | None,
    clips: Sequence[Clip],
    settings: EvaluationSettings,
    *,
    conditions: dict[str, Any],
    output: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    device: torch.device | None = None,
) -> Run:
    """Harmonize and score clips, one backbone pass per frame.

    Args:
        model: in eval mode, where it shall compute; None where no method of the settings needs one.
        clips: from :func:`clips_of`; for several processes, each one's part.
        settings: what to do.
        conditions: of :meth:`EvaluationSettings.conditions`.
        output: folder for records and pictures; clips that are complete there are not computed again. None: keeps
            everything in memory.
        overwrite: compute everything anew.
        on_progress: called with the frames done and the number of all frames.
        device: where methods other than the model's compute; None: where the model is.

    Raises:
        InputError: a picture or folder is missing or damaged, records in `output` were made under other conditions,
            the network's result is not finite, or the color mapping's folder holds frames of other settings.
        OutputError: something cannot be written.
    """
    estimate = settings.flow.create() if settings.flow else None
    done = {} if output is None else _finished(output, clips, settings, conditions, overwrite)
    if overwrite:
        _remove_stored(clips, settings)  # before the note: it must not stand beside old results if the run is killed
    if model is not None:
        note_origin(settings, model, overwrite=overwrite)
    device = device or (next(model.parameters()).device if model is not None else torch.device("cpu"))
    methods = other_methods(settings, model, device)
    understanding = Understanding(settings.segmenter, settings.annotations) if settings.segmenter else None
    window = (settings.previous, settings.future) if model is not None else (0, 0)
    todo = [clip for clip in clips if clip.name not in done]
    plans: dict[str, ClipPlan] = {}

    def plan(clip: Clip) -> ClipPlan:
        if clip.name not in plans:
            plans[clip.name] = plan_clip(clip, *window, settings.step)
        return plans[clip.name]

    def reads() -> Iterator[tuple[Sample, bool]]:
        for clip in todo:
            yield from plan(clip).reads(real=settings.metrics)

    total, count = sum(len(clip.entries) for clip in clips), sum(len(record["frames"]) for record in done.values())
    started, passes, already = time.perf_counter(), 0, count
    workers = settings.workers if settings.workers is not None else _decoding_threads()
    with (
        map_ahead(lambda entry, real: read_frame(entry, settings.size, real=real), reads(), workers) as decoded,
        ResultStore(settings) as store,
        _tf32(settings.precision == "tf32"),
    ):
        frames = _Timed(decoded)
        for clip in todo:
            clip_plan = plan(clip)
            record, count_before = _empty_record(clip.name, settings), count
            extremes = WorstAndBest()
            over_time = TemporalPass(estimate, settings.step, settings.task) if estimate else None
            own = batches(model, clip_plan, frames, settings, device)
            for batch in with_methods(own, methods, task_of(settings.task), apart=not clip.is_video):
                if batch.harmonized is not None:
                    store.add(batch.harmonized)
                record["frames"] += _measure(batch, settings, model, extremes, over_time, understanding)
                count = count_before + len(record["frames"])
                if on_progress is not None:
                    on_progress(count, total)
            store.finish()
            if output is not None:
                if settings.pictures:
                    record["pictures"] = extremes.write(output)
                write_record(output, conditions, record)
            done[clip.name] = record
            passes += len(clip_plan.reading) if model is not None else 0
            del plans[clip.name]
    seconds = time.perf_counter() - started
    return Run([done[clip.name] for clip in clips], count - already, passes, seconds, frames.waited)


class _Timed:
    """The frames, and how long their taker waited for them."""

    def __init__(self, frames: Iterator[FrameTensors]) -> None:
        self._frames, self.waited = frames, 0.0

    def __iter__(self) -> Iterator[FrameTensors]:
        return self

    def __next__(self) -> FrameTensors:
        started = time.perf_counter()
        try:
            return next(self._frames)
        finally:
            self.waited += time.perf_counter() - started


def _finished(
    output: Path, clips: Sequence[Clip], settings: EvaluationSettings, conditions: dict[str, Any], overwrite: bool
) -> dict[str, Record]:
    """Records of the clips that need no computing, by name; with `overwrite`, none are left."""
    make_folder(output)  # before the first clip is computed in vain
    done: dict[str, Record] = {}
    for clip in clips:
        if overwrite:
            _remove(record_path(output, clip.name))
            continue
        record = read_record(output, clip.name, [entry.result_name for entry in _ordered(clip)], conditions)
        if record is not None and _holds_stored_results(record, clip, settings):
            done[clip.name] = record
    return done


def clips_of(entries: Sequence[Sample], limit: int | None = None) -> list[Clip]:
    """The clips of a list of frames, the first `limit` of them.

    Raises:
        InputError: two clips have the same video and object name, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"the number of clips must be at least 1, got {limit}")
    clips = group_clips(entries)[:limit]
    names: dict[str, Clip] = {}
    for clip in clips:
        other = names.setdefault(clip.name.replace("/", "_"), clip)
        if other is not clip:
            folders = " and ".join(str(c.entries[0].composite.parent) for c in (other, clip))
            raise InputError(f"the results of {folders} would have the same names; list them in two evaluations")
    return clips


def check_times(clips: Sequence[Clip], settings: EvaluationSettings) -> None:
    """Look whether anything can be measured over time, if that is asked for.

    Raises:
        InputError: no two listed frames of a clip follow each other.
    """
    if settings.flow is None:
        return
    for clip in clips:
        numbers = sorted(entry.number for entry in clip.entries if clip.is_video)
        if any(after - before == settings.step for before, after in pairwise(numbers)):
            return
    if clips:
        raise InputError(
            f"nothing can be measured over time: no two listed frames of a clip are {settings.step} numbers apart; "
            "give the distance of your frames as `step`, or another list"
        )


def collect_records(
    output: Path, clips: Sequence[Clip], processes: Processes, own: Run, conditions: dict[str, Any]
) -> list[Record]:
    """The records of all clips, other processes' from the output folder.

    Raises:
        InputError: another process's record is missing.
    """
    mine = {record["clip"]: record for record in own.records}
    records = []
    for clip in clips:
        record = mine.get(clip.name)
        if record is None:
            record = read_record(output, clip.name, [entry.result_name for entry in _ordered(clip)], conditions)
        if record is None:
            raise InputError(
                f"{record_path(output, clip.name)} is missing: {processes.count} processes must share one output folder"
            )
        records.append(record)
    return records


def _measure(
    batch: Batch,
    settings: EvaluationSettings,
    model: CO2Net | None,
    extremes: WorstAndBest,
    over_time: TemporalPass | None,
    understanding: Understanding | None,
) -> list[Record]:
    """Frames of a record; shows the frames to `extremes`."""
    task, pass_ = task_of(settings.task), batch.harmonized
    mask = torch.stack([frame.mask for frame in batch.frames])
    foreground = mask.mean(dim=(1, 2, 3)).tolist()
    invalid = errors = [None] * len(batch.entries)
    if pass_ is not None and settings.previous + settings.future:
        invalid = pass_.result.unseen.mean(dim=(1, 2, 3)).tolist()
    if pass_ is not None and pass_.mapping_error is not None:
        errors = pass_.mapping_error.tolist()
    methods = settings.scored(model)
    images, scores = {method: batch.images[method] for method in methods}, [{}] * len(batch.entries)
    target = mask
    if settings.metrics:
        target = torch.stack([task.target(frame) for frame in batch.frames])
        scores = score_frames(images, target, mask, settings.task)
    rows = []
    for i, entry in enumerate(batch.entries):
        rows.append(
            {
                "number": entry.number,
                "name": entry.result_name,
                "foreground": foreground[i],
                "invalid": invalid[i],
                "mapping_error": None if errors[i] is None or errors[i] != errors[i] else errors[i],  # nan != nan
                "scores": scores[i],
            }
        )
        own = {method: image[i] for method, image in images.items()}
        if understanding is not None:
            rows[-1]["confusion"] = understanding.counts(entry, own, target[i])
        if over_time is not None:
            rows[-1]["temporal"] = over_time.measure(entry.number, str(entry.composite), own, target[i], mask[i])
        if settings.metrics and settings.pictures:
            shown = {**images, "mask": mask, "truth": target}
            extremes.see(
                entry.result_name,
                scores[i][result_of(methods)][task.headline[0]],
                lambda i=i, shown=shown: {name: to_picture(image[i]) for name, image in shown.items()},
            )
    return rows


def _empty_record(clip: str, settings: EvaluationSettings) -> Record:
    stored = {kind: str(folder) for kind, folder in settings.stored.items()}
    return {"clip": clip, "frames": [], "pictures": [], "stored": stored}


def _holds_stored_results(record: Record, clip: Clip, settings: EvaluationSettings) -> bool:
    """Whether everything to be stored was stored with this record, and is still there."""
    stored = record.get("stored", {})
    asked = {kind: str(folder) for kind, folder in settings.stored.items()}
    return asked.items() <= stored.items() and all(settings.stored_all(entry) for entry in clip.entries)


def _decoding_threads() -> int:
    """One per core, shared with the other processes that ``torchrun`` started here; eight keep a GPU busy."""
    return max(1, min(8, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _ordered(clip: Clip) -> list[Sample]:
    return sorted(clip.entries, key=lambda entry: entry.number)


def _remove_stored(clips: Sequence[Clip], settings: EvaluationSettings) -> None:
    for clip in clips:
        for entry in clip.entries:
            for folder in settings.stored.values():
                _remove(stored_path(folder, entry))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {path}: {error.strerror or error}") from error


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """CUDA convolutions in TF32 or not: PyTorch's default allows it, which costs the third digit of a result."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
