"""Learning rates as functions of the step: stateless, so that a resumed run continues exactly."""

from __future__ import annotations

import math


def cosine(progress: float, warmup: float = 0.01) -> float:
    """Factor on the base rate at `progress` in [0, 1]: linear warm-up, then half a cosine down to 0."""
    if progress < warmup:
        return max(progress, 1e-4) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def milestones(progress: float, at: tuple[float, ...] = (105 / 120, 115 / 120)) -> float:
    """The published schedule: a tenth after 105 and again after 115 of 120 epochs."""
    return 0.1 ** sum(progress >= milestone for milestone in at)


SCHEDULES = {"cosine": cosine, "milestones": milestones}
