"""What evaluating a clip needs: which frames to read, and which of them count for each listed frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from co2net.data.clips import Clip
from co2net.data.frame_lists import FrameEntry


@dataclass(frozen=True)
class ListedFrame:
    """A frame to evaluate.

    Attributes:
        entry: its files.
        neighbors: how often each frame number counts for its color mapping; empty without neighbors. The frame's own
            number is among them only where the neighbor rule falls back to it.
    """

    entry: FrameEntry
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
    reading: list[FrameEntry]
    last_use: dict[int, int]

    def reads(self, *, real: bool) -> Iterator[tuple[FrameEntry, bool]]:
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
