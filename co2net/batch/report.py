"""The report of a batch: a page to look at, a table for programs."""

from __future__ import annotations

import csv
import io
import os
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from co2net.batch.jobs import Batch, ShotResult
from co2net.files import write_beside

COLUMNS = (
    "name", "state", "frames", "seconds", "tries", "change", "expected_error", "cuts", "concerns", "error", "output",
)  # fmt: skip


def write_report(batch: Batch, title: str) -> list[Path]:
    """Write ``results.csv`` and, with Jinja2, ``report.html`` into the batch's folder.

    Args:
        batch: what was done.
        title: of the page.

    Returns:
        What was written.

    Raises:
        OutputError: the folder cannot be written.
    """
    written = {batch.folder / "results.csv": _table(batch)}
    if find_spec("jinja2"):
        from co2net.evaluation.report.page import environments

        page, _ = environments()
        content = page.get_template("batch.html").render(_content(batch, title))
        written[batch.folder / "report.html"] = content
    for path, text in written.items():
        write_beside(path, text)
    return list(written)


def _table(batch: Batch) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for result in batch.results:
        row = _row(result)
        table.writerow(["; ".join(map(str, v)) if isinstance(v := row[name], list) else v for name in COLUMNS])
    return text.getvalue()


def _row(result: ShotResult) -> dict[str, Any]:
    record = result.record
    numbers = record.get("numbers", {})
    return {
        "name": result.shot.name,
        "where": result.shot.where,
        "state": record["state"],
        "kept": result.kept,
        "frames": record.get("frames", ""),
        "seconds": _rounded(record.get("seconds"), 2),
        "tries": record.get("tries", ""),
        "change": _rounded(numbers.get("change"), 1),
        "expected_error": _rounded(numbers.get("expected_error"), 1),
        "cuts": list(numbers.get("cuts", [])),
        "concerns": result.concerns,
        "notes": list(record.get("notes", [])),
        "error": record.get("error", ""),
        "output": record.get("output", ""),
    }


def _content(batch: Batch, title: str) -> dict[str, Any]:
    rows = []
    for result in batch.results:
        sheet = result.record.get("sheet", "")
        output = result.record.get("output", "")
        rows.append(
            _row(result)
            | {"sheet": quote(sheet), "link": quote(os.path.relpath(output, batch.folder)) if output else ""}
        )
    frames = sum(result.record.get("frames", 0) for result in batch.done)
    return {
        "title": title,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "shots": len(batch.results),
        "done": len(batch.done),
        "kept": sum(result.kept for result in batch.results),
        "frames": frames,
        "seconds": f"{batch.seconds:.0f}",
        "failed": [row for row in rows if row["state"] == "failed"],
        "worth": [row for row in rows if row["concerns"]],
        "rows": rows,
    }


def _rounded(value: Any, digits: int) -> Any:
    return "" if value is None else round(value, digits)
