"""Masks of some frames, carried to all frames of the clip: forward and backward, blended between two given masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from co2net.errors import InputError, ShapeError, listed
from co2net.matting.carry import Carried, Carrier, Fuse, sharpened, small_size
from co2net.matting.guided import guided
from co2net.pipeline.cuts import CutDetector
from co2net.pipeline.frames import Picture, as_bytes, frame_to_tensor, mask_to_tensor
from co2net.pipeline.job import results_of

HELD_BYTES = 768 << 20  # of full-size frames that wait for a later given mask
LOST = 1e-4  # share of the frame below which a mask counts as empty
UNSURE = 0.55  # confidence below which a frame is worth painting
PAINT_NEXT, PAINT_APART = 3, 8  # how many frames are named as worth painting, and how far apart they lie


@dataclass
class _Held:
    """A frame whose mask is not final yet."""

    number: int
    tag: Any
    full: np.ndarray
    small: np.ndarray
    forward: Carried | None = None


@dataclass
class PropagationReport:
    """What a propagation found out, frame by frame.

    Attributes:
        confidence: number of a frame to how sure its mask is, in [0, 1]; given masks are 1.
        empty: numbers of the frames whose mask is empty.
        cuts: first frames of new shots.
    """

    confidence: dict[int, float] = field(default_factory=dict)
    empty: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def paint_next(self) -> list[int]:
        """Frames whose masks would help most if painted: the least sure ones, a few that lie apart."""
        chosen: list[int] = []
        for number in sorted(self.confidence, key=lambda n: (self.confidence[n], n)):
            if len(chosen) == PAINT_NEXT or self.confidence[number] >= UNSURE:
                break
            if all(abs(number - other) >= PAINT_APART for other in chosen):
                chosen.append(number)
        return sorted(chosen)


class PropagationStream:
    """Carries given masks through a clip; a stream for :func:`co2net.pipeline.job.run_job`.

    A frame after a given mask and before the next one waits until that one has come, then forward and backward results
    are blended by distance. At most :data:`HELD_BYTES` of frames wait; older ones keep the forward result.

    Args:
        given: frame number, from 0, to its mask: ``(H, W)`` or ``(1, H, W)``, float in [0, 1], bool or integers as
            :mod:`co2net.video.mask_files` reads them.
        fuse: a network's logit, see :mod:`co2net.matting.fusion`; None: without.

    Raises:
        InputError: no mask is given, a number is negative, or a mask is empty.
    """

    def __init__(self, given: Mapping[int, Picture], fuse: Fuse | None = None) -> None:
        if not given:
            raise InputError("`given` is empty: give the mask of at least one frame, {number: mask}")
        bad = [number for number in given if number < 0]
        if bad:
            raise InputError(f"`given` has the frame number {bad[0]}; numbers count from 0")
        self._given = {number: _checked(mask, number) for number, mask in given.items()}
        self._waiting = sorted(self._given)
        self._fuse = fuse
        self.report = PropagationReport()
        self._cut = CutDetector()
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._carrier: Carrier | None = None
        self._from: int | None = None  # number of the given mask that the held frames come after
        self._number = -1
        self._unknown: list[int] = []
        self._size: tuple[int, int] | None = None

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, np.ndarray]]:
        """Take the next frame; yields ``(tag, mask)`` of frames that are done, ``(H, W)`` float32 in [0, 1].

        Args:
            frame: ``(H, W, 3)`` uint8 or uint16, or ``(3, H, W)`` float in [0, 1].
            mask: not used; streams have it.
            tag: comes back with the frame's mask.

        Raises:
            InputError: a given mask has another size than its frame.
        """
        self._number += 1
        full = as_bytes(frame)
        self._check_size(full)
        height, width = small_size(*full.shape[:2])
        small = full if full.shape[:2] == (height, width) else _shrunk(full, width, height)
        held = _Held(self._number, tag, full, small)
        if self._cut.is_cut(frame_to_tensor(small)):
            self.report.cuts.append(self._number)
            yield from self._flush()
            self._carrier, self._from = None, None
        if self._number in self._given:
            yield from self._arrive(held)
            return
        if self._carrier is not None:
            held.forward = self._carrier.step(small)
        if not self._waiting or self._waiting[-1] < self._number:
            yield self._single(held)  # no given mask is to come, so nothing to wait for
            return
        self._held.append(held)
        self._held_bytes += held.full.nbytes
        while self._held_bytes > HELD_BYTES:
            oldest = self._held.pop(0)
            self._held_bytes -= oldest.full.nbytes
            yield self._single(oldest)

    def finish(self) -> Iterator[tuple[Any, np.ndarray]]:
        """No more frames: the rest.

        Raises:
            InputError: no given mask has the number of a frame of the clip.
        """
        yield from self._flush()
        late = [number for number in self._given if number > self._number]
        if len(late) == len(self._given):
            raise InputError(
                f"the given masks are for frames {listed(late, 6)}, the clip has frames 0 to {self._number}; "
                "number them from 0"
            )

    @property
    def notes(self) -> list[str]:
        """What the user should know, in sentences; complete after :meth:`finish`."""
        notes, report = [], self.report
        late = [number for number in self._given if number > self._number]
        if late:
            notes.append(f"masks for frames {listed(late, 6)} were left out: the clip ends at frame {self._number}")
        if self._unknown:
            after = f" (the picture cuts to another shot at {listed(report.cuts, 6)})" if report.cuts else ""
            notes.append(
                f"frames {ranges(self._unknown)} have no given mask in their shot{after}, so their masks are empty; "
                "give a mask for one of them"
            )
        lost = sorted({*report.empty} - {*self._unknown} - {*self._given})
        if lost:
            notes.append(f"the subject was lost in frames {ranges(lost)}; give a mask for one of them if it is there")
        paint = [number for number in report.paint_next() if number not in {*lost, *self._unknown}]
        if paint:
            notes.append(f"least sure of frames {listed(paint, 6)}: a mask painted there would help most")
        return notes

    def _check_size(self, full: np.ndarray) -> None:
        size = full.shape[:2]
        if self._size is None:
            self._size = size
            for number, mask in self._given.items():
                if mask.shape != size:
                    raise InputError(
                        f"the mask given for frame {number} is {mask.shape[1]}x{mask.shape[0]}, the clip "
                        f"{size[1]}x{size[0]}; they must be of one size"
                    )
        elif size != self._size:
            raise ShapeError(f"frame {self._number} is {size}, the ones before {self._size}")

    def _arrive(self, held: _Held) -> Iterator[tuple[Any, np.ndarray]]:
        """A frame whose mask is given: settle the frames that waited for it, and start anew from it."""
        mask = self._given[held.number]
        small = mask if mask.shape == held.small.shape[:2] else _shrunk(mask, held.small.shape[1], held.small.shape[0])
        backward = Carrier(held.small, small, self._fuse)
        waited, self._held, self._held_bytes = self._held, [], 0
        results = []
        for frame in reversed(waited):
            share = 1.0
            if frame.forward is not None and self._from is not None:
                share = (frame.number - self._from) / (held.number - self._from)
            results.append(self._blended(frame, backward.step(frame.small), share))
        yield from reversed(results)
        self._carrier, self._from = Carrier(held.small, small, self._fuse), held.number
        self._waiting = [number for number in self._waiting if number > held.number]
        self.report.confidence[held.number] = 1.0
        yield held.tag, mask

    def _flush(self) -> Iterator[tuple[Any, np.ndarray]]:
        held, self._held, self._held_bytes = self._held, [], 0
        for frame in held:
            yield self._single(frame)

    def _single(self, held: _Held) -> tuple[Any, np.ndarray]:
        if held.forward is None:
            self._unknown.append(held.number)
            self.report.empty.append(held.number)
            self.report.confidence[held.number] = 0.0
            return held.tag, np.zeros(held.full.shape[:2], np.float32)
        return self._enlarged(held, held.forward.soft, held.forward.confidence)

    def _blended(self, held: _Held, backward: Carried, share: float) -> tuple[Any, np.ndarray]:
        """Mix forward and backward results; `share` is that of the backward one by distance."""
        if held.forward is None:
            return self._enlarged(held, backward.soft, backward.confidence)
        ahead, behind = (1 - share) * held.forward.confidence + 1e-6, share * backward.confidence + 1e-6
        soft = (ahead * held.forward.soft + behind * backward.soft) / (ahead + behind)
        return self._enlarged(held, soft, max(held.forward.confidence, backward.confidence))

    def _enlarged(self, held: _Held, soft: np.ndarray, confidence: float) -> tuple[Any, np.ndarray]:
        large = guided(held.small, soft, held.full)[1]
        mask = sharpened(large if large is not None else soft)
        if float(mask.mean()) < LOST:
            self.report.empty.append(held.number)
            confidence = 0.0
        self.report.confidence[held.number] = confidence
        return held.tag, mask


def propagate(
    frames: Iterable[Picture], given: Mapping[int, Picture], fuse: Fuse | None = None
) -> Iterator[np.ndarray]:
    """Carry given masks through a clip.

    Args:
        frames: in order: ``(H, W, 3)`` uint8 or uint16, or ``(3, H, W)`` float in [0, 1].
        given: number of a frame, from 0, to its mask; one is enough, more are better.
        fuse: see :class:`PropagationStream`.

    Yields:
        ``(H, W)`` float32 in [0, 1] for every frame, in order; a given mask comes back as it is. Where the clip cuts to
        another shot without a given mask the masks are zero (:class:`PropagationStream` has notes about that).

    Raises:
        InputError: `given` is empty, holds an empty mask, or none for a frame of this clip, or one of another size.
    """
    stream = PropagationStream(given, fuse)
    yield from (mask for _, mask in results_of(stream, ((frame, None, None) for frame in frames)))


def _checked(mask: Picture, number: int) -> np.ndarray:
    """A given mask as ``(H, W)`` float32 in [0, 1]."""
    shape = tuple(mask.shape[-2:])
    if len(shape) != 2:
        raise ShapeError(f"the mask given for frame {number} must be (H, W), got {tuple(mask.shape)}")
    plane = mask_to_tensor(mask, (shape[0], shape[1]))[0, 0].cpu().numpy()
    if float((plane > 0.5).mean()) == 0:
        raise InputError(
            f"the mask given for frame {number} is empty: it must be white on the subject; is it the right file?"
        )
    return plane


def _shrunk(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def ranges(numbers: list[int]) -> str:
    """``3 to 7, 9``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
