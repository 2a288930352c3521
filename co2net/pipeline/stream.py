"""Frames in, frames out: the sliding window over a clip, with memory that does not grow.

Each frame goes through the backbone once. What it tells about the color mapping (its volume) is kept while it is a
neighbor of some frame; a frame leaves as soon as its last following neighbor has come in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor

import trilinear
from co2net.color_mapping.clip_window import ClipWindow, neighbor_weights
from co2net.color_mapping.curves import complete_curves, curve_sums
from co2net.devices import upload
from co2net.errors import InputError, ShapeError
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net, CO2NetResult
from co2net.models.precision import Precision, backbone_pass, one_thread_for
from co2net.pipeline.apply_mapping import Foreground, apply_lut, apply_merged
from co2net.pipeline.cuts import CELLS, CutDetector
from co2net.pipeline.frames import Picture, Pixels, frame_shape, mask_to_tensor
from co2net.pipeline.key_frames import KeyFrameChooser, KeyFrames, check_key_frames, spread
from co2net.pipeline.resolution import further_inputs, mean_colors, shrunk_for
from co2net.video.coded_masks import CodedMask
from co2net.video.lazy_colors import Patch, PlanesPatch
from co2net.video.mask_files import MaskArrays

Strength = float | Literal["auto"]
"""How much of the change is made: 0 none, 1 all, up to 1.5 more than all; "auto": less where the network expects to be
wrong by as much as it changes."""
MOST_STRENGTH = 1.5


@dataclass
class _Entry:
    """A frame in the window."""

    frame: Pixels
    tag: Any
    foreground: Foreground | None = None  # None where the mask is empty
    small: Tensor | None = None  # working size; None where the mask is empty, and where nobody needs it
    small_mask: Tensor | None = None
    out: BackboneOutput | None = None  # None between key frames, too


class FrameStream:
    """The same job, pushed instead of pulled: for callers that hold the loop, such as the video pipeline.

    Arguments as in :func:`co2net.harmonize_frames`. A result is of the kind that came in; of decoded planes a
    :class:`~co2net.video.lazy_colors.Patch`, or the planes themselves where nothing changes.

    Attributes:
        harmonized: number of frames so far that had a foreground.
        passes: number of backbone passes so far.
        skips_refinement: whether the model has a refinement that key frames leave out.
        covers_everything: whether the mask was full in every frame so far, so that there is no background.
        collect_lut: set to True before the first frame to gather the whole clip's color mapping.
        collect_curves: the same for three curves (:meth:`clip_curves`), for which :attr:`collect_lut` is needed too.
        collect_shots: set to True before the first frame to gather each shot's color mapping (:meth:`shot_luts`).
        number_of: set before the first frame: a frame's number in its sequence, by its tag; key frames go by it.
        apply: set to False to look only: all frames come out as they are.
        cuts: numbers of the frames so far that begin a new shot.
        on_look: called after each backbone pass with the frame's number, the frame and mask that it saw, its result.
    """

    takes_planes = True
    changes_planes = False

    def __init__(
        self,
        model: CO2Net | None = None,
        previous: int = 8,
        future: int = 8,
        *,
        strength: Strength = 1.0,
        device: str | torch.device | None = None,
        cuts: bool | None = None,
        key_frames: KeyFrames = None,
        precision: Precision = "full",
    ) -> None:
        if previous < 0 or future < 0:
            raise InputError(f"previous and future count frames and cannot be negative (got {previous} and {future})")
        if strength != "auto" and not (isinstance(strength, int | float) and 0 <= strength <= MOST_STRENGTH):
            raise InputError(f'`strength` must be "auto" or between 0 and {MOST_STRENGTH} (got {strength!r})')
        if model is None:
            from co2net.models.registry import load_model

            model = load_model("default")
        self.model = model.eval() if device is None else model.eval().to(device)
        self.device = next(chain(model.parameters(), model.buffers())).device
        self._key_frames = check_key_frames(model.backbone.usual_key_frames if key_frames is None else key_frames)
        self._chooser = KeyFrameChooser(self._key_frames)
        self.skips_refinement = self._key_frames is not None and model.refinement
        if self._key_frames is not None:
            self.model = _mapping_alone(model)
        self._backbone_pass = backbone_pass(model.backbone, self.device, precision)
        self.previous, self.future = previous, future
        self.strength: Strength = strength
        self.harmonized = self.passes = self._count = self._done = 0  # the latter: frames pushed, frames yielded
        self.collect_lut = self.collect_curves = self.collect_shots = False
        self.number_of: Callable[[Any], int] | None = None
        self.apply = self.covers_everything = True
        # Between fixed key frames a predicted mapping asks for nothing that only the shrunk frame tells.
        self._glances = (
            self._key_frames not in (None, "auto")
            and strength != "auto"
            and self.model.backbone.averages_areas
            and self.model.mapping.needs_prediction
        )
        self.on_look: Callable[[int, Tensor, Tensor, BackboneOutput], object] = lambda *look: None
        look_for_cuts = not self.model.mapping.has_holes if cuts is None else cuts
        self._detector = CutDetector() if look_for_cuts else None
        self.cuts: list[int] = []
        self._clip_volume: Tensor | None = None
        self._curve_sums: Tensor | None = None
        self._shots: dict[int, Tensor] = {}  # first frame -> volume
        self._shot_strengths: dict[int, list[float]] = {}
        self._entries: dict[int, _Entry] = {}
        self._window = ClipWindow(self.model.mapping)
        self._between: set[int] = set()  # frames with a foreground that are no key frames
        self._shape: tuple[int, int] | None = None
        self._read_mask = MaskArrays()

    def push(self, frame: Pixels, mask: Picture | CodedMask, tag: Any = None) -> Iterator[tuple[Any, Any]]:
        """Take in one frame; yields ``(tag, result)`` of every frame that is complete now."""
        with one_thread_for(self.model.backbone, self.device):
            self._add(frame, mask, tag)
        while self._done + self.future < self._count:
            yield self._ready()

    def finish(self) -> Iterator[tuple[Any, Any]]:
        """No more frames: yields the rest."""
        while self._done < self._count:
            yield self._ready()

    def clip_lut(self) -> Tensor:
        """The clip's color mapping as one complete LUT ``(1, 3, D, D, D)``; needs :attr:`collect_lut`.

        Raises:
            InputError: if no frame had a foreground.
        """
        if self._clip_volume is None:
            raise InputError("the mask is empty in every frame, so there is no color mapping to write")
        return self.model.mapping.clip_lut(self._clip_volume)

    def clip_curves(self, points: int) -> Tensor:
        """The clip's color mapping as far as three curves hold it, ``(points, 3)``; needs :attr:`collect_curves`.

        Raises:
            InputError: if no frame had a foreground.
        """
        if self._curve_sums is None:
            raise InputError("the mask is empty in every frame, so there is no color mapping to write")
        return complete_curves(self._curve_sums, points)

    def shot_luts(self) -> dict[int, Tensor]:
        """First frame of each shot -> its one complete LUT ``(1, 3, D, D, D)``; needs :attr:`collect_shots`.

        The window is the whole shot. What a refinement adds is fitted along. Shots without a foreground are left out.
        """
        mapping = self.model.mapping
        make = mapping.clip_lut if self._fits_results else lambda volume: mapping.lut(volume)[0]
        return {first: make(volume) for first, volume in self._shots.items()}

    def shot_strengths(self) -> dict[int, float]:
        """First frame of each shot -> the strength for all of it; with "auto" the mean of its frames'."""
        if self.strength != "auto":
            return dict.fromkeys(self._shots, self.strength)
        return {first: sum(found) / len(found) for first, found in self._shot_strengths.items()}

    @property
    def key_frame_block(self) -> int:
        """Of how many frames one is looked at, at least."""
        return self._chooser.most_apart

    @property
    def expected_error(self) -> float | None:
        """Squared error, [0, 1] space, that the network expects of its colors so far; None where it says nothing."""
        return self._window.mean_error

    @property
    def starts(self) -> list[int]:
        """First frame of every shot so far."""
        return [0, *self.cuts]

    @property
    def _changes_nothing(self) -> bool:
        return self.strength == 0 and not (self.collect_lut or self.collect_shots)

    @property
    def _fits_results(self) -> bool:
        """Whether a shot's LUT must be fitted to results, because the mapping alone does not make them."""
        return self.model.refinement or self.model.mapping.has_holes or self.model.paper_lut_only

    @torch.inference_mode()
    def _add(self, frame: Pixels, mask: Picture | CodedMask, tag: Any) -> None:
        """Keep a frame, and what it tells; a key frame goes through the backbone."""
        shape = frame_shape(frame)
        if self._shape not in (None, shape):
            raise ShapeError(
                f"frame {self._count} is {shape}, the frames before it {self._shape}; one clip has one size"
            )
        self._shape = shape
        number, entry = self._count, _Entry(frame, tag)
        given = mask if isinstance(mask, CodedMask) else mask_to_tensor(mask, shape, self._read_mask)
        asked = not (self._glances or self._changes_nothing)
        small, small_mask = shrunk_for(self.model.backbone, frame, given) if asked else (None, None)
        if self._detector is not None:
            seen = mean_colors(frame, (min(CELLS, shape[0]), min(CELLS, shape[1]))) if small is None else small
            if self._detector.is_cut(seen):
                self.cuts.append(number)
        entry.foreground = Foreground.of(frame, given)
        if entry.foreground is not None:
            self.harmonized += 1
            if not self._changes_nothing:
                small, small_mask = self._learn(entry, number, small, small_mask, given)
        if self.covers_everything:
            small_mask = shrunk_for(self.model.backbone, frame, given)[1] if small_mask is None else small_mask
            self.covers_everything = bool(small_mask.amin() > 0.5)
        self._entries[self._count] = entry
        self._count += 1

    def _learn(
        self, entry: _Entry, number: int, small: Tensor | None, small_mask: Tensor | None, mask: Tensor | CodedMask
    ) -> tuple[Tensor | None, Tensor | None]:
        """Take from a frame with a foreground what it tells about the color mapping."""
        # A frame that tells nothing about the mapping must see the backbone, and must not stand for others.
        tells = small_mask is None or self.model.mapping.tells(small_mask)
        shot, place = self.cuts[-1] if self.cuts else 0, number if self.number_of is None else self.number_of(entry.tag)
        is_key = not tells or self._chooser.is_key(place, small, small_mask, shot)
        if is_key and small is None:
            small, small_mask = shrunk_for(self.model.backbone, entry.frame, mask)
        if small is not None and small_mask is not None:
            entry.small, entry.small_mask = (upload(picture, self.device) for picture in (small, small_mask))
        if is_key:
            self._look_at(entry, number, keep=tells or self._key_frames is None)
        else:
            self._between.add(number)
        return small, small_mask

    def _look_at(self, entry: _Entry, number: int, keep: bool) -> None:
        """Run the backbone; `keep` what the frame tells about the mapping."""
        assert entry.small is not None and entry.small_mask is not None  # noqa: S101
        planes = further_inputs(self.model.backbone, entry.frame, entry.small)
        entry.out = self._backbone_pass(entry.small, entry.small_mask, **planes)
        self.passes += 1
        self.on_look(number, entry.small, entry.small_mask, entry.out)
        if keep:
            volume = self.model.frame_volume(entry.small, entry.small_mask, entry.out)
            self._window.add(number, volume, entry.out.expected_error)
            if self.collect_shots and not self._fits_results:
                self._add_to_shot(self.cuts[-1] if self.cuts else 0, volume)

    @torch.inference_mode()
    def _ready(self) -> tuple[Any, Pixels | Patch | PlanesPatch]:
        """The result of the first frame that is still here; all its neighbors are."""
        number, last = self._done, self._count - 1
        entry = self._entries.pop(number)
        result = entry.frame
        fits = self.collect_shots and (self._fits_results or self.strength == "auto")
        if entry.foreground is not None and ((self.apply and self.strength != 0) or self.collect_lut or fits):
            first, last = self._shot(number, last)
            neighbors = neighbor_weights(number, last, self.previous, self.future, first)
            volume = self._window.volume(number, neighbors, self._shares(number, first, last))
            mapping = None if volume is None else self.model.color_mapping(volume)
            strength = self._strength_of(entry, mapping, self._window.expected_error(number, neighbors))
            self._shot_strengths.setdefault(first, []).append(strength)
            result = self._harmonize(entry, mapping, strength, first)
        self._done += 1
        self._drop(before=self._done - self.previous)
        return entry.tag, result

    def _shares(self, number: int, first: int, last: int) -> Callable[[Mapping[int, int]], Mapping[int, float]] | None:
        """How the key frames of a shot stand for all of its frames; None where every frame is one."""
        if self._key_frames is None:
            return None
        keys = [key for key in self._window.numbers if first <= key <= last]
        return lambda weights: spread(weights, keys, self._between) or spread({number: 1}, keys, self._between)

    def _drop(self, before: int) -> None:
        self._window.drop_before(before)
        self._between = {number for number in self._between if number >= before}

    def _shot(self, number: int, last: int) -> tuple[int, int]:
        """First and last frame of the shot that frame `number` is in, as far as is known."""
        starts = self.starts
        place = bisect_right(starts, number)
        return starts[place - 1], starts[place] - 1 if place < len(starts) else last

    def _harmonize(
        self, entry: _Entry, mapping: tuple[Tensor, Tensor] | None, strength: float, shot: int
    ) -> Pixels | Patch | PlanesPatch:
        small, mask, out = entry.small, entry.small_mask, entry.out
        lut = self._complete_lut(mapping)
        merged: CO2NetResult | None = None
        fits = self.collect_shots and self._fits_results
        if out is not None and (lut is None or self.collect_lut or fits):
            assert small is not None and mask is not None  # noqa: S101  # the backbone has seen them
            merged = self.model.merge(out, mapping, small, mask)
            change, read = merged.image - small, None if mapping is None else mapping[0]
            if self.collect_lut:
                volume = self.model.mapping.clip_volume(small, mask, change, strength, read)
                self._clip_volume = volume if self._clip_volume is None else self._clip_volume + volume
            if self.collect_curves:
                sums = curve_sums(small, change * strength, mask).cpu()
                self._curve_sums = sums if self._curve_sums is None else self._curve_sums + sums
            if fits:
                self._add_to_shot(shot, self.model.mapping.clip_volume(small, mask, change, 1.0, read))
        if not self.apply or entry.foreground is None:
            return entry.frame
        if lut is not None:
            return apply_lut(entry.frame, lut, entry.foreground, strength, self.changes_planes)
        # A frame between key frames has a key frame, and so a complete LUT.
        assert out is not None and merged is not None and small is not None and mask is not None  # noqa: S101
        return apply_merged(entry.frame, entry.foreground, strength, self.model, small, mask, out, mapping, merged)

    def _complete_lut(self, mapping: tuple[Tensor, Tensor] | None) -> Tensor | None:
        """The LUT if it alone makes the result: complete, and nothing refines."""
        model = self.model
        if mapping is None or model.refinement or model.paper_lut_only or model.mapping.has_holes:
            return None
        lut, count = mapping
        return lut if bool(count[0, 0, 0, 0] > 0) else None  # such counts are all alike

    def _strength_of(self, entry: _Entry, mapping: tuple[Tensor, Tensor] | None, expected_error: float | None) -> float:
        """The strength for a frame. With "auto": 1 - expected / change, both mean squares over the foreground.

        That is the best share of a change whose error is independent of it (James and Stein's shrinkage).
        """
        if self.strength != "auto":
            return self.strength
        small, mask = entry.small, entry.small_mask
        lut = self._complete_lut(mapping)
        if lut is None or expected_error is None or small is None or mask is None:
            return 1.0
        change = (trilinear.apply_lut(lut, small) - small).square().mean(dim=1, keepdim=True)
        size = float((change * mask).sum() / mask.sum().clamp(min=1e-6))
        return max(0.0, 1 - expected_error / max(size, 1e-9))

    def _add_to_shot(self, first: int, volume: Tensor) -> None:
        self._shots[first] = self._shots[first] + volume if first in self._shots else volume


def _mapping_alone(model: CO2Net) -> CO2Net:
    """The same model without refinement: between key frames there is nothing to refine, and a change would flicker."""
    if model.mapping.has_holes:
        raise InputError(
            "key frames need a complete color mapping; the paper's has holes that only the frame's own pass fills: "
            'load the model with mapping="smooth"'
        )
    return CO2Net(model.backbone, refinement=False, mapping=model.mapping, unseen_rule=model.unseen_rule).eval()
