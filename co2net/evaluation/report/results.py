"""``results.json`` of an evaluation: read and checked.

The file is JSON of format ``co2net-evaluation``, version 1. Scores that do not exist (a foreground score under an empty
mask) are ``null``. Everything in it counts as untrusted: names are only ever printed, picture folders must lie beside
the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from co2net.errors import InputError
from co2net.evaluation.report.checked import Unusable, get, is_a, number, texts
from co2net.evaluation.report.over_time import OverTime, read_over_time
from co2net.evaluation.temporal_file import NAME, read_blocks

FORMAT, VERSION = "co2net-evaluation", 1
AGAIN = "run the evaluation again"


@dataclass(frozen=True)
class Mean:
    """One metric of one method over all frames."""

    mean: float | None
    frames: int
    """Frames in the mean."""
    skipped: int
    """Frames left out because the value does not exist there."""


@dataclass(frozen=True)
class ClipScores:
    """Scores of the F frames of one clip."""

    name: str
    """``<video>/<object>``."""
    numbers: list[int]
    """Frame numbers."""
    names: list[str]
    """Result names of the frames."""
    foreground: np.ndarray
    """``(F,)``: share of the frame that the mask covers, 0..1; ``nan`` if unknown."""
    scores: np.ndarray
    """``(F, methods, metrics)`` float64, ``nan`` where a value does not exist."""


@dataclass(frozen=True)
class Weights:
    """One weight file that was used."""

    role: str
    name: str
    """File name."""
    sha256: str


@dataclass(frozen=True)
class Results:
    """One evaluation."""

    title: str
    created: str
    protocol: dict[str, str]
    settings: dict[str, Any]
    environment: dict[str, Any]
    weights: list[Weights]
    methods: list[str]
    metrics: list[str]
    summary: dict[str, dict[str, Mean]]
    extra: dict[str, float]
    """Further values that exist, by name."""
    clips: list[ClipScores]
    pictures: dict[str, Path]
    """Folder of pictures per result name."""
    over_time: list[OverTime] = field(default_factory=list)
    """Of the evaluation itself, and of stored results that were measured beside it."""

    @property
    def frames(self) -> int:
        """Number of frames evaluated."""
        return sum(len(clip.numbers) for clip in self.clips)

    def column(self, method: str, metric: str) -> np.ndarray:
        """All frames' values of one metric, ``(frames,)``, in the order of the clips."""
        place = self.methods.index(method), self.metrics.index(metric)
        return np.concatenate([clip.scores[:, place[0], place[1]] for clip in self.clips] or [np.empty(0)])


def read_results(folder: Path) -> Results:
    """Read ``results.json`` in `folder`.

    Raises:
        InputError: the file is missing, is not such a file, or is incomplete; names the place and the mend.
    """
    path = folder / "results.json"
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
    methods, metrics = texts(content, "methods"), texts(content, "metrics")
    clips = [
        _clip(is_a(dict, clip, f"clips[{i}]"), methods, metrics, f"clips[{i}]")
        for i, clip in enumerate(get(content, "clips", list))
    ]
    if not any(clip.numbers for clip in clips):
        raise Unusable("it holds no frames")
    extra = {
        str(name): number(value, f"extra.{name}")
        for name, value in get(content, "extra", dict, default={}).items()
        if value is not None
    }
    return Results(
        title=get(content, "title", str),
        created=get(content, "created", str),
        protocol={str(k): str(v) for k, v in get(content, "protocol", dict, default={}).items()},
        settings=get(content, "settings", dict, default={}),
        environment=get(content, "environment", dict, default={}),
        weights=[_weights(w, f"weights[{i}]") for i, w in enumerate(get(content, "weights", list, default=[]))],
        methods=methods,
        metrics=metrics,
        summary=_summary(get(content, "summary", dict), methods, metrics),
        extra=extra,
        clips=clips,
        pictures=_pictures(get(content, "pictures", list, default=[]), folder),
        over_time=[read_over_time(block, where) for where, block in _blocks(content, folder).items()],
    )


def _blocks(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Blocks over time by their place: of the evaluation, then of ``temporal.json`` beside it."""
    own = {"temporal": content["temporal"]} if content.get("temporal") is not None else {}
    return own | {f"{NAME}, blocks[{i}]": block for i, block in enumerate(read_blocks(folder))}


def _summary(content: dict[str, Any], methods: list[str], metrics: list[str]) -> dict[str, dict[str, Mean]]:
    summary: dict[str, dict[str, Mean]] = {}
    for method in methods:
        row = get(content, method, dict, "summary")
        summary[method] = {}
        for metric in metrics:
            where = f"summary.{method}.{metric}"
            cell = get(row, metric, dict, f"summary.{method}")
            mean = cell.get("mean")
            summary[method][metric] = Mean(
                None if mean is None else number(mean, f"{where}.mean"),
                get(cell, "frames", int, where),
                get(cell, "skipped", int, where),
            )
    return summary


def _clip(content: dict[str, Any], methods: list[str], metrics: list[str], where: str) -> ClipScores:
    frames = get(content, "frames", list, where)
    scores = np.full((len(frames), len(methods), len(metrics)), np.nan)
    foreground = np.full(len(frames), np.nan)
    numbers, names = [], []
    for i, frame in enumerate(frames):
        place = f"{where}.frames[{i}]"
        is_a(dict, frame, place)
        numbers.append(get(frame, "number", int, place))
        names.append(get(frame, "name", str, place))
        if frame.get("foreground") is not None:
            foreground[i] = number(frame["foreground"], f"{place}.foreground")
        given = get(frame, "scores", dict, place)
        for m, method in enumerate(methods):
            row = get(given, method, dict, f"{place}.scores")
            for k, metric in enumerate(metrics):
                value = row.get(metric)
                if value is not None:
                    scores[i, m, k] = number(value, f"{place}.scores.{method}.{metric}")
    return ClipScores(get(content, "clip", str, where), numbers, names, foreground, scores)


def _weights(content: Any, where: str) -> Weights:
    is_a(dict, content, where)
    return Weights(*(get(content, name, str, where) for name in ("role", "name", "sha256")))


def _pictures(content: list[Any], folder: Path) -> dict[str, Path]:
    pictures = {}
    for i, entry in enumerate(content):
        where = f"pictures[{i}]"
        is_a(dict, entry, where)
        place = folder / get(entry, "folder", str, where)
        if not place.resolve().is_relative_to(folder.resolve()):
            raise Unusable(f"{where}.folder leads out of the evaluation's folder")
        pictures[get(entry, "name", str, where)] = place
    return pictures
