"""In words: how much a result changes, and how sure the network is of that."""

from __future__ import annotations

from torch import Tensor

from co2net.models.backbones.base import BackboneOutput

CHANGES = ((3.0, "hardly a change"), (8.0, "a small change"), (20.0, "a moderate change"))
"""Largest root mean square over the foreground in 8-bit levels, and its name."""
LARGE = "a large change"
GRADES = ((0.7, "sure"), (1.3, "fairly sure"))
"""Largest expected error as a share of the change, both root mean squares. docs/tonenet.md: what became of each."""
UNSURE = "unsure"


def change_of(small: Tensor, mask: Tensor, out: BackboneOutput) -> float:
    """Root mean square of what a pass of the network wants to change in the foreground, 8-bit levels.

    Args:
        small: what it saw, ``(1, 3, h, w)`` in [0, 1].
        mask: ``(1, 1, h, w)`` in [0, 1].
        out: its result.
    """
    square = ((out.image.clamp(0, 1) - small) ** 2).mean(dim=1, keepdim=True)
    return float((square * mask).sum() / mask.sum().clamp(min=1e-6)) ** 0.5 * 255


def expected_of(out: BackboneOutput) -> float | None:
    """Root mean square of the error that it expects of that, 8-bit levels; None where it expects none."""
    return in_levels(None if out.expected_error is None else float(out.expected_error.mean().clamp(min=0)))


def in_levels(square: float | None) -> float | None:
    """The root of a mean square of the [0, 1] space, in 8-bit levels; None of None."""
    return None if square is None else square**0.5 * 255


def grade(change: float, expected: float) -> str:
    """How sure a network is that expects to be `expected` levels wrong where it changes `change`."""
    return next((word for most, word in GRADES if expected <= most * change), UNSURE)


def describe(change: float, expected: float | None) -> str:
    """Such as "a moderate change (14 of 255 levels), fairly sure"."""
    name = next((name for most, name in CHANGES if change < most), LARGE)
    return f"{name} ({change:.0f} of 255 levels)" + ("" if expected is None else f", {grade(change, expected)}")


def mean_square(values: list[float]) -> float | None:
    """The root of it; None of nothing."""
    return (sum(value**2 for value in values) / len(values)) ** 0.5 if values else None
