"""The progress bar: frames, frames per second, time left; on stderr, and only when somebody watches it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.errors import say
from co2net.errors import InputError, with_names

if TYPE_CHECKING:
    import torch

    from co2net.pipeline.job import JobReport


def tell(report: JobReport, options: argparse.Namespace) -> None:
    """Say what a frame job did, unless ``--quiet``: notes and speed on stderr, the output's name on stdout."""
    rate = report.frames / max(report.seconds, 1e-9)
    speed = f"{report.frames} frames in {report.seconds:.1f} s ({rate:.1f} frames/s)"
    tell_words(options, report.notes, "; ".join(filter(None, (speed, report.in_words))), report.output)


def tell_words(options: argparse.Namespace, notes: Iterable[str], words: str = "", output: Path | None = None) -> None:
    """As :func:`tell`, of any job; notes name the flags of the command that was given."""
    if options.quiet:
        return
    for note in notes:
        say(f"note: {with_names(note, options.flags)}")
    if words:
        say(words)
    if output is not None:
        with contextlib.suppress(OSError):  # nobody reads it: the work is done all the same
            print(output, flush=True)


def refuse_left_out(failed: Sequence[str]) -> None:
    """End a job on pictures some of which could not be used.

    Raises:
        InputError: there are any; `failed` says of each what is wrong.
    """
    if failed:
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise InputError(f"{len(failed)} pictures left out: {'; '.join(failed[:3])}{more}")


class FrameBar:
    """Context manager around a tqdm bar; :meth:`update` fits ``on_progress`` of the pipeline."""

    def __init__(
        self, *, quiet: bool = False, title: str = "harmonize", device: torch.device | None = None, unit: str = "frame"
    ) -> None:
        from tqdm import tqdm

        self._announcement = ""
        if device is not None and not quiet:
            from co2net.devices import describe_device

            self._announcement = f"co2net: running on {describe_device(device)}"
        self._quiet = quiet
        hidden = quiet or not sys.stderr.isatty()
        self._bar = tqdm(desc=title, unit=unit, file=sys.stderr, disable=hidden, dynamic_ncols=True, leave=False)

    def update(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` frames are finished."""
        if self._announcement:
            # Not before the first frame is out: bad input ends in one sentence and nothing else.
            self._bar.write(self._announcement, file=sys.stderr)
            self._announcement = ""
        if self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def step(self, *words: str) -> None:
        """Show that one more is finished, and the words of what it was."""
        self._bar.set_description(", ".join(words))
        self._bar.update()

    def say(self, sentence: str) -> None:
        """Print a note above the bar; nothing if quiet."""
        if not self._quiet:
            self._bar.write(f"co2net: {sentence}", file=sys.stderr)

    def __enter__(self) -> FrameBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
