"""Scene cuts: where a clip changes to another shot, no color mapping may leak from one side to the other.

Compares small pictures of consecutive frames. A cut changes most of the picture at once, and more than the motion of
the frames before it did; a false alarm costs little (a shorter window at that place), a missed cut a wrong color.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from torch import Tensor
from torch.nn import functional as F

CELLS = 12  # the picture is compared as this many by this many mean colors, so that small motions do not count
LEAST = 0.06  # mean change of a cell's color, in [0, 1], below which nothing is a cut
TIMES = 3.0  # a cut changes the picture this many times as much as the usual step of its shot
MEMORY = 8  # steps that "usual" is the median of


class CutDetector:
    """Tells, frame by frame, where a new shot begins."""

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._steps: deque[float] = deque(maxlen=MEMORY)

    def is_cut(self, frame: Tensor) -> bool:
        """Whether `frame` is the first of a new shot; of the first two frames none is.

        Args:
            frame: ``(1, 3, H, W)`` in [0, 1], any size; the next frame of the clip.
        """
        cells = F.adaptive_avg_pool2d(frame, CELLS).cpu()
        last, self._last = self._last, cells
        if last is None:
            return False
        step = float((cells - last).abs().mean())
        # Without a step to compare with there is no telling a cut from wild motion, so the second frame is never one.
        cut = bool(self._steps) and step > LEAST and step > TIMES * median(self._steps)
        if not cut:
            self._steps.append(step)
        return cut
