"""Pairs of frames: the motion between their real frames, and how far results follow it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from co2net.errors import InputError, ShapeError
from co2net.flow import FlowEstimator, create_flow
from co2net.metrics.registry import CLIP_MEASURES, PAIR_MEASURES, Pair, pair_measures_of
from co2net.provenance import file_sha256

_LABELS = {"dis": "DIS", "raft": "RAFT", "flownet2": "FlowNet2", "pwcnet": "PWC-Net"}


def flow_label(name: str) -> str:
    """What people call a flow of :func:`co2net.flow.create_flow`."""
    return _LABELS.get(name, name)


@dataclass(frozen=True)
class FlowChoice:
    """Which optical flow finds the motion.

    Attributes:
        name: one of :func:`co2net.flow.list_flows`.
        weights: its weight file; None for those without.
    """

    name: str = "dis"
    weights: Path | None = None

    def create(self) -> FlowEstimator:
        """The estimator; a network follows the frames to their device.

        Raises:
            InputError: unknown name, or weights that are missing or do not fit.
        """
        return create_flow(self.name, self.weights)

    def conditions(self) -> dict[str, Any]:
        """What decides its fields, for records.

        Raises:
            InputError: the weight file cannot be read.
        """
        return {
            "flow": self.name,
            "flow weights": file_sha256(self.weights) if self.weights else None,
            "measures over time": [*PAIR_MEASURES, *CLIP_MEASURES],
        }


@dataclass(frozen=True)
class TimedFrame:
    """One moment of a clip: what several methods made of it.

    Attributes:
        name: for messages.
        results: ``(M, 3, H, W)`` in [0, 1] space, one per method.
        real: ``(1, 3, H, W)`` in [0, 1].
        mask: ``(1, 1, H, W)`` in [0, 1]; None where it is unknown.
    """

    name: str
    results: Tensor
    real: Tensor
    mask: Tensor | None


@torch.inference_mode()
def score_pair(
    current: TimedFrame, following: TimedFrame, estimate: FlowEstimator, task: str = "harmonization"
) -> list[dict[str, float | None]]:
    """How far the results change along the true motion, one entry per method, by measure.

    The motion is estimated between the real frames, so all methods of a pair share it.

    Args:
        current: frame t, with its mask.
        following: frame t + 1; without a mask there is no ``tl_visible``.
        estimate: of :meth:`FlowChoice.create`.
        task: whose measures.

    Returns:
        ``tl`` and ``tl_weighted`` of unclamped results under frame t's mask, ``tl_visible`` of what both frames show;
        of mattes ``dt_ssd``. None where there is no value (an empty mask).

    Raises:
        InputError: the frames are too small for the flow, or the two are not of one size.
    """
    if current.mask is None:
        raise ValueError("the mask of the first frame is needed")
    if current.results.shape != following.results.shape:
        (height, width), (other_height, other_width) = current.results.shape[2:], following.results.shape[2:]
        raise InputError(
            f"{current.name} is {width}x{height}, {following.name} {other_width}x{other_height}; "
            "frames of a pair must be of one size"
        )
    measures = pair_measures_of(task)
    field = back = current.real.new_zeros((1, 2, *current.real.shape[2:]))
    try:
        if any(measure.flow for measure in measures):
            field = estimate(following.real, current.real)
            back = estimate(current.real, following.real)
    except ShapeError as error:
        raise InputError(f"no motion can be found between {current.name} and {following.name}: {error}") from error
    pair = Pair(
        current.results, following.results, current.real, following.real, current.mask, following.mask, field, back
    )
    rows: list[dict[str, float | None]] = [{} for _ in current.results]
    for measure in measures:
        found = measure.measure(pair)
        values = [math.nan] * len(rows) if found is None else found.tolist()
        for row, value in zip(rows, values, strict=True):
            row[measure.key] = value if math.isfinite(value) else None
    return rows
