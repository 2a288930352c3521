"""The runner of every frame job: frames in, a stream that works on them, frames out.

::

    with open_video("clip.mp4") as reader:
        report = run_job(((frame, None) for frame in reader), reader.info, stream, "matte.mkv", kind="matte")

Reading and writing run in threads of their own beside the stream. Whatever ends a job early (bad input, Ctrl-C, the
caller's `cancel`) leaves nothing under the output's name and nothing beside it; sound, frame times, rotation and tags
come from the source.

A stream is any object with two methods::

    class Invert:
        def push(self, frame, mask, tag):        # frame: (H, W, 3) uint8 or uint16; mask: (H, W) float32 or None
            yield tag, frame.max() - frame       # of every frame that is complete now, in order

        def finish(self):                        # no more frames: the rest
            return iter(())

It may lag behind and yield any number of results per push, but in order and one for each frame; `tag` comes back as it
went in. What a result is depends on the kind of output (:data:`~co2net.pipeline.outputs.OutputKind`).

A stream with ``takes_planes = True`` gets the frames of YUV video as :class:`~co2net.video.lazy_colors.LazyColors`, so
that only those colors are converted that it asks for, and their masks as the
:class:`~co2net.video.coded_masks.CodedMask` that they may be. Its ``changes_planes`` is set to True where
results may be new samples (:class:`~co2net.video.lazy_colors.PlanesPatch`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np

from co2net.errors import Cancelled
from co2net.files import PathLike
from co2net.pipeline.outputs import OutputKind, output_info, write_result
from co2net.threads import WriteBehind, read_ahead
from co2net.video import Frame, VideoInfo, Writer, open_writer

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnProgress = Callable[[int, int | None], None]
"""Called in the caller's thread after each written frame with (frames done, frames in all or None if nobody knows)."""
Cancel = threading.Event | Callable[[], bool]
"""Set, or returning True: the job ends with :class:`~co2net.errors.Cancelled` before its next frame."""


class OutputOptions(TypedDict, total=False):
    """How a result is written: keywords, handed on as they came, of which each may be left out.

    Attributes:
        codec: "h264", "h265", "ffv1", "prores", "vp9" or "av1" in place of the output ending's own; on a graphics
            processor "h264_nvenc" and its like (docs/gpu.md).
        quality: the encoder's quality value (CRF; of JPEG and WebP 1 to 100).
        preset: the encoder's speed against the file's size, "ultrafast" to "veryslow".
        overwrite: replace an existing output; the default.
    """

    codec: str | None
    quality: float | None
    preset: str | None
    overwrite: bool


class JobOptions(OutputOptions, total=False):
    """Keywords of every job on frames: how it is written, and when to stop.

    Attributes:
        cancel: an event, or a function that returns True, to end the job from another thread; nothing is left.
    """

    cancel: Cancel | None


class JobStream(Protocol):
    """What works on the frames, see the module's docstring."""

    def push(self, frame: Any, mask: Any, tag: Any) -> Iterable[tuple[Any, Any]]:
        """Take one frame; yields ``(tag, result)`` of every frame that is complete now."""
        ...

    def finish(self) -> Iterable[tuple[Any, Any]]:
        """No more frames: yields the rest."""
        ...


def results_of(stream: JobStream, frames: Iterable[tuple[Any, Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Send frames ``(frame, mask, tag)`` of arrays through a stream to its end: ``(tag, result)`` of each, in order."""
    for frame, mask, tag in frames:
        yield from stream.push(frame, mask, tag)
    yield from stream.finish()


@dataclass
class JobReport:
    """What was done.

    Attributes:
        output: the written file or folder.
        frames: number of frames written.
        seconds: wall time.
        notes: sentences about what could not be kept as it was, or deserves a look.
    """

    output: Path
    frames: int
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def in_words(self) -> str:
        """What else the last line should say of the result."""
        return ""


def run_job(
    pairs: Iterable[tuple[Frame, np.ndarray | None]],
    info: VideoInfo,
    stream: JobStream,
    output: PathLike | None = None,
    *,
    kind: OutputKind = "color",
    word: str = "",
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    before_start: Callable[[], None] | None = None,
    before_finish: Callable[[int], None] | None = None,
    protect: Iterable[PathLike] = (),
    **options: Unpack[OutputOptions],
) -> JobReport:
    """Send every frame through a stream and write what comes out.

    Args:
        pairs: frames with their masks (:func:`co2net.video.pair`, an open composed clip) or with None. Only touched by
            the reading thread, which has ended when this returns: the caller closes the reader.
        info: of the frames' source: its sound, times and tags go along.
        stream: does the work, in the caller's thread.
        output: as for :func:`co2net.video.open_writer`; None: :func:`default_output`.
        kind: what the stream's results are.
        word: part of the default output's name; empty: the kind.
        on_progress: see :data:`OnProgress`.
        cancel: see :data:`Cancel`; safe to set from another thread.
        before_start: called when the output is known to be possible, before the first frame; for a first pass.
        before_finish: called with the number of frames when all are written but the output is not in its place yet;
            what it raises leaves no output.
        protect: inputs besides ``info.sources`` that must not be written over.
        options: see :class:`OutputOptions`.

    Raises:
        InputError: an input cannot be used; the stream may raise others.
        OutputError: the output cannot be written, or cannot hold this kind of result.
        Cancelled: `cancel` said so.
    """
    started = time.monotonic()
    place = default_output(info, word or kind, kind) if output is None else output
    shown = output_info(info, kind, place, options.get("codec"))
    with open_writer(place, shown, protect=protect, **options) as writer:
        if getattr(stream, "takes_planes", False):
            stream.changes_planes = writer.takes_planes  # type: ignore[attr-defined]
        if before_start is not None:
            before_start()
        frames = _stream_through(pairs, stream, writer, kind, info.frame_count, on_progress, _asked(cancel))
        if before_finish is not None:
            before_finish(frames)
    return JobReport(writer.output, frames, time.monotonic() - started, list(writer.notes))


def walk(
    pairs: Iterable[tuple[Frame, np.ndarray | None]],
    stream: JobStream,
    total: int | None = None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> int:
    """A pass that writes nothing: send every frame through a stream that only looks; returns how many there were.

    Arguments as of :func:`run_job`; `total` is the number of frames, for `on_progress`.
    """
    report, count = _reporter(on_progress, total), 0
    with read_ahead(pairs) as ahead:
        for count, _ in enumerate(_results(stream, ahead, _asked(cancel)), start=1):
            report(count)
    return count


def default_output(info: VideoInfo, word: str, kind: OutputKind = "color") -> PathLike:
    """Where the result goes when nobody said: beside the input, of its kind.

    ``clip.mp4`` becomes ``clip.<word>.mp4`` (.mov for a result with an alpha channel), a picture ``<name>.<word>.png``,
    a folder ``<name>.<word>/``.
    """
    path = Path(info.path)
    if info.kind == "folder":
        # The slash: the name has a dot, which would be taken for an ending.
        return f"{path.with_name(f'{path.name}.{word}')}{os.sep}"
    ending = ".png" if info.kind == "image" else ".mov" if kind == "alpha" else ".mp4"
    return path.with_name(f"{path.stem}.{word}{ending}")


def _stream_through(
    pairs: Iterable[tuple[Frame, np.ndarray | None]],
    stream: JobStream,
    writer: Writer,
    kind: OutputKind,
    total: int | None,
    on_progress: OnProgress | None,
    cancelled: Callable[[], bool],
) -> int:
    """Send all frames through the stream to the writer; returns how many."""
    report = _reporter(on_progress, total)
    # Three threads: the writer ends before the reader, whose files are closed when both are at rest.
    # Two frames each way keep all of them busy, since codecs hold frames of their own; more is memory.
    with read_ahead(pairs, 2) as ahead, WriteBehind(write_result(writer, kind), 2) as write:
        for (source, mask), result in _results(stream, ahead, cancelled):
            write(source, result, mask)
            report(write.done)
    report(write.done)
    return write.done


def _reporter(on_progress: OnProgress | None, total: int | None) -> Callable[[int], None]:
    """Calls `on_progress` once for every frame up to the number it is given."""
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        while reported < done:
            reported += 1
            if on_progress is not None:
                on_progress(reported, total)

    return report


def _results(
    stream: JobStream, pairs: Iterator[tuple[Frame, np.ndarray | None]], cancelled: Callable[[], bool]
) -> Iterator[tuple[tuple[Frame, np.ndarray | None], Any]]:
    """Frame, mask and result of every frame, in order."""

    def go_on() -> None:
        if cancelled():
            raise Cancelled("the job was cancelled; nothing was written")

    takes_planes = getattr(stream, "takes_planes", False)
    for frame, mask in pairs:
        go_on()
        if takes_planes and frame.colors is not None:
            # Its result says by itself where it changes, so the mask need not wait with it.
            yield from stream.push(frame.colors, mask, (frame, None))
        else:
            mask = None if mask is None else np.asarray(mask)
            yield from stream.push(frame.image, mask, (frame, mask))
    for found in stream.finish():
        go_on()
        yield found


def _asked(cancel: Cancel | None) -> Callable[[], bool]:
    if cancel is None:
        return lambda: False
    return cancel.is_set if isinstance(cancel, threading.Event) else cancel
