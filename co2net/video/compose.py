"""Lay a foreground over a background, frame by frame: mask · foreground + (1 - mask) · background."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from co2net.checks import check_choice
from co2net.errors import InputError
from co2net.threads import cores
from co2net.video.coded_masks import CodedMask, bounding_box
from co2net.video.color_profiles import converted
from co2net.video.float_pictures import FloatSamples, Transfer
from co2net.video.hardware import Hardware
from co2net.video.lazy_colors import ComposedColors, LayeredColors, PartOfColors, Patch, mix
from co2net.video.mask_files import MaskOptions, MaskReading
from co2net.video.masks import Fit, MaskReader, Retime, alpha_mask, open_mask
from co2net.video.metadata import UNSPECIFIED, Closing, Frame, VideoInfo
from co2net.video.orientation import UPRIGHT
from co2net.video.pairing import check_numbers, pair
from co2net.video.picture_clips import Part, PictureReader
from co2net.video.reader import MOST_THREADS, VideoReader, open_video

Reader = VideoReader | PictureReader


@dataclass(frozen=True)
class Composing:
    """How a foreground is laid over a background."""

    sound: Literal["auto", "foreground", "background", "none"] = "auto"
    """Whose sound goes along; "auto": the background's, or the foreground's where it has none."""
    background_loop: bool = False
    """A background that ends too early begins again."""
    background_fit: Literal["error", "cover", "contain", "stretch"] = "error"
    """What to do with a background of another size: fill the foreground's and cut what is over, show all of it between
    black bars, or change its shape."""
    alpha: Literal["auto", "straight", "premultiplied"] = "auto"
    """Whether the foreground's colors are multiplied by its alpha channel already; "auto": if none is above it."""

    def __post_init__(self) -> None:
        check_choice("sound", self.sound, ("auto", "foreground", "background", "none"))
        check_choice("background_fit", self.background_fit, ("error", "cover", "contain", "stretch"))
        check_choice("alpha", self.alpha, ("auto", "straight", "premultiplied"))


def open_composed(
    foreground: str | os.PathLike[str],
    background: str | os.PathLike[str],
    mask: str | os.PathLike[str] | None = None,
    retime: Retime = "error",
    *,
    fit: Fit = "error",
    options: MaskOptions | None = None,
    composing: Composing | None = None,
    frame_rate: Fraction | float | None = None,
    part: Part | None = None,
    transfer: Transfer = "auto",
    hardware: Hardware = "off",
) -> ComposedReader:
    """Open a composite that does not exist as a file yet. Colors are mixed as stored (display-coded).

    Args:
        foreground: Clip, or one still picture that holds for every frame.
        background: Clip, or one still picture; gives times, sound and tags (a still: the foreground does), and stays
            untouched where the mask is 0.
        mask: Anything :func:`~co2net.video.masks.open_mask` reads; None for the foreground's alpha channel.
        retime: How a mask of another frame rate is paired.
        fit: What to do with a mask of another size.
        options: How the mask's values are read.
        composing: How the two are laid over each other.
        frame_rate: Frames per second of pictures.
        part: Only these numbers of folders of pictures, with their neighbors.
        transfer: What the samples of floating-point pictures are.
        hardware: Who decodes both, see :func:`~co2net.video.reader.open_video`.

    Returns:
        A context manager with ``.info`` (the background's); iterating yields ``(frame, mask)`` pairs. ``notes`` says
        what deserves a look.

    Raises:
        InputError: another size or length, another frame rate, or no mask and no alpha channel.
    """
    composing, options = composing or Composing(), options or MaskOptions()
    opened: list[Closing] = []
    try:
        # Two are decoded at a time, so each gets half of the threads; every one of them holds a frame.
        threads = max(1, min(MOST_THREADS, cores()) // 2)
        how: Any = {"transfer": transfer, "hardware": hardware, "threads": threads}
        back = open_video(background, frame_rate, part=_part_of(background, part), **how)
        opened.append(back)
        rate = frame_rate or back.info.frame_rate
        front = open_video(foreground, rate, part=_part_of(foreground, part), **how)
        opened.append(front)
        composed = ComposedReader(front, back, composing, options)
        if mask is not None:
            composed.use_masks(open_mask(mask, composed.info, fit, retime, options.channel, options))
        elif not front.info.has_alpha:
            raise InputError(f"{front.info.path}: no alpha channel ({front.info.pixel_format}); give its mask")
        return composed
    except BaseException:
        for reader in opened:
            reader.close()
        raise


def _part_of(path: str | os.PathLike[str], part: Part | None) -> Part | None:
    """A still holds for every part."""
    return None if Path(path).is_file() else part


class ComposedReader(Closing):
    """A foreground over a background; made by :func:`open_composed`."""

    def __init__(self, foreground: Reader, background: Reader, composing: Composing, options: MaskOptions) -> None:
        self._foreground, self._background, self._masks = foreground, background, None
        self._composing, self._alpha = composing, MaskReading("alpha", options)
        self._premultiplied: bool | None = {"straight": False, "premultiplied": True}.get(composing.alpha)
        self.coded = False
        """Set before the walk: masks may then come as :class:`~co2net.video.coded_masks.CodedMask`."""
        self.notes: list[str] = []
        """What deserves a look; complete when the frames were walked."""
        front, back = foreground.info, background.info
        sizes = (front.width, front.height), (back.width, back.height)
        self._fits = sizes[0] != sizes[1]
        if self._fits and composing.background_fit == "error":
            raise InputError(
                f"{front.path} is {sizes[0][0]}x{sizes[0][1]} and {back.path} is {sizes[1][0]}x{sizes[1][1]}; "
                "foreground and background must be of one size, or choose how the background fits: cover, contain or "
                "stretch"
            )
        rates = front.frame_rate, back.frame_rate
        if front.kind == back.kind == "video" and rates[0] and rates[1] and abs(float(rates[0] / rates[1]) - 1) > 0.005:
            raise InputError(
                f"{front.path} has {float(rates[0]):.6g} frames/s and {back.path} has {float(rates[1]):.6g}; "
                "convert one of them"
            )
        note = check_numbers(back, front, "foreground")
        self.notes += [note] if note else []
        self._leads = front if back.kind == "image" or composing.background_loop else back
        self._check_counts(front, back)
        self.info = self._composed_info(front, back)

    @property
    def inputs(self) -> tuple[VideoInfo, VideoInfo]:
        """Facts about foreground and background."""
        return self._foreground.info, self._background.info

    def use_masks(self, masks: MaskReader) -> None:
        """Take these masks in place of the foreground's alpha channel."""
        self._masks = masks
        self.notes = [*self.notes, *masks.notes]
        masks.notes = self.notes
        self.info = replace(self.info, sources=(*self.info.sources, masks.path))

    def close(self) -> None:
        """Close all sources."""
        for reader in (self._foreground, self._background, self._masks):
            if reader is not None:
                reader.close()

    def __iter__(self) -> Iterator[tuple[Frame, np.ndarray]]:
        """Yield ``(frame, mask)``; ``frame.image`` is the composite, of the background's type.

        Raises:
            InputError: foreground, background and mask are not of one length.
        """
        both = self._layers()
        if self._masks is None:
            for front, back in both:
                mask = self._alpha.clean(alpha_mask(front))
                yield self._composite(front, back, mask), mask
            return
        backs: list[Frame] = []

        def fronts() -> Iterator[Frame]:
            for front, back in both:
                backs.append(back)
                yield front

        self._masks.coded = self.coded
        for front, mask in pair(fronts(), self._masks):
            yield self._composite(front, backs.pop(0), mask), mask

    def _layers(self) -> Iterator[tuple[Frame, Frame]]:
        """Foreground and background of each frame of the composite."""
        front, back = self._foreground.info, self._background.info
        fronts, backs = iter(self._foreground), self._backgrounds()
        still_front = next(fronts) if front.kind == "image" else None
        if back.kind == "image":
            still_back = next(backs)
            frames = [still_front] if still_front is not None else fronts
            for one in frames:
                yield one, replace(still_back, keep=dict(still_back.keep))
            return
        count = 0
        for count, under in enumerate(backs):  # counts on after the loop
            over = still_front if still_front is not None else next(fronts, None)
            if over is None:
                if self._composing.background_loop:
                    return
                raise InputError(f"{front.path} ends after {count} frames, {back.path} goes on; cut them to one length")
            yield over, under
        if still_front is None and next(fronts, None) is not None:
            raise InputError(
                f"{front.path} has more frames than the {count + 1} of {back.path}; cut them to one length, or let the "
                "background loop"
            )

    def _backgrounds(self) -> Iterator[Frame]:
        yield from self._background
        while self._composing.background_loop and self._foreground.info.kind != "image":
            with open_video(self._background.path, self._background.info.frame_rate) as again:
                yield from again

    def _composite(self, front: Frame, back: Frame, mask: np.ndarray | CodedMask) -> Frame:
        if self._fits:
            back.image = _fitted(back.image, self.info, self._composing.background_fit)
        image = front_image = None if back.colors is not None else front.image
        profiles = front.keep.get("icc_profile"), back.keep.get("icc_profile")
        if profiles[0] != profiles[1] and front.peak == 255 and "float" not in front.keep:
            image = converted(front.image, *profiles)
        if self._premultiplied is None and self._masks is None:
            self._premultiplied = _is_premultiplied(front)
            if self._premultiplied:
                self.notes.append(
                    f"{self._foreground.path}: no color is above its alpha anywhere: taken as premultiplied by it"
                )
        premultiplied = bool(self._premultiplied) and self._masks is None
        if "float" in back.keep:
            self._compose_floats(front, back, np.asarray(mask), premultiplied)
        elif back.colors is not None and not self._fits and image is front_image and not premultiplied:
            _lay_over(front, back, mask)
        else:
            back.stored_image = None if back.stored is None else back.image
            above = front.image if image is None else image
            back.image = _mix(above, back.image, np.asarray(mask), back.peak / front.peak, premultiplied)
            back.colors = None
        if self._fits:
            back.stored = back.stored_image = None
            back.alpha = None
        if self._leads is self._foreground.info:
            return replace(
                back,
                number=front.number,
                name=front.name or back.name,
                seconds=front.seconds,
                pts=front.pts,
                time_base=front.time_base,
                duration=front.duration,
                stored=back.stored if self._background.info.kind == "video" else None,
                is_context=front.is_context,
            )
        return back

    def _compose_floats(self, front: Frame, back: Frame, mask: np.ndarray, premultiplied: bool) -> None:
        samples: FloatSamples = back.keep["float"]
        if self._fits:
            fitted = _fitted(samples.values, self.info, self._composing.background_fit)
            samples = replace(samples, values=fitted, alpha=None)
        over = front.keep.get("float") or FloatSamples(front.image.astype(np.float32) / front.peak, False)
        samples = samples.beneath(over, mask, premultiplied)
        back.keep = {**back.keep, "float": samples}
        back.image, back.stored_image = samples.codes(), None

    def _check_counts(self, front: VideoInfo, back: VideoInfo) -> None:
        """Refuse another length before the work, where both headers tell it for sure."""
        if "image" in (front.kind, back.kind) or self._composing.background_loop:
            return
        counts = front.frame_count, back.frame_count
        if front.exact_count and back.exact_count and counts[0] and counts[1] and counts[0] != counts[1]:
            if counts[0] < counts[1]:
                what = f"ends after {counts[0]} frames, {back.path} goes on; cut them to one length"
                raise InputError(f"{front.path} {what}")
            what = f"has more frames than the {counts[1]} of {back.path}; cut them to one length"
            raise InputError(f"{front.path} {what}, or let the background loop")

    def _composed_info(self, front: VideoInfo, back: VideoInfo) -> VideoInfo:
        chosen = self._composing.sound
        if chosen == "auto":
            chosen = "background" if back.has_audio or not front.has_audio else "foreground"
        info = replace(back, sources=(*back.sources, *front.sources))
        if self._leads is front:  # the background's samples, the foreground's length and times
            info = replace(
                info,
                frame_rate=front.frame_rate or back.frame_rate,
                frame_count=front.frame_count,
                duration_seconds=front.duration_seconds,
                exact_count=front.exact_count,
                time_base=front.time_base or back.time_base,
                names=front.names or back.names,
                part=front.part,
            )
            if back.kind == "image":
                info = replace(info, kind=front.kind, path=front.path)
        if self._fits or (back.kind == "image" and front.kind == "video"):
            info = replace(
                info,
                width=front.width,
                height=front.height,
                pixel_format="rgb24" if back.bit_depth <= 8 else "rgb48le",
                has_alpha=back.has_alpha and not self._fits,
                orientation=UPRIGHT,
                colorspace=UNSPECIFIED,
                color_range=0,
                sample_aspect_ratio=None,
                field_order="",
                light=None,
            )
        source = {"background": back, "foreground": front}.get(chosen)
        has_audio = source is not None and source.has_audio
        if chosen in ("foreground", "background") and self._composing.sound != "auto" and not has_audio:
            self.notes.append(f"{source.path if source else back.path} has no sound: the result has none")
        if has_audio and source is back and front.has_audio and self._composing.sound == "auto":
            self.notes.append(f"the sound is the background's; that of {front.path} is left out")
        own = source is not None and source.path == info.path
        return replace(
            info,
            has_audio=has_audio,
            sound_from=source.path if has_audio and source and not own else None,
            with_sound=self._composing.sound != "none",
        )


def _is_premultiplied(front: Frame) -> bool | None:
    """Whether no color is above its alpha; None where no pixel is half transparent, so that it cannot matter."""
    if front.alpha is None:
        return None
    soft = (front.alpha > 0) & (front.alpha < front.peak)
    if np.count_nonzero(soft) < 16:
        return None
    tolerance = front.peak // 100  # codecs
    return not bool((front.image.max(axis=2).astype(np.int32) > front.alpha.astype(np.int32) + tolerance).any())


def _lay_over(front: Frame, back: Frame, mask: np.ndarray | CodedMask) -> None:
    """Make `back`, whose colors are not converted yet, the composite: only where the mask is not 0."""
    assert back.colors is not None  # noqa: S101  # the caller asked
    inside = bounding_box(mask)
    if inside is not None:
        box = back.colors.aligned(inside)
        if front.colors is not None and front.peak == back.peak and not isinstance(front.colors, ComposedColors):
            # The whole foreground would wait in the window, frame by frame.
            back.colors = LayeredColors(back.colors, PartOfColors(front.colors, box), mask[box], box)
            return
        before = back.colors[box]
        above = front.image[box] if front.colors is None else front.colors[box]
        mixed = _mix(above, before, np.asarray(mask[box]), back.peak / front.peak)
        back.colors = ComposedColors(back.colors, Patch(box, before, mixed))


def _mix(
    front: np.ndarray, back: np.ndarray, mask: np.ndarray, scale: float, premultiplied: bool = False
) -> np.ndarray:
    """Return the composite in the background's type; exactly the background where the mask is 0."""
    if scale == 1 and not premultiplied:
        return mix(front, back, mask)
    weight = mask[..., None]
    over = front.astype(np.float32) * np.float32(scale)
    mixed = (over if premultiplied else weight * over) + (1 - weight) * back.astype(np.float32)
    if premultiplied:
        mixed = np.where(weight == 0, back, mixed).astype(np.float32)
    return cv2.add(mixed, 0.0, dtype=cv2.CV_8U if back.dtype == np.uint8 else cv2.CV_16U).astype(back.dtype)  # type: ignore[call-overload]


def _fitted(image: np.ndarray, info: VideoInfo, how: str) -> np.ndarray:
    """Bring a background to the foreground's size."""
    wanted, (height, width) = (info.width, info.height), image.shape[:2]
    scale = wanted[0] / width, wanted[1] / height
    if how != "stretch":
        one = max(scale) if how == "cover" else min(scale)
        scale = one, one
    size = max(1, round(width * scale[0])), max(1, round(height * scale[1]))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if min(scale) < 1 else cv2.INTER_CUBIC)
    if how == "cover":
        left, top = (size[0] - wanted[0]) // 2, (size[1] - wanted[1]) // 2
        return np.ascontiguousarray(scaled[top : top + wanted[1], left : left + wanted[0]])
    left, top = (wanted[0] - size[0]) // 2, (wanted[1] - size[1]) // 2
    right, bottom = wanted[0] - size[0] - left, wanted[1] - size[1] - top
    return cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
