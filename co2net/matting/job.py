"""File to file: a clip in, its mask, its cut-out or the subject over another background out."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np

from co2net.checks import check_choice
from co2net.errors import InputError
from co2net.files import PathLike
from co2net.matting.chroma import cover
from co2net.matting.fusion import shipped_fuse
from co2net.matting.keying import KeyingStream
from co2net.matting.moving import MovingStream, NetworkStream
from co2net.matting.moving_mask import THRESHOLD
from co2net.matting.moving_network import load_moving
from co2net.matting.others import open_model
from co2net.matting.propagation import PropagationStream
from co2net.matting.refine import RefinedStream, foreground_colors
from co2net.pipeline.frames import as_bytes
from co2net.pipeline.job import JobOptions, JobReport, OnProgress, run_job
from co2net.pipeline.outputs import OutputKind
from co2net.video import VideoInfo, open_mask, open_video
from co2net.video.pictures import PICTURE_ENDINGS

if TYPE_CHECKING:
    from typing_extensions import Unpack

Give = Literal["mask", "cutout"]
WRAP = 0.02  # of the frame's height: how far a wrapped background's light reaches over the subject's edge


@dataclass
class MatteReport(JobReport):
    """What was done.

    Attributes:
        confidence: how sure the mask of each frame is, in [0, 1], by number; only where masks were propagated.
    """

    confidence: dict[int, float] = field(default_factory=dict)


def matte_video(
    clip: PathLike,
    output: PathLike | None = None,
    *,
    key: Any = None,
    given: PathLike | Mapping[int, PathLike] | None = None,
    moving: bool = False,
    model: str | None = None,
    weights: PathLike | None = None,
    background: PathLike | None = None,
    give: Give | None = None,
    refine: bool = False,
    spill: float = 1.0,
    light_wrap: float = 0.0,
    garbage: PathLike | None = None,
    threshold: float | None = None,
    on_progress: OnProgress | None = None,
    frame_rate: Fraction | None = None,
    **options: Unpack[JobOptions],
) -> MatteReport:
    """Make the mask of a clip. Exactly one of `key`, `given`, `moving` and `model` says how.

    Args:
        clip: video file, folder of frames or image.
        output: as for :func:`co2net.harmonize_video`; None: beside the clip.
        key: the screen's color, see :func:`~co2net.matting.key_frames_by_color`.
        given: the mask of the first frame; a folder of masks whose names end in their frames' numbers; or both as a
            mapping from a frame's number, from 0, to a mask file.
        moving: what moves against the camera.
        model: another network, see :func:`~co2net.matting.others.open_model`.
        weights: with `moving`: the published U-Net's file. None: the way without weights.
        background: video or image to put behind the subject; the result is then a video of colors.
        give: "mask" (gray), or "cutout" (colors with alpha). None: a cut-out where the colors are keyed and the output
            can hold alpha, else a mask.
        refine: turn a hard mask's edge into alpha; needs PyMatting for hair.
        spill: how much of a screen's light on the subject is removed, 0 to 1.
        light_wrap: how much of the new background's light falls over the subject's edge, 0 to 1.
        garbage: with `key`: a still mask, white where the subject may be.
        threshold: with `moving`: pixels per frame from which a motion counts; None: as `weights` were trained, or
            0.5.
        on_progress: called after each written frame.
        frame_rate: of a folder of frames.
        options: see :class:`co2net.pipeline.job.JobOptions`.

    Raises:
        InputError: an input cannot be used, or nothing was found.
        OutputError: the output cannot be written, or cannot hold alpha.
    """
    started = time.monotonic()
    ways = {"key": key is not None, "given": given is not None, "moving": moving, "model": model is not None}
    chosen = [name for name, wanted in ways.items() if wanted]
    if len(chosen) != 1:
        listed = ", ".join(f"`{name}`" for name in ways)
        raise InputError(f"say where the mask comes from: one of {listed}" + (", not several" if chosen else ""))
    if refine and key is not None:
        raise InputError("`refine` is for hard masks; keying has soft edges by itself, leave it out")
    if threshold is not None and not 0 < threshold < math.inf:
        raise InputError(f"`threshold` must be a number of pixels above 0, got {threshold:g}")
    for name, asked, needed, there in (
        ("weights", weights is not None, "moving", moving),
        ("threshold", threshold is not None, "moving", moving),
        ("garbage", garbage is not None, "key", key is not None),
        ("light_wrap", light_wrap != 0, "background", background is not None),
    ):
        if asked and not there:
            raise InputError(f"`{name}` does nothing without `{needed}`; leave it out, or give that too")
    with ExitStack() as stack:
        reader = stack.enter_context(open_video(clip, frame_rate=frame_rate))
        inner = _stream(reader.info, key, given, model, weights, spill, garbage, threshold)
        steady = RefinedStream(inner) if refine else inner
        kind = _kind(give, background, output, key is not None)
        finished = _Finished(steady, kind, background, light_wrap, reader.info, stack)
        report = run_job(
            ((frame, None) for frame in reader),
            reader.info,
            finished,
            output,
            kind=kind,
            word={"matte": "mask", "alpha": "cutout"}.get(kind, "composed"),
            on_progress=on_progress,
            before_finish=finished.check,
            protect=[Path(p) for p in _inputs(given, background, garbage)],
            **options,
        )
    notes = [*getattr(inner, "notes", []), *finished.notes, *report.notes]
    confidence = inner.report.confidence if isinstance(inner, PropagationStream) else {}
    return MatteReport(report.output, report.frames, time.monotonic() - started, notes, confidence)


def _kind(give: Give | None, background: PathLike | None, output: PathLike | None, keyed: bool) -> OutputKind:
    if background is not None:
        if give is not None:
            raise InputError("`background` makes a video of colors; leave out `give`")
        return "color"
    if give is not None:
        check_choice("give", give, get_args(Give))
        return "matte" if give == "mask" else "alpha"
    holds_alpha = output is None or Path(output).suffix.lower() in ("", ".mov", ".webm", ".mkv", ".png")
    return "alpha" if keyed and holds_alpha else "matte"


def _stream(
    info: VideoInfo,
    key: Any,
    given: PathLike | Mapping[int, PathLike] | None,
    model: str | None,
    weights: PathLike | None,
    spill: float,
    garbage: PathLike | None,
    threshold: float | None,
) -> Any:
    if key is not None:
        return KeyingStream(key, spill, None if garbage is None else _still_mask(garbage, info))
    if given is not None:
        files = given if isinstance(given, Mapping) else number_masks(given)
        masks = {number: _still_mask(file, info) for number, file in files.items()}
        return PropagationStream(masks, shipped_fuse())
    if model is not None:
        return open_model(model)
    if weights is not None:
        return NetworkStream(load_moving(weights, threshold))
    return MovingStream(THRESHOLD if threshold is None else threshold)


def number_masks(path: PathLike) -> dict[int, Path]:
    """Mask files by the number of their frames: one picture is that of frame 0, a folder's names end in numbers.

    Raises:
        InputError: nothing there, no pictures, or names without a number.
    """
    place = Path(path)
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    if place.is_file():
        return {0: place}
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)
    if not files:
        raise InputError(f"{place}: no pictures in it; give masks named by the numbers of their frames, as 00012.png")
    numbers: dict[int, Path] = {}
    for file in files:
        found = re.search(r"(\d+)$", file.stem)
        if found is None:
            raise InputError(f"{file}: its name does not end in the number of its frame; name it like 00012.png")
        if int(found[1]) in numbers:
            raise InputError(f"{file} and {numbers[int(found[1])]} are both for frame {int(found[1])}; keep one")
        numbers[int(found[1])] = file
    return numbers


def _still_mask(path: PathLike, info: VideoInfo) -> np.ndarray:
    """One mask picture, of the clip's size."""
    with open_mask(path, like=info, retime="index") as reader:
        return next(iter(reader))


def _inputs(given: PathLike | Mapping[int, PathLike] | None, *others: PathLike | None) -> list[PathLike]:
    masks = list(given.values()) if isinstance(given, Mapping) else [given]
    return [path for path in (*masks, *others) if path is not None]


class _Finished:
    """Another stream's masks, or colors and masks, made into what the output holds."""

    def __init__(
        self, inner: Any, kind: str, background: PathLike | None, wrap: float, info: VideoInfo, stack: ExitStack
    ) -> None:
        if not 0 <= wrap <= 1:
            raise InputError(f"`light_wrap` must be between 0 and 1, got {wrap}")
        self._inner, self._kind, self._wrap = inner, kind, wrap
        self._back = None if background is None else _Backgrounds(background, info, stack)
        self._any = self._all = False
        self._frames = 0
        self._full = 0

    def push(self, frame: Any, mask: Any, tag: Any) -> Iterator[tuple[Any, Any]]:
        for (mine, picture), result in self._inner.push(frame, mask, (tag, frame)):
            yield mine, self._result(picture, result)

    def finish(self) -> Iterator[tuple[Any, Any]]:
        for (mine, picture), result in self._inner.finish():
            yield mine, self._result(picture, result)

    def check(self, frames: int) -> None:
        """Refuse a result that is black all over."""
        if not self._any:
            raise InputError(f"the mask is empty in all {frames} frames; nothing was written")

    @property
    def notes(self) -> list[str]:
        notes = list(self._back.notes) if self._back is not None else []
        if self._frames and self._full == self._frames:
            notes.append("the mask covers the whole picture in every frame; is it the right way for this clip?")
        return notes

    def _result(self, picture: np.ndarray, result: Any) -> Any:
        colors, alpha = result if isinstance(result, tuple) else (None, result)
        self._frames += 1
        self._any |= bool((alpha > 0.02).any())
        self._full += bool(alpha.min() > 0.98)
        if self._kind == "matte":
            return alpha
        if colors is None:
            colors = foreground_colors(as_bytes(picture), alpha)
            if picture.dtype == np.uint16:  # keep the depth where nothing had to be unmixed
                colors = np.where(alpha[..., None] >= 1, picture.astype(np.float32) / 65535, colors)
        if self._back is None:
            return colors, alpha
        back = self._back.next()
        weight = alpha[..., None]
        if self._wrap:
            colors = _wrapped(colors, alpha, back, self._wrap)
        return np.clip(weight * colors + (1 - weight) * back, 0, 1).astype(np.float32)


def _wrapped(colors: np.ndarray, alpha: np.ndarray, back: np.ndarray, amount: float) -> np.ndarray:
    """Let the background's light fall over the subject's edge (screened, so that it only brightens)."""
    sigma = max(1.0, WRAP * len(alpha))
    light = cv2.GaussianBlur(back * (1 - alpha[..., None]), (0, 0), sigma)
    return 1 - (1 - colors) * (1 - amount * np.clip(light, 0, 1) * 0.6)


class _Backgrounds:
    """Pictures of a background, ``(H, W, 3)`` float32 in [0, 1], scaled to cover the clip's size; short ones repeat."""

    def __init__(self, path: PathLike, info: VideoInfo, stack: ExitStack) -> None:
        self._path, self._stack, self._size = path, stack, (info.width, info.height)
        self._rate = info.frame_rate
        self._still: np.ndarray | None = None
        self._walk = self._open()
        self.notes: list[str] = []

    def next(self) -> np.ndarray:
        """The next one."""
        if self._still is not None:
            return self._still
        frame = next(self._walk, None)
        if frame is None:
            if not self.notes:
                self.notes.append(f"{self._path} is shorter than the clip: it begins anew")
            self._walk = self._open()
            frame = next(self._walk)
        found = cover(as_bytes(frame.image), *self._size).astype(np.float32) / 255
        if self._is_still:
            self._still = found
        return found

    def _open(self) -> Iterator[Any]:
        reader = self._stack.enter_context(open_video(self._path, frame_rate=self._rate))
        self._is_still = reader.info.kind == "image"
        return iter(reader)
