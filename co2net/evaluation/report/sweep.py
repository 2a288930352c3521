"""The sweep over numbers of points as curves: a chart per score, drawn without a script."""

from __future__ import annotations

import re
from dataclasses import dataclass

from co2net.evaluation.report.results import Results
from co2net.metrics.registry import ordered

WIDTH, HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 40
_SHOWN = ("psnr", "ab_psnr", "ssim", "ab_ssim")


@dataclass(frozen=True)
class Chart:
    """One score over the number of points.

    Attributes:
        label: of the score.
        points: places ``(x, y)`` of the curve, with what they stand for.
        gray: height of the row without color; None: it was not measured.
        across: places and labels of the axis of points.
        up: likewise of the score's.
    """

    label: str
    points: list[tuple[float, float, str]]
    gray: float | None
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]

    @property
    def line(self) -> str:
        """The curve, for an SVG polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in self.points)


def sweep_charts(results: Results) -> list[Chart]:
    """Charts of an evaluation with methods ``points_<number>``, two at least; else none."""
    found = {int(hit[1]): method for method in results.methods if (hit := re.fullmatch(r"points_([0-9]{1,4})", method))}
    if len(found) < 2:
        return []
    numbers = sorted(found)
    charts = []
    for metric in ordered(key for key in _SHOWN if key in results.metrics):
        means = {number: results.mean(found[number], metric.key) for number in numbers}
        known = {number: mean for number, mean in means.items() if mean is not None}
        if len(known) < 2:
            continue
        gray = results.mean("gray", metric.key) if "gray" in results.methods else None
        values = [*known.values(), *([] if gray is None else [gray])]
        low, high = min(values), max(values)
        span = (high - low) or 1.0

        def x(number: int) -> float:
            return _LEFT + (WIDTH - _LEFT - _RIGHT) * (number - numbers[0]) / (numbers[-1] - numbers[0])

        def y(value: float, low: float = low, span: float = span) -> float:
            return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / span

        charts.append(
            Chart(
                label=metric.full_label,
                points=[
                    (x(n), y(mean), f"{n} point{'' if n == 1 else 's'}: {metric.text(mean)}")
                    for n, mean in known.items()
                ],
                gray=None if gray is None else y(gray),
                across=[(x(n), str(n)) for n in _spaced(numbers)],
                up=[(y(low + span * k / 4), metric.text(low + span * k / 4)) for k in range(5)],
            )
        )
    return charts


def _spaced(numbers: list[int]) -> list[int]:
    """Numbers to write below the axis, far enough from each other."""
    kept = [numbers[0]]
    for number in numbers[1:]:
        if number - kept[-1] >= (numbers[-1] - numbers[0]) / 14:
            kept.append(number)
    return kept
