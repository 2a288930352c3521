"""The progress bar: frames, frames per second, time left; on stderr, and only when somebody watches it."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from co2net.cli.errors import say

if TYPE_CHECKING:
    from co2net.pipeline.job import JobReport


def tell(report: JobReport, *, quiet: bool = False) -> None:
    """Say what a frame job did: notes and speed on stderr, the output's name on stdout."""
    if quiet:
        return
    for note in report.notes:
        say(f"note: {note}")
    rate = report.frames / max(report.seconds, 1e-9)
    say(f"{report.frames} frames in {report.seconds:.1f} s ({rate:.1f} frames/s)")
    with contextlib.suppress(OSError):  # nobody reads it: the work is done all the same
        print(report.output, flush=True)


class FrameBar:
    """Context manager around a tqdm bar; :meth:`update` fits ``on_progress`` of the pipeline."""

    def __init__(self, *, quiet: bool = False, title: str = "harmonize", device: str = "") -> None:
        from tqdm import tqdm

        self._announcement = "" if quiet or not device else f"co2net: running on {device}"
        self._quiet = quiet
        hidden = quiet or not sys.stderr.isatty()
        self._bar = tqdm(desc=title, unit="frame", file=sys.stderr, disable=hidden, dynamic_ncols=True, leave=False)

    def update(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` frames are finished."""
        if self._announcement:
            # Not before the first frame is out: bad input ends in one sentence and nothing else.
            self._bar.write(self._announcement, file=sys.stderr)
            self._announcement = ""
        if self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def say(self, sentence: str) -> None:
        """Print a note above the bar; nothing if quiet."""
        if not self._quiet:
            self._bar.write(f"co2net: {sentence}", file=sys.stderr)

    def __enter__(self) -> FrameBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
