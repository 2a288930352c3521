"""Whether a network knows how wrong it is: the errors it expects beside those it makes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from co2net.files import write_beside
from co2net.pipeline.confidence import GRADES, UNSURE, grade, mean_square

BINS = 5  # of equal counts, along the expected error
SIDE, MARGIN = 480, 56  # of the plot, pixels
LEVELS = (1, 3, 10, 30, 100)  # ticks of its axes


@dataclass(frozen=True)
class Guess:
    """One composite; root mean squares over the foreground in 8-bit levels.

    Attributes:
        change: what the network changes.
        expected: the error that it expects.
        error: the error that its result has.
        before: the error of the composite.
    """

    change: float
    expected: float
    error: float
    before: float


def calibration_table(guesses: Sequence[Guess]) -> str:
    """Two Markdown tables: errors expected and made, in bins; what became of composites by the word for their grade."""
    lines = ["| composites | error expected | error made |", "|---|---|---|"]
    lines += [f"| {count} | {expected:.1f} | {made:.1f} |" for count, expected, made in _bins(guesses)]
    lines += ["", f"rank correlation of the two: {rank_correlation(guesses):.2f}", ""]
    lines += ["| the network is | composites | error left | better |", "|---|---|---|---|"]
    for word in (*(word for _, word in GRADES), UNSURE):
        own = [g for g in guesses if grade(g.change, g.expected) == word]
        if own:
            left = sum(g.error**2 for g in own) / max(sum(g.before**2 for g in own), 1e-9)
            better = sum(g.error < g.before for g in own) / len(own)
            lines.append(f"| {word} | {len(own)} | {left:.2f} | {100 * better:.0f} % |")
    return "\n".join(lines)


def rank_correlation(guesses: Sequence[Guess]) -> float:
    """Spearman's, of expected and made errors."""
    expected, made = (np.argsort(np.argsort([getattr(g, name) for g in guesses])) for name in ("expected", "error"))
    return float(np.corrcoef(expected, made)[0, 1]) if len(guesses) > 1 else float("nan")


def plot_calibration(guesses: Sequence[Guess], output: Path) -> None:
    """Write a picture (PNG): a dot per composite, expected error to the right, error made upwards, both logarithmic.

    Raises:
        OutputError: it cannot be written.
    """
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)

    def place(expected: float, made: float) -> tuple[float, float]:
        low, high = math.log(LEVELS[0]), math.log(LEVELS[-1])
        right, up = ((min(max(math.log(max(v, 1e-3)), low), high) - low) / (high - low) for v in (expected, made))
        return MARGIN + right * (SIDE - 2 * MARGIN), SIDE - MARGIN - up * (SIDE - 2 * MARGIN)

    for level in LEVELS:
        draw.line([place(level, LEVELS[0]), place(level, LEVELS[-1])], fill="#e4e4e4")
        draw.line([place(LEVELS[0], level), place(LEVELS[-1], level)], fill="#e4e4e4")
        right, bottom = place(level, LEVELS[0])
        left, up = place(LEVELS[0], level)
        draw.text((right, bottom + 6), str(level), fill="#555555", anchor="ma")
        draw.text((left - 6, up), str(level), fill="#555555", anchor="rm")
    draw.line([place(LEVELS[0], LEVELS[0]), place(LEVELS[-1], LEVELS[-1])], fill="#999999")
    for guess in guesses:
        x, y = place(guess.expected, guess.error)
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill="#9db8d9")
    for _, expected, made in _bins(guesses):
        x, y = place(expected, made)
        draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill="#1f4e8c")
    draw.text(
        (SIDE / 2, SIDE - 10), "error expected, levels (large dots: a fifth of the composites)", "#222222", anchor="md"
    )
    draw.text((10, MARGIN / 2), "error made, levels", fill="#222222", anchor="lm")
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    write_beside(output, buffer.getvalue())


def _bins(guesses: Sequence[Guess]) -> list[tuple[int, float, float]]:
    """Count, root mean square of the expected errors and of those made, along the expected error."""
    order = sorted(guesses, key=lambda g: g.expected)
    ends = [round(i * len(order) / BINS) for i in range(BINS + 1)]
    parts = [order[first:end] for first, end in pairwise(ends) if end > first]
    return [(len(p), mean_square([g.expected for g in p]) or 0, mean_square([g.error for g in p]) or 0) for p in parts]
