"""Frames in, frames out: the sliding window over a clip, with memory that does not grow.

Each frame goes through the backbone once. What it tells about the color mapping (its volume) is kept while it is a
neighbor of some frame; a frame leaves as soon as its last following neighbor has come in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import cv2
import torch
from torch import Tensor

import tridistribute
import trilinear
from co2net.color_mapping.completion import complete, identity_lut
from co2net.color_mapping.mappings import mean_prediction, refine_grid
from co2net.color_mapping.window import neighbor_weights, window_volume
from co2net.devices import upload
from co2net.errors import InputError, ShapeError
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net, CO2NetResult
from co2net.models.precision import Precision, backbone_pass, one_thread_for
from co2net.pipeline.apply_mapping import paint
from co2net.pipeline.cuts import CutDetector
from co2net.pipeline.frames import Picture, check_mask_range, frame_shape, frame_to_tensor, mask_to_tensor, put_back
from co2net.pipeline.key_frames import KeyFrameChooser, KeyFrames, check_key_frames, spread
from co2net.pipeline.resolution import enlarge, further_inputs, mean_foreground, shrink_foreground, working_shape
from co2net.video.mask_files import MaskArrays

_MISSING: Any = object()
LUT_POINTS = 33  # per axis of a clip's LUT


def harmonize_frames(
    frames: Iterable[Picture],
    masks: Iterable[Picture],
    model: CO2Net | None = None,
    previous: int = 8,
    future: int = 8,
    *,
    strength: float = 1.0,
    device: str | torch.device | None = None,
    cuts: bool | None = None,
    key_frames: KeyFrames = None,
    precision: Precision = "full",
) -> Iterator[Picture]:
    """Harmonize the foreground of a clip, frame by frame.

    Args:
        frames: composites in order, each ``(3, H, W)`` float in [0, 1] or ``(H, W, 3)`` uint8 (or uint16), as numpy
            arrays or tensors.
        masks: one per frame, ``(1, H, W)`` float in [0, 1] or ``(H, W)`` uint8; soft values stay soft.
        model: from :func:`co2net.create_model`; None takes the weights that ship.
        previous: neighbor frames before the current one that shape its color mapping.
        future: neighbor frames after it; also how many frames the result lags behind.
        strength: 0 changes nothing, 1 harmonizes fully.
        device: where to compute; None leaves the model where it is.
        cuts: whether to look for scene cuts, over which no frame is a neighbor. None: unless the model's mapping is
            "paper", which knows none.
        key_frames: run the backbone on every k-th frame only, and where a shot begins; "auto": more often where the
            colors of foreground or background change. All frames are read through the color mapping, gathered from the
            key frames of the window; nothing is refined. None: every frame.
        precision: "auto" lets the backbone's convolutions be computed in bfloat16 where the processor is faster at it.

    Returns:
        An iterator over as many frames as came in, in order, of the kind that came in. Pixels whose mask is 0 are
        untouched, the others clamped to [0, 1]. A frame in which nothing changes may come back as the same object.

    Raises:
        InputError: a setting is out of range, or key frames are asked of the mapping "paper", whose holes only the
            frame's own pass can fill; while iterating: frames and masks are not equally many.
        ShapeError: while iterating: a frame or mask has the wrong shape or type, or the size changes within the clip.
    """
    stream = FrameStream(
        model,
        previous,
        future,
        strength=strength,
        device=device,
        cuts=cuts,
        key_frames=key_frames,
        precision=precision,
    )
    return _stream_through(stream, frames, masks)


def _stream_through(stream: FrameStream, frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
    for frame, mask in zip_longest(frames, masks, fillvalue=_MISSING):
        if frame is _MISSING or mask is _MISSING:
            shorter = "frames" if frame is _MISSING else "masks"
            raise InputError(
                f"there are fewer {shorter} than {'masks' if shorter == 'frames' else 'frames'}; "
                "every frame needs its mask"
            )
        check_mask_range(mask)
        for _, result in stream.push(frame, mask):
            yield result
    for _, result in stream.finish():
        yield result


@dataclass
class _Entry:
    """A frame in the window."""

    frame: Picture
    mask: Tensor  # (1, 1, H, W), full size, on its own device
    tag: Any
    small: Tensor | None = None  # working size; None where the mask is empty
    small_mask: Tensor | None = None
    out: BackboneOutput | None = None  # None between key frames, too


class FrameStream:
    """The same job, pushed instead of pulled: for callers that hold the loop, such as the video pipeline.

    Arguments as in :func:`harmonize_frames`.

    Attributes:
        harmonized: number of frames so far that had a foreground.
        passes: number of backbone passes so far.
        skips_refinement: whether the model has a refinement that key frames leave out.
        covers_everything: whether the mask was full in every frame so far, so that there is no background.
        collect_lut: set to True before the first frame to gather the whole clip's color mapping.
        cuts: numbers of the frames so far that begin a new shot (of a long clip, the latest).
    """

    def __init__(
        self,
        model: CO2Net | None = None,
        previous: int = 8,
        future: int = 8,
        *,
        strength: float = 1.0,
        device: str | torch.device | None = None,
        cuts: bool | None = None,
        key_frames: KeyFrames = None,
        precision: Precision = "full",
    ) -> None:
        if previous < 0 or future < 0:
            raise InputError(f"previous and future count frames and cannot be negative (got {previous} and {future})")
        if not 0 <= strength <= 1:
            raise InputError(f"strength must be between 0 and 1 (got {strength})")
        if model is None:
            from co2net.models.registry import load_model

            model = load_model("default")
        self.model = model.eval() if device is None else model.eval().to(device)
        self.device = next(chain(model.parameters(), model.buffers())).device
        self._key_frames = check_key_frames(key_frames)
        self._chooser = KeyFrameChooser(self._key_frames)
        self.skips_refinement = self._key_frames is not None and model.refinement
        if self._key_frames is not None:
            self.model = _mapping_alone(model)
        self._backbone_pass = backbone_pass(model.backbone, self.device, precision)
        self.previous, self.future, self.strength = previous, future, strength
        self.harmonized = self.passes = 0
        self.collect_lut = False
        self.covers_everything = True
        look_for_cuts = self.model.mapping != "paper" if cuts is None else cuts
        self._detector = CutDetector() if look_for_cuts else None
        self.cuts: list[int] = []
        self._clip_volume: Tensor | None = None
        self._entries: dict[int, _Entry] = {}
        self._volumes: dict[int, Tensor] = {}
        self._between: set[int] = set()  # frames with a foreground that are no key frames
        self._count = 0  # frames pushed
        self._emitted = 0
        self._shape: tuple[int, int] | None = None
        self._read_mask = MaskArrays()

    def push(self, frame: Picture, mask: Picture, tag: Any = None) -> Iterator[tuple[Any, Picture]]:
        """Take in one frame; yields ``(tag, result)`` of every frame that is complete now."""
        self._take_in(frame, mask, tag)
        while self._emitted + self.future < self._count:
            yield self._emit(last=self._count - 1)

    def finish(self) -> Iterator[tuple[Any, Picture]]:
        """No more frames: yields the rest."""
        while self._emitted < self._count:
            yield self._emit(last=self._count - 1)

    def clip_lut(self) -> Tensor:
        """The clip's color mapping as one complete LUT ``(1, 3, D, D, D)``; needs :attr:`collect_lut`.

        Raises:
            InputError: if no frame had a foreground.
        """
        if self._clip_volume is None:
            raise InputError("the mask is empty in every frame, so there is no color mapping to write")
        if self.model.mapping == "predicted":
            return refine_grid(mean_prediction(self._clip_volume), LUT_POINTS)
        return complete(self._clip_volume)

    def _take_in(self, frame: Picture, mask: Picture, tag: Any) -> None:
        with torch.inference_mode(), one_thread_for(self.model.backbone, self.device):
            self._add(frame, mask, tag)

    def _add(self, frame: Picture, mask: Picture, tag: Any) -> None:
        shape = frame_shape(frame)
        if self._shape not in (None, shape):
            raise ShapeError(
                f"frame {self._count} is {shape}, the frames before it {self._shape}; one clip has one size"
            )
        self._shape = shape
        number = self._count
        entry = _Entry(frame, mask_to_tensor(mask, shape, self._read_mask), tag)
        shrink = mean_foreground if self.model.backbone.averages_areas else shrink_foreground
        small, small_mask = shrink(frame, entry.mask, working_shape(*shape, self.model.backbone.frame_size))
        if self._detector is not None and self._detector.is_cut(small):
            self.cuts.append(number)
        self.covers_everything = self.covers_everything and bool(small_mask.amin() > 0.5)
        if bool((small_mask > 0).any()):
            self.harmonized += 1
            # A frame that tells nothing about the mapping must see the backbone, and must not stand for others.
            tells = self.model.mapping == "predicted" or bool((small_mask > 0.5).any())
            shot = self.cuts[-1] if self.cuts else 0
            is_key = not tells or self._chooser.is_key(number, small, small_mask, shot)
            entry.small, entry.small_mask = upload(small, self.device), upload(small_mask, self.device)
            if is_key:
                self._look_at(entry, number, keep=tells or self._key_frames is None)
            else:
                self._between.add(number)
        self._entries[self._count] = entry
        self._count += 1

    def _look_at(self, entry: _Entry, number: int, keep: bool) -> None:
        """Run the backbone; `keep` what the frame tells about the mapping."""
        assert entry.small is not None and entry.small_mask is not None  # noqa: S101
        planes = further_inputs(self.model.backbone, entry.frame, entry.small)
        entry.out = self._backbone_pass(entry.small, entry.small_mask, **planes)
        self.passes += 1
        if keep:
            self._volumes[number] = self.model.frame_volume(entry.small, entry.small_mask, entry.out)

    @torch.inference_mode()
    def _emit(self, last: int) -> tuple[Any, Picture]:
        number = self._emitted
        entry = self._entries.pop(number)
        result = entry.frame
        if entry.small is not None and (self.strength > 0 or self.collect_lut):
            result = self._harmonize(entry, self._gather(number, last))
        self._emitted += 1
        oldest = self._emitted - self.previous
        # The last key frame before the window stands for the frames that follow it.
        keep = max((key for key in self._volumes if key <= oldest), default=0)
        for key in [key for key in self._volumes if key < keep]:
            del self._volumes[key]
        self._between = {between for between in self._between if between >= oldest}
        return entry.tag, result

    def _gather(self, number: int, last: int) -> Tensor | None:
        """The window's volume for a frame; None without neighbors."""
        first, last = self._shot(number, last)
        weights = self.model.window(neighbor_weights(number, last, self.previous, self.future, first), number)
        there: Mapping[int, float]
        if self._key_frames is None:
            there = {neighbor: weight for neighbor, weight in weights.items() if neighbor in self._volumes}
        else:
            keys = [key for key in sorted(self._volumes) if first <= key <= last]
            there = spread(weights, keys, self._between) or spread({number: 1}, keys, self._between)
        if there:
            return window_volume(self._volumes, there)
        # Neighbors with nothing in their masks are neighbors all the same: their volumes are empty, not absent.
        return torch.zeros_like(next(iter(self._volumes.values()))) if weights and self._volumes else None

    def _shot(self, number: int, last: int) -> tuple[int, int]:
        """First and last frame of the shot that frame `number` is in, as far as is known."""
        first = max((cut for cut in self.cuts if cut <= number), default=0)
        self.cuts = [cut for cut in self.cuts if cut >= first]
        return first, min((cut - 1 for cut in self.cuts if cut > number), default=last)

    def _harmonize(self, entry: _Entry, volume: Tensor | None) -> Picture:
        small, mask = entry.small, entry.small_mask
        assert small is not None and mask is not None and self._shape is not None  # noqa: S101
        mapping = None if volume is None else self.model.color_mapping(volume)
        lut = self._complete_lut(mapping)
        merged: CO2NetResult | None = None
        if entry.out is not None and (lut is None or self.collect_lut):
            merged = self.model.merge(entry.out, mapping, small, mask)
            if self.collect_lut:
                seen = self._seen(small, mask, merged.image, mapping)
                self._clip_volume = seen if self._clip_volume is None else self._clip_volume + seen
        window = _bounding_window(entry.mask)
        if window is None:
            return entry.frame
        if lut is not None:
            return paint(entry.frame, lut, entry.mask, self.strength, window)
        assert merged is not None  # noqa: S101  (a frame between key frames has a key frame, and so a complete LUT)
        image = frame_to_tensor(_cut(entry.frame, window), self.device)
        full_mask = upload(entry.mask[..., window[0], window[1]], self.device)
        if tuple(small.shape[-2:]) == self._shape:
            final = merged.image[..., window[0], window[1]]
            final = image + self.strength * (final - image) if self.strength < 1 else final
        else:
            final = self._at_full_size(entry, mapping, merged.refined, image, window)
            final = image + self.strength * full_mask * (final - image)
        return put_back(entry.frame, window, final, full_mask)

    def _complete_lut(self, mapping: tuple[Tensor, Tensor] | None) -> Tensor | None:
        """The LUT if it alone makes the result: complete, and nothing refines."""
        model = self.model
        if mapping is None or model.refinement or model.paper_lut_only or model.mapping == "paper":
            return None
        lut, count = mapping
        return lut if bool(count[0, 0, 0, 0] > 0) else None  # such counts are all alike

    def _seen(self, small: Tensor, mask: Tensor, final: Tensor, mapping: tuple[Tensor, Tensor] | None) -> Tensor:
        """What a frame adds to the clip's LUT: a volume of corrections."""
        if self.model.mapping == "predicted" and mapping is not None:
            correction = (mapping[0] - identity_lut(mapping[0].shape[-1], small)) * self.strength
            return torch.cat([correction, torch.ones_like(correction[:, :1])], dim=1)
        change = (final - small) * (self.strength / mask.clamp(min=0.5))
        return tridistribute.accumulate(small, change, mask)

    def _at_full_size(
        self,
        entry: _Entry,
        mapping: tuple[Tensor, Tensor] | None,
        refined: Tensor | None,
        image: Tensor,
        window: tuple[slice, slice],
    ) -> Tensor:
        """Harmonized colors of the window at the video's size, not blended by the mask yet.

        The LUT is read with the full-size colors. Where it says nothing, and where the refinement changed its result,
        the working size's correction is added.
        """
        model, small, mask, out = self.model, entry.small, entry.small_mask, entry.out
        assert small is not None and mask is not None and out is not None and self._shape is not None  # noqa: S101
        backbone = model.backbone.denormalize(out.raw)

        shape = self._shape

        def carried(correction: Tensor) -> Tensor:
            return enlarge(correction, mask, shape, window)

        if mapping is None:
            return image + carried((backbone if refined is None else refined) - small)
        lut, count = mapping
        knows_every_color = bool((count > 0).all())  # a completed or predicted one does

        def read(picture: Tensor, fallback: Callable[[], Tensor]) -> Tensor:
            if knows_every_color:
                return trilinear.apply_lut(lut, picture)
            colors = trilinear.apply_lut(lut, picture, count)
            unseen = trilinear.unseen_map(count, picture, rule=model.unseen_rule)
            return torch.where(unseen > 0, fallback(), colors) if bool(unseen.any()) else colors

        final = read(image, lambda: image + carried(backbone - small))
        if refined is not None:
            final = final + carried(refined - read(small, lambda: backbone))
        return final


def _mapping_alone(model: CO2Net) -> CO2Net:
    """The same model without refinement: between key frames there is nothing to refine, and a change would flicker."""
    if model.mapping == "paper":
        raise InputError(
            "key frames need a complete color mapping; the paper's has holes that only the frame's own pass fills: "
            'load the model with mapping="smooth"'
        )
    return CO2Net(model.backbone, refinement=False, mapping=model.mapping, unseen_rule=model.unseen_rule).eval()


def _bounding_window(mask: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns that hold the mask, None if it is empty: nothing outside them needs computing."""
    if mask.device.type == "cpu":  # in one pass, without waking other threads
        inside = cv2.compare(mask[0, 0].numpy(), 0, cv2.CMP_GT)  # type: ignore[call-overload]
        left, top, width, height = cv2.boundingRect(inside)
        return (slice(top, top + height), slice(left, left + width)) if width else None
    rows = torch.nonzero(mask[0, 0].amax(dim=1) > 0)
    if len(rows) == 0:
        return None
    columns = torch.nonzero(mask[0, 0].amax(dim=0) > 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _cut(frame: Picture, window: tuple[slice, slice]) -> Picture:
    channels_last = frame.shape[-1] == 3 and not (isinstance(frame, Tensor) and frame.is_floating_point())
    if channels_last and (isinstance(frame, Tensor) or frame.dtype.kind == "u"):
        return frame[window]
    return frame[:, window[0], window[1]]
