"""The summary of an evaluation as text: both conventions, protocol, what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from co2net.evaluation.published import PUBLISHED_FLOW, PUBLISHED_PAIRS, ROWS, TEST_FRAMES
from co2net.evaluation.scores import PAPER_METRICS
from co2net.evaluation.temporal.pairs import flow_label
from co2net.evaluation.temporal.results import as_published, measure_title

STANDARD_METRICS = {"mse": "mse", "fmse": "fmse", "psnr": "psnr", "fssim": "fssim", "ssim": "ssim"}
TITLES = {"mse": "MSE", "fmse": "fMSE", "psnr": "PSNR", "fssim": "fSSIM", "ssim": "SSIM"}
METHOD_TITLES = {
    "composite": "composite (input)", "backbone": "backbone", "lut": "color mapping", "final": "final",
    "truth": "truth (real frames)",
}  # fmt: skip


def summary_text(results: Mapping[str, Any]) -> str:
    """Tables and protocol of :func:`co2net.evaluation.results.make_results` as Markdown."""
    frames = [frame for clip in results["clips"] for frame in clip["frames"]]
    published = []
    if len(frames) == TEST_FRAMES:
        published = [
            [f"published: {row.method}", *(_number(getattr(row, metric), metric) for metric in PAPER_METRICS)]
            for row in ROWS
            if row.sources
        ]
    extra = results["extra"]
    parts = [
        f"{results['title']}: {_count(len(frames), 'frame')} of {_count(len(results['clips']), 'clip')}",
        "Paper convention (to compare with published tables):",
        _table(results["summary"], PAPER_METRICS, published),
        "Standard convention:",
        _table(results["summary"], STANDARD_METRICS, []),
        "\n".join(_left_out(results["summary"])),
        temporal_text(results["temporal"]) if "temporal" in results else "",
        "\n".join(
            f"{name}: {value:.6g}"
            for name, value in (
                ("me (mapping error, squared 8-bit levels per foreground pixel)", extra["mapping_error"]),
                ("invalid (paper form: three times the fraction)", extra["invalid_paper"]),
                ("invalid, fraction of the frame that no neighbor tells about", extra["invalid_fraction"]),
            )
            if value is not None
        ),
        "Protocol:\n" + "\n".join(f"- {name}: {sentence}" for name, sentence in results["protocol"].items()),
    ]
    return "\n\n".join(part for part in parts if part)


def temporal_text(block: Mapping[str, Any]) -> str:
    """Table of a block of :mod:`co2net.evaluation.temporal.results`, every number with the name of its flow."""
    titles = {measure: measure_title(measure, block["flow"]) for measure in block["measures"]}
    means = block["summary"]
    rows = [
        [METHOD_TITLES.get(m, m), *(_number(means[m][measure]["mean"], measure) for measure in titles)]
        for m in block["methods"]
    ]
    missing = {measure: max(means[m][measure]["skipped"] for m in means) for measure in titles}
    notes = [f"left out of {titles[m]}: {count} without a value (empty mask)" for m, count in missing.items() if count]
    published = ", ".join(f"{row.method} {row.temporal_loss}" for row in ROWS if "A" in row.sources)
    warning = "" if as_published(block["flow"], block["pairs"]) else "; not comparable with the numbers above"
    notes.append(f"published TL ({flow_label(PUBLISHED_FLOW)}, {PUBLISHED_PAIRS} pairs{warning}): {published}")
    table = aligned([["method", *titles.values()], *rows])
    return "\n\n".join([f"Over time (lower is better; {block['pairs']}):", table, "\n".join(notes)])


def _table(summary: Mapping[str, Any], metrics: Mapping[str, str], further: list[list[str]]) -> str:
    rows = [
        [METHOD_TITLES[method], *(_number(means[metric]["mean"], title) for title, metric in metrics.items())]
        for method, means in summary.items()
    ]
    return aligned([["method", *(TITLES[title] for title in metrics)], *rows, *further])


def aligned(cells: list[list[str]]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _number(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if metric.endswith("ssim") else f"{value:.2f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _left_out(summary: Mapping[str, Any]) -> list[str]:
    """A line per metric that misses frames."""
    lines = []
    for method, means in summary.items():
        for metric, found in means.items():
            reasons = [
                f"{_count(count, 'frame')} {why}"
                for count, why in (
                    (found["skipped"], "without a value (empty mask)"),
                    (found["infinite"], "equal to the truth"),
                )
                if count
            ]
            if reasons:
                lines.append(f"left out of {metric}, {METHOD_TITLES[method]}: {' and '.join(reasons)}")
    return lines
