"""The numbers behind the page's curves, small enough to travel inside it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from co2net.evaluation.report.names import method_label, order_metrics
from co2net.evaluation.report.results import Results
from co2net.evaluation.report.tables import headline_metric, result_method

DIGITS = 4  # significant; half a pixel on a large screen


def curve_data(results: Results) -> dict[str, Any]:
    """Everything the page's script draws from, as plain lists.

    Returns:
        ``methods`` and ``metrics`` with their labels; which of them are the ``result``, the ``input`` and the
        ``metric`` to begin with; ``clips`` with ``name``, frame ``numbers`` and ``scores[method][metric][frame]``.
        Values that do not exist or are infinite are ``None``.
    """
    metrics = order_metrics(results.metrics)
    shown = headline_metric(results) or metrics[0]
    places = [results.metrics.index(metric.key) for metric in metrics]
    return {
        "methods": [{"key": method, "label": method_label(method)} for method in results.methods],
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
                "scores": [[_numbers(clip.scores[:, m, k]) for k in places] for m in range(len(results.methods))],
            }
            for clip in results.clips
        ],
    }


def _numbers(column: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in column.tolist()]
