"""Masks for a clip: from a video, a folder, one still picture, or an alpha channel.

How a value is read:

* Grey pictures and the luma of grey or YUV video: black is 0, white is 1, anything between stays soft (8-bit / 255,
  16-bit / 65535). Limited-range video is stretched from 16..235 by its tag; untagged YUV video is limited range.
* Codecs and pictures with loss (H.264, JPEG, ...) leave noise near black and white, which would make the whole
  background "slightly masked": there, up to 2/255 counts as 0 and from 253/255 as 1. Lossless ones are read to the bit.
* RGB: the brightest channel, so that a colored shape on black counts fully where a channel is full.
* Palette pictures: their grey values, or, with a colored palette (label maps), 0 for entry 0 and 1 for all others.
* Pictures that only hold the values 0 and 1 mean 0 and 1, not 0 and 1/255 (up to three pictures of a folder are tried).
* An alpha channel is the mask unless it is opaque all over in the first picture; ``channel`` decides otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageOps

from co2net.errors import InputError
from co2net.video import color
from co2net.video.closing import Closing
from co2net.video.metadata import Frame, VideoInfo
from co2net.video.pictures import LOSSY_ENDINGS, PictureReader, read_picture
from co2net.video.reader import VideoReader, open_video

Fit = Literal["error", "resize"]
Retime = Literal["error", "nearest", "index"]
Channel = Literal["auto", "luma", "alpha"]

LOSSLESS_CODECS = frozenset(
    {
        "ffv1",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "png",
        "apng",
        "qtrle",
        "rawvideo",
        "v210",
        "v410",
        "r210",
        "magicyuv",
        "gif",
    }
)
DEAD_ZONE = 2 / 255
_RATE_TOLERANCE = 0.005  # 23.976 beside 24 is a matter of rounding, 24 beside 25 is not


def open_mask(
    path: str | os.PathLike[str],
    like: VideoInfo,
    fit: Fit = "error",
    retime: Retime = "error",
    channel: Channel = "auto",
) -> MaskReader:
    """Open the mask of a clip.

    Args:
        path: Video, folder of pictures, or one still picture, which then holds for every frame.
        like: ``info`` of the composite.
        fit: "resize" scales a mask of another size; "error" refuses it.
        retime: "nearest" takes for each frame the mask nearest in time, "index" pairs by number whatever the rates
            say; "error" pairs by number and refuses another frame rate or length.
        channel: "luma" or "alpha" to choose; "auto" takes the alpha channel where there is one that is not opaque.

    Returns:
        A context manager; iterating yields ``float32 (H, W)`` in [0, 1], one per frame. Walk it with
        :func:`~co2net.video.pairing.pair`.

    Raises:
        InputError: the mask cannot be read, or does not fit; the message names both values and the option.
    """
    return MaskReader(open_video(path, frame_rate=like.frame_rate), like, fit, retime, channel)


def masks_from_alpha(like: VideoInfo, fit: Fit = "error") -> MaskReader:
    """Use the alpha channel of the input itself as its mask.

    Raises:
        InputError: the input has no alpha channel.
    """
    return open_mask(like.path, like, fit=fit, channel="alpha")


def alpha_mask(frame: Frame) -> np.ndarray:
    """Return the alpha channel of a frame as a mask: ``float32 (H, W)`` in [0, 1]; 1 everywhere without one."""
    if frame.alpha is None:
        return np.ones(frame.image.shape[:2], np.float32)
    return frame.alpha.astype(np.float32) / frame.peak


class MaskReader(Closing):
    """The masks of a clip, one per frame; made by :func:`open_mask`."""

    def __init__(
        self, reader: VideoReader | PictureReader, like: VideoInfo, fit: Fit, retime: Retime, channel: Channel
    ) -> None:
        self.path, self.info, self._reader = reader.info.path, reader.info, reader
        self.like, self.retime = like, retime
        self._table: np.ndarray | None = None
        self.is_still = self.info.kind == "image"
        try:
            for name, value, choices in (
                ("fit", fit, ("error", "resize")),
                ("retime", retime, ("error", "nearest", "index")),
            ):
                if value not in choices:
                    raise InputError(f"--mask-{name} {value}: must be one of {', '.join(choices)}")
            self._turns = self._check_size(fit)
            self._check_rate()
            self._lossy = self._is_lossy()
            self._use_alpha = self._choose_channel(channel)
            if isinstance(reader, VideoReader):
                reader.luma_only = not self._use_alpha
            self._ones = self._is_zero_one()
        except BaseException:
            reader.close()
            raise

    def close(self) -> None:
        """Close the source."""
        self._reader.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield masks by number: without end for a still picture, else as many as the source has."""
        for mask, _ in self.timed():
            yield mask
            while self.is_still:
                yield mask

    def timed(self) -> Iterator[tuple[np.ndarray, float]]:
        """Yield ``(mask, seconds from the first mask)`` for each mask of the source, once."""
        start = None
        for number, frame in enumerate(self._source_frames()):
            seconds = frame.seconds if frame.seconds is not None else float(number / (self.like.frame_rate or 25))
            start = seconds if start is None else start
            yield self._fitted(self._values(frame)), seconds - start

    def _source_frames(self) -> Iterator[Frame]:
        if isinstance(self._reader, VideoReader):
            yield from self._reader
            return
        for number, file in enumerate(self._reader.files):
            seconds = float(number / self.info.frame_rate) if self.info.frame_rate else None
            yield Frame(np.empty((0, 0, 3), np.uint8), number=number, seconds=seconds, name=str(file))

    def _values(self, frame: Frame) -> np.ndarray:
        if isinstance(self._reader, PictureReader) and frame.name is not None:
            mask = self._picture_values(Path(frame.name))
        elif self._use_alpha and frame.alpha is not None:
            mask = frame.alpha.astype(np.float32) / frame.peak
        else:
            return self._luma(frame)
        if self._ones:
            peak = round(float(mask.max()) * self._peak)
            if peak > 1:
                raise InputError(
                    f"{self.path}: mask {frame.number} holds {peak}, the ones before only 0 and 1, which were read as "
                    "black and white; write all masks with 0 and 255"
                )
            mask = (mask > 0).astype(np.float32)
        return self._cleaned(mask)

    def _cleaned(self, mask: np.ndarray) -> np.ndarray:
        """Apply the dead zone to values in [0, 1], in place."""
        if self._lossy:
            mask[mask <= DEAD_ZONE + 1e-6] = 0.0
            mask[mask >= 1 - DEAD_ZONE - 1e-6] = 1.0
        return mask

    def _luma(self, frame: Frame) -> np.ndarray:
        """Values of a frame of video; those of 8-bit samples come from a table, a tenth of the arithmetic's time."""
        plane = luma_plane(frame, self.info)
        if plane is None or plane.dtype != np.uint8:
            return self._cleaned(luma_values(frame, self.info))
        if self._table is None:
            self._table = self._cleaned(stretched(np.arange(256, dtype=np.float32), self.info))
        return self.info.orientation.upright(cv2.LUT(plane, self._table))

    @property
    def _peak(self) -> int:
        return 255 if self.info.bit_depth <= 8 else 65535

    def _picture_values(self, file: Path) -> np.ndarray:
        labels = _label_map(file) if not self._use_alpha else None
        if labels is not None:
            mask = labels
        else:
            image, alpha, _ = read_picture(file)
            source = alpha if self._use_alpha and alpha is not None else None
            if self._use_alpha and source is None:
                raise InputError(f"{file}: no alpha channel, the first mask has one; write all masks alike")
            mask = (_brightest(image) if source is None else source).astype(np.float32)
            mask /= 65535 if image.dtype == np.uint16 else 255
        if mask.shape != (self.info.height, self.info.width):
            raise InputError(
                f"{file}: {mask.shape[1]}x{mask.shape[0]}, the first mask is {self.info.width}x{self.info.height}; "
                "all masks must be of one size"
            )
        return mask

    def _fitted(self, mask: np.ndarray) -> np.ndarray:
        if self._turns:
            mask = self.like.orientation.upright(mask)
        wanted = (self.like.width, self.like.height)
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
            "give a mask of the same size, or --mask-fit resize to scale it"
        )

    def _check_rate(self) -> None:
        ours, theirs = self.info.frame_rate, self.like.frame_rate
        if self.retime == "error" and self.info.kind == "video" and ours and theirs:
            if abs(float(ours / theirs) - 1) > _RATE_TOLERANCE:
                raise InputError(
                    f"{self.path} has {float(ours):.6g} frames/s and {self.like.path} has {float(theirs):.6g}; give "
                    "--mask-retime nearest to pair them by time, or --mask-retime index to pair them by number"
                )

    def _is_lossy(self) -> bool:
        if isinstance(self._reader, PictureReader):
            return any(f.suffix.lower() in LOSSY_ENDINGS for f in self._reader.files)
        return self.info.codec not in LOSSLESS_CODECS

    def _choose_channel(self, channel: Channel) -> bool:
        if channel not in ("auto", "luma", "alpha"):
            raise InputError(f"--mask-channel {channel}: must be one of auto, luma, alpha")
        if channel == "alpha" and not self.info.has_alpha:
            raise InputError(
                f"{self.path}: no alpha channel ({self.info.pixel_format}); give a mask file, or export with alpha "
                "(ProRes 4444, PNG)"
            )
        if channel != "auto" or not self.info.has_alpha:
            return channel == "alpha"
        if isinstance(self._reader, VideoReader):
            alpha = self._reader.first_alpha()
        else:
            alpha = read_picture(self._reader.files[0])[1]
        return alpha is not None and int(alpha.min()) < np.iinfo(alpha.dtype).max

    def _is_zero_one(self) -> bool:
        """Whether the pictures hold 0 and 1 for black and white."""
        if not isinstance(self._reader, PictureReader) or self._lossy:
            return False
        files = self._reader.files
        self._ones = False
        peaks = [
            float(self._picture_values(f).max()) * self._peak for f in {files[0], files[len(files) // 2], files[-1]}
        ]
        return 0.5 < max(peaks) < 1.5


def _label_map(file: Path) -> np.ndarray | None:
    """Read a palette picture with colors as 0 for entry 0 and 1 for the others; None for any other picture."""
    with Image.open(file) as opened:
        if opened.mode != "P" or "transparency" in opened.info:
            return None
        palette = np.asarray(opened.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        entries = np.asarray(ImageOps.exif_transpose(opened))
        used = palette[np.unique(entries[entries < len(palette)])]
        if len(palette) == 0 or bool((used == used[:, :1]).all()):
            return None
        return (entries > 0).astype(np.float32)


def _brightest(image: np.ndarray) -> np.ndarray:
    red, green, blue = cv2.split(image)
    return cv2.max(cv2.max(red, green), blue)


def luma_values(frame: Frame, info: VideoInfo) -> np.ndarray:
    """Return the luma of a decoded frame (RGB: its brightest channel) as ``float32 (H, W)`` in [0, 1], upright."""
    plane = luma_plane(frame, info)
    if plane is None:
        return _brightest(frame.image).astype(np.float32) / frame.peak
    return info.orientation.upright(stretched(plane.astype(np.float32), info))


def luma_plane(frame: Frame, info: VideoInfo) -> np.ndarray | None:
    """Return the stored luma samples ``(H, W)`` of a decoded frame; None where it has none (RGB, pictures)."""
    layout = color.planar_layout(info.pixel_format)
    if frame.stored is None or layout.kind == "rgb":
        return None
    return color.plane_views(frame.stored, layout)[0]


def stretched(codes: np.ndarray, info: VideoInfo) -> np.ndarray:
    """Bring luma codes, float32, from the range that `info` names to [0, 1]."""
    layout = color.planar_layout(info.pixel_format)
    if color.is_full_range(layout, info.color_range, info.pixel_format):
        return codes / np.float32(layout.peak)
    unit = 1 << (layout.bits - 8)
    return np.clip((codes - 16 * unit) / np.float32(219 * unit), 0, 1)
