"""Scores of frames, and their summary: plain means over frames, with a count of what could not be scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from co2net import metrics
from co2net.metrics.ssim import ssim_and_fssim
from co2net.models.co2net import CO2NetResult

METHODS = ("composite", "backbone", "lut", "final")
METRICS = ("mse", "fmse", "fmse_paper", "psnr", "psnr_paper", "fssim", "fssim_paper", "ssim")
PAPER_METRICS = {"mse": "mse", "fmse": "fmse_paper", "psnr": "psnr_paper", "fssim": "fssim_paper"}
"""Which metrics stand in the published tables, under which name."""

Scores = dict[str, dict[str, float | None]]
"""Of one frame: method to metric to value; None: there is none, or (PSNR of equal pictures) it is infinite."""


def method_images(composite: Tensor, result: CO2NetResult, methods: Sequence[str]) -> dict[str, Tensor]:
    """What is scored, ``(B, 3, H, W)`` in [0, 1], by method."""
    every = {"composite": composite, "backbone": result.backbone, "lut": result.lut, "final": result.image}
    return {method: every[method] for method in methods}


@torch.inference_mode()
def score_frames(images: Mapping[str, Tensor], real: Tensor, mask: Tensor) -> list[Scores]:
    """Score every frame under every method.

    Args:
        images: method to ``(B, 3, H, W)`` in [0, 1]; the same tensor under two names is scored once.
        real: the truth, ``(B, 3, H, W)``.
        mask: ``(B, 1, H, W)``.

    Returns:
        One entry per frame; see :data:`Scores`.
    """
    if real.device.type == "mps":  # no float64 there
        real, mask = real.cpu(), mask.cpu()
    known: dict[int, list[list[float]]] = {}
    for image in images.values():
        if id(image) not in known:
            known[id(image)] = _score(image.to(real.device), real, mask)
    return [
        {
            method: {
                metric: value if math.isfinite(value) else None
                for metric, value in zip(METRICS, known[id(image)][i], strict=True)
            }
            for method, image in images.items()
        }
        for i in range(len(real))
    ]


def summarize(frames: Iterable[Scores], methods: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
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
        for metric in METRICS:
            values = [value for score in scores if (value := score[metric]) is not None]
            equal = sum(score[metric] is None and score["mse"] == 0 for score in scores)
            infinite = equal if metric.startswith("psnr") else 0
            summary.setdefault(method, {})[metric] = {
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


def _score(image: Tensor, real: Tensor, mask: Tensor) -> list[list[float]]:
    """Per frame, values in the order of :data:`METRICS`."""
    ssim, fssim = ssim_and_fssim(image, real, mask)
    values = {
        "mse": metrics.mse(image, real),
        "fmse": metrics.fmse(image, real, mask),
        "fmse_paper": metrics.fmse_paper(image, real, mask),
        "psnr": metrics.psnr(image, real),
        "psnr_paper": metrics.psnr_paper(image, real),
        "fssim": fssim,
        "fssim_paper": metrics.fssim_paper(image, real, mask),
        "ssim": ssim,
    }
    return torch.stack([values[metric] for metric in METRICS], dim=1).tolist()
