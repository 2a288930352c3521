"""Writing the report: results and templates become ``report.html`` and ``report.md``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.errors import InputError
from co2net.evaluation.methods import method_of
from co2net.evaluation.report import tables
from co2net.evaluation.report.figures import curve_data, make_gallery
from co2net.evaluation.report.over_time import over_time_data, over_time_notes, over_time_rows
from co2net.evaluation.report.published_table import published_content, segmentation_content
from co2net.evaluation.report.results import Results, read_results
from co2net.evaluation.report.sweep import sweep_charts
from co2net.evaluation.report.text import count_text
from co2net.files import write_beside
from co2net.metrics.registry import ordered

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKDOWN = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {character: f"\\{character}" for character in "\\`*_[]|#~"}
)
MARKDOWN_CLIPS = 10  # the page lists all clips, the Markdown file the worst


def write_report(folder: Path) -> list[Path]:
    """Write the report of an evaluation beside its results.

    Args:
        folder: holds ``results.json`` and, if pictures were stored, ``pictures/<result name>/*.png``.

    Returns:
        What was written: ``report.html``, one page that needs nothing else and no network, and ``report.md``, its
        tables.

    Raises:
        InputError: results or pictures are missing or not usable, or Jinja2 is not installed.
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    page, markdown = environments()
    results = read_results(folder)
    content = _content(results)
    written = {
        folder / "report.html": page.get_template("report.html").render(
            content,
            gallery=make_gallery(results),
            data=curve_data(results) | {"over_time": over_time_data(results.over_time, results.methods)},
        ),
        folder / "report.md": markdown.get_template("report.md").render(content),
    }
    for path, text in written.items():
        write_beside(path, text)
    return list(written)


def environments() -> tuple[Environment, Environment]:
    """Templates of the page and of the Markdown file; both escape whatever they print."""
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise InputError("the report needs Jinja2, which is not installed; pip install 'co2net[report]'") from error

    def escape_markdown(value: Any) -> Any:
        if isinstance(value, Markup):  # marked as safe: addresses of our own
            return value
        return " ".join(str(value).split()).translate(_MARKDOWN)

    loader = jinja2.PackageLoader("co2net.evaluation.report")
    page = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    markdown = jinja2.Environment(
        loader=loader,
        autoescape=False,  # noqa: S701 - not HTML: `finalize` escapes every expression for Markdown
        finalize=escape_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return page, markdown


def _content(results: Results) -> dict[str, Any]:
    metrics = ordered(results.metrics)
    clips = tables.clip_rows(results)
    return {
        "results": results,
        "created": _date(results.created),
        "frames": count_text(results.frames),
        "headline": tables.headline(results),
        "wins": tables.wins(results),
        "bars": tables.bars(results),
        "error": tables.headline_metric(results),
        "metrics": metrics,
        "groups": tables.metric_groups(metrics),
        "methods": [method_of(method).label for method in results.methods],
        "rows": tables.method_rows(results, metrics),
        **published_content(results),
        "over_time": [(block, over_time_rows(block), over_time_notes(block)) for block in results.over_time],
        "sweep": sweep_charts(results),
        **segmentation_content(results),
        "skipped": tables.skipped_notes(results),
        "extra": tables.extra_rows(results),
        "clips": clips,
        "worst_clips": clips[:MARKDOWN_CLIPS],
        "settings": tables.setting_rows(results),
        "environment": tables.environment_rows(results),
    }


def _date(created: str) -> str:
    """A time stamp as people write it; as it is where it is none."""
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return created
