"""The neighbor window of a clip: which frames count, how often, and the sum of their volumes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def neighbor_weights(frame: int, last: int, previous: int, following: int, first: int = 0) -> dict[int, int]:
    """How often each frame counts for `frame` in a clip (or shot) of frames `first` to `last`.

    The paper's rule at the ends of a clip: a neighbor that does not exist is replaced by the nearest one of the same
    direction that does, or by the frame itself if there is none; otherwise the frame is not its own neighbor.

    Args:
        frame: number of the current frame.
        last: number of the clip's last frame.
        previous: neighbors before the frame.
        following: neighbors after it.
        first: number of the clip's first frame.

    Returns:
        ``{frame number: count}``; the counts sum to ``previous + following``.
    """
    weights: dict[int, int] = {}
    offsets = [-k for k in range(1, previous + 1)] + [k for k in range(1, following + 1)]
    for offset in offsets:
        neighbor = min(max(frame + offset, first), last)
        weights[neighbor] = weights.get(neighbor, 0) + 1
    return weights


def window_volume(volumes: Mapping[int, Tensor], weights: Mapping[int, float]) -> Tensor | None:
    """Sum of ``weight * volume``; None without neighbors.

    Volumes are added anew for every frame: subtracting what leaves the window would leave rounding residue, and a cell
    that holds residue does not count as empty any more.
    """
    total: Tensor | None = None
    for number, weight in sorted(weights.items()):
        if total is None:
            total = volumes[number] * weight
        else:
            total.add_(volumes[number], alpha=weight)
    return total
