"""Which frames lend their colors to a frame, also at the ends of a clip."""

from __future__ import annotations

from collections.abc import Collection

from co2net.errors import InputError


def neighbor_numbers(frame: int, available: Collection[int], previous: int, following: int, step: int = 5) -> list[int]:
    """Numbers of the neighbors of a frame: ``frame - step, frame - 2 step, ...``, then ``frame + step, ...``.

    A missing number repeats the entry before it in the same direction, or the frame itself if it is the first; a gap
    does not end the walk. Repeated entries are meant: they weigh more in the color mapping.

    Args:
        frame: number of the frame itself.
        available: numbers that exist, best as a set (whoever has a mask and a composite).
        previous: how many before the frame, 0 or more.
        following: how many after it, 0 or more.
        step: distance of annotated frames; 5 in HYouTube.

    Returns:
        ``previous + following`` numbers, nearest first in each half.

    Raises:
        InputError: a negative count, or a step below 1.
    """
    if previous < 0 or following < 0 or step < 1:
        raise InputError(f"neighbors: want counts >= 0 and a step >= 1, got {previous}, {following} and {step}")
    numbers: list[int] = []
    for direction, count in ((-step, previous), (step, following)):
        last = frame
        for distance in range(1, count + 1):
            candidate = frame + direction * distance
            if candidate in available:
                last = candidate
            numbers.append(last)
    return numbers
