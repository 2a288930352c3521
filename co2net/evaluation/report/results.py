"""``results.json`` of an evaluation, read.

The file is JSON of format ``co2net-evaluation``, version 1. Scores that do not exist (a foreground score under an empty
mask) are ``null``. Names are only ever printed, picture folders must lie beside the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from co2net.errors import InputError
from co2net.evaluation.report.over_time import OverTime
from co2net.evaluation.report.typed import Unusable, check_complete, check_names, decode
from co2net.evaluation.results import FORMAT, NAME, VERSION
from co2net.evaluation.temporal.results import NAME as TEMPORAL_NAME
from co2net.evaluation.temporal.results import read_blocks

AGAIN = "run the evaluation again"


@dataclass(frozen=True)
class Mean:
    """One metric of one method over all frames."""

    frames: int
    """Frames in the mean."""
    skipped: int
    """Frames left out because the value does not exist there."""
    mean: float | None = None


@dataclass(frozen=True)
class Frame:
    """One frame, as in the file."""

    number: int
    name: str
    """Of its stored results and pictures."""
    scores: dict[str, dict[str, float | None]]
    foreground: float | None = None
    """Share of the frame that the mask covers, 0..1."""


@dataclass(frozen=True)
class ClipScores:
    """The frames of one clip."""

    clip: str
    """``<video>/<object>``."""
    frames: list[Frame]

    @property
    def name(self) -> str:
        """``<video>/<object>``."""
        return self.clip

    @cached_property
    def numbers(self) -> list[int]:
        """Frame numbers."""
        return [frame.number for frame in self.frames]

    @cached_property
    def names(self) -> list[str]:
        """Result names of the frames."""
        return [frame.name for frame in self.frames]

    @cached_property
    def foreground(self) -> np.ndarray:
        """``(F,)``: share of the frame that the mask covers, 0..1; ``nan`` if unknown."""
        return np.array([np.nan if frame.foreground is None else frame.foreground for frame in self.frames], float)

    def column(self, method: str, metric: str) -> np.ndarray:
        """One metric of every frame, ``(F,)`` float64, ``nan`` where a value does not exist."""
        values = [frame.scores[method].get(metric) for frame in self.frames]
        return np.array([np.nan if value is None else value for value in values], float)


@dataclass(frozen=True)
class Weights:
    """One weight file that was used."""

    role: str
    name: str
    """File name."""
    sha256: str


@dataclass(frozen=True)
class _Pictures:
    name: str
    folder: str


@dataclass(frozen=True)
class Segmentation:
    """mIoU of a segmenter on what every method made."""

    segmenter: str
    """File name."""
    frames: int
    methods: dict[str, dict[str, float]]
    """``miou``, ``foreground`` and ``background`` by method, the real frames (``truth``) too."""


@dataclass(frozen=True)
class Results:
    """One evaluation."""

    title: str
    created: str
    methods: list[str]
    metrics: list[str]
    summary: dict[str, dict[str, Mean]]
    clips: list[ClipScores]
    task: str = "harmonization"
    protocol: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    weights: list[Weights] = field(default_factory=list)
    extra: dict[str, float | None] = field(default_factory=dict)
    """Further values, by name."""
    pictures: list[_Pictures] = field(default_factory=list)
    temporal: OverTime | None = None
    segmentation: Segmentation | None = None
    folder: str = ""
    stored_over_time: list[OverTime] = field(default_factory=list)

    @property
    def over_time(self) -> list[OverTime]:
        """Of the evaluation itself, and of stored results that were measured beside it."""
        return [*([] if self.temporal is None else [self.temporal]), *self.stored_over_time]

    @property
    def frames(self) -> int:
        """Number of frames evaluated."""
        return sum(len(clip.frames) for clip in self.clips)

    def column(self, method: str, metric: str) -> np.ndarray:
        """All frames' values of one metric, ``(frames,)``, in the order of the clips."""
        return np.concatenate([clip.column(method, metric) for clip in self.clips] or [np.empty(0)])

    def mean(self, method: str, metric: str) -> float | None:
        """Over all frames that have a value; None without any, or if it was not measured."""
        found = self.summary[method].get(metric)
        return None if found is None else found.mean


def read_results(folder: Path) -> Results:
    """Read ``results.json`` in `folder`.

    Raises:
        InputError: the file is missing, is not such a file, or is incomplete; names the place and the mend.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; give the folder that an evaluation wrote") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); {AGAIN}") from error
    try:
        return _results(content, folder)
    except Unusable as error:
        raise InputError(f"{path} is not usable: {error}; {AGAIN}") from error


def _results(content: Any, folder: Path) -> Results:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Unusable(f'it is not an evaluation (no "format": "{FORMAT}")')
    if content.get("version") != VERSION:
        raise Unusable(f"its version is {content.get('version')!r}, this program reads {VERSION}")
    beside = [decode(OverTime, block, f"{TEMPORAL_NAME}, blocks[{i}]") for i, block in enumerate(read_blocks(folder))]
    results = decode(Results, {**content, "folder": str(folder), "stored_over_time": None})
    results.stored_over_time.extend(beside)
    for name in ("methods", "metrics"):
        check_names(getattr(results, name), name)
    check_complete(results.summary, results.methods, results.metrics, "summary")
    for i, clip in enumerate(results.clips):
        for j, frame in enumerate(clip.frames):
            check_complete(frame.scores, results.methods, (), f"clips[{i}].frames[{j}].scores")
    if not results.frames:
        raise Unusable("it holds no frames")
    for i, pictures in enumerate(results.pictures):
        if not (folder / pictures.folder).resolve().is_relative_to(folder.resolve()):
            raise Unusable(f"pictures[{i}].folder leads out of the evaluation's folder")
    if results.segmentation is not None:
        check_complete(results.segmentation.methods, results.methods, ("miou",), "segmentation.methods")
    for block in results.over_time:
        block.check("temporal" if block is results.temporal else TEMPORAL_NAME)
    return results
