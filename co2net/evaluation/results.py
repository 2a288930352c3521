"""``results.json``, the numbers of an evaluation with everything that explains them, and ``scores.csv``, each score."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from co2net.evaluation.pictures import FOLDER
from co2net.evaluation.scores import mean_of, summarize
from co2net.files import make_folder, write_beside, write_json
from co2net.metrics.registry import metrics_of

FORMAT, VERSION = "co2net-evaluation", 1
NAME, SCORES = "results.json", "scores.csv"


def make_results(
    records: list[dict[str, Any]],
    *,
    methods: Sequence[str],
    title: str,
    protocol: dict[str, str],
    settings: dict[str, Any],
    environment: dict[str, Any],
    weights: list[dict[str, str]],
    temporal: dict[str, Any] | None = None,
    segmentation: dict[str, Any] | None = None,
    task: str = "harmonization",
) -> dict[str, Any]:
    """Put the records of all clips together.

    Args:
        records: of :func:`co2net.evaluation.evaluate.evaluate`, in the order of the list.
        methods: what was scored.
        title: of the report.
        protocol: name to sentence.
        settings: option to value.
        environment: of :func:`co2net.provenance.environment`.
        weights: files with ``role``, ``name`` and ``sha256``.
        temporal: of :func:`co2net.evaluation.temporal.results.temporal_block`, if that was measured.
        segmentation: of :func:`co2net.evaluation.segmentation.segmentation_block`, likewise.
        task: what was done.
    """
    frames = [frame for record in records for frame in record["frames"]]
    invalid = mean_of(frame["invalid"] for frame in frames)
    results = {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "task": task,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "protocol": protocol,
        "settings": settings,
        "environment": environment,
        "weights": weights,
        "methods": list(methods),
        "metrics": [metric.key for metric in metrics_of(task)],
        "summary": summarize([frame["scores"] for frame in frames], methods, task),
        "extra": {
            "mapping_error": mean_of(frame["mapping_error"] for frame in frames),
            "invalid_paper": None if invalid is None else 3 * invalid,  # the original counts three equal channels
            "invalid_fraction": invalid,
        },
        "clips": [
            {"clip": record["clip"], "frames": [_scored(frame) for frame in record["frames"]]} for record in records
        ],
        "pictures": [{"name": name, "folder": f"{FOLDER}/{name}"} for record in records for name in record["pictures"]],
    }
    measured = {"temporal": temporal, "segmentation": segmentation}
    return results | {name: block for name, block in measured.items() if block is not None}


def _scored(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame without its raw statistics over time and of masks, which blocks of their own tell in final form."""
    return {name: value for name, value in frame.items() if name not in ("temporal", "confusion")}


def score_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Every score as a flat list, one entry per frame and method: ``pandas.DataFrame(score_rows(results))``.

    Args:
        results: of :func:`make_results`, or what ``results.json`` holds.

    Returns:
        ``clip``, ``number``, ``name``, ``foreground``, ``method``, then one entry per metric, None where there is none.
    """
    return [
        {
            "clip": clip["clip"],
            **{name: frame.get(name) for name in ("number", "name", "foreground")},
            "method": method,
            **frame["scores"][method],
        }
        for clip in results["clips"]
        for frame in clip["frames"]
        for method in results["methods"]
    ]


def write_results(output: Path, results: dict[str, Any]) -> list[Path]:
    """Write ``results.json`` and ``scores.csv`` (:func:`score_rows`), each in one step; returns where.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    make_folder(output)
    rows = score_rows(results)
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]) if rows else ["clip"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_json(output / NAME, results)
    write_beside(output / SCORES, table.getvalue())
    return [output / NAME, output / SCORES]
