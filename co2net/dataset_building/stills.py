"""Photographs with masks become short clips: a camera moves slowly over each, so that frames have neighbors.

::

    <output>/real_videos/<picture>/00000.jpg, 00005.jpg, ...
    <output>/foreground_mask/<picture>/object_<k>/00000.png, ...      k: which of the picture's masks
    <output>/still_records/<picture>.json                             how; written last
    <output>/stills.json                                              the same for all clips

Further moves over the same picture are called ``<picture>+1``, ``<picture>+2``, ...; what is before the plus sign
keeps them in one split later. :func:`~co2net.dataset_building.build.build_dataset` goes on from here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from co2net.data.frame_lists import STEP
from co2net.data.pictures import check_fits, encode_picture, read_image, read_mask
from co2net.data.samples import Sample
from co2net.data.stills import find_stills
from co2net.dataset_building.camera_moves import MIN_FOREGROUND, crop_image, crop_mask, draw_move
from co2net.errors import InputError
from co2net.files import only_one, whole_folder, write_json
from co2net.provenance import NoteKind, Record, Records, differences
from co2net.workers import Place, run_jobs

QUALITY = 95
_RECORD = NoteKind(
    "",
    "the record of a clip",
    "delete it to make the clip again",
    fits=lambda record: not record.get("finished") or isinstance(record.get("left_out"), bool),
)
_COMPARED = ("mask", "frames", "size", "seed", "format")


@dataclass(frozen=True)
class StillsSettings:
    """How clips are made of pictures.

    Attributes:
        frames: per clip, numbered in steps of 5.
        size: shorter side of the frames in pixels; None keeps the picture's own scale.
        per_picture: so many clips of every picture; its masks take turns, every clip has a move of its own.
        seed: which moves are drawn.
        format: of the real frames; JPEG has quality 95.
    """

    frames: int = 8
    size: int | None = None
    per_picture: int = 1
    seed: int = 0
    format: Literal["jpg", "png"] = "jpg"

    def __post_init__(self) -> None:
        for name, value in (("frames", self.frames), ("clips per picture", self.per_picture)):
            if value < 1:
                raise InputError(f"{value} {name}: give 1 or more")
        if self.size is not None and self.size < 16:
            raise InputError(f"a shorter side of {self.size} pixels: give 16 or more")


class StillsSummary(NamedTuple):
    """What a run did."""

    built: int
    """Clips made now."""
    skipped: int
    """Clips that were finished before."""
    left_out: list[str]
    """Clips that cannot be: the foreground is too small, or fills the picture."""


class _Job(NamedTuple):
    """One clip to make; travels to a worker process."""

    picture: Path
    mask: Path
    name: str
    mask_number: int
    settings: StillsSettings
    output: Path


def make_stills(
    root: Path,
    output: Path,
    settings: StillsSettings | None = None,
    *,
    split: str | None = None,
    overwrite: bool = False,
    workers: int = 1,
    on: Place = "here",
    on_progress: Callable[[int, int | None], None] | None = None,
) -> StillsSummary:
    """Make clips of all pictures that are not finished.

    Args:
        root: folder of ``images/``, ``masks/`` and perhaps ``index.csv`` (:mod:`co2net.data.stills`).
        output: folder of the data set.
        settings: how.
        split: "train" or "val"; None takes all pictures.
        overwrite: make clips again that were made in another way.
        workers: processes; on Ray, jobs at a time.
        on: where they are, see :func:`co2net.workers.run_jobs`.
        on_progress: called with (clips done, all clips).

    Raises:
        InputError: something cannot be used; names the file.
        OutputError: the output cannot be written.
    """
    settings = settings or StillsSettings()
    stills = find_stills(root, split)
    if not stills:
        raise InputError(f"{root} holds no picture with a mask" + (f" for the split '{split}'" if split else ""))
    with only_one(output, "`dataset stills` or `build`"):
        return _make_all(_plan(stills, settings, output), output, overwrite, workers, on, on_progress)


def _make_all(
    jobs: list[_Job],
    output: Path,
    overwrite: bool,
    workers: int,
    on: Place,
    on_progress: Callable[[int, int | None], None] | None,
) -> StillsSummary:
    records = Records(output / "still_records", _RECORD)
    todo = []
    for job in jobs:
        record, folder = records.read(job.name), _folders(job)[1].parent
        done = record is not None and record.get("finished", False)
        changed = differences(record, _record(job), _COMPARED) if record and done else []
        if not overwrite and record is None and folder.exists():
            raise InputError(f"{folder} is there, but this command did not make it; give another `output`")
        if changed and not overwrite:
            raise InputError(f"{folder} was made otherwise: {', '.join(changed)}; use `overwrite` to make it again")
        if changed or not done or not (record and (record.get("left_out") or _folders(job)[1].is_dir())):
            todo.append(job)
    made = 0
    for done, made_one in enumerate(run_jobs(_make_clip, todo, workers, on=on), start=1):
        made += made_one
        if on_progress:
            on_progress(done, len(todo))
    all_records = {name: record for name, record in records.all() if record.get("finished")}
    summary = {"made_by": "co2net dataset stills", "clips": all_records}
    write_json(output / "stills.json", summary)
    left_out = [job.name for job in jobs if all_records[job.name]["left_out"]]
    return StillsSummary(made, len(jobs) - len(todo), left_out)


def _plan(stills: list[Sample], settings: StillsSettings, output: Path) -> list[_Job]:
    jobs: dict[str, _Job] = {}
    for still in stills:
        for k in range(settings.per_picture):
            name = "_".join(still.real.stem.split()) + (f"+{k}" if k else "")  # lists cannot hold blanks
            if name in jobs:
                raise InputError(
                    f"{still.real} and {jobs[name].picture}: both clips would be called {name}; rename one"
                )
            number = k % len(still.masks)
            jobs[name] = _Job(still.real, still.masks[number], name, number, settings, output)
    return list(jobs.values())


def _folders(job: _Job) -> tuple[Path, Path]:
    masks = job.output / "foreground_mask" / job.name / f"object_{job.mask_number}"
    return job.output / "real_videos" / job.name, masks


def _record(job: _Job) -> Record:
    settings = asdict(job.settings)
    return {"picture": job.picture.name, "mask": job.mask.name, **settings}


def _make_clip(job: _Job) -> bool:
    """Make one clip; False if the picture cannot be used."""
    settings, records = job.settings, Records(job.output / "still_records", _RECORD)
    records.write(job.name, _record(job) | {"finished": False})
    image, mask = read_image(job.picture), read_mask(job.mask)
    check_fits(mask, job.mask, image, "its picture")
    made = False
    # A window may lose a thin foreground in resampling: then another move is drawn.
    for attempt in range(10):
        rng = np.random.default_rng([settings.seed, attempt, zlib.crc32(job.name.encode())])
        windows = draw_move(mask, settings.frames, rng)
        if windows is None:
            break
        middle = windows[len(windows) // 2]
        scale = settings.size / min(middle.width, middle.height) if settings.size else 1.0
        size = (2 * round(middle.height * scale / 2), 2 * round(middle.width * scale / 2))
        masks = [crop_mask(mask, window, size) for window in windows]
        if min(float(m.mean()) for m in masks) < MIN_FOREGROUND:
            continue
        real_folder, mask_folder = _folders(job)
        with whole_folder(mask_folder.parent) as mask_part, whole_folder(real_folder) as real_part:
            (mask_part / mask_folder.name).mkdir()
            for k, (window, cropped) in enumerate(zip(windows, masks, strict=True)):
                frame = crop_image(image, window, size)
                picture = encode_picture(frame, QUALITY if settings.format == "jpg" else None)
                (real_part / f"{STEP * k:05d}.{settings.format}").write_bytes(picture)
                levels = encode_picture(np.round(cropped * 255).astype(np.uint8))
                (mask_part / mask_folder.name / f"{STEP * k:05d}.png").write_bytes(levels)
        made = True
        break
    records.write(job.name, _record(job) | {"finished": True, "left_out": not made})
    return made
