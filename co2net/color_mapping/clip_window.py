"""The window over a clip: which frames count for a frame, how often, and the sum of what they tell.

The video job, the evaluation and the training all walk a clip with a :class:`ClipWindow`. Which frames are neighbors is
theirs to say: the clip-end rule of the paper (:func:`neighbor_weights`), or the frame numbers of a data set's list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from co2net.color_mapping.mappings import ColorMapping
from co2net.data.neighbors import neighbor_numbers


def neighbor_weights(frame: int, last: int, previous: int, following: int, first: int = 0) -> dict[int, int]:
    """How often each frame counts for `frame` in a clip (or shot) of frames `first` to `last`.

    The rule at the ends of a clip is that of :func:`co2net.data.neighbor_numbers`.

    Args:
        frame: number of the current frame.
        last: number of the clip's last frame.
        previous: neighbors before the frame.
        following: neighbors after it.
        first: number of the clip's first frame.

    Returns:
        ``{frame number: count}``; the counts sum to ``previous + following``.
    """
    return dict(Counter(neighbor_numbers(frame, range(first, last + 1), previous, following, step=1)))


class ClipWindow:
    """The volumes of the frames that still count for some frame to come.

    Args:
        mapping: decides how often a neighbor counts, and whether the frame itself does.
    """

    def __init__(self, mapping: ColorMapping) -> None:
        self.mapping = mapping
        self._volumes: dict[int, Tensor] = {}
        self._errors: dict[int, Tensor] = {}
        self._expected: list[float] = []

    @property
    def numbers(self) -> list[int]:
        """The frames whose volumes are here, rising."""
        return sorted(self._volumes)

    def __contains__(self, number: int) -> bool:
        """Whether the volume of frame `number` is here."""
        return number in self._volumes

    def add(self, number: int, volume: Tensor, expected_error: Tensor | None = None) -> None:
        """Keep what frame `number` tells, ``(B, 4, D, D, D)``, and the squared error expected of it, ``(B,)``."""
        self._volumes[number] = volume
        if expected_error is not None:
            self._errors[number] = expected_error
            self._expected.append(float(expected_error.mean()))

    @property
    def mean_error(self) -> float | None:
        """Mean of all squared errors expected so far, also of dropped frames; None where nobody expects any."""
        return sum(self._expected) / len(self._expected) if self._expected else None

    def expected_error(self, number: int, neighbors: Mapping[int, int]) -> float | None:
        """Mean of the squared errors expected of the window's frames; None where nobody expects any.

        Errors of one shot are alike, not independent: their mean does not shrink with the window.
        """
        weights = self.mapping.weights(neighbors, number)
        known = [float(self._errors[n].mean()) for n in weights if n in self._errors] or [
            float(error.mean()) for error in self._errors.values()
        ]
        return sum(known) / len(known) if known else None

    def volume(
        self,
        number: int,
        neighbors: Mapping[int, int],
        share: Callable[[Mapping[int, int]], Mapping[int, float]] | None = None,
    ) -> Tensor | None:
        """The summed volume for frame `number`.

        Args:
            number: of the frame.
            neighbors: ``{frame number: count}``.
            share: hands the weights of frames that have no volume to others (key frames).

        Returns:
            ``(B, 4, D, D, D)``, or None without neighbors. Neighbors that told nothing (nothing in their masks) are
            neighbors all the same: their volumes are empty, not absent.
        """
        weights = self.mapping.weights(neighbors, number)
        there: Mapping[int, float]
        there = share(weights) if share else {n: weight for n, weight in weights.items() if n in self._volumes}
        if there:
            return weighted_sum(self._volumes, there)
        return torch.zeros_like(next(iter(self._volumes.values()))) if weights and self._volumes else None

    def drop(self, number: int) -> None:
        """Forget a frame."""
        self._volumes.pop(number, None)
        self._errors.pop(number, None)

    def drop_before(self, number: int) -> None:
        """Forget all frames before `number` but the last of them: a key frame stands for those that follow it."""
        keep = max((key for key in self._volumes if key <= number), default=0)
        for key in [key for key in self._volumes if key < keep]:
            self.drop(key)


def weighted_sum(volumes: Mapping[int, Tensor], weights: Mapping[int, float]) -> Tensor:
    """Sum of ``weight * volume`` over the frames of `weights`, of which there is at least one.

    Volumes are added anew for every frame: subtracting what leaves the window would leave rounding residue, and a cell
    that holds residue does not count as empty any more.
    """
    (first, weight), *others = sorted(weights.items())
    total = volumes[first] * weight
    for number, weight in others:
        total.add_(volumes[number], alpha=weight)
    return total
