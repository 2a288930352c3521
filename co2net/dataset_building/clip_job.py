"""One clip of a data set: its settings, its folders, its record, and how it is made."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from co2net.color_mapping.cube import load_cube
from co2net.data.composites import lut_transfer
from co2net.data.frame_lists import COLUMNS
from co2net.data.pictures import encode_picture, read_image
from co2net.dataset_building.lut_changes import LutChanges, change_lut
from co2net.dataset_building.luts import Lut
from co2net.dataset_building.sources import SourceClip, read_clip
from co2net.errors import InputError
from co2net.files import make_folder, place_file, whole_folder
from co2net.provenance import NoteKind, Record, Records, differences, version

REAL_QUALITY = 95  # of real frames that come out of a video file; pictures are taken over as they are


def _is_record(record: Record) -> bool:
    frames = record.get("frames")
    whole = frames is None or (isinstance(frames, list) and all(isinstance(number, int) for number in frames))
    return whole and isinstance(record.get("lut"), str) and isinstance(record.get("own_masks"), bool)


RECORD = NoteKind("", "the record of a clip", "delete it to make the clip again", fits=_is_record)
COMPARED = ("lut", "lut_sha256", "changes", "step", "format", "quality")


@dataclass(frozen=True)
class BuildSettings:
    """How composites are made.

    Attributes:
        luts_per_clip: so many composites of every clip, each with a LUT of its own.
        seed: which LUTs are drawn.
        changes: made to every LUT before use.
        step: take every `step`-th frame; None: every picture of a folder, every fifth frame of a video file.
        format: of the composites.
        quality: of JPEG; 75 is the data set's.
        layout: names of the folders, those of HYouTube's lists or those of its description.
    """

    luts_per_clip: int = 1
    seed: int = 0
    changes: LutChanges = field(default_factory=LutChanges)
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


class ClipJob(NamedTuple):
    """One clip to make; travels to a worker process."""

    clip: SourceClip
    name: str
    """``<video>/<object>`` in the output."""
    lut: Lut
    settings: BuildSettings
    output: Path


def named_folder(output: Path, column: int, layout: str) -> Path:
    """Folder of the real frames (0), masks (1) or composites (2)."""
    return output / COLUMNS[column][1][layout == "description"]


def job_folder(job: ClipJob, column: int) -> Path:
    """The clip's folder of real frames (0), masks (1) or composites (2)."""
    return named_folder(job.output, column, job.settings.layout) / (job.name if column else job.clip.video)


def job_record(job: ClipJob) -> Record:
    """What is written down about the clip, but for its frames."""
    settings = job.settings
    return {
        "video": job.clip.video,
        "object": job.name.split("/")[1],
        "masks": job.clip.object,
        "lut": job.lut.name,
        "lut_sha256": job.lut.sha256,
        "changes": asdict(settings.changes),
        "seed": settings.seed,
        "step": settings.step,
        "format": settings.format,
        "quality": settings.jpeg_quality,
        "versions": {name: version(name) for name in ("pillow", "numpy", "co2net")},
    }


def clip_records(output: Path) -> Records:
    """How each clip of a data set was made; a clip with a list of frames is finished."""
    return Records(output / "build_records", RECORD)


def is_finished(job: ClipJob, records: Records) -> bool:
    """Whether the clip is there, whole, and made in this way."""
    record = records.read(job.name)
    if record is None or differences(record, job_record(job), COMPARED):
        return False
    folder, numbers = job_folder(job, 2), record.get("frames")
    return bool(numbers) and all((folder / f"{number:05d}.{job.settings.format}").is_file() for number in numbers)


def build_clip(job: ClipJob) -> tuple[int, int]:
    """Make one clip.

    Returns:
        Number of frames, and how many of them have no foreground.

    Raises:
        InputError: a source cannot be used; nothing of the clip appears then.
        OutputError: the output cannot be written.
    """
    settings = job.settings
    records = clip_records(job.output)
    before = records.read(job.name)
    # Masks that were there before us must fit, and are never replaced.
    own_masks = bool(before["own_masks"]) if before else not job_folder(job, 1).exists()
    record = job_record(job) | {"own_masks": own_masks}
    # A clip that is begun but not finished is known as ours, and replaced by the next run whatever is there of it.
    records.write(job.name, record | {"frames": None})
    lut = _load_lut(job.lut.path, settings.changes)
    numbers: list[int] = []
    empty = 0
    with ExitStack() as stack:
        composites = stack.enter_context(whole_folder(job_folder(job, 2)))
        real, masks = _real_folder(job), job_folder(job, 1)
        if own_masks:
            masks = stack.enter_context(whole_folder(masks))
        for frame in read_clip(job.clip, settings.step):
            image, name = frame.image, f"{frame.number:05d}"
            if frame.real is None:
                image = _place_decoded(image, real, name, settings)
            elif not is_same_folder(real, job.clip.real):
                place_file(frame.real, real / f"{name}{frame.real.suffix.lower()}")
            if not is_same_folder(masks, job.clip.masks):
                hard = frame.mask or encode_picture(frame.foreground.astype(np.uint8) * 255, None)
                place_file(hard, masks / f"{name}.png")
            composite = lut_transfer(image, frame.foreground, lut)
            picture = encode_picture(composite, settings.jpeg_quality)
            (composites / f"{name}.{settings.format}").write_bytes(picture)
            numbers.append(frame.number)
            empty += not frame.foreground.any()
        if not numbers:
            raise InputError(f"{job.clip.masks}: no frames in it")
    records.write(job.name, record | {"frames": numbers, "empty_masks": empty})
    return len(numbers), empty


def _real_folder(job: ClipJob) -> Path:
    """The real frames belong to all clips of the video: files are added, each in one step."""
    folder = job_folder(job, 0)
    make_folder(folder)
    return folder


def _place_decoded(image: np.ndarray, folder: Path, name: str, settings: BuildSettings) -> np.ndarray:
    """Store a frame of a video file; returns what a reader will see, losses included."""
    path = folder / f"{name}.{settings.format}"
    other = folder / f"{name}.{'png' if settings.format == 'jpg' else 'jpg'}"
    if other.exists():
        raise InputError(f"{other} is already there, made with another `format`; give an empty folder with `output`")
    place_file(encode_picture(image, REAL_QUALITY if settings.format == "jpg" else None), path)
    return read_image(path)


def is_same_folder(one: Path, other: Path) -> bool:
    """Whether both exist and are the same."""
    return one.exists() and other.exists() and one.samefile(other)


@lru_cache(maxsize=32)
def _load_lut(path: Path, changes: LutChanges) -> Tensor:
    return change_lut(load_cube(path), changes)
