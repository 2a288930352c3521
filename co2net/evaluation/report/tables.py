"""The report in words and tables: headline, means, published rows, clips, frames left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from co2net.evaluation import published
from co2net.evaluation.methods import method_of, result_of
from co2net.evaluation.report.over_time import OverTime, temporal_column
from co2net.evaluation.report.results import ClipScores, Results
from co2net.evaluation.report.text import count_text
from co2net.evaluation.tasks import TASKS
from co2net.evaluation.temporal.results import measure_title
from co2net.metrics.registry import CONVENTIONS, METRICS, Metric, number_text, ordered

SHOWN = 12  # of frames that a metric left out


@dataclass(frozen=True)
class Cell:
    """One mean in a table."""

    text: str
    best: bool = False
    skipped: int = 0


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    detail: str
    cells: list[Cell]
    ours: bool = True
    sources: str = ""


@dataclass(frozen=True)
class Bar:
    """One method in the picture beside the headline."""

    method: str
    label: str
    text: str
    percent: float
    """Of the longest bar."""


def result_method(results: Results) -> str:
    """The method that the report is about."""
    return result_of(results.methods)


def headline_metric(results: Results) -> Metric | None:
    """The error that the headline compares; ``None`` if no error was measured."""
    task = TASKS.get(results.task)
    return next((METRICS[key] for key in (task.headline if task else ()) if key in results.metrics), None)


def headline(results: Results) -> str:
    """How much better or worse the result is than composite and backbone, in one sentence."""
    method, metric = result_method(results), headline_metric(results)
    value = results.mean(method, metric.key) if metric else None
    if metric is None or value is None or not np.isfinite(value):
        return f"No error could be computed for “{method_of(method).label}”."
    parts = []
    for other in ("composite", "backbone"):
        base = results.mean(other, metric.key) if other in results.methods and other != method else None
        if base is not None and np.isfinite(base) and base > 0:
            name = "the composite" if other == "composite" else "the backbone alone"
            parts.append(f"{_change(value, base)} {name} ({metric.text(base)})")
    what = "foreground error" if metric.key.startswith("fmse") else "error"
    subject = {"final": "The final result", "lut": "The color mapping", "backbone": "The backbone"}
    name = ", ".join([metric.label] + ([metric.convention] if metric.convention != "both" else []))
    start = f"{subject.get(method, method)} has a mean {what} ({name}) of {metric.text(value)}"
    if not parts:
        return f"{start}; nothing to compare it with was measured."
    return f"{start}: {' and '.join(parts)}."


def _change(value: float, base: float) -> str:
    percent = 100 * (value - base) / base
    if abs(percent) < 0.05:
        return "the same as"
    return f"{abs(percent):.1f} % {'less' if percent < 0 else 'more'} than"


def wins(results: Results) -> str:
    """In how many frames the result is nearer to the truth than the composite; empty if there is nothing to compare."""
    method, metric = result_method(results), headline_metric(results)
    if metric is None or method == "composite" or "composite" not in results.methods:
        return ""
    after, before = results.column(method, metric.key), results.column("composite", metric.key)
    usable = ~(np.isnan(after) | np.isnan(before))
    total, better = int(usable.sum()), int((after < before)[usable].sum())
    worse = int((after > before)[usable].sum())
    if not total:
        return ""
    farther = f"{count_text(worse)} ({100 * worse / total:.1f} %)" if worse else "none"
    return (
        f"It is nearer to the truth than the composite in {count_text(better)} of {count_text(total)} frames "
        f"({100 * better / total:.1f} %), and farther from it in {farther}."
    )


def bars(results: Results) -> list[Bar]:
    """The headline's error of every method."""
    metric = headline_metric(results)
    if metric is None:
        return []
    means = {method: results.mean(method, metric.key) for method in results.methods}
    finite = {method: mean for method, mean in means.items() if mean is not None and np.isfinite(mean)}
    longest = max(finite.values(), default=0) or 1
    return [
        Bar(method, method_of(method).label, metric.text(mean), round(100 * mean / longest, 2))
        for method, mean in finite.items()
    ]


def metric_groups(metrics: list[Metric]) -> list[tuple[str, int]]:
    """Headings over the columns: the convention and how many columns it spans."""
    spans = [(text, sum(m.convention == key for m in metrics)) for key, text in CONVENTIONS.items()]
    return [(text, span) for text, span in spans if span]


def method_rows(results: Results, metrics: list[Metric]) -> list[Row]:
    """Means of every method; the best of each column is marked."""
    best = {metric.key: _best(results, metric) for metric in metrics}
    rows = []
    for method in results.methods:
        marked = []
        for metric in metrics:
            mean = results.summary[method][metric.key]
            text = metric.text(mean.mean)
            marked.append(Cell(text, text == best[metric.key], mean.skipped))
        rows.append(Row(method_of(method).label, method_of(method).detail, marked))
    return rows


def _best(results: Results, metric: Metric) -> str:
    means = [results.mean(method, metric.key) for method in results.methods]
    values = [mean for mean in means if mean is not None and not np.isnan(mean)]
    if not values:
        return ""
    return metric.text(min(values) if metric.lower_is_better else max(values))


PUBLISHED_COLUMNS = ("mse", "fmse_paper", "psnr_paper", "fssim_paper")


def temporal_columns(results: Results) -> list[tuple[str, str]]:
    """Columns of temporal losses in the table of published rows: title and which pairs.

    One per flow and set of pairs, the published one last: values of different flows stand in no common column.
    """
    own = [(measure_title("tl", block.flow), block.pairs) for block in _own_columns(results)]
    return [*own, (measure_title("tl", published.PUBLISHED_FLOW), f"{published.PUBLISHED_PAIRS} pairs, as published")]


def _own_columns(results: Results) -> list[OverTime]:
    return [block for block in results.over_time if "tl" in block.measures and not block.as_published]


def cells(metrics: Iterable[Metric], values: Iterable[float | None]) -> list[Cell]:
    """Values of metrics, none of them the best."""
    return [Cell(metric.text(value)) for metric, value in zip(metrics, values, strict=True)]


def own_rows(results: Results, metrics: Sequence[Metric]) -> list[Row]:
    """This evaluation's methods, to stand above published ones."""
    return [
        Row(
            method_of(method).label,
            "this evaluation",
            cells(metrics, [results.mean(method, metric.key) for metric in metrics]),
        )
        for method in results.methods
    ]


def published_rows(results: Results) -> list[Row]:
    """Ours, then the published rows, in the published convention; last the :func:`temporal_columns`.

    None if nothing was measured that they could stand beside.
    """
    if not set(PUBLISHED_COLUMNS) <= set(results.metrics):
        return []
    own = _own_columns(results)
    same = next((block for block in results.over_time if block.as_published), None)
    metrics = ordered(list(PUBLISHED_COLUMNS))
    rows = own_rows(results, metrics)
    for method, row in zip(results.methods, rows, strict=True):
        row.cells.extend(Cell(temporal_column(block, method)) for block in own)
        row.cells.append(Cell("–" if same is None else temporal_column(same, method)))
    for theirs in published.ROWS:
        values = cells(metrics, (theirs.mse, theirs.fmse, theirs.psnr, theirs.fssim))
        values += [Cell("–")] * len(own) + [Cell(number_text(theirs.temporal_loss, 2))]
        detail = "" if theirs.sources else "unconfirmed"
        rows.append(Row(theirs.method, detail, values, ours=False, sources=theirs.sources))
    return rows


def comparability(results: Results) -> tuple[bool, str]:
    """Whether the published rows may be compared with these means, and why."""
    frames, clips = results.frames, len(results.clips)
    counts = f"{_plural(frames, 'frame')} of {_plural(clips, 'clip')}"
    wanted = f"{count_text(published.TEST_FRAMES)} frames of the HYouTube test set"
    if frames != published.TEST_FRAMES:
        return False, (
            f"Not comparable: these are means over {counts}, the published rows over the {wanted}. "
            "Read the published rows as orientation only."
        )
    return True, (
        f"These are means over {counts}, as many as in the HYouTube test set. The rows compare only if these are the "
        f"{wanted}, at 256 × 256, in the published convention; the protocol says what was done."
    )


def clip_rows(results: Results) -> list[tuple[ClipScores, str, list[str], str]]:
    """Every clip, largest error first: clip, foreground share, error per method, change against the composite."""
    metric, method = headline_metric(results), result_method(results)
    if metric is None:
        return []
    means = [[_clip_mean(clip, m, metric.key) for m in results.methods] for clip in results.clips]
    own = results.methods.index(method)
    base = results.methods.index("composite") if "composite" in results.methods else own
    order = sorted(range(len(means)), key=lambda i: -np.nan_to_num(means[i][own], nan=-1.0))
    rows = []
    for i in order:
        change = 100 * (means[i][own] / means[i][base] - 1) if means[i][base] > 0 and base != own else None
        sign = "+" if change is not None and change > 0 else ""
        share = clip_share(results.clips[i])
        texts = [metric.text(value) for value in means[i]]
        rows.append((results.clips[i], share, texts, "–" if change is None else f"{sign}{number_text(change, 1)} %"))
    return rows


def _clip_mean(clip: ClipScores, method: str, metric: str) -> float:
    column = clip.column(method, metric)
    return float(column[~np.isnan(column)].mean()) if (~np.isnan(column)).any() else np.nan


def clip_share(clip: ClipScores) -> str:
    """Mean share of the frame that the foreground covers, in percent."""
    known = clip.foreground[~np.isnan(clip.foreground)]
    return f"{100 * known.mean():.1f} %" if len(known) else "–"


def skipped_notes(results: Results) -> list[str]:
    """One sentence per metric that leaves frames out, with the first of their names."""
    notes: list[str] = []
    for metric in ordered(results.metrics):
        counts = {method: results.summary[method][metric.key].skipped for method in results.methods}
        if not any(counts.values()):
            continue
        names = [
            frame.name
            for clip in results.clips
            for frame in clip.frames
            if any(frame.scores[method].get(metric.key) is None for method in results.methods)
        ]
        if len(set(counts.values())) == 1:
            count = _plural(next(iter(counts.values())), "frame")
        else:
            count = ", ".join(f"{method_of(m).label} {count_text(n)}" for m, n in counts.items()) + " frames"
        shown = ", ".join(names[:SHOWN]) + (f" and {count_text(len(names) - SHOWN)} more" if len(names) > SHOWN else "")
        ending = f": {shown}." if shown else "."
        notes.append(f"{metric.full_label}: {count} left out of the mean{ending}")
    return notes


_EXTRA = {
    "mapping_error": (
        "Mapping error",
        "the LUT on the neighbor frames against the backbone, squared levels",
        2,
    ),
    "invalid_paper": ("Frame without LUT information, as published", "summed over three channels", 4),
    "invalid_fraction": ("Frame without LUT information", "share of the frame's pixels", 4),
}


def extra_rows(results: Results) -> list[tuple[str, str, str]]:
    """Further values: name, explanation, value."""
    rows = []
    for key, value in results.extra.items():
        if value is None:
            continue
        label, detail, digits = _EXTRA.get(key, (key, "", 4))
        rows.append((label, detail, number_text(value, digits)))
    return rows


def environment_rows(results: Results) -> list[tuple[str, str]]:
    """Versions, device and the state of the checkout."""
    rows = [(str(name), _plain(value)) for name, value in results.environment.items() if name != "git"]
    git = results.environment.get("git")
    if isinstance(git, dict):
        state = "with uncommitted changes" if git.get("dirty") else "clean"
        rows.append(("git commit", f"{git.get('commit', 'unknown')} ({state})"))
    else:
        rows.append(("git commit", "not a checkout"))
    return rows


def setting_rows(results: Results) -> list[tuple[str, str]]:
    """The options that the evaluation ran with."""
    return [(str(name), _plain(value)) for name, value in results.settings.items()]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plural(count: int, noun: str) -> str:
    return f"{count_text(count)} {noun}{'' if count == 1 else 's'}"
