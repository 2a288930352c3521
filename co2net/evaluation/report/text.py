"""The summary of an evaluation as text: both conventions, protocol, what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from co2net.evaluation.methods import method_of
from co2net.evaluation.published import PUBLISHED_FLOW, PUBLISHED_PAIRS, ROWS, TEST_FRAMES
from co2net.evaluation.published_colors import MIOU, MIOU_NOTE
from co2net.evaluation.temporal.pairs import flow_label
from co2net.evaluation.temporal.results import as_published, measure_title
from co2net.metrics.registry import Metric, ordered


def summary_text(results: Mapping[str, Any]) -> str:
    """Tables and protocol of :func:`co2net.evaluation.results.make_results` as Markdown."""
    frames = [frame for clip in results["clips"] for frame in clip["frames"]]
    metrics = ordered(results["metrics"])
    paper = [metric for metric in metrics if metric.convention in ("both", "paper")]
    others = [metric for metric in metrics if metric.convention != "paper"]
    published = []
    if len(frames) == TEST_FRAMES:
        published = [
            [
                f"published: {row.method}",
                *(_number(getattr(row, m.key.removesuffix("_paper")), m.digits) for m in paper),
            ]
            for row in ROWS
        ]
    extra = results["extra"]
    parts = [
        f"{results['title']}: {_count(len(frames), 'frame')} of {_count(len(results['clips']), 'clip')}",
        *_tables(results["summary"], paper, others, published),
        "\n".join(_left_out(results["summary"])),
        temporal_text(results["temporal"], results.get("task", "harmonization")) if "temporal" in results else "",
        segmentation_text(results["segmentation"]) if "segmentation" in results else "",
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


def temporal_text(block: Mapping[str, Any], task: str = "harmonization") -> str:
    """Table of a block of :mod:`co2net.evaluation.temporal.results`, every number with the name of its flow.

    Args:
        block: see there.
        task: what was evaluated; published values stand below harmonization's.
    """
    titles = {measure: measure_title(measure, block["flow"]) for measure in block["measures"]}
    means = block["summary"]
    rows = [
        [method_of(m).text, *(_number(means[m][measure]["mean"], 2) for measure in titles)] for m in block["methods"]
    ]
    missing = {measure: max(means[m][measure]["skipped"] for m in means) for measure in titles}
    notes = [f"left out of {titles[m]}: {count} without a value (empty mask)" for m, count in missing.items() if count]
    published = ", ".join(f"{row.method} {row.temporal_loss}" for row in ROWS if "A" in row.sources)
    warning = "" if as_published(block["flow"], block["pairs"]) else "; not comparable with the numbers above"
    if task == "harmonization":
        notes.append(f"published TL ({flow_label(PUBLISHED_FLOW)}, {PUBLISHED_PAIRS} pairs{warning}): {published}")
    table = aligned([["method", *titles.values()], *rows])
    return "\n\n".join([f"Over time (lower is better; {block['pairs']}):", table, "\n".join(notes)])


def segmentation_text(block: Mapping[str, Any]) -> str:
    """Table of a block of :func:`co2net.evaluation.segmentation.segmentation_block`, with the published rows."""
    rows = [
        [method_of(method).text, *(_number(found[name], 4) for name in ("miou", "foreground", "background"))]
        for method, found in block["methods"].items()
    ]
    rows += [[f"published: {name}", _number(value, 4), "-", "-"] for name, value in MIOU.items()]
    what = f"mIoU of {block['segmenter']}, one confusion matrix over {_count(block['frames'], 'frame')} ({MIOU_NOTE}):"
    return "\n\n".join([what, aligned([["method", "mIoU", "foreground", "background"], *rows])])


def _tables(
    summary: Mapping[str, Any], paper: list[Metric], others: list[Metric], published: list[list[str]]
) -> list[str]:
    """Headings and tables: one where there is one convention only."""

    def table(metrics: list[Metric], further: list[list[str]]) -> str:
        rows = [
            [method_of(method).text, *(_number(means[m.key]["mean"], m.digits) for m in metrics)]
            for method, means in summary.items()
        ]
        return aligned([["method", *(metric.label for metric in metrics)], *rows, *further])

    if all(metric.convention == "both" for metric in paper):
        return ["Scores:", table(others, [])]
    heading = "Paper convention (to compare with published tables):"
    return [heading, table(paper, published), "Standard convention:", table(others, [])]


def aligned(cells: list[list[str]]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def count_text(count: int) -> str:
    """A count with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


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
                lines.append(f"left out of {metric}, {method_of(method).text}: {' and '.join(reasons)}")
    return lines
