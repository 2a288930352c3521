"""``results.json`` of an evaluation: read and checked.

The file is JSON of format ``co2net-evaluation``, version 1. Scores that do not exist (a foreground score under an empty
mask) are ``null``. Everything in it counts as untrusted: names are only ever printed, picture folders must lie beside
the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from co2net.errors import InputError

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
    except _Unusable as error:
        raise InputError(f"{path} is not usable: {error}; {AGAIN}") from error


class _Unusable(Exception):
    """What is wrong, and where."""


def _results(content: Any, folder: Path) -> Results:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _Unusable(f'it is not an evaluation (no "format": "{FORMAT}")')
    if content.get("version") != VERSION:
        raise _Unusable(f"its version is {content.get('version')!r}, this program reads {VERSION}")
    methods, metrics = _texts(content, "methods"), _texts(content, "metrics")
    clips = [
        _clip(_is(dict, clip, f"clips[{i}]"), methods, metrics, f"clips[{i}]")
        for i, clip in enumerate(_get(content, "clips", list))
    ]
    if not any(clip.numbers for clip in clips):
        raise _Unusable("it holds no frames")
    extra = {
        str(name): _number(value, f"extra.{name}")
        for name, value in _get(content, "extra", dict, default={}).items()
        if value is not None
    }
    return Results(
        title=_get(content, "title", str),
        created=_get(content, "created", str),
        protocol={str(k): str(v) for k, v in _get(content, "protocol", dict, default={}).items()},
        settings=_get(content, "settings", dict, default={}),
        environment=_get(content, "environment", dict, default={}),
        weights=[_weights(w, f"weights[{i}]") for i, w in enumerate(_get(content, "weights", list, default=[]))],
        methods=methods,
        metrics=metrics,
        summary=_summary(_get(content, "summary", dict), methods, metrics),
        extra=extra,
        clips=clips,
        pictures=_pictures(_get(content, "pictures", list, default=[]), folder),
    )


def _summary(content: dict[str, Any], methods: list[str], metrics: list[str]) -> dict[str, dict[str, Mean]]:
    summary: dict[str, dict[str, Mean]] = {}
    for method in methods:
        row = _get(content, method, dict, "summary")
        summary[method] = {}
        for metric in metrics:
            where = f"summary.{method}.{metric}"
            cell = _get(row, metric, dict, f"summary.{method}")
            mean = cell.get("mean")
            summary[method][metric] = Mean(
                None if mean is None else _number(mean, f"{where}.mean"),
                _get(cell, "frames", int, where),
                _get(cell, "skipped", int, where),
            )
    return summary


def _clip(content: dict[str, Any], methods: list[str], metrics: list[str], where: str) -> ClipScores:
    frames = _get(content, "frames", list, where)
    scores = np.full((len(frames), len(methods), len(metrics)), np.nan)
    foreground = np.full(len(frames), np.nan)
    numbers, names = [], []
    for i, frame in enumerate(frames):
        place = f"{where}.frames[{i}]"
        _is(dict, frame, place)
        numbers.append(_get(frame, "number", int, place))
        names.append(_get(frame, "name", str, place))
        if frame.get("foreground") is not None:
            foreground[i] = _number(frame["foreground"], f"{place}.foreground")
        given = _get(frame, "scores", dict, place)
        for m, method in enumerate(methods):
            row = _get(given, method, dict, f"{place}.scores")
            for k, metric in enumerate(metrics):
                value = row.get(metric)
                if value is not None:
                    scores[i, m, k] = _number(value, f"{place}.scores.{method}.{metric}")
    return ClipScores(_get(content, "clip", str, where), numbers, names, foreground, scores)


def _weights(content: Any, where: str) -> Weights:
    _is(dict, content, where)
    return Weights(*(_get(content, name, str, where) for name in ("role", "name", "sha256")))


def _pictures(content: list[Any], folder: Path) -> dict[str, Path]:
    pictures = {}
    for i, entry in enumerate(content):
        where = f"pictures[{i}]"
        _is(dict, entry, where)
        place = folder / _get(entry, "folder", str, where)
        if not place.resolve().is_relative_to(folder.resolve()):
            raise _Unusable(f"{where}.folder leads out of the evaluation's folder")
        pictures[_get(entry, "name", str, where)] = place
    return pictures


_KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number"}


def _get(content: dict[str, Any], key: str, kind: type, where: str = "", default: Any = None) -> Any:
    place = f"{where}.{key}" if where else key
    value = content.get(key)
    if value is None:
        if default is None:
            raise _Unusable(f"{place} is missing")
        value = default
    return _is(kind, value, place)


def _is(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _Unusable(f"{where} should be {_KINDS[kind]}, not {type(value).__name__}")
    return value


def _texts(content: dict[str, Any], key: str) -> list[str]:
    values = [_is(str, value, f"{key}[{i}]") for i, value in enumerate(_get(content, key, list))]
    if not values or len(set(values)) < len(values):
        raise _Unusable(f"{key} is empty or names something twice")
    return values


def _number(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Unusable(f"{where} should be a number, not {type(value).__name__}")
    return float(value)
