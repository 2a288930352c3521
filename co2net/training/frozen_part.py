"""What the refinement is trained on: the frozen part of the model, run once per frame.

Backbone and color mapping are not trained here, so their results for a frame are the same in every epoch. Small data
sets are prepared once and kept in memory, large ones step by step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from co2net.color_mapping.clip_window import ClipWindow
from co2net.data.clips import read_frame
from co2net.data.samples import Sample
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net
from co2net.models.precision import training_autocast
from co2net.training.clip_samples import Frames, Stage2Batch, View
from co2net.training.log import Ticker

_ITSELF = -1  # number of the frame whose window it is
_GPU_FRAMES = 32  # neighbor frames per backbone pass; bounds the memory


@dataclass
class Prepared:
    """Inputs of the refinement for B frames, ``(B, channels, H, W)`` float32.

    Attributes:
        image: composites in [0, 1].
        mask: in [0, 1].
        target: real frames in [0, 1].
        raw: the backbone's own output, its normalized space.
        features: the backbone's features; None where the refinement does not read them.
        backbone: the backbone's frame, [0, 1] space.
        lut: the color mapping's frame, [0, 1] space.
        unseen: the mask where the color mapping says nothing.
    """

    image: Tensor
    mask: Tensor
    target: Tensor
    raw: Tensor
    features: Tensor | None
    backbone: Tensor
    lut: Tensor
    unseen: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Prepared:
        """Every tensor changed alike."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Prepared(**{name: None if value is None else change(value) for name, value in values.items()})  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Prepared:
        """A copy on `device`."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def seen_through(self, view: View, crop: int) -> Prepared:
        """A window of `crop` pixels square (0: all), mirrored if the view says so."""

        def cut(tensor: Tensor) -> Tensor:
            if crop:
                tensor = tensor[..., view.top : view.top + crop, view.left : view.left + crop]
            return tensor.flip(-1) if view.flip else tensor

        return self.map(cut)


def join_prepared(parts: Sequence[Prepared]) -> Prepared:
    """Several as one batch."""
    if len(parts) == 1:
        return parts[0]

    def cat(name: str) -> Tensor | None:
        tensors = [getattr(part, name) for part in parts]
        return None if tensors[0] is None else torch.cat(tensors)

    return Prepared(**{field.name: cat(field.name) for field in dataclasses.fields(Prepared)})  # type: ignore[arg-type]


@torch.no_grad()
def run_backbone(model: CO2Net, image: Tensor, mask: Tensor, precision: str = "fp32") -> BackboneOutput:
    """One backbone pass under autocast; the result is float32."""
    with training_autocast(image.device, precision):
        raw, features = model.backbone.run(model.backbone.normalize(image), mask)
    raw, features = raw.float(), features.float()
    return BackboneOutput(model.backbone.blend(raw, mask, image), features, raw)


@torch.no_grad()
def prepare(model: CO2Net, batch: Stage2Batch, precision: str = "fp32") -> Prepared:
    """The model without its refinement, for frames and neighbors on the model's device.

    Stored results stand for the color mapping's where there are any; without neighbors the backbone's frame does.

    Raises:
        ShapeError: if shapes do not fit.
    """
    out = run_backbone(model, batch.image, batch.mask, precision)
    volume = None if batch.stored_lut is not None else _window_volume(model, batch, out, precision)
    return _after_backbone(model, batch, out, volume)


@torch.no_grad()
def prepare_all(
    model: CO2Net, frames: Frames, precision: str, device: torch.device, *, quiet: bool = True
) -> dict[Sample, Prepared]:
    """Every frame of a list, batches of one in CPU memory.

    Goes clip by clip and runs the backbone once per frame, however many frames it is a neighbor of.

    Raises:
        InputError: a file cannot be used; names it.
    """
    prepared: dict[Sample, Prepared] = {}
    with Ticker("preparing", len(frames), "frame", quiet=quiet) as ticker:
        for clip in frames.clips():
            batches = {frames.entries[i]: frames.read(i, with_neighbors=False).to(device) for i in clip}
            outs = {entry: run_backbone(model, b.image, b.mask, precision) for entry, b in batches.items()}
            window = ClipWindow(model.mapping)
            for entry, batch in batches.items():
                counts = frames.neighbors(entry)
                needed = [*counts, entry] if model.mapping.counts_the_frame else [*counts]
                for frame in needed:
                    if frame.number in window:
                        continue
                    if frame in outs:
                        part = batches[frame]
                        window.add(frame.number, model.frame_volume(part.image, part.mask, outs[frame]))
                    else:
                        image, mask, _ = read_frame(frame, frames.config.size, real=False)
                        image, mask = image[None].to(device), mask[None].to(device)
                        window.add(frame.number, _volume(model, image, mask, precision))
                volume = window.volume(entry.number, {frame.number: count for frame, count in counts.items()})
                result = _after_backbone(model, batch, outs[entry], volume)
                prepared[entry] = result.to(torch.device("cpu"))
                ticker.update(len(prepared))
    return prepared


def prepared_bytes(model: CO2Net, frames: int, size: int) -> int:
    """Memory that :func:`prepare_all` needs for so many frames."""
    channels = 17 + (model.backbone.feature_channels if model.use_feature else 0)
    return frames * channels * size * size * 4


def _volume(model: CO2Net, images: Tensor, masks: Tensor, precision: str) -> Tensor:
    return model.frame_volume(images, masks, run_backbone(model, images, masks, precision))


def _window_volume(model: CO2Net, batch: Stage2Batch, out: BackboneOutput, precision: str) -> Tensor | None:
    """The summed volume of each item's window, ``(B, 4, D, D, D)``; None without neighbors."""
    images, masks, counts, owner = batch.neighbor_images, batch.neighbor_masks, batch.neighbor_counts, batch.owner
    windows = [ClipWindow(model.mapping) for _ in batch.image]
    neighbors: list[dict[int, int]] = [{} for _ in windows]
    if model.mapping.counts_the_frame:
        for window, volume in zip(windows, model.frame_volume(batch.image, batch.mask, out).split(1), strict=True):
            window.add(_ITSELF, volume)
    if images is not None and masks is not None and counts is not None and owner is not None:
        # On a CPU a larger batch leaves the caches; there a frame's result must not depend on its companions either,
        # for runs that were interrupted to end in the same bits.
        step = 1 if images.device.type == "cpu" else _GPU_FRAMES
        items, times = owner.tolist(), counts.tolist()
        for first in range(0, len(images), step):
            part = slice(first, first + step)
            for number, volume in enumerate(_volume(model, images[part], masks[part], precision).split(1), first):
                windows[items[number]].add(number, volume)
                neighbors[items[number]][number] = round(times[number])
    sums = [window.volume(_ITSELF, counted) for window, counted in zip(windows, neighbors, strict=True)]
    there = [volume for volume in sums if volume is not None]  # all, or none
    return torch.cat(there) if there else None


def _after_backbone(model: CO2Net, batch: Stage2Batch, out: BackboneOutput, volume: Tensor | None) -> Prepared:
    """Steps 4 to 9, or stored results; without a volume the backbone's frame stands in."""
    if batch.stored_lut is not None and batch.stored_map is not None:
        lut = batch.stored_lut * (1 - batch.stored_map) + batch.stored_map * out.image
        return _prepared(model, batch, out, lut, batch.stored_map[:, :1])
    if volume is None:
        return _prepared(model, batch, out, out.image, batch.mask)
    lut, unseen = model.apply_mapping(*model.color_mapping(volume), batch.image, batch.mask, out.image)
    return _prepared(model, batch, out, lut, unseen)


def _prepared(model: CO2Net, batch: Stage2Batch, out: BackboneOutput, lut: Tensor, unseen: Tensor) -> Prepared:
    features = out.features if model.use_feature else None
    return Prepared(batch.image, batch.mask, batch.target, out.raw, features, out.image, lut, unseen)
