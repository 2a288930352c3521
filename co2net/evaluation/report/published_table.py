"""Published rows beside an evaluation: HYouTube's for clips, iHarmony4's for single pictures."""

from __future__ import annotations

from typing import Any

from co2net.evaluation import published, published_colors, published_images
from co2net.evaluation.methods import method_of
from co2net.evaluation.report import tables
from co2net.evaluation.report.results import Results
from co2net.metrics.registry import number_text, ordered

IMAGE_COLUMNS = ("mse", "fmse", "psnr_iharmony4", "ssim_iharmony4")


def published_content(results: Results) -> dict[str, Any]:
    """What the templates print of published results."""
    if results.task == "images":
        return _of_images(results)
    if results.task == "colorization":
        return _of_colors(results)
    comparable, note = tables.comparability(results)
    return {
        "published_title": "Published results (HYouTube test set)",
        "published_group": "as published (“paper”)",
        "published": tables.published_rows(results),
        "published_metrics": ordered(list(tables.PUBLISHED_COLUMNS)),
        "temporal_columns": tables.temporal_columns(results),
        "sources": published.SOURCES,
        "published_note": f"{published.PSNR_NOTE} Known to report on this data set, values not confirmed: "
        f"{', '.join(published.UNCONFIRMED)}.",
        "comparable": comparable,
        "comparability": note,
    }


def _of_colors(results: Results) -> dict[str, Any]:
    metrics = ordered(list(published_colors.COLUMNS))
    if not set(published_colors.COLUMNS) <= set(results.metrics):
        return {"published": []}
    theirs = [
        tables.Row(row.method, row.data, tables.cells(metrics, [row.values.get(m.key) for m in metrics]), ours=False)
        for row in published_colors.ROWS
    ]
    return {
        "published_title": "Published results (SVCNet, DAVIS validation)",
        "published_group": "as published",
        "published": tables.own_rows(results, metrics) + theirs,
        "published_metrics": metrics,
        "temporal_columns": [],
        "sources": {},
        "published_note": published_colors.NOTE,
        "comparable": False,
        "comparability": f"The published row is a mean over {published_colors.FRAMES} frames of "
        f"{published_colors.CLIPS} DAVIS clips at 256 x 448, 40 points carried through each clip; read it as "
        "orientation beside other frames.",
    }


def segmentation_content(results: Results) -> dict[str, Any]:
    """What the templates print of a segmenter's mIoU; published rows stand below the evaluation's own."""
    block = results.segmentation
    if block is None:
        return {"segmentation": []}
    names = ("miou", "foreground", "background")
    rows = [
        (method_of(method).label, True, [number_text(found.get(name), 4) for name in names])
        for method, found in block.methods.items()
    ]
    rows += [(name, False, [number_text(value, 4), "–", "–"]) for name, value in published_colors.MIOU.items()]
    return {
        "segmentation": rows,
        "segmentation_note": f"mIoU of {block.segmenter}: one confusion matrix over all pixels of {block.frames} "
        f"frames; {published_colors.MIOU_NOTE}.",
    }


def _of_images(results: Results) -> dict[str, Any]:
    metrics = ordered(list(IMAGE_COLUMNS))
    counts = {clip.name: len(clip.frames) for clip in results.clips}
    size = results.settings.get("size")
    rows, note = published_images.rows_for(counts, size if isinstance(size, int) else None)
    theirs = [
        tables.Row(
            row.method,
            f"{row.data}, {row.size} px",
            tables.cells(metrics, (row.mse, row.fmse, row.psnr, row.ssim)),
            ours=False,
            sources=row.source,
        )
        for row in rows
    ]
    return {
        "published_title": "Published results (iHarmony4 test sets)",
        "published_group": "as published",
        "published": tables.own_rows(results, metrics) + theirs,
        "published_metrics": metrics,
        "temporal_columns": [],
        "sources": published_images.SOURCES,
        "published_note": "An independent training of CDTNet reached 37.42 dB at 256 and 37.30 dB at 1024 pixels.",
        "comparable": note.startswith("As many"),
        "comparability": note,
    }
