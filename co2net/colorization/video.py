"""File to file: a gray clip or picture and strokes in, a colored one out."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from co2net.colorization.files import Networks, read_strokes
from co2net.colorization.stream import ColorizeStream
from co2net.colorization.window import Arrangement
from co2net.files import PathLike
from co2net.flow import FlowEstimator
from co2net.pipeline.job import JobOptions, JobReport, OnProgress, run_job
from co2net.video import open_video

if TYPE_CHECKING:
    from typing_extensions import Unpack


def colorize_video(
    clip: PathLike,
    scribbles: PathLike,
    output: PathLike | None = None,
    networks: Networks | None = None,
    *,
    flow: str | FlowEstimator | None = None,
    arrangement: Arrangement = "sound",
    on_progress: OnProgress | None = None,
    frame_rate: Fraction | None = None,
    **options: Unpack[JobOptions],
) -> JobReport:
    """Color a clip or a picture from strokes; sound, times, size and luma stay.

    Args:
        clip: video, folder of frames or picture; its colors, if it has any, are dropped.
        scribbles: see :func:`~.files.read_strokes`.
        output: its ending chooses the format, as for :func:`co2net.harmonize_video`.
        networks: from :func:`~.files.read_networks`; None: the way without weights.
        flow: name or estimator; None: the networks' own, or DIS.
        arrangement: see :class:`~.window.Window`.
        on_progress: called after each written frame.
        frame_rate: of a folder of frames.
        options: see :class:`co2net.pipeline.job.JobOptions`.

    Raises:
        InputError: an input cannot be used.
        OutputError: the output cannot be written.
    """
    networks = networks or Networks()
    estimate = flow or networks.flow or "dis"
    stream = ColorizeStream(read_strokes(scribbles), networks.cpnet, networks.ssnet, estimate, arrangement=arrangement)
    with open_video(clip, frame_rate=frame_rate) as reader:
        report = run_job(
            ((frame, None) for frame in reader),
            reader.info,
            stream,
            output,
            kind="colorized",
            on_progress=on_progress,
            protect=[scribbles],
            **options,
        )
    report.notes += stream.notes
    if networks.cpnet is not None and networks.ssnet is None and networks.cpnet.semantic:
        report.notes.append("CPNet alone colors frame by frame; SSNet's file beside it makes them agree over time")
    if networks.cpnet is None:
        report.notes.append("no weights were given: strokes were spread along edges; colors far from them are guesses")
    return report
