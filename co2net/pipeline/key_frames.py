"""Key frames: the backbone need not see every frame, since the color mapping of a shot changes slowly.

A key frame goes through the backbone. It is the first frame with a foreground of every k frames, counted by the
numbers of a sequence or from the beginning of a clip, and the first of every shot; so whoever makes a part of a
sequence finds the same ones. What a frame between two key frames would tell about the color mapping is taken to lie
between what they tell, in proportion to time, so that the mapping moves as smoothly as with every frame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from co2net.errors import InputError

KeyFrames = int | Literal["auto"] | None
"""A pass of the backbone on one of k frames; "auto": as often as the colors change; None: on every frame."""

MOST_APART = 8  # with "auto": as far as the usual window reaches
LEAST_CHANGE = 0.01  # with "auto": change of a mean color, in [0, 1], that asks for a key frame


def check_key_frames(key_frames: KeyFrames) -> KeyFrames:
    """Return the setting; 1 is every frame, which is None.

    Raises:
        InputError: it is neither "auto" nor a whole number from 1 on.
    """
    if key_frames is None or key_frames == "auto":
        return key_frames
    if not isinstance(key_frames, int) or isinstance(key_frames, bool) or key_frames < 1:
        raise InputError(f'key_frames must be "auto" or a whole number from 1 on (got {key_frames!r})')
    return None if key_frames == 1 else key_frames


class KeyFrameChooser:
    """Tells, frame by frame, whether the backbone has to look.

    Args:
        key_frames: see :data:`KeyFrames`.

    Attributes:
        most_apart: length of the blocks of frames in which the first one with a foreground is a key frame.
    """

    def __init__(self, key_frames: KeyFrames) -> None:
        self._adaptive = key_frames == "auto"
        self.most_apart = MOST_APART if key_frames == "auto" else key_frames or 1
        self._last: tuple[int, int] | None = None
        self._colors: Tensor | None = None

    def is_key(self, number: int, small: Tensor | None, mask: Tensor | None, shot: int) -> bool:
        """Whether frame `number` is a key frame; call once for each frame that tells something, in order.

        Args:
            number: of the frame in its clip or sequence.
            small: the frame at the working size, ``(1, 3, h, w)`` in [0, 1]; only "auto" looks at it.
            mask: ``(1, 1, h, w)`` in [0, 1], likewise.
            shot: number of its shot's first frame.
        """
        if self.most_apart == 1:
            return True
        colors = None if not self._adaptive or small is None or mask is None else _colors(small, mask)
        place = (shot, number // self.most_apart)
        due = place != self._last
        if not due and colors is not None and self._colors is not None:
            due = bool((colors - self._colors).abs().amax() > LEAST_CHANGE)
        if due:
            self._last, self._colors = place, colors
        return due


def spread(weights: Mapping[int, float], keys: Sequence[int], between: Collection[int]) -> dict[int, float]:
    """Weights of key frames that stand for the weights of all frames of a shot.

    Args:
        weights: how much each frame of the window counts; frames that are in neither of the next two count nothing.
        keys: numbers of the shot's known key frames, rising; those of the window, and the last one before it.
        between: numbers of the frames with a foreground that are no key frames.

    Returns:
        ``{key frame: weight}``. A frame between two key frames is split among them by its distance to each; one after
        the last known key frame counts for that one.
    """
    found: dict[int, float] = {}

    def add(key: int, weight: float) -> None:
        found[key] = found.get(key, 0) + weight

    for number, weight in weights.items():
        place = bisect_right(keys, number)
        if place and keys[place - 1] == number:
            add(number, weight)
        elif place and number in between:
            before, after = keys[place - 1], keys[place] if place < len(keys) else None
            share = 0.0 if after is None else (number - before) / (after - before)
            add(before, weight * (1 - share))
            if after is not None:
                add(after, weight * share)
    return found


def _colors(small: Tensor, mask: Tensor) -> Tensor:
    """Mean colors of foreground and background, ``(2, 3)``: what the mapping depends on."""
    regions = torch.cat([mask, 1 - mask], dim=1).flatten(2)[0]
    return regions @ small.flatten(2)[0].T / regions.sum(dim=1, keepdim=True).clamp(min=1e-6)
