"""Figures of the report: the numbers behind its curves; frames with the largest and the smallest error, with maps.

Everything becomes a ``data:`` address inside the page. Pictures are stored as JPEG (quality 92, full color resolution):
a difference between methods is far larger than what that loses, and twelve rows stay near one megabyte.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from co2net.errors import InputError
from co2net.evaluation.methods import method_of
from co2net.evaluation.report.over_time import short
from co2net.evaluation.report.results import AGAIN, Results
from co2net.evaluation.report.tables import headline_metric, result_method
from co2net.metrics.registry import ordered

MOST_ROWS = 6  # of either kind
_SCALE_STEPS = (8, 16, 32, 64, 128, 255)  # round ends for the color bar, 8-bit levels


@dataclass(frozen=True)
class Panel:
    """One cell of a row."""

    label: str
    alt: str
    address: str


@dataclass(frozen=True)
class PanelRow:
    """One frame."""

    name: str
    clip: str
    clip_index: int
    frame_index: int
    number: int
    scores: list[tuple[str, str]]
    """Method and its error."""
    pictures: list[Panel]


@dataclass(frozen=True)
class Gallery:
    """All rows, with the one scale of their error maps."""

    worst: list[PanelRow]
    best: list[PanelRow]
    stored: int
    """Frames that the evaluation stored pictures of."""
    scale: int
    """Error at the end of the color bar, 8-bit levels."""
    color_bar: str


@dataclass(frozen=True)
class _Place:
    name: str
    folder: Path
    clip_index: int
    frame_index: int
    error: float


def curve_data(results: Results) -> dict[str, Any]:
    """Everything the page's script draws from, as plain lists.

    Returns:
        ``methods`` and ``metrics`` with their labels; which of them are the ``result``, the ``input`` and the
        ``metric`` to begin with; ``clips`` with ``name``, frame ``numbers`` and ``scores[method][metric][frame]``.
        Values that do not exist or are infinite are ``None``.
    """
    metrics = ordered(results.metrics)
    shown = headline_metric(results) or metrics[0]
    return {
        "methods": [{"key": method, "label": method_of(method).label} for method in results.methods],
        "result": results.methods.index(result_method(results)),
        "input": results.methods.index("composite") if "composite" in results.methods else None,
        "metrics": [
            {"label": m.full_label, "lower": m.lower_is_better, "digits": m.digits, "log": "mse" in m.key}
            for m in metrics
        ],
        "metric": metrics.index(shown),
        "clips": [
            {
                "name": clip.name,
                "numbers": clip.numbers,
                "scores": [[short(clip.column(m, k.key)) for k in metrics] for m in results.methods],
            }
            for clip in results.clips
        ],
    }


def make_gallery(results: Results) -> Gallery:
    """Read the stored pictures of the most telling frames and compute their error maps.

    Raises:
        InputError: a picture is missing or unreadable.
    """
    places = _ranked(results)
    half = min(MOST_ROWS, (len(places) + 1) // 2)
    worst, best = places[:half], places[half:][::-1][:MOST_ROWS]
    loaded = {place.name: _load(results, place) for place in (*worst, *best)}
    scale = _scale([_error(arrays[kind], arrays["truth"]) for arrays in loaded.values() for kind in _compared(results)])
    rows = {place.name: _row(results, place, loaded[place.name], scale) for place in (*worst, *best)}
    ramp = np.arange(256, dtype=np.float32)[None] * scale / 255
    return Gallery(
        worst=[rows[place.name] for place in worst],
        best=[rows[place.name] for place in best],
        stored=len(places),
        scale=scale,
        color_bar=_address(Image.fromarray(_colors(ramp, scale)), "PNG"),
    )


def _ranked(results: Results) -> list[_Place]:
    """Frames with pictures, largest error of the result first; frames without an error last."""
    metric = headline_metric(results)
    where = {name: (c, f) for c, clip in enumerate(results.clips) for f, name in enumerate(clip.names)}
    places = []
    for stored in results.pictures:
        name, folder = stored.name, Path(results.folder) / stored.folder
        if name not in where:
            raise InputError(f"results.json has pictures of {name}, but no scores; {AGAIN}")
        clip, frame = where[name]
        error = np.nan
        if metric is not None:
            error = _score(results, clip, frame, result_method(results), metric.key)
        places.append(_Place(name, folder, clip, frame, float(error)))
    return sorted(places, key=lambda place: -np.nan_to_num(place.error, nan=-1.0))


def _score(results: Results, clip: int, frame: int, method: str, metric: str) -> float:
    value = results.clips[clip].frames[frame].scores[method].get(metric)
    return math.nan if value is None else value


def _compared(results: Results) -> list[str]:
    """The two pictures whose errors are mapped: before and after."""
    return [kind for kind in dict.fromkeys(("composite", result_method(results))) if kind in results.methods]


def _load(results: Results, place: _Place) -> dict[str, np.ndarray]:
    arrays = {}
    for kind in (*results.methods, "truth", "mask"):
        path = place.folder / f"{kind}.png"
        try:
            with Image.open(path) as picture:
                arrays[kind] = np.asarray(picture.convert("L" if kind == "mask" else "RGB"))
        except FileNotFoundError as error:
            raise InputError(f"the picture {path}, named in results.json, does not exist; {AGAIN}") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"the picture {path} cannot be read ({error}); delete it and {AGAIN}") from error
        if arrays[kind].shape[:2] != arrays[results.methods[0]].shape[:2]:
            raise InputError(f"the picture {path} is not as large as the others of its frame; {AGAIN}")
    return arrays


def _row(results: Results, place: _Place, arrays: dict[str, np.ndarray], scale: int) -> PanelRow:
    clip = results.clips[place.clip_index]
    of = f"of clip {clip.name}, frame {clip.numbers[place.frame_index]}"
    first, *others = results.methods
    pictures = [
        Panel(method_of(first).label, f"{method_of(first).label} {of}", _photo(arrays[first])),
        Panel("Mask", f"Foreground mask {of}", _address(Image.fromarray(arrays["mask"]), "PNG")),
        *(Panel(method_of(kind).label, f"{method_of(kind).label} {of}", _photo(arrays[kind])) for kind in others),
        Panel("Truth", f"Real frame {of}", _photo(arrays["truth"])),
    ]
    for kind in _compared(results):
        error = _error(arrays[kind], arrays["truth"])
        found = f"mean {error.mean():.1f}, largest {error.max():.0f} levels"
        alt = f"Error of the {method_of(kind).title} {of}: {found}"
        when = "before" if kind == "composite" else "after"
        pictures.append(Panel(f"Error {when}", alt, _photo(_colors(error, scale))))
    metric = headline_metric(results)
    scores = []
    if metric is not None:
        where = (place.clip_index, place.frame_index)
        scores = [(method_of(m).label, metric.text(_score(results, *where, m, metric.key))) for m in results.methods]
    return PanelRow(
        name=place.name,
        clip=clip.name,
        clip_index=place.clip_index,
        frame_index=place.frame_index,
        number=clip.numbers[place.frame_index],
        scores=scores,
        pictures=pictures,
    )


def _error(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Absolute difference, mean over channels, ``(H, W)``, 8-bit levels."""
    return np.abs(picture.astype(np.float32) - truth.astype(np.float32)).mean(axis=2)


def _scale(errors: list[np.ndarray]) -> int:
    """A round end of the color bar that all but the strongest thousandth of the shown pixels stay below."""
    if not errors:
        return _SCALE_STEPS[0]
    high = max(float(np.percentile(error, 99.9)) for error in errors)
    return next((step for step in _SCALE_STEPS if high <= step), _SCALE_STEPS[-1])


def _colors(error: np.ndarray, scale: int) -> np.ndarray:
    """Error as colors, dark (none) to bright: a map whose brightness rises evenly, so it also reads in gray."""
    levels = (error * (255 / scale)).clip(0, 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def _photo(array: np.ndarray) -> str:
    return _address(Image.fromarray(array), "JPEG")


def _address(picture: Image.Image, kind: str) -> str:
    data = io.BytesIO()
    # No `optimize` for JPEG: Pillow then needs the whole picture in a buffer that noisy pictures overflow.
    options = {"quality": 92, "subsampling": 0} if kind == "JPEG" else {"optimize": True}
    picture.save(data, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
