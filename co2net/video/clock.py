"""Times as FFmpeg gives them: a clip begins at 0 whatever its clock said, and the clock never jumps."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from co2net.video.pyav import to_fraction

_JUMP = 10
"""Seconds. More is no gap but a clock that was set anew: FFmpeg's own threshold."""
_SET_ANEW = ("mpegts", "mpeg", "flv", "asf")
"""Formats whose clock may begin again in the middle of a file."""


class Clock:
    """Corrects the times of a file's packets, in the order of the file.

    Everybody who reads the file has a clock of his own and shows it the packets of the chosen video stream too, so that
    all come to the same times.

    Args:
        container: The open file.
        video: Index of its chosen video stream.
    """

    def __init__(self, container: Any, video: int) -> None:
        self._video = video
        self.watches = any(name in container.format.name.split(",") for name in _SET_ANEW)
        """Whether the clock may begin anew on the way: then the chosen stream's packets must be shown."""
        self.begin = _begin(container, video)
        """Seconds that are taken off at the beginning."""
        self._offset = -self.begin
        self._own: dict[int, Fraction] = {}
        self._last: dict[int, Fraction] = {}
        self._step = Fraction(0)

    def correct(self, packet: Any) -> None:
        """Change the packet's times in place."""
        base = to_fraction(packet.time_base)
        stamp = packet.dts if packet.dts is not None else packet.pts
        if base is None or stamp is None:
            return
        shift = self._shift(packet.stream.index, stamp * base) if self.watches else self._offset
        if shift:
            ticks = round(shift / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _shift(self, index: int, stamp: Fraction) -> Fraction:
        last = self._last.get(index)
        if index == self._video:
            if last is not None and abs(stamp + self._offset - last) > _JUMP:
                self._offset = last + self._step - stamp
                self._own.clear()
            elif last is not None:
                self._step = max(Fraction(0), stamp + self._offset - last) or self._step
            shift = self._offset
        else:
            shift = self._offset
            if last is not None and abs(stamp + shift - last) > _JUMP:
                # The pictures have not come to the jump yet, or are past it: goes on where it was.
                shift = self._own.setdefault(index, last - stamp)
                if abs(stamp + shift - last) > _JUMP:
                    shift = self._own[index] = last - stamp
        self._last[index] = stamp + shift
        return shift


def _begin(container: Any, video: int) -> Fraction:
    """Where the clip begins on the file's clock.

    A sound that begins a little before the pictures (the encoder's run-in) stays before 0, as the file has it.
    """
    start = Fraction(container.start_time or 0, 1_000_000)
    stream = container.streams[video]
    base = to_fraction(stream.time_base)
    own = stream.start_time * base if stream.start_time is not None and base else start
    if start > 0 or own < 0:
        return min(own, start) if own < 0 else start
    return Fraction(0)
