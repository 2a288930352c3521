"""Consistency over time in stage 1: the temporal term of the baseline of Huang et al. (HYouTube).

A pair is a frame x_t and its predecessor x_p of the same clip, five numbers before it in HYouTube. The same network
harmonizes both, and both learn::

    total = pixel loss(o_t, y_t) + weight * mean((o_t - warp(o_p, field))^2)         o: raw outputs

over the whole frame, without mask or occlusion weight. The field leads from x_t to x_p and gets no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from co2net.checks import check_alike, check_choice
from co2net.data.frame_lists import STEP
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.flow import FlowEstimator, list_flows, warp
from co2net.models.backbones.base import Backbone
from co2net.training.picture_samples import FlowInput, Stage1Batch, Stage1Dataset, to_batch

PAPER_WEIGHT = 0.01


@dataclass(frozen=True)
class TemporalConfig:
    """Settings of the temporal term; part of a run's settings.

    Attributes:
        weight: of the term beside the pixel loss.
        flow: name of the estimator (:func:`co2net.flow.list_flows`).
        flow_sha256: of its weight file; empty for those without.
        flow_input: what the estimator sees. ``real``: the real frames. ``composite``: the composites, as published
            but for their range. ``normalized``: the published defect, composites in the backbone's normalized space
            where 0 to 255 is wanted, so that contrast is some 57 times too small; networks only.
        frame_step: distance of a frame and its predecessor, in frame numbers.
        resize_only: frames are resized as published, without crops and flips.
    """

    weight: float = PAPER_WEIGHT
    flow: str = "dis"
    flow_sha256: str = ""
    flow_input: FlowInput = "real"
    frame_step: int = STEP
    resize_only: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InputError(f"the temporal weight must be above 0, got {self.weight:g}; the paper's is {PAPER_WEIGHT}")
        if self.flow not in list_flows():
            raise InputError(f"there is no flow estimator {self.flow!r}; there are: {', '.join(list_flows())}")
        check_choice("flow_input", self.flow_input, get_args(FlowInput))
        if self.flow_input == "normalized" and self.runs_on_cpu:
            raise InputError(
                "the flow input 'normalized' feeds a flow network as the original did, and dis is none: "
                "choose flownet2, pwcnet or raft with its weights, or the input 'real' or 'composite'"
            )

    @property
    def runs_on_cpu(self) -> bool:
        """Whether the fields are estimated where samples are made (in the workers), not on the training device."""
        return self.flow == "dis"


def temporal_term(output: Tensor, previous_output: Tensor, field: Tensor) -> Tensor:
    """Mean squared change of a network's output along the motion (the HYouTube baseline of Huang et al.).

    Args:
        output: raw output for frame t, ``(B, 3, H, W)`` in the network's normalized space.
        previous_output: that for the frame before, likewise.
        field: ``(B, 2, H, W)`` in pixels, channel 0 = x: displacement from frame t to the frame before,
            ``estimate(frame, previous_frame)`` of :func:`co2net.flow.create_flow`. Gets no gradient.

    Returns:
        Scalar: mean over batch, channels and pixels of ``(output - warp(previous_output, field))^2``. Gradients reach
        both outputs.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_alike(output, previous_output, ("output", "previous_output"))
    return (output - warp(previous_output, field.detach())).square().mean()


@torch.no_grad()
def motion(batch: Stage1Batch, config: TemporalConfig, estimate: FlowEstimator, network: Backbone) -> Tensor:
    """The field of a batch of pairs, from each frame to its predecessor: ``(B, 2, S, S)`` in pixels."""
    previous = batch.previous
    if previous is None:
        raise ValueError("the batch holds no pairs of frames")
    if previous.field is not None:
        return previous.field
    if previous.real is not None:
        return estimate(batch.target, previous.real)
    frames = batch.composite, previous.composite
    if config.flow_input == "normalized":
        # Estimators multiply by 255 what networks want in 0 to 255; these are to see the normalized values themselves.
        frames = network.normalize(frames[0]) / 255, network.normalize(frames[1]) / 255
    return estimate(*frames)


@torch.no_grad()
def validate_pairs(
    network: Backbone,
    examples: Sequence[Sample],
    size: int,
    config: TemporalConfig,
    estimate: FlowEstimator,
    device: torch.device,
) -> float:
    """Mean temporal term over held-out pairs, resized only, the network in eval mode.

    Args:
        network: the backbone, on `device`.
        examples: pictures with a predecessor.
        size: side of the frames in pixels.
        config: settings.
        estimate: the flow estimator.
        device: where to compute.

    Raises:
        InputError: a picture cannot be read.
    """
    network.eval()
    dataset = Stage1Dataset(
        examples,
        size,
        luts=0,
        seed=0,
        augment=False,
        varied=False,
        resize_only=config.resize_only,
        flow_input=config.flow_input,
        estimate=in_samples(config, estimate),
    )
    luts = torch.zeros(0, 3, 33, 33, 33, device=device)
    total = 0.0
    for first in range(0, len(examples), 16):
        samples = [dataset[i] for i in range(first, min(first + 16, len(examples)))]
        batch = to_batch(samples, luts)
        field, previous = motion(batch, config, estimate, network), batch.previous
        if previous is not None:
            outputs = network(batch.composite, batch.mask).raw, network(previous.composite, previous.mask).raw
            total += len(samples) * float(temporal_term(*outputs, field))
    return total / len(examples)


def in_samples(config: TemporalConfig | None, estimate: FlowEstimator | None) -> FlowEstimator | None:
    """The estimator that :class:`Stage1Dataset` calls by itself, for those that run on the CPU anyway."""
    return estimate if config is not None and config.runs_on_cpu else None
