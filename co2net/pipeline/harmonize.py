"""File to file: composite and mask in, harmonized video out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from co2net.errors import InputError
from co2net.models.co2net import CO2Net
from co2net.models.precision import Precision
from co2net.pipeline.background import BackgroundCalls
from co2net.pipeline.key_frames import KeyFrames
from co2net.pipeline.stream import FrameStream
from co2net.threads import ReadAhead
from co2net.video import Frame, VideoInfo, masks_from_alpha, open_composed, open_mask, open_video, open_writer, pair
from co2net.video.writer import Writer

PathLike = str | os.PathLike[str]
OnProgress = Callable[[int, int | None], None]
"""Called after each written frame with (frames done, frames in all or None where the container does not say)."""


@dataclass
class HarmonizeReport:
    """What was done.

    Attributes:
        output: the written file or folder.
        frames: number of frames written.
        harmonized: how many of them had a foreground.
        passes: how often the backbone ran.
        seconds: wall time.
        device: where the networks ran.
        notes: sentences about what could not be kept as it was, or deserves a look.
    """

    output: Path
    frames: int
    harmonized: int
    passes: int
    seconds: float
    device: str
    notes: list[str] = field(default_factory=list)


def harmonize_video(
    composite: PathLike | None,
    mask: PathLike | None = None,
    output: PathLike | None = None,
    model: CO2Net | None = None,
    previous: int = 8,
    future: int = 8,
    on_progress: OnProgress | None = None,
    *,
    foreground: PathLike | None = None,
    background: PathLike | None = None,
    strength: float = 1.0,
    device: str | torch.device | None = None,
    codec: str | None = None,
    quality: float | None = None,
    preset: str | None = None,
    cube: PathLike | None = None,
    mask_fit: str = "error",
    mask_retime: str = "error",
    mask_channel: str = "auto",
    frame_rate: Fraction | None = None,
    overwrite: bool = True,
    key_frames: KeyFrames = None,
    precision: Precision = "auto",
) -> HarmonizeReport:
    """Harmonize the foreground of a video.

    Everything but the foreground's colors stays: frame times, sound, size, rotation, color tags, and the pixels outside
    the mask (to the output codec's precision). The output appears under its name only when it is complete.

    Args:
        composite: video file, folder of frames or image; None with `foreground` and `background`.
        mask: video, folder or still image; None uses the alpha channel of the composite (or of the foreground).
        output: its ending chooses the format: ``.mp4`` H.264, ``.mkv`` lossless FFV1, ``.mov`` ProRes, ``.webm`` VP9,
            no ending: a folder of PNG frames. None: ``<composite>.harmonized.mp4`` (or its kind) beside it.
        model: None takes the weights that ship.
        previous: neighbor frames before each frame that shape its color mapping.
        future: neighbor frames after it.
        on_progress: called after each written frame.
        foreground: compose first: this (with alpha, or with `mask`) over `background`.
        background: the plate to compose over.
        strength: 0 to 1.
        device: None leaves the model where it is.
        codec: "h264", "h265", "ffv1", "prores", "vp9" or "av1" in place of the ending's own.
        quality: the encoder's quality value (CRF).
        preset: the encoder's speed against the file's size, "ultrafast" to "veryslow".
        cube: also write the clip's color mapping as a ``.cube`` LUT.
        mask_fit: "resize" accepts a mask of another size.
        mask_retime: "nearest" or "index" accepts a mask of another frame rate.
        mask_channel: "luma" or "alpha" of the mask file; "auto" takes an alpha channel that is not opaque.
        frame_rate: of a folder of frames, whose pictures carry no times.
        overwrite: replace an existing output.
        key_frames: run the backbone on every k-th frame only; "auto": as often as the colors change. None: every frame.
        precision: of the backbone: "auto" computes in bfloat16 where the processor is faster at it, "full" in float32.

    Raises:
        InputError: an input cannot be used.
        OutputError: the output cannot be written.
    """
    started = time.monotonic()
    stream = FrameStream(
        model, previous, future, strength=strength, device=device, key_frames=key_frames, precision=precision
    )
    stream.collect_lut = cube is not None
    with ExitStack() as stack:
        info, pairs, mask_notes = _open_inputs(
            stack, composite, mask, foreground, background, mask_fit, mask_retime, mask_channel, frame_rate
        )
        target = output if output is not None else default_output(info)
        if output is None and info.kind == "folder":
            target = f"{target}{os.sep}"  # its name has a dot, which would be taken for an ending
        protect = [path for path in (composite, mask, foreground, background) if path is not None]
        if cube is not None:
            _check_cube(Path(cube), protect)
        writer = stack.enter_context(
            open_writer(target, info, codec=codec, quality=quality, overwrite=overwrite, protect=protect, preset=preset)
        )
        written = _run(stream, pairs, writer, info.frame_count, on_progress)
        if stream.harmonized == 0:
            raise InputError(
                f"{mask or foreground or composite}: the mask is empty in all {written} frames, so there is nothing to "
                "harmonize; it must be white on the foreground"
            )
        if cube is not None:
            from co2net.color_mapping.cube import save_cube

            save_cube(stream.lut().cpu(), cube, title=f"co2net {info.path.stem}")
    notes = [*mask_notes, *writer.notes]
    if key_frames is not None and stream.skips_refinement:
        notes.append("with key frames the refinement is left out: the color mapping alone makes the result")
    if stream.covers_everything:
        notes.append("the mask covers the whole picture, so there was no background to match; is it inverted?")
    return HarmonizeReport(
        writer.output,
        written,
        stream.harmonized,
        stream.passes,
        time.monotonic() - started,
        str(stream.device),
        notes,
    )


def _run(
    stream: FrameStream,
    pairs: Iterable[tuple[Frame, np.ndarray]],
    writer: Writer,
    total: int | None,
    on_progress: OnProgress | None,
) -> int:
    """Send all frames through the stream to the writer; returns how many."""
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        while reported < done:
            reported += 1
            if on_progress is not None:
                on_progress(reported, total)

    # Three threads: the writer ends before the reader, whose files are closed when both are at rest.
    with ReadAhead(pairs) as ahead, BackgroundCalls(writer.write) as write:
        for frame, frame_mask in ahead:
            # A picture comes back as the kind that went in, here an array.
            for (source, source_mask), result in stream.push(frame.image, frame_mask, (frame, frame_mask)):
                write(source, result, source_mask)
                report(write.done)
        for (source, source_mask), result in stream.finish():
            write(source, result, source_mask)
            report(write.done)
    report(write.done)
    return write.done


def default_output(info: VideoInfo) -> Path:
    """Where the result goes when nobody said: beside the input, of its kind."""
    path = Path(info.path)
    if info.kind == "folder":
        return path.with_name(f"{path.name}.harmonized")
    ending = ".png" if info.kind == "image" else ".mp4"
    return path.with_name(f"{path.stem}.harmonized{ending}")


def _open_inputs(
    stack: ExitStack,
    composite: PathLike | None,
    mask: PathLike | None,
    foreground: PathLike | None,
    background: PathLike | None,
    mask_fit: str,
    mask_retime: str,
    mask_channel: str,
    frame_rate: Fraction | None,
) -> tuple[VideoInfo, Iterator[tuple[Frame, np.ndarray]], list[str]]:
    if foreground is not None or background is not None:
        if composite is not None:
            raise InputError("give either a composite, or --foreground with --background, not both")
        if foreground is None or background is None:
            raise InputError("--foreground and --background belong together; one of them is missing")
        composed = stack.enter_context(open_composed(foreground, background, mask, retime=mask_retime))  # type: ignore[arg-type]
        return composed.info, iter(composed), composed.notes
    if composite is None:
        raise InputError("give a composite video, or --foreground with --background")
    reader = stack.enter_context(open_video(composite, frame_rate=frame_rate))
    if mask is not None:
        masks = open_mask(
            mask,
            like=reader.info,
            fit=mask_fit,  # type: ignore[arg-type]
            retime=mask_retime,  # type: ignore[arg-type]
            channel=mask_channel,  # type: ignore[arg-type]
        )
    elif reader.info.has_alpha:
        masks = masks_from_alpha(reader.info)
    else:
        raise InputError(f"{composite} has no alpha channel; say where its foreground is with --mask")
    stack.enter_context(masks)
    return reader.info, pair(reader, masks), masks.notes


def _check_cube(cube: Path, inputs: list[PathLike]) -> None:
    """Refuse before the work, not after it."""
    from co2net.errors import OutputError

    if cube.suffix.lower() != ".cube":
        raise OutputError(f"--cube {cube}: the name must end in .cube")
    if not cube.parent.is_dir():
        raise OutputError(f"--cube {cube}: the folder {cube.parent} does not exist; create it first")
    if any(cube.resolve() == Path(path).resolve() for path in inputs):
        raise OutputError(f"--cube {cube} is an input file; choose another name")
