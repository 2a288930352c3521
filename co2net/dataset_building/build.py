"""Real videos with masks and LUTs become a data set in HYouTube's layout.

::

    <output>/real_videos/<video>/<frame>.jpg                         the source's own files (hard links), or frames
    <output>/foreground_mask/<video>/<object>/<frame>.png            of a video file
    <output>/synthetic_composite_videos/<video>/<object>/<frame>.jpg made here: data.lut_transfer of every frame
    <output>/build_records/<video>/<object>.json                     how; written last, says that the clip is finished
    <output>/build.json, LUT_list.txt, all_list.txt, ...             the same for all clips, and the clip lists

A clip is filled in a hidden folder and renamed, so a killed run leaves whole clips only; the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from co2net.color_mapping.cube import load_cube
from co2net.dataset_building.clip_job import (
    COMPARED,
    BuildSettings,
    ClipJob,
    build_clip,
    clip_records,
    is_finished,
    is_same_folder,
    job_folder,
    job_record,
    named_folder,
)
from co2net.dataset_building.lists import refuse_foreign_lists, write_lists
from co2net.dataset_building.luts import Lut, assign_luts
from co2net.dataset_building.sources import SourceClip, count_frames, find_clips
from co2net.errors import InputError
from co2net.files import only_one, write_json
from co2net.provenance import Records, differences
from co2net.workers import Place, run_jobs


class BuildSummary(NamedTuple):
    """What a run did."""

    built: int
    """Clips made now."""
    skipped: int
    """Clips that were finished before."""
    frames: int
    """Frames made now."""
    empty_masks: int
    """Of those, frames without any foreground; the metrics leave them out."""
    lists: list[Path]
    """The lists written."""


def build_dataset(
    real: Path,
    masks: Path,
    luts: Path,
    output: Path,
    settings: BuildSettings | None = None,
    *,
    clips: Collection[str] = (),
    train_share: float | None = None,
    overwrite: bool = False,
    workers: int = 1,
    on: Place = "here",
    on_progress: Callable[[int, int | None], None] | None = None,
) -> BuildSummary:
    """Make composites of all clips that are not finished, then the lists of all clips in `output`.

    Args:
        real: folder of videos, see :mod:`co2net.dataset_building.sources`.
        masks: folder of their masks.
        luts: LUTs, see :func:`~co2net.dataset_building.luts.assign_luts`.
        output: folder of the data set; may be the one that holds `real` and `masks`.
        settings: how.
        clips: names ``<video>/<object>`` or ``<video>``; empty means all.
        train_share: split the videos (never the clips of one video) into a train and a test list.
        overwrite: make clips again that were made in another way.
        workers: processes; on Ray, jobs at a time.
        on: where they are, see :func:`co2net.workers.run_jobs`.
        on_progress: called with (frames done, all frames or None).

    Raises:
        InputError: something cannot be used; names the file. Clips that are finished stay finished.
        OutputError: the output cannot be written.
    """
    settings = settings or BuildSettings()
    if train_share is not None and not 0 <= train_share <= 1:
        raise InputError(f"a train share of {train_share}: it is a part of 1, for example 0.8")
    sources = find_clips(real, masks, clips)
    records = clip_records(output)
    if is_same_folder(named_folder(output, 1, settings.layout), masks):
        # Masks of further LUTs' clips are copies of ours, no objects of their own.
        sources = [clip for clip in sources if (records.read(clip.name) or {}).get("masks") in (None, clip.object)]
    assignment = assign_luts([clip.name for clip in sources], luts, settings.luts_per_clip, settings.seed)
    refuse_foreign_lists(output, settings.layout, train_share is not None)
    with only_one(output, "`dataset stills` or `build`"):
        jobs = _plan(sources, assignment, settings, output, records, overwrite)
        todo = [job for job in jobs if not is_finished(job, records)]
        for lut in {job.lut for job in todo}:
            load_cube(lut.path)  # before any work: a broken LUT ends in one sentence

        counts = [count_frames(job.clip, settings.step) for job in todo] if on_progress else []
        total = None if None in counts else sum(count or 0 for count in counts)
        frames = empty = 0
        for made, without in run_jobs(build_clip, todo, workers, on=on):
            frames, empty = frames + made, empty + without
            if on_progress:
                on_progress(frames, total)
        return BuildSummary(
            len(todo),
            len(jobs) - len(todo),
            frames,
            empty,
            _write_summary(output, records, settings, train_share),
        )


def _plan(
    sources: list[SourceClip],
    assignment: dict[str, list[Lut]],
    settings: BuildSettings,
    output: Path,
    records: Records,
    overwrite: bool,
) -> list[ClipJob]:
    for column in range(3):
        other = named_folder(output, column, "lists" if settings.layout == "description" else "description")
        if other.is_dir():
            raise InputError(f"{output} has the other layout already ({other.name}); change `layout` or `output`")
    jobs: dict[str, ClipJob] = {}
    for clip in sources:
        for k, lut in enumerate(assignment[clip.name]):
            # The first LUT keeps the object's name, so asking for more LUTs later adds clips and changes none.
            name = clip.name if k == 0 else f"{clip.name}_{k + 1}"
            if name in jobs:
                raise InputError(f"{clip.masks}: two clips would be called {name}; rename an object")
            jobs[name] = ClipJob(clip, name, lut, settings, output)
    for job in jobs.values():
        record, composites = records.read(job.name), job_folder(job, 2)
        if overwrite:
            continue
        if record is not None and record.get("frames") is None:
            continue  # begun, never finished
        if record is None and composites.exists():
            raise InputError(
                f"{composites} is there, but this command did not make it; give another `output`, or `overwrite`"
            )
        if record and (changed := differences(record, job_record(job), COMPARED)):
            raise InputError(
                f"{composites} was made otherwise: {', '.join(changed)}; use `overwrite` to make it again, or another "
                "`output`"
            )
    return list(jobs.values())


def _write_summary(output: Path, records: Records, settings: BuildSettings, train_share: float | None) -> list[Path]:
    made = {name: record for name, record in records.all() if record.get("frames")}
    summary = {"made_by": "co2net dataset build", "layout": settings.layout, "clips": made}
    write_json(output / "build.json", summary)  # first: it says that the lists are ours
    return write_lists(output, made, settings.layout, settings.seed, train_share)
