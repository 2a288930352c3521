"""One pass over a clip: every frame through the backbone once, its volume added up for all whose neighbor it is.

The result is that of :meth:`co2net.models.co2net.CO2Net.forward` with all neighbors, which runs the backbone on each of
them anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

import trilinear
from co2net.color_mapping.clip_window import ClipWindow
from co2net.data.clips import FrameTensors
from co2net.data.frame_lists import FrameEntry
from co2net.errors import InputError
from co2net.evaluation.plan import ClipPlan, ListedFrame
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net, CO2NetResult

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass
class HarmonizedFrames:
    """Some frames of a clip and what the model made of them; tensors are on the model's device.

    Attributes:
        entries: the frames.
        composite: ``(B, 3, H, W)`` in [0, 1].
        mask: ``(B, 1, H, W)`` in [0, 1].
        real: ``(B, 3, H, W)`` in [0, 1]; empty where real frames were not read.
        result: see :class:`~co2net.models.co2net.CO2NetResult`.
        mapping_error: ``(B,)``, see :func:`mapping_error`; None where it was not asked for.
    """

    entries: list[FrameEntry]
    composite: Tensor
    mask: Tensor
    real: Tensor
    result: CO2NetResult
    mapping_error: Tensor | None


@dataclass
class _Held:
    """A frame that is still a neighbor of some frame to come; tensors with a leading axis of 1."""

    composite: Tensor
    mask: Tensor
    harmonized: Tensor  # after the backbone
    real: Tensor | None  # this and the next two only until the frame itself is done
    raw: Tensor | None
    features: Tensor | None


@torch.inference_mode()
def harmonize_clip(
    model: CO2Net,
    plan: ClipPlan,
    frames: Iterator[FrameTensors],
    *,
    batch_size: int = 1,
    precision: Precision = "fp32",
    measure_mapping: bool = False,
) -> Iterator[HarmonizedFrames]:
    """Harmonize the listed frames of a clip, in the order of their numbers.

    Args:
        model: where it is, it computes.
        plan: from :func:`~co2net.evaluation.plan.plan_clip`.
        frames: the frames of ``plan.reading``, in that order; no more are taken.
        batch_size: frames per backbone pass, and per result at most.
        precision: of the networks; the color mapping stays float32. "tf32" is CUDA's faster float32.
        measure_mapping: fill ``mapping_error``.

    Raises:
        InputError: the frames of the clip are not of one size.
    """
    device = next(model.parameters()).device
    waiting = deque(enumerate(plan.listed))
    held: dict[int, _Held] = {}
    window = ClipWindow(model.mapping)
    for start in range(0, len(plan.reading), batch_size):
        entries = plan.reading[start : start + batch_size]
        _add(model, held, window, entries, [next(frames) for _ in entries], device, precision)
        while waiting and waiting[0][1].last <= entries[-1].number:
            ready: list[ListedFrame] = []
            place = -1
            while waiting and len(ready) < batch_size and waiting[0][1].last <= entries[-1].number:
                place, frame = waiting.popleft()
                ready.append(frame)
            yield _ready(model, held, window, ready, precision, measure_mapping)
            _drop(held, window, plan, place)


def mapping_error(model: CO2Net, lut: Tensor, count: Tensor, neighbors: list[tuple[_Held, int]]) -> Tensor:
    """How well a LUT describes what the backbone did to the neighbors, as the paper's LUT-only evaluation measures.

    The neighbors are read through the LUT themselves and compared with the backbone's result: squared error per
    foreground pixel, 8-bit levels, averaged over channels . The same as
    :func:`co2net.evaluation.mapping_error.mapping_statistics`, from what a pass over the clip holds anyway.

    Args:
        model: its rule for unseen colors counts.
        lut: ``(1, 3, D, D, D)``.
        count: ``(1, D, D, D)``.
        neighbors: the frames, and how often each counts.

    Returns:
        A float64 scalar; ``nan`` where all masks are empty.
    """
    error = torch.zeros((), dtype=torch.float32, device=lut.device)
    area = torch.zeros_like(error)
    if error.device.type != "mps":  # which has no float64
        error, area = error.double(), area.double()
    for frame, times in neighbors:
        x, m, y = frame.composite, frame.mask, frame.harmonized
        unseen = trilinear.unseen_map(count, x, rule=model.unseen_rule) * m
        p = (1 - unseen) * trilinear.apply_lut(lut, x, count) + unseen * y
        p = p * m + x * (1 - m)
        difference = (p * 255).clamp(0, 255) - (y * 255).clamp(0, 255)
        error += times * difference.to(error.dtype).square().sum()
        area += times * m.sum(dtype=area.dtype)
    return error / (3 * area)


def _drop(held: dict[int, _Held], window: ClipWindow, plan: ClipPlan, place: int) -> None:
    """Forget what no frame after ``plan.listed[place]`` needs."""
    for number in [number for number in held if plan.last_use[number] <= place]:
        del held[number]
        window.drop(number)
    following = plan.listed[place + 1].entry.number if place + 1 < len(plan.listed) else None
    for number, frame in held.items():
        # A frame that a list names twice stands beside itself, so looking one ahead is enough.
        if number <= plan.listed[place].entry.number and number != following:
            frame.real = frame.raw = frame.features = None


def _add(
    model: CO2Net,
    held: dict[int, _Held],
    window: ClipWindow,
    entries: list[FrameEntry],
    frames: list[FrameTensors],
    device: torch.device,
    precision: Precision,
) -> None:
    """Steps 1 to 5 for some frames: backbone and volumes."""
    first = next(iter(held.values())).composite[0] if held else frames[0].composite
    for entry, frame in zip(entries, frames, strict=True):
        if frame.composite.shape != first.shape:
            (height, width), (wanted_height, wanted_width) = frame.composite.shape[1:], first.shape[1:]
            raise InputError(
                f"{entry.composite} is {width}x{height}, frames before it {wanted_width}x{wanted_height}; "
                "frames of one clip must be of one size, or be resized (`size`)"
            )
    images = torch.stack([frame.composite for frame in frames]).to(device)
    masks = torch.stack([frame.mask for frame in frames]).to(device)
    with _computing_in(precision, device):
        out = model.run_backbone(images, masks)
    harmonized, raw = out.image.float(), out.raw.float()
    features = out.features.float() if model.use_feature else out.features[:, :0]
    volumes = model.frame_volume(images, masks, replace(out, image=harmonized))
    for i, (entry, frame) in enumerate(zip(entries, frames, strict=True)):
        part = slice(i, i + 1)
        window.add(entry.number, volumes[part])
        held[entry.number] = _Held(images[part], masks[part], harmonized[part], frame.real, raw[part], features[part])


def _ready(
    model: CO2Net,
    held: dict[int, _Held],
    window: ClipWindow,
    frames: list[ListedFrame],
    precision: Precision,
    measure_mapping: bool,
) -> HarmonizedFrames:
    """Steps 5 to 11 for some frames whose neighbors are all there."""
    own = [held[frame.entry.number] for frame in frames]
    image, mask = torch.cat([frame.composite for frame in own]), torch.cat([frame.mask for frame in own])
    out = BackboneOutput(
        image=torch.cat([frame.harmonized for frame in own]),
        features=torch.cat([frame.features for frame in own if frame.features is not None]),
        raw=torch.cat([frame.raw for frame in own if frame.raw is not None]),
    )
    summed = [window.volume(frame.entry.number, frame.neighbors) for frame in frames]
    there = [volume for volume in summed if volume is not None]  # all, or none: without neighbors there is no mapping
    mapping = model.color_mapping(torch.cat(there)) if there else None
    with _computing_in(precision, image.device):
        result = model.merge(out, mapping, image, mask)
    errors = None
    if measure_mapping and mapping is not None:
        lut, count = mapping
        errors = torch.stack(
            [
                mapping_error(
                    model, lut[i : i + 1], count[i : i + 1], [(held[n], times) for n, times in frame.neighbors.items()]
                )
                for i, frame in enumerate(frames)
            ]
        )
    real = torch.stack([frame.real for frame in own if frame.real is not None]).to(image.device)
    return HarmonizedFrames([frame.entry for frame in frames], image, mask, real, result, errors)


def _computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    if precision in ("bf16", "fp16"):
        return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
    return nullcontext()
