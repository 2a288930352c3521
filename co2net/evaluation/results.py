"""``results.json``: the numbers of an evaluation with everything that explains them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from co2net.evaluation.pictures import FOLDER
from co2net.evaluation.scores import METRICS, mean_of, summarize
from co2net.files import make_folder, write_beside

FORMAT, VERSION = "co2net-evaluation", 1
NAME = "results.json"


def make_results(
    records: list[dict[str, Any]],
    *,
    methods: tuple[str, ...],
    title: str,
    protocol: dict[str, str],
    settings: dict[str, Any],
    environment: dict[str, Any],
    weights: list[dict[str, str]],
    temporal: dict[str, Any] | None = None,
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
    """
    frames = [frame for record in records for frame in record["frames"]]
    invalid = mean_of(frame["invalid"] for frame in frames)
    results = {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "protocol": protocol,
        "settings": settings,
        "environment": environment,
        "weights": weights,
        "methods": list(methods),
        "metrics": list(METRICS),
        "summary": summarize([frame["scores"] for frame in frames], methods),
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
    return results if temporal is None else {**results, "temporal": temporal}


def _scored(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame without its raw statistics over time, which the temporal block tells in final form."""
    return {name: value for name, value in frame.items() if name != "temporal"}


def write_results(output: Path, results: dict[str, Any]) -> Path:
    """Write ``<output>/results.json`` in one step.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    make_folder(output)
    path = output / NAME
    write_beside(path, json.dumps(results, indent=1, allow_nan=False))
    return path
