"""What every method makes of the frames of a clip: the evaluated model's own pass, and others beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, tee

import torch
from torch import Tensor

from co2net.data.clips import FrameTensors
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.evaluation.clip_pass import ClipPlan, HarmonizedFrames, harmonize_clip
from co2net.evaluation.methods import METHODS
from co2net.evaluation.methods import Run as Method
from co2net.evaluation.settings import EvaluationSettings
from co2net.evaluation.tasks import EvaluationTask
from co2net.models.co2net import CO2Net
from co2net.pipeline.frames import Picture


@dataclass
class Batch:
    """Some frames of a clip and what the methods made of them.

    Attributes:
        entries: the frames.
        frames: their tensors, on the device.
        images: method to result ``(B, C, H, W)``.
        harmonized: what the evaluated model's pass left; None without a model.
    """

    entries: list[Sample]
    frames: list[FrameTensors]
    images: dict[str, Tensor]
    harmonized: HarmonizedFrames | None = None


def other_methods(settings: EvaluationSettings, model: CO2Net | None, device: torch.device) -> dict[str, Method]:
    """What runs beside the pass of the evaluated model, by key."""
    chosen = [(key, METHODS[key].create) for key in settings.scored(model)]
    return {key: create(settings.method_weights, device) for key, create in chosen if create is not None}


def batches(
    model: CO2Net | None,
    plan: ClipPlan,
    frames: Iterator[FrameTensors],
    settings: EvaluationSettings,
    device: torch.device,
) -> Iterator[Batch]:
    """The listed frames in the order of their numbers, with what the evaluated model makes of them."""
    if model is None:
        for frame in plan.listed:
            tensors = FrameTensors(*(tensor.to(device) for tensor in next(frames)))
            yield Batch([frame.entry], [tensors], {"composite": tensors.composite[None]})
        return
    for found in _harmonized(model, plan, frames, settings):
        tensors = [FrameTensors(*frame) for frame in zip(found.composite, found.mask, found.real, strict=True)]
        result = found.result
        images = {
            "composite": found.composite, "backbone": result.backbone, "lut": result.lut, "final": result.image
        }  # fmt: skip
        yield Batch(found.entries, tensors, images, found)


def with_methods(
    own: Iterator[Batch], methods: dict[str, Method], task: EvaluationTask, *, apart: bool = False
) -> Iterator[Batch]:
    """The batches with the results of further methods, which get frames on the CPU and may lag behind.

    Args:
        own: the frames, with what the evaluated model made of them.
        methods: of :func:`other_methods`.
        task: which part of a frame methods are given.
        apart: the frames are pictures of their own; each is a clip of one frame to the methods.
    """
    own, *copies = tee(own, 1 + 2 * len(methods))  # each method takes frames and masks at its own pace
    results = {}
    for i, (key, method) in enumerate(methods.items()):
        given = (task.frame(frame).cpu() for batch in copies[2 * i] for frame in batch.frames)
        masks = (frame.mask.cpu() for batch in copies[2 * i + 1] for frame in batch.frames)
        if apart:
            results[key] = _apart(method, given, masks)
        else:
            results[key] = iter(method(given, masks))
    for batch in own:
        for key, found in results.items():
            pictures = [torch.as_tensor(picture) for picture in islice(found, len(batch.entries))]
            if len(pictures) < len(batch.entries):
                raise InputError(f"the method {key} gives fewer results than there are frames")
            image = torch.stack([p if p.ndim == 3 else p[None] for p in pictures])
            batch.images[key] = image.to(batch.frames[0].mask.device, torch.float32)
        yield batch


def _apart(method: Method, frames: Iterator[Tensor], masks: Iterator[Tensor]) -> Iterator[Picture]:
    for frame, mask in zip(frames, masks, strict=True):
        yield from method([frame], [mask])


def _harmonized(
    model: CO2Net, plan: ClipPlan, frames: Iterator[FrameTensors], settings: EvaluationSettings
) -> Iterator[HarmonizedFrames]:
    device = next(model.parameters()).device
    for batch in harmonize_clip(
        model,
        plan,
        frames,
        batch_size=settings.batch_on(device),
        precision=settings.precision,
        measure_mapping=settings.metrics and not model.refinement,
    ):
        finite = torch.isfinite(batch.result.image).flatten(1).all(dim=1).tolist()
        if not all(finite):
            hint = "the weights diverged" if settings.precision != "fp16" else "try another `precision` than fp16"
            broken = batch.entries[finite.index(False)].composite
            raise InputError(f"the network's result for {broken} holds NaN or infinity; {hint}")
        yield batch
