"""Scores of frames, and their summary: plain means over frames, with a count of what could not be scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from co2net.metrics.registry import Comparison, metrics_of

Scores = dict[str, dict[str, float | None]]
"""Of one frame: method to metric to value; None: there is none, or (PSNR of equal pictures) it is infinite."""


@torch.inference_mode()
def score_frames(images: Mapping[str, Tensor], real: Tensor, mask: Tensor, task: str = "harmonization") -> list[Scores]:
    """Score every frame under every method.

    Args:
        images: method to ``(B, C, H, W)`` in [0, 1]; the same tensor under two names is scored once.
        real: the truth, ``(B, C, H, W)``.
        mask: ``(B, 1, H, W)``.
        task: whose metrics (:mod:`co2net.metrics.registry`) to compute.

    Returns:
        One entry per frame; see :data:`Scores`.
    """
    if real.device.type == "mps":  # no float64 there
        real, mask = real.cpu(), mask.cpu()
    measured = metrics_of(task)
    known: dict[int, list[list[float]]] = {}
    for image in images.values():
        if id(image) not in known:
            compared = Comparison(image.to(real.device), real, mask)
            known[id(image)] = torch.stack([metric.measure(compared) for metric in measured], dim=1).tolist()
    return [
        {
            method: {
                metric.key: value if math.isfinite(value) else None
                for metric, value in zip(measured, known[id(image)][i], strict=True)
            }
            for method, image in images.items()
        }
        for i in range(len(real))
    ]


def summarize(
    frames: Iterable[Scores], methods: Sequence[str], task: str = "harmonization"
) -> dict[str, dict[str, dict[str, Any]]]:
    """Means over frames.

    Returns:
        Method to metric to ``{"mean", "frames", "skipped", "infinite"}``: the mean over the `frames` that have a value
        (None without any), how many have none (an empty mask), and how many have an infinite PSNR because they equal
        the truth. The mean does not depend on the order of the frames.
    """
    frames = list(frames)
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for method in methods:
        scores = [frame[method] for frame in frames]
        for metric in metrics_of(task):
            values = [value for score in scores if (value := score[metric.key]) is not None]
            equal = sum(score[metric.key] is None and score.get("mse") == 0 for score in scores)
            infinite = equal if metric.infinite else 0
            summary.setdefault(method, {})[metric.key] = {
                "mean": math.fsum(values) / len(values) if values else None,
                "frames": len(values),
                "skipped": len(scores) - len(values) - infinite,
                "infinite": infinite,
            }
    return summary


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the values that exist; None without any. Does not depend on their order."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
