"""What a job made of a clip, in a few numbers and small pictures, for people who cannot watch a thousand shots.

A :class:`Review` looks on while :func:`~co2net.pipeline.harmonize.harmonize_video` works. It keeps up to eight frames,
evenly spread over the clip however long that turns out to be, and what the network said of itself at every look; it
changes nothing. :meth:`Review.concerns` says in sentences why somebody should look at the shot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.models.backbones.base import BackboneOutput
from co2net.pipeline.confidence import change_of, expected_of, mean_square
from co2net.pipeline.job import JobStream
from co2net.video import Frame
from co2net.video.lazy_colors import Patch, PlanesPatch

WIDTH = 256  # of a small picture, pixels
MOST = 8  # frames that are kept
UNCHANGED = 0.5  # a mean change of the foreground below this, in 8-bit levels, is none
BINS = 6  # of a color histogram, per axis
APART = 24  # frames: a dissolve of about a second lies between two looks that far from each other
OTHER_PICTURE = 0.4  # share of the pixels whose color bin differs, above which two looks show different scenes


@dataclass(frozen=True)
class Sample:
    """A frame of the result.

    Attributes:
        number: of the frame, from 0.
        before: ``(h, w, 3)`` uint8.
        after: likewise.
        change: mean absolute change of the foreground, 8-bit levels; None where it has none.
    """

    number: int
    before: np.ndarray
    after: np.ndarray
    change: float | None


@dataclass(frozen=True)
class Look:
    """What the network said of one frame.

    Attributes:
        number: of the frame, from 0.
        change: root mean square of what it wants to change in the foreground, 8-bit levels.
        expected_error: root mean square of the error it expects of that, 8-bit levels; None where it expects none.
        colors: ``(BINS ** 3,)``, share of the frame's pixels in each color bin.
    """

    number: int
    change: float
    expected_error: float | None
    colors: np.ndarray


class Review:
    """Looks on; hand it to :func:`~co2net.pipeline.harmonize.harmonize_video` as ``review``."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.looks: list[Look] = []
        self.cuts: list[int] = []
        self._spacing, self._count = 1, 0

    def watch(self, stream: JobStream) -> JobStream:
        """The same stream, whose results are looked at as they come out."""
        return _Watched(stream, self)

    def look(self, number: int, small: Tensor, mask: Tensor, out: BackboneOutput) -> None:
        """Note a pass of the network.

        Args:
            number: of the frame.
            small: what the network saw, ``(1, 3, h, w)`` in [0, 1].
            mask: ``(1, 1, h, w)`` in [0, 1].
            out: its result.
        """
        self.looks.append(Look(number, change_of(small, mask, out), expected_of(out), color_shares(small)))

    def keeps(self, number: int) -> bool:
        """Whether frame `number` is one of those to keep, as far as is known."""
        return number % self._spacing == 0

    def see(self, source: Frame, mask: np.ndarray | None, result: Any) -> None:
        """Take a frame of the result, if it is one of those to keep; called for every frame, in order.

        Args:
            source: the frame.
            mask: of the size of the small pictures, float32 in [0, 1]; None where there is no foreground.
            result: see :class:`~co2net.pipeline.stream.FrameStream`.
        """
        number, self._count = self._count, self._count + 1
        if not self.keeps(number) or source.is_context:
            return
        before = source.image
        if isinstance(result, PlanesPatch) and source.colors is not None:
            after = source.colors.whole_with(result)
        elif isinstance(result, Patch):
            after = result.whole(before)
        else:
            after = result if isinstance(result, np.ndarray) else before
        pictures = [_shrunk(picture) * 255 for picture in (before, after)]
        change = None
        if mask is not None and mask.any():
            change = float((np.abs(pictures[1] - pictures[0]).mean(axis=2) * mask).sum() / mask.sum())
        small = [np.rint(picture).astype(np.uint8) for picture in pictures]
        self.samples.append(Sample(number, small[0], small[1], change))
        if len(self.samples) > MOST:
            self.samples, self._spacing = self.samples[::2], 2 * self._spacing

    @property
    def change(self) -> float | None:
        """Largest mean change of a kept frame's foreground, 8-bit levels; None where no kept frame has one."""
        return max((s.change for s in self.samples if s.change is not None), default=None)

    @property
    def expected_error(self) -> float | None:
        """Root mean square of the errors expected at the looks, 8-bit levels; None where the network expects none."""
        return mean_square([look.expected_error for look in self.looks if look.expected_error is not None])

    def missed_cuts(self) -> list[int]:
        """First frames of looks that show another scene than those before, with no cut found in between."""
        found: list[int] = []
        for earlier, later in _pairs(self.looks):
            first, last = earlier.number, later.number
            if any(first < cut <= last for cut in self.cuts) or (found and first < found[-1]):
                continue
            if np.abs(later.colors - earlier.colors).sum() / 2 > OTHER_PICTURE:
                found.append(last)
        return found

    def concerns(self) -> list[str]:
        """Sentences about what wants a look; none where all seems well."""
        found = []
        expected, size = self.expected_error, mean_square([look.change for look in self.looks]) or 0.0
        if expected is not None and expected >= size and size > UNCHANGED:
            found.append(
                f"large expected error: the network expects to be wrong by {expected:.0f} levels where it changes "
                f"{size:.0f}; compare with a strength of 0.5, or auto"
            )
        if self.change is not None and self.change < UNCHANGED:
            found.append(f"nothing changed: the foreground moved by {self.change:.1f} levels at most")
        found += [
            f"a cut missed? about frame {number} another scene shows than a second before, and no cut was found"
            for number in self.missed_cuts()
        ]
        return found


class _Watched:
    def __init__(self, stream: JobStream, review: Review) -> None:
        self._stream, self._review, self._count = stream, review, 0
        self._masks: deque[np.ndarray | None] = deque()  # results come in order, one for each frame
        self.takes_planes = getattr(stream, "takes_planes", False)

    @property
    def changes_planes(self) -> bool:
        return getattr(self._stream, "changes_planes", False)

    @changes_planes.setter
    def changes_planes(self, value: bool) -> None:
        self._stream.changes_planes = value  # type: ignore[attr-defined]

    def push(self, frame: Any, mask: Any, tag: Any) -> Iterator[tuple[Any, Any]]:
        kept = self._review.keeps(self._count)
        self._count += 1
        # Masks are large, and of planes they need not wait with their frames: only those that are shown do, small.
        self._masks.append(_shrunk(np.asarray(mask)) if kept and mask is not None else None)
        return self._seen(self._stream.push(frame, mask, tag))

    def finish(self) -> Iterator[tuple[Any, Any]]:
        return self._seen(self._stream.finish())

    def _seen(self, found: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        for tag, result in found:
            self._review.see(tag[0], self._masks.popleft(), result)
            yield tag, result


def color_shares(small: Tensor) -> np.ndarray:
    """Share of the pixels of ``(1, 3, h, w)`` in each of ``BINS ** 3`` color bins."""
    levels = (small[0].flatten(1).clamp(0, 1) * (BINS - 1)).round().long()
    codes = (levels[0] * BINS + levels[1]) * BINS + levels[2]
    return (torch.bincount(codes, minlength=BINS**3).float() / codes.numel()).cpu().numpy()


def _pairs(looks: list[Look]) -> Iterator[tuple[Look, Look]]:
    """Each look with the earliest one that is at most :data:`APART` frames before it, or else the one before it."""
    start = 0
    for place in range(1, len(looks)):
        while start < place - 1 and looks[place].number - looks[start].number > APART:
            start += 1
        yield looks[start], looks[place]


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """At most :data:`WIDTH` wide, float32 in [0, 1]."""
    height, width = picture.shape[:2]
    scale = min(1.0, WIDTH / width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    peak = 1.0 if picture.dtype.kind == "f" else float(np.iinfo(picture.dtype).max)
    return cv2.resize(picture, shape, interpolation=cv2.INTER_AREA).astype(np.float32) / peak
