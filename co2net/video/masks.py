"""The masks of a clip, one per frame: from a video, a folder, one still picture, or an alpha channel.

What their values mean is decided in :mod:`co2net.video.mask_files`. Luma of limited-range video is stretched from
16..235 by its tag; untagged YUV video is limited range.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np

from co2net.checks import check_choice
from co2net.errors import InputError
from co2net.screen import silenced
from co2net.video import color
from co2net.video.coded_masks import CodedMask
from co2net.video.mask_evidence import brightest
from co2net.video.mask_files import Channel, MaskOptions, MaskReading, decide
from co2net.video.metadata import Closing, Frame, VideoInfo
from co2net.video.pairing import check_numbers
from co2net.video.picture_clips import PictureReader, is_pattern
from co2net.video.pictures import LOSSY_ENDINGS, picture_errors
from co2net.video.raw_masks import RawMask, decode_raw, read_raw
from co2net.video.reader import VideoReader, open_video

Fit = Literal["error", "resize"]
Retime = Literal["error", "nearest", "index"]

LOSSLESS_CODECS = frozenset("ffv1 huffyuv ffvhuff utvideo png apng qtrle rawvideo v210 v410 r210 magicyuv gif".split())
_RATE_TOLERANCE = 0.005  # 23.976 beside 24 is a matter of rounding, 24 beside 25 is not
_TINT = 12
"""Chroma, in levels about its middle, up to which YUV masks are grey; coding noise stays below."""
_COLORED_ZONE = 8 / 255
"""Dead zone of colored YUV video: chroma noise reaches farther than luma noise."""


def open_mask(
    path: str | os.PathLike[str],
    like: VideoInfo,
    fit: Fit = "error",
    retime: Retime = "error",
    channel: Channel = "auto",
    options: MaskOptions | None = None,
) -> MaskReader:
    """Open the mask of a clip.

    Args:
        path: Video, folder of pictures, or one still picture, which then holds for every frame.
        like: ``info`` of the composite.
        fit: "resize" scales a mask of another size; "error" refuses it.
        retime: "nearest" takes for each frame the mask nearest in time, "index" pairs by number whatever the rates
            say; "error" pairs by number and refuses another frame rate or length.
        channel: "luma" or "alpha" to choose; "auto" takes the alpha channel where there is one that is not opaque.
        options: More about its values; `channel` counts in place of theirs unless it is "auto".

    Returns:
        A context manager; iterating yields ``float32 (H, W)`` in [0, 1], one per frame. Walk it with
        :func:`~co2net.video.pairing.pair`. Its ``notes`` say what it was taken for.

    Raises:
        InputError: the mask cannot be read, does not fit, or could mean two things; the message names the option.
    """
    options = options or MaskOptions()
    options = options if channel == "auto" else replace(options, channel=channel)
    return MaskReader(_open(path, like), like, fit, retime, options)


def _open(path: str | os.PathLike[str], like: VideoInfo) -> VideoReader | PictureReader:
    """Open a mask; beside a part of a sequence its own pictures of those numbers, or a still."""
    place = Path(path)
    part = like.part if place.is_dir() or is_pattern(place) else None
    reader = open_video(path, frame_rate=like.frame_rate, as_mask=True, part=part)
    if like.part is not None and part is None and reader.info.kind != "image":
        reader.close()
        raise InputError(f"{path}: beside a part of a sequence the mask must be numbered pictures, or one picture")
    return reader


def masks_from_alpha(like: VideoInfo, fit: Fit = "error", options: MaskOptions | None = None) -> MaskReader:
    """Use the alpha channel of the input itself as its mask.

    Raises:
        InputError: the input has no alpha channel.
    """
    return open_mask(like.path, like, fit=fit, channel="alpha", options=options)


def alpha_mask(frame: Frame) -> np.ndarray:
    """Return the alpha channel of a frame as a mask: ``float32 (H, W)`` in [0, 1]; 1 everywhere without one."""
    if frame.alpha is None:
        return np.ones(frame.image.shape[:2], np.float32)
    return frame.alpha.astype(np.float32) / frame.peak


class MaskReader(Closing):
    """The masks of a clip, one per frame; made by :func:`open_mask`."""

    def __init__(
        self, reader: VideoReader | PictureReader, like: VideoInfo, fit: Fit, retime: Retime, options: MaskOptions
    ) -> None:
        self.path, self.info, self._reader = reader.info.path, reader.info, reader
        self.like, self.retime = like, retime
        self.is_still = self.info.kind == "image"
        self.notes: list[str] = []
        """What the mask was taken for where it is not plain black and white."""
        self.coded = False
        """Set before the walk: masks of 8-bit YUV video then come as :class:`~co2net.video.coded_masks.CodedMask`."""
        try:
            check_choice("mask_fit", fit, get_args(Fit))
            check_choice("mask_retime", retime, get_args(Retime))
            self._turns = self._check_size(fit)
            self._check_rate()
            note = check_numbers(like, self.info) if retime == "error" else ""
            if note:
                self.notes.append(note)
            if options.channel == "alpha" and not self.info.has_alpha:
                raise InputError(
                    f"{self.path}: no alpha channel ({self.info.pixel_format}); give a mask file, or export with "
                    "alpha (ProRes 4444, PNG)"
                )
            self._by_luma = isinstance(reader, VideoReader) and _needs_stretching(self.info)
            self._table: np.ndarray | None = None
            self._reading = self._decide(options)
            if isinstance(reader, VideoReader):
                # An alpha channel that was opaque so far is watched, unless the user chose.
                reader.luma_only = options.channel == "luma" or not self.info.has_alpha
            if self._reading.note:
                self.notes.append(self._reading.note)
        except BaseException:
            reader.close()
            raise

    def close(self) -> None:
        """Close the source."""
        self._reader.close()

    def follow(self, reader: VideoReader | PictureReader) -> None:
        """Let the composite's own notes appear among these, when there are any."""
        if isinstance(reader, VideoReader):
            reader.notes = self.notes

    def __iter__(self) -> Iterator[Any]:
        """Yield masks by number: without end for a still picture, else as many as the source has."""
        for mask, _ in self.timed():
            yield mask
            while self.is_still:
                yield mask

    def timed(self) -> Iterator[tuple[Any, float]]:
        """Yield ``(mask, seconds from the first mask)`` for each mask of the source, once."""
        start = None
        for number, (mask, seconds) in enumerate(self._masks()):
            seconds = seconds if seconds is not None else float(number / (self.like.frame_rate or 25))
            start = seconds if start is None else start
            yield self._fitted(mask), seconds - start

    def _masks(self) -> Iterator[tuple[Any, float | None]]:
        if isinstance(self._reader, VideoReader):
            for frame in self._reader:
                yield self._values(frame), frame.seconds
            return
        for number in range(len(self.info.names)):
            raw, file = self._picture(number)
            mask = self._reading(raw, file)
            if mask.shape != (self.info.height, self.info.width):
                raise InputError(
                    f"{file}: {mask.shape[1]}x{mask.shape[0]}, the first mask is "
                    f"{self.info.width}x{self.info.height}; all masks must be of one size"
                )
            yield mask, float(number / self.info.frame_rate) if self.info.frame_rate else None

    def _picture(self, number: int) -> tuple[RawMask, Path | str]:
        """One of the source's pictures, and its name for messages."""
        assert isinstance(self._reader, PictureReader)  # noqa: S101  # the caller asked
        if self._reader.pages == 1:
            return read_raw(self._reader.files[number]), self._reader.files[number]
        if self._reader.is_float:
            return read_raw(self._reader.path, number), f"{self.path}, picture {number + 1}"
        opened = self._reader.page(number)
        with picture_errors(self.path), silenced():
            return decode_raw(opened, self._reader.path), f"{self.path}, picture {number + 1}"

    def _values(self, frame: Frame) -> np.ndarray | CodedMask:
        name = f"{self.path}, frame {frame.number}"
        if self._reading.kind == "alpha" or not self._by_luma:
            return self._reading(self._raw(frame), name)
        self._reading.check_alpha(frame.alpha, name)
        plane = luma_plane(frame, self.info)
        assert plane is not None  # noqa: S101  # YUV and grey have one
        if self._is_tinted(frame):
            return self._colored(frame)
        if plane.dtype != np.uint8:
            return self._reading.of_shares(self.info.orientation.upright(stretched(plane, self.info)))
        if self._table is None:  # a tenth of the arithmetic's time
            self._table = self._reading.of_shares(stretched(np.arange(256), self.info))
        mask = CodedMask(self.info.orientation.upright(plane), self._table)
        return mask if self.coded else np.asarray(mask)

    def _raw(self, frame: Frame) -> RawMask:
        """A frame of video as stored: grey codes, or RGB with its alpha channel; luma to stretch in levels of 255."""
        plane = luma_plane(frame, self.info)
        if plane is None:
            return RawMask(frame.image, frame.alpha)
        if not self._by_luma:
            peak = color.planar_layout(self.info.pixel_format).peak
            return RawMask(self.info.orientation.upright(plane), frame.alpha, white=float(peak))
        if self._is_tinted(frame):
            return RawMask(self._colors(frame), frame.alpha)
        plane = self.info.orientation.upright(plane)
        if plane.dtype == np.uint8:
            levels = cv2.LUT(plane, np.rint(stretched(np.arange(256), self.info) * 255).astype(np.uint8))
        else:
            levels = np.rint(stretched(plane, self.info) * 255).astype(np.uint8)
        return RawMask(levels, frame.alpha)

    def _is_tinted(self, frame: Frame) -> bool:
        """Whether a YUV mask is painted in a color: its luma would then say too little."""
        layout = color.planar_layout(self.info.pixel_format)
        middle, reach = 1 << (layout.bits - 1), _TINT << (layout.bits - 8)
        for plane in color.plane_views(frame.stored, layout)[1:3]:
            low, high, *_ = cv2.minMaxLoc(plane)
            if max(high - middle, middle - low) > reach:
                return True
        return False

    def _colored(self, frame: Frame) -> np.ndarray:
        note = f"{self.path}: a mask in color; the brightest channel counts"
        if not any(said.startswith(note) for said in self.notes):
            self.notes.append(note)
        colors = self._colors(frame)
        mask = brightest(colors).astype(np.float32) / np.float32(np.iinfo(colors.dtype).max)
        plane = luma_plane(frame, self.info)
        if plane is not None:
            mask = _sharpened(mask, self.info.orientation.upright(stretched(plane, self.info)))
        if self._reading.floor:
            mask[mask <= _COLORED_ZONE] = 0.0
            mask[mask >= 1 - _COLORED_ZONE] = 1.0
        return self._reading.clean(mask)

    def _colors(self, frame: Frame) -> np.ndarray:
        assert isinstance(self._reader, VideoReader)  # noqa: S101  # pictures are no YUV
        return frame.image if frame.image.size else self._reader.colors_of(frame)

    def _fitted(self, mask: np.ndarray | CodedMask) -> np.ndarray | CodedMask:
        wanted = (self.like.width, self.like.height)
        if isinstance(mask, CodedMask):
            if mask.shape[::-1] == wanted and not self._turns:
                return mask
            mask = np.asarray(mask)
        if self._turns:
            mask = self.like.orientation.upright(mask)
        if mask.shape[::-1] != wanted:
            shrinks = mask.shape[1] > wanted[0] and mask.shape[0] > wanted[1]
            mask = cv2.resize(mask, wanted, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return mask

    def _check_size(self, fit: Fit) -> bool:
        """Refuse another size; True where the mask lies as the composite is stored, not as it stands upright."""
        size, wanted = (self.info.width, self.info.height), (self.like.width, self.like.height)
        if size == wanted:
            return False
        if size == self.like.stored_size and self.like.orientation.transpose:
            return True
        if fit == "resize":
            return False
        raise InputError(
            f"{self.path} is {size[0]}x{size[1]} and {self.like.path} is {wanted[0]}x{wanted[1]}; "
            "give a mask of the same size, or `mask_fit` resize to scale it"
        )

    def _check_rate(self) -> None:
        ours, theirs = self.info.frame_rate, self.like.frame_rate
        if self.retime == "error" and self.info.kind == "video" and ours and theirs:
            if abs(float(ours / theirs) - 1) > _RATE_TOLERANCE:
                raise InputError(
                    f"{self.path} has {float(ours):.6g} frames/s and {self.like.path} has {float(theirs):.6g}; give "
                    "`mask_retime` nearest to pair them by time, or `mask_retime` index to pair them by number"
                )

    def _decide(self, options: MaskOptions) -> MaskReading:
        if isinstance(self._reader, PictureReader):
            lossy = any(f.suffix.lower() in LOSSY_ENDINGS for f in self._reader.files)
            raws = (self._picture(number)[0] for number in _spread(len(self.info.names)))
            return decide(raws, self.path, options, lossy)
        reading = decide(self._looked_at(), self.path, options, self.info.codec not in LOSSLESS_CODECS)
        if (self._by_luma and reading.kind == "numbers") or (self._by_luma and options.number is not None):
            raise InputError(
                f"{self.path}: object numbers do not survive in {self.info.pixel_format} video; write the mask with 0 "
                "and 255, or as PNG"
            )
        return reading

    def _looked_at(self) -> Iterator[RawMask]:
        """The first frame; where it does not tell, the frames after it, from the file opened once more."""
        assert isinstance(self._reader, VideoReader)  # noqa: S101  # the caller asked
        yield self._raw(self._reader.first_frame())
        with VideoReader(self._reader.path, threads=1) as again:
            again.luma_only = not self.info.has_alpha
            for frame in again:
                if frame.number:
                    yield self._raw(frame)


def _spread(count: int) -> list[int]:
    """The first, the middle and the last, then the others in steps that cover all early."""
    step = max(1, count // 8)
    order = [0, count // 2, count - 1, *(k for start in range(step) for k in range(start, count, step))]
    return list(dict.fromkeys(order))


def _sharpened(mask: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Take the edges of a mask in one color from its luma, which has four times the pixels of its chroma.

    Elsewhere the color's own channel has less noise: pure blue spans 18 codes of luma only. Masks in several colors
    stay as they are.
    """
    full = luma[mask > 0.9]
    low, white, high = np.percentile(full, (10, 50, 90)) if full.size else (0.0, 0.0, 1.0)
    if white <= 0 or high - low > 0.2 * white:
        return mask
    sharp = np.minimum(luma / np.float32(white), 1)
    return np.where(np.abs(sharp - mask) > 0.1, sharp, mask)


def _needs_stretching(info: VideoInfo) -> bool:
    """Whether its masks are luma: YUV, or grey of limited range; RGB and full-range grey are read as stored."""
    layout = color.planar_layout(info.pixel_format)
    limited = not color.is_full_range(layout, info.color_range, info.pixel_format)
    return layout.kind == "yuv" or (layout.kind == "gray" and limited)


def luma_plane(frame: Frame, info: VideoInfo) -> np.ndarray | None:
    """Return the stored luma samples ``(H, W)`` of a decoded frame; None where it has none (RGB, pictures)."""
    layout = color.planar_layout(info.pixel_format)
    if frame.stored is None or layout.kind == "rgb":
        return None
    return color.plane_views(frame.stored, layout)[0]


def stretched(codes: np.ndarray, info: VideoInfo) -> np.ndarray:
    """Bring luma codes from the range that `info` names to float32 in [0, 1]."""
    codes = codes.astype(np.float32)
    layout = color.planar_layout(info.pixel_format)
    if color.is_full_range(layout, info.color_range, info.pixel_format):
        return codes / np.float32(layout.peak)
    unit = 1 << (layout.bits - 8)
    return np.clip((codes - 16 * unit) / np.float32(219 * unit), 0, 1)
