"""What can be evaluated: which part of a data set's frame a method sees, and what it should have made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from co2net.checks import check_choice
from co2net.data.clips import FrameTensors


@dataclass(frozen=True)
class EvaluationTask:
    """One kind of job. Methods (:mod:`co2net.evaluation.methods`) and metrics name it.

    Attributes:
        name: "harmonization".
        frame: what a method is given, ``(3, H, W)``; its mask is given too, and it is up to the method what of both it
            may look at (a colorization draws its scribbles from the frame's colors, a matting has one mask at most).
        target: the truth, ``(3, H, W)`` or, of a matte, ``(1, H, W)``.
        composites: whether the data set must have composites; others need real frames alone.
        headline: metrics that the report begins with; the first one that was measured.
    """

    name: str
    frame: Callable[[FrameTensors], Tensor]
    target: Callable[[FrameTensors], Tensor]
    headline: tuple[str, ...]
    composites: bool = True


TASKS: dict[str, EvaluationTask] = {
    task.name: task
    for task in (
        EvaluationTask("harmonization", lambda f: f.composite, lambda f: f.real, ("fmse", "fmse_paper", "mse")),
        EvaluationTask("matting", lambda f: f.real, lambda f: f.mask, ("alpha_mad",)),
        EvaluationTask("colorization", lambda f: f.real, lambda f: f.real, ("mse",), composites=False),
        EvaluationTask("images", lambda f: f.composite, lambda f: f.real, ("mse",)),
    )
}


def task_of(name: str) -> EvaluationTask:
    """The task of that name.

    Raises:
        InputError: there is none.
    """
    check_choice("task", name, TASKS)
    return TASKS[name]
