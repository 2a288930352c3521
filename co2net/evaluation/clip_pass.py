"""One pass over a clip: every frame through the backbone once, its volume added up for all whose neighbor it is.

The result is that of :meth:`co2net.models.co2net.CO2Net.forward` with all neighbors, which runs the backbone on each of
them anew.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from co2net.color_mapping.clip_window import ClipWindow
from co2net.data.clips import Clip, FrameTensors
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.evaluation.mapping_error import WindowError
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net, CO2NetResult
from co2net.models.precision import Arithmetic, autocast


@dataclass(frozen=True)
class ListedFrame:
    """A frame to evaluate.

    Attributes:
        entry: its files.
        neighbors: how often each frame number counts for its color mapping; empty without neighbors. The frame's own
            number is among them only where the neighbor rule falls back to it.
    """

    entry: Sample
    neighbors: dict[int, int]

    @property
    def last(self) -> int:
        """Number of the last frame that must have been read before this one can be harmonized."""
        return max([self.entry.number, *self.neighbors])


@dataclass(frozen=True)
class ClipPlan:
    """One pass over a clip.

    Attributes:
        name: ``<video>/<object>``.
        listed: the frames to evaluate, by number.
        reading: every frame that goes through the backbone, by number: the listed ones and their neighbors, each once.
        last_use: for each of them, the place in `listed` of the last frame that it counts for.
    """

    name: str
    listed: list[ListedFrame]
    reading: list[Sample]
    last_use: dict[int, int]

    def reads(self, *, real: bool) -> Iterator[tuple[Sample, bool]]:
        """What to read, and whether the real frame is needed with it."""
        listed = {frame.entry.number for frame in self.listed}
        for entry in self.reading:
            yield entry, real and entry.number in listed


def plan_clip(clip: Clip, previous: int, future: int, step: int) -> ClipPlan:
    """Apply HYouTube's neighbor rule to every listed frame of a clip (:mod:`co2net.data.neighbors`).

    Args:
        clip: its listed frames are evaluated; all frames on disk may be neighbors.
        previous: neighbors before each frame.
        future: neighbors after it.
        step: distance of annotated frames.

    Raises:
        InputError: a folder cannot be listed, or a count is negative.
    """
    listed, needed, last_use = [], {}, {}
    for place, entry in enumerate(sorted(clip.entries, key=lambda entry: entry.number)):
        neighbors = clip.neighbors(entry, previous, future, step)
        listed.append(ListedFrame(entry, dict(Counter(neighbor.number for neighbor in neighbors))))
        for frame in (*neighbors, entry):
            needed[frame.number] = frame
            last_use[frame.number] = place
    return ClipPlan(clip.name, listed, [needed[number] for number in sorted(needed)], last_use)


@dataclass
class HarmonizedFrames:
    """Some frames of a clip and what the model made of them; tensors are on the model's device.

    Attributes:
        entries: the frames.
        composite: ``(B, 3, H, W)`` in [0, 1].
        mask: ``(B, 1, H, W)`` in [0, 1].
        real: ``(B, 3, H, W)`` in [0, 1]; empty where real frames were not read.
        result: see :class:`~co2net.models.co2net.CO2NetResult`.
        mapping_error: ``(B,)``, see :mod:`co2net.evaluation.mapping_error`; None where it was not asked for.
    """

    entries: list[Sample]
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
    precision: Arithmetic = "fp32",
    measure_mapping: bool = False,
) -> Iterator[HarmonizedFrames]:
    """Harmonize the listed frames of a clip, in the order of their numbers.

    Args:
        model: where it is, it computes.
        plan: from :func:`plan_clip`.
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
    entries: list[Sample],
    frames: list[FrameTensors],
    device: torch.device,
    precision: Arithmetic,
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
    with autocast(device, precision):
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
    precision: Arithmetic,
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
    with autocast(image.device, precision):
        result = model.merge(out, mapping, image, mask)
    errors = None
    if measure_mapping and mapping is not None:
        errors = torch.stack([_mapping_error(model, mapping, i, held, frame) for i, frame in enumerate(frames)])
    real = torch.stack([frame.real for frame in own if frame.real is not None]).to(image.device)
    return HarmonizedFrames([frame.entry for frame in frames], image, mask, real, result, errors)


def _mapping_error(
    model: CO2Net, mapping: tuple[Tensor, Tensor], i: int, held: dict[int, _Held], frame: ListedFrame
) -> Tensor:
    """The error of the i-th mapping over the neighbors of its frame, a float64 scalar."""
    lut, count = (part[i : i + 1] for part in mapping)
    error = WindowError(model, lut, count)
    for number, times in frame.neighbors.items():
        neighbor = held[number]
        error.add(neighbor.composite, neighbor.mask, neighbor.harmonized, times)
    return error.mean()[0]
