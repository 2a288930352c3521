"""Real videos with masks and color tables become a data set in HYouTube's layout.

::

    <output>/real_videos/<video>/<frame>.jpg                         the source's own files (hard links), or frames
    <output>/foreground_mask/<video>/<object>/<frame>.png            of a video file
    <output>/synthetic_composite_videos/<video>/<object>/<frame>.jpg made here: data.lut_transfer of every frame
    <output>/build_records/<video>/<object>.json                     how; written last, says that the clip is finished
    <output>/build.json, LUT_list.txt, all_list.txt, ...             the same for all clips, and the clip lists

A clip is filled in a hidden folder and renamed, so a killed run leaves whole clips only; the next run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from co2net.color_mapping.cube import load_cube
from co2net.data.composites import lut_transfer
from co2net.data.frame_lists import COLUMNS
from co2net.data.pictures import read_image
from co2net.dataset_building.lists import write_lists
from co2net.dataset_building.output import encode, place_file, whole_folder, write_new
from co2net.dataset_building.parallel import run_jobs
from co2net.dataset_building.records import Record, Records, differences, make_folder
from co2net.dataset_building.sources import SourceClip, count_frames, find_clips, read_clip
from co2net.dataset_building.table_changes import TableChanges, change_table
from co2net.dataset_building.tables import Table, assign_tables
from co2net.errors import InputError
from co2net.files import write_beside

REAL_QUALITY = 95  # of real frames that come out of a video file; pictures are taken over as they are
_COMPARED = ("lut", "lut_sha256", "changes", "step", "format", "quality")


@dataclass(frozen=True)
class BuildSettings:
    """How composites are made.

    Attributes:
        tables_per_clip: so many composites of every clip, each with a color table of its own.
        seed: which tables are drawn.
        changes: made to every table before use.
        step: take every `step`-th frame; None: every picture of a folder, every fifth frame of a video file.
        format: of the composites.
        quality: of JPEG; 75 is the data set's.
        layout: names of the folders, those of HYouTube's lists or those of its description.
    """

    tables_per_clip: int = 1
    seed: int = 0
    changes: TableChanges = field(default_factory=TableChanges)
    step: int | None = None
    format: Literal["jpg", "png"] = "jpg"
    quality: int = 75
    layout: Literal["lists", "description"] = "lists"

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality {self.quality}: JPEG takes 1 to 100; for no loss choose the format png")
        if self.step is not None and self.step < 1:
            raise InputError(f"step {self.step}: take every frame (1) or fewer")

    @property
    def jpeg_quality(self) -> int | None:
        """None where the composites are without loss."""
        return self.quality if self.format == "jpg" else None


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


class _Job(NamedTuple):
    """One clip to make; travels to a worker process."""

    clip: SourceClip
    name: str
    """``<video>/<object>`` in the output."""
    table: Table
    settings: BuildSettings
    output: Path


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
    on_progress: Callable[[int, int | None], None] | None = None,
) -> BuildSummary:
    """Make composites of all clips that are not finished, then the lists of all clips in `output`.

    Args:
        real: folder of videos, see :mod:`co2net.dataset_building.sources`.
        masks: folder of their masks.
        luts: color tables, see :func:`~co2net.dataset_building.tables.assign_tables`.
        output: folder of the data set; may be the one that holds `real` and `masks`.
        settings: how.
        clips: names ``<video>/<object>`` or ``<video>``; empty means all.
        train_share: split the videos (never the clips of one video) into a train and a test list.
        overwrite: make clips again that were made in another way.
        workers: processes.
        on_progress: called with (frames done, all frames or None).

    Raises:
        InputError: something cannot be used; names the file. Clips that are finished stay finished.
        OutputError: the output cannot be written.
    """
    settings = settings or BuildSettings()
    if train_share is not None and not 0 <= train_share <= 1:
        raise InputError(f"a train share of {train_share}: it is a part of 1, for example 0.8")
    sources = find_clips(real, masks, clips)
    records = Records(output / "build_records")
    if _is_same_folder(output / COLUMNS[1][1][settings.layout == "description"], masks):
        # Masks of further tables' clips are copies of ours, no objects of their own.
        sources = [clip for clip in sources if (records.read(clip.name) or {}).get("masks") in (None, clip.object)]
    assignment = assign_tables([clip.name for clip in sources], luts, settings.tables_per_clip, settings.seed)
    jobs = _plan(sources, assignment, settings, output, records, overwrite)
    todo = [job for job in jobs if not _is_finished(job, records)]
    for table in {job.table for job in todo}:
        load_cube(table.path)  # before any work: a broken table ends in one sentence

    counts = [count_frames(job.clip, settings.step) for job in todo] if on_progress else []
    total = None if None in counts else sum(count or 0 for count in counts)
    frames = empty = 0
    for made, without in run_jobs(_build_clip, todo, workers):
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


def _named_folder(output: Path, column: int, layout: str) -> Path:
    """Folder of the real frames (0), masks (1) or composites (2)."""
    return output / COLUMNS[column][1][layout == "description"]


def _plan(
    sources: list[SourceClip],
    assignment: dict[str, list[Table]],
    settings: BuildSettings,
    output: Path,
    records: Records,
    overwrite: bool,
) -> list[_Job]:
    for column in range(3):
        other = _named_folder(output, column, "lists" if settings.layout == "description" else "description")
        if other.is_dir():
            raise InputError(f"{output} has the other layout already ({other.name}); change --layout or --output")
    jobs: dict[str, _Job] = {}
    for clip in sources:
        for k, table in enumerate(assignment[clip.name]):
            # The first table keeps the object's name, so asking for more tables later adds clips and changes none.
            name = clip.name if k == 0 else f"{clip.name}_{k + 1}"
            if name in jobs:
                raise InputError(f"{clip.masks}: two clips would be called {name}; rename an object")
            jobs[name] = _Job(clip, name, table, settings, output)
    for job in jobs.values():
        record, composites = records.read(job.name), _folder(job, 2)
        if overwrite:
            continue
        if record is not None and record.get("frames") is None:
            continue  # begun, never finished
        if record is None and composites.exists():
            raise InputError(
                f"{composites} is there, but this command did not make it; give another --output, or --overwrite"
            )
        changed = differences(record, _record(job), _COMPARED) if record else ""
        if changed:
            raise InputError(
                f"{composites} was made with {changed}; use --overwrite to make it again, or another --output"
            )
    return list(jobs.values())


def _folder(job: _Job, column: int) -> Path:
    return _named_folder(job.output, column, job.settings.layout) / (job.name if column else job.clip.video)


def _record(job: _Job) -> Record:
    settings = job.settings
    return {
        "video": job.clip.video,
        "object": job.name.split("/")[1],
        "masks": job.clip.object,
        "lut": job.table.name,
        "lut_sha256": job.table.sha256,
        "changes": asdict(settings.changes),
        "seed": settings.seed,
        "step": settings.step,
        "format": settings.format,
        "quality": settings.jpeg_quality,
        "versions": {name: metadata.version(name) for name in ("pillow", "numpy")} | {"co2net": _own_version()},
    }


def _own_version() -> str:
    import co2net

    return co2net.__version__


def _is_finished(job: _Job, records: Records) -> bool:
    record = records.read(job.name)
    if record is None or differences(record, _record(job), _COMPARED):
        return False
    folder, numbers = _folder(job, 2), record.get("frames")
    return bool(numbers) and all((folder / f"{number:05d}.{job.settings.format}").is_file() for number in numbers)


def _build_clip(job: _Job) -> tuple[int, int]:
    """Make one clip; returns (frames, frames without foreground)."""
    settings = job.settings
    records = Records(job.output / "build_records")
    is_new = records.read(job.name) is None
    # A clip that is begun but not finished is known as ours, and replaced by the next run whatever is there of it.
    records.write(job.name, _record(job) | {"frames": None})
    table = _load_table(job.table.path, settings.changes)
    numbers: list[int] = []
    empty = 0
    with ExitStack() as stack:
        composites = stack.enter_context(whole_folder(_folder(job, 2)))
        real, masks = _real_folder(job), _mask_folder(job, is_new, stack)
        for frame in read_clip(job.clip, settings.step):
            image, name = frame.image, f"{frame.number:05d}"
            if frame.real is None:
                image = _place_decoded(image, real, name, settings)
            elif not _is_same_folder(real, job.clip.real):
                place_file(frame.real, real / f"{name}{frame.real.suffix.lower()}")
            if not _is_same_folder(masks, job.clip.masks):
                hard = frame.mask or encode(frame.foreground.astype(np.uint8) * 255, None)
                place_file(hard, masks / f"{name}.png")
            composite = lut_transfer(image, frame.foreground, table)
            write_new(composites / f"{name}.{settings.format}", encode(composite, settings.jpeg_quality))
            numbers.append(frame.number)
            empty += not frame.foreground.any()
        if not numbers:
            raise InputError(f"{job.clip.masks}: no frames in it")
    records.write(job.name, _record(job) | {"frames": numbers, "empty_masks": empty})
    return len(numbers), empty


def _real_folder(job: _Job) -> Path:
    """The real frames belong to all clips of the video: files are added, each in one step."""
    folder = _folder(job, 0)
    make_folder(folder)
    return folder


def _mask_folder(job: _Job, is_new: bool, stack: ExitStack) -> Path:
    folder = _folder(job, 1)
    if is_new and folder.exists():
        return folder  # not made here: what is there must fit, nothing is replaced
    if _is_same_folder(folder, job.clip.masks):
        return folder
    return stack.enter_context(whole_folder(folder))


def _place_decoded(image: np.ndarray, folder: Path, name: str, settings: BuildSettings) -> np.ndarray:
    """Store a frame of a video file; returns what a reader will see, losses included."""
    path = folder / f"{name}.{settings.format}"
    other = folder / f"{name}.{'png' if settings.format == 'jpg' else 'jpg'}"
    if other.exists():
        raise InputError(f"{other} is already there, made with another --format; give an empty folder with --output")
    place_file(encode(image, REAL_QUALITY if settings.format == "jpg" else None), path)
    return read_image(path)


def _is_same_folder(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


@lru_cache(maxsize=32)
def _load_table(path: Path, changes: TableChanges) -> Tensor:
    return change_table(load_cube(path), changes)


def _write_summary(output: Path, records: Records, settings: BuildSettings, train_share: float | None) -> list[Path]:
    made = {name: record for name, record in records.all() if record.get("frames")}
    summary = {"made_by": "co2net dataset build", "layout": settings.layout, "clips": made}
    lists = write_lists(output, made, settings.layout, settings.seed, train_share)
    write_beside(output / "build.json", json.dumps(summary, indent=1) + "\n")
    return lists
