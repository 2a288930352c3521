"""Learning rates as functions of the step: stateless, so that a resumed run continues exactly."""

from __future__ import annotations

import math

PAPER_EPOCHS, PAPER_MILESTONES = 120, (105, 115)  # of CO2Net's published training; the rate falls to a tenth at each
WARMUP = 0.01  # share of a run over which the rate rises to its base


def cosine(progress: float) -> float:
    """Factor on the base rate at `progress` in [0, 1]: linear warm-up, then half a cosine down to 0."""
    if progress < WARMUP:
        return constant(progress)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


def milestones(progress: float, at: tuple[float, ...] = (105 / 120, 115 / 120)) -> float:
    """The published schedule: a tenth after 105 and again after 115 of 120 epochs."""
    return 0.1 ** sum(progress >= milestone for milestone in at)


def constant(progress: float) -> float:
    """The base rate after a linear warm-up: for runs whose weights are averaged."""
    return min(1.0, max(progress, 1e-4) / WARMUP)


SCHEDULES = {"cosine": cosine, "constant": constant, "milestones": milestones}


def stage2_factor(schedule: str, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Factor on stage 2's base rate.

    Args:
        schedule: "epochs": a tenth from epoch 105 and again from epoch 115 on, as the paper means it. "steps": the
            same milestones counted in optimizer steps, as the original's code does. "cosine": see :func:`cosine`, over
            the whole run.
        step: optimizer steps done.
        steps_per_epoch: steps in an epoch.
        epochs: epochs of the run.

    Raises:
        ValueError: for another schedule.
    """
    if schedule == "cosine":
        return cosine(step / (steps_per_epoch * epochs))
    if schedule not in ("epochs", "steps"):
        raise ValueError(f"schedule {schedule!r} is none of epochs, steps, cosine")
    count = step // steps_per_epoch if schedule == "epochs" else step
    return 0.1 ** sum(count >= milestone for milestone in PAPER_MILESTONES)
