"""File to file: composite and mask in, harmonized video out."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from co2net.checks import check_choice
from co2net.color_mapping.cube import MAX_SHAPER_SIZE, save_cube
from co2net.errors import InputError, OutputError
from co2net.files import PathLike
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net
from co2net.models.precision import Precision
from co2net.pipeline.confidence import change_of, describe, in_levels, mean_square
from co2net.pipeline.inputs import CompositeInputs
from co2net.pipeline.job import JobOptions, JobReport, OnProgress, run_job, walk
from co2net.pipeline.key_frames import KeyFrames
from co2net.pipeline.looks import LookStream, resampled
from co2net.pipeline.review import Review
from co2net.pipeline.shots import ShotStream, check_shot_folder, save_shots
from co2net.pipeline.stream import FrameStream, Strength
from co2net.video import Composing, Frame, MaskOptions, Part
from co2net.video.float_pictures import Transfer
from co2net.video.hardware import Hardware
from co2net.video.picture_clips import frame_number

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass
class HarmonizeReport(JobReport):
    """What was done.

    Attributes:
        harmonized: how many of the frames had a foreground.
        passes: how often the backbone ran.
        device: where the networks ran.
        expected_error: see :attr:`co2net.pipeline.stream.FrameStream.expected_error`.
        change: root mean square of what the network wants to change in the foreground, 8-bit levels; None where it
            did not look.
    """

    harmonized: int = 0
    passes: int = 0
    device: str = ""
    expected_error: float | None = None
    change: float | None = None

    @property
    def in_words(self) -> str:
        """What the network wants (:func:`co2net.pipeline.confidence.describe`); empty where it did not look."""
        if self.change is None:
            return ""
        # Wants: a strength below 1 does less of it.
        return f"the network wants {describe(self.change, in_levels(self.expected_error))}"


_CUT_MEMORY = 3
"""Frames more than the window that a part reads before it: what a cut is found by."""


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
    strength: Strength = 1.0,
    device: str | torch.device | None = None,
    cube: PathLike | None = None,
    mask_fit: str = "error",
    mask_retime: str = "error",
    mask_channel: str = "auto",
    mask_options: MaskOptions | None = None,
    composing: Composing | None = None,
    frames: tuple[int, int] | None = None,
    keep_partial: bool = False,
    look: PathLike | None = None,
    frame_rate: Fraction | None = None,
    key_frames: KeyFrames = None,
    precision: Precision = "auto",
    per_shot: bool = False,
    cube_per_shot: PathLike | None = None,
    cube_size: int = 33,
    hardware: Hardware = "off",
    cube_type: Literal["3d", "1d"] = "3d",
    cube_range: Literal["full", "video"] = "full",
    transfer: Transfer = "auto",
    review: Review | None = None,
    **options: Unpack[JobOptions],
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
        strength: 0 changes nothing, 1 is all, up to 1.5 exaggerates; "auto": less where the network expects errors.
        device: None leaves the model where it is.
        cube: also write the clip's color mapping as a ``.cube`` LUT.
        mask_fit: "resize" accepts a mask of another size.
        mask_retime: "nearest" or "index" accepts a mask of another frame rate.
        mask_channel: "luma" or "alpha" of the mask file; "auto" takes an alpha channel that is not opaque.
        mask_options: how the values of the mask are read: inverted, levels, one object number.
        composing: how foreground and background are put together: sound, loop, fit, kind of alpha.
        frames: of a numbered sequence, write these (first, last) only; their neighbors are read around them and key
            frames go by number, so that parts made apart join without a seam.
        keep_partial: of a damaged or cut-off video, keep what is before that; a note says where it ends.
        look: a ``.cube`` LUT to apply to the whole result, a grade for display-coded colors.
        frame_rate: of a folder of frames, whose pictures carry no times.
        key_frames: run the backbone on every k-th frame only; "auto": as often as the colors change. None: every frame.
        precision: of the backbone: "auto" computes in bfloat16 where the processor is faster at it, "full" in float32.
        per_shot: one LUT for each shot, in two passes over the inputs: nothing flickers, nothing follows the light.
        cube_size: points per axis of `cube`: 2 to 129, of curves up to 65536.
        hardware: "auto" has videos decoded by a graphics processor where there is one; the masks are not.
        cube_per_shot: a folder for a ``.cube`` LUT of each shot.
        cube_type: of `cube`: a 3D LUT, or three curves, one for each channel: those nearest to the results.
        cube_range: of `cube` and `cube_per_shot`: "video" for programs that feed a LUT limited-range codes.
        transfer: what the samples of floating-point pictures are, "linear" light or coded for "display"; "auto":
            linear in OpenEXR, coded in TIFF.
        review: looks on and keeps small pictures and numbers of the result.
        options: codec, quality, preset, overwrite and cancel, see :class:`~co2net.pipeline.job.JobOptions`.

    Raises:
        InputError: an input cannot be used.
        OutputError: the output cannot be written.
        Cancelled: `cancel` said so.
    """
    started = time.monotonic()
    inputs = CompositeInputs(
        composite,
        mask,
        foreground,
        background,
        mask_fit,
        mask_retime,
        mask_channel,
        frame_rate,
        mask_options,
        composing,
        keep_partial=keep_partial,
        transfer=transfer,
        hardware=hardware,
    )
    if frames is not None and per_shot:
        raise InputError(
            "`per_shot` makes one LUT of a whole shot, and `frames` reads a part of it; leave one of them out"
        )
    if inputs.is_picture and model is not None and key_frames is None and not per_shot:
        model = model.for_pictures()
    stream = FrameStream(
        model, previous, future, strength=strength, device=device, key_frames=key_frames, precision=precision
    )
    if frames is not None:
        before = previous + _CUT_MEMORY + stream.key_frame_block - 1
        inputs = replace(inputs, part=Part(*frames, before=before, after=future + 1))
    stream.collect_lut, stream.collect_shots = cube is not None, per_shot or cube_per_shot is not None
    stream.collect_curves = cube is not None and cube_type == "1d"
    if cube is not None:
        _check_cube(Path(cube), inputs.paths)
    _check_cube_kind(cube_type, cube_size, cube_range)
    if cube_per_shot is not None:
        check_shot_folder(Path(cube_per_shot))
    shots, passed = ShotStream() if per_shot else None, 0
    with ExitStack() as stack:
        info, pairs, mask_notes = inputs.open(stack)
        if info.numbered:
            stream.number_of = _number_in_sequence
        total = info.frame_count if info.frame_count is None or not per_shot else 2 * info.frame_count

        def first_look() -> None:
            nonlocal passed
            if shots is None:
                return
            stream.apply = False
            with ExitStack() as first_pass:
                _, pairs, _ = inputs.open(first_pass)
                passed = walk(pairs, stream, total, on_progress, options.get("cancel"))
            shots.take_over(stream)

        def progress(done: int, _: int | None) -> None:
            if on_progress is not None:
                on_progress(passed + done, total)

        def conclude(frames: int) -> None:
            if stream.harmonized == 0:
                raise InputError(
                    f"{mask or foreground or composite}: the mask is empty in all {frames} frames, so there is nothing "
                    "to harmonize; it must be white on the foreground"
                )
            if cube is not None:
                lut = stream.clip_curves(cube_size) if cube_type == "1d" else resampled(stream.clip_lut(), cube_size)
                save_cube(lut, cube, f"co2net {info.path.stem}", cube_range == "video")
            if cube_per_shot is not None:
                save_shots(Path(cube_per_shot), stream, frames, cube_range == "video")

        worker = shots or stream
        changes: list[float] = []

        def looked(number: int, small: Tensor, seen_mask: Tensor, out: BackboneOutput) -> None:
            changes.append(change_of(small, seen_mask, out))
            if review is not None:
                review.look(number, small, seen_mask, out)

        stream.on_look = looked
        if review is not None:
            worker = review.watch(worker)
        job = run_job(
            pairs,
            info,
            worker if look is None else LookStream(worker, look),
            output,
            word="harmonized",
            on_progress=progress,
            before_start=first_look,
            before_finish=conclude,
            protect=inputs.paths,
            **options,
        )
    if review is not None:
        review.cuts = list(stream.cuts)
    notes = [*mask_notes, *job.notes]
    if key_frames is not None and stream.skips_refinement:
        notes.append("with key frames the refinement is left out: the color mapping alone makes the result")
    if per_shot and stream.model.refinement:
        notes.append("with one LUT a shot the refinement counts as far as a LUT can hold it")
    if stream.covers_everything:
        notes.append("the mask covers the whole picture, so there was no background to match; is it inverted?")
    return HarmonizeReport(
        job.output,
        job.frames,
        time.monotonic() - started,
        notes,
        harmonized=stream.harmonized,
        passes=stream.passes,
        device=str(stream.device),
        expected_error=stream.expected_error,
        change=mean_square(changes),
    )


def _number_in_sequence(tag: tuple[Frame, object]) -> int:
    return frame_number(tag[0].name or "") or 0


def _check_cube_kind(kind: str, size: int, codes: str) -> None:
    check_choice("cube_type", kind, ("3d", "1d"))
    check_choice("cube_range", codes, ("full", "video"))
    largest = MAX_SHAPER_SIZE if kind == "1d" else 129
    if not 2 <= size <= largest:
        raise InputError(f"`cube_size` {size}: must be 2 to {largest} points per axis")


def _check_cube(cube: Path, inputs: list[Path]) -> None:
    """Refuse before the work, not after it."""
    if cube.suffix.lower() != ".cube":
        raise OutputError(f"`cube` {cube}: the name must end in .cube")
    if not cube.parent.is_dir():
        raise OutputError(f"`cube` {cube}: the folder {cube.parent} does not exist; create it first")
    if any(cube.resolve() == path.resolve() for path in inputs):
        raise OutputError(f"`cube` {cube} is an input file; choose another name")
