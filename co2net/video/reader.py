"""Read a clip frame by frame: :func:`open_video` for files of video, folders of pictures and single pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av.error import FFmpegError

from co2net.errors import InputError
from co2net.threads import cores
from co2net.video import color
from co2net.video.clock import Clock
from co2net.video.float_pictures import Transfer
from co2net.video.hardware import Hardware, decoding
from co2net.video.lazy_colors import LazyColors
from co2net.video.metadata import Closing, Frame, VideoInfo
from co2net.video.orientation import UPRIGHT, Orientation
from co2net.video.picture_clips import Part, PictureReader, is_pattern
from co2net.video.pictures import PICTURE_ENDINGS, count_pages
from co2net.video.pyav import open_input, require_pyav, to_fraction
from co2net.video.streams import video_stream
from co2net.video.tags import chroma_place, color_tags, field_order, light_levels, side_data

DEFAULT_PICTURE_RATE = Fraction(25)
"""Frames per second of a folder of pictures when it becomes a video and nobody said a rate (FFmpeg's own default)."""
MOST_THREADS = 4
"""That decode one file: each holds frames of its own, and the encoder takes longer. A mask is decoded by one."""


def open_video(
    path: str | os.PathLike[str],
    frame_rate: Fraction | float | None = None,
    as_mask: bool = False,
    part: Part | None = None,
    keep_partial: bool = False,
    transfer: Transfer = "auto",
    hardware: Hardware = "off",
    threads: int = MOST_THREADS,
) -> VideoReader | PictureReader:
    """Open a video file, a folder of pictures or one picture for reading.

    Args:
        path: What to read.
        frame_rate: Frames per second for a folder of pictures; video files know their own times.
        as_mask: Pictures may be of kinds that only masks have (32 bits, floating point); they are not decoded yet.
        part: Only these numbers of a sequence or folder of pictures, with their neighbors.
        keep_partial: Of a video that is damaged or cut off, read what is before that; ``notes`` says where it ends.
        transfer: What the samples of floating-point pictures are, linear light or coded for display; "auto" goes by
            the format. Others are always display-coded.
        hardware: "auto" has video decoded by a graphics processor where there is one for it: the same samples.
        threads: Decode a video, at most, and no more than there are cores; a mask is decoded by one.

    Returns:
        A context manager with ``.info``; iterating yields :class:`~co2net.video.metadata.Frame` in display order.

    Raises:
        InputError: nothing there, not a video, no frame in it.
    """
    place = Path(path)
    if is_pattern(place):
        return PictureReader(place, frame_rate, as_mask, part, transfer)
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    ending = place.suffix.lower()
    if place.is_dir() or ending in PICTURE_ENDINGS or (ending == ".gif" and count_pages(place) == 1):
        return PictureReader(place, frame_rate, as_mask, part, transfer)
    if part is not None:
        raise InputError(f"{place}: is no sequence of pictures, so no part of it can be chosen by numbers")
    return VideoReader(place, keep_partial, hardware, threads=1 if as_mask else threads)


class VideoReader(Closing):
    """A video file, decoded frame by frame; made by :func:`open_video`. The first frame is decoded on opening."""

    def __init__(
        self, path: Path, keep_partial: bool = False, hardware: Hardware = "off", threads: int = MOST_THREADS
    ) -> None:
        self.path, self._keep_partial, self._threads = path, keep_partial, threads
        self.notes: list[str] = []
        """Where a damaged file ends, if that is allowed; complete after the walk."""
        self._packets = self._promised_packets = 0
        self._last_end = 0.0
        self.luma_only = False
        """Set for masks: frames of YUV and grey video then come with an empty `image`."""
        self._scratch = color.Scratch()
        self._container = _open_container(path, hardware)
        try:
            self._stream = self._choose_stream()
            self._clock = Clock(self._container, self._stream.index)
            self._stamps: list[int] = []
            self._decoder = self._choose_decoder()
            self._frames = self._decode()
            self._first: av.VideoFrame | None = next(self._frames, None)
            if self._first is None:
                raise InputError(f"{path}: no frame of video in it; the file is empty or cut off, write it again")
            self._measure(self._first)
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames once; the reader cannot be rewound.

        Raises:
            InputError: the file is damaged or ends before the length its header names.
        """
        first, self._first = self._first, None
        if first is None:
            raise InputError(f"{self.path}: the frames of a reader can be walked only once; open it again")
        number, decoded = 0, first
        while decoded is not None:
            yield self._frame(decoded, number)
            number += 1
            del self._stamps[:1]
            decoded = next(self._frames, None)
        self._check_length(number)

    def first_frame(self) -> Frame:
        """Return the first frame before the walk begins; the walk yields it again.

        Raises:
            InputError: the walk has begun.
        """
        if self._first is None:
            raise InputError(f"{self.path}: the frames of a reader can be walked only once; open it again")
        return self._frame(self._first, 0)

    def colors_of(self, frame: Frame) -> np.ndarray:
        """Return the upright RGB picture of a frame that came without one (:attr:`luma_only`)."""
        image = color.to_rgb(frame.stored, self._layout, self._space, self._full, self._scratch)[0]
        return self.info.orientation.upright(image)

    def _choose_stream(self) -> Any:
        stream = video_stream(self._container)
        if stream is None or stream.codec_context is None:
            raise InputError(f"{self.path}: no video stream in it; give a file with pictures")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(self._threads, cores())
        return stream

    def _choose_decoder(self) -> Any:
        """FFmpeg's own VP8 and VP9 decoders drop the alpha channel of WebM; libvpx keeps it."""
        context = self._stream.codec_context
        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.name)
        if name is None or self._stream.metadata.get("alpha_mode", self._stream.metadata.get("ALPHA_MODE")) != "1":
            return context
        try:
            decoder = av.CodecContext.create(name, "r")
        except (ValueError, FFmpegError):
            return context  # this build has no libvpx decoder: the picture is right, its alpha channel is not seen
        decoder.extradata = context.extradata
        return decoder

    def _decode(self) -> Iterator[av.VideoFrame]:
        number = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    self._decoder.flush_buffers()  # it holds on to the last frames, whose change would copy them
                    return
                flush = packet.size == 0 and packet.dts is None
                self._clock.correct(packet)
                if packet.dts is not None and packet.size and self._container.format.name == "avi":
                    self._stamps.append(packet.dts)  # it counts packets as they are stored, not as they are shown
                self._packets += 0 if flush else 1
                frames = self._decoder.decode(None if flush else packet)
            except FFmpegError as error:
                if self._ends_early(number, str(error.strerror)):
                    return
                raise self._damaged(number, str(error.strerror)) from error
            for frame in frames:
                if frame.is_corrupt:
                    if self._ends_early(number, "its data is incomplete"):
                        return
                    raise self._damaged(number, "its data is incomplete")
                yield frame
                number += 1

    def _ends_early(self, number: int, cause: str) -> bool:
        if not self._keep_partial or not number:
            return False
        self.notes.append(f"{self.path}: damaged at frame {number} ({cause}): the result ends before it")
        return True

    def _damaged(self, number: int, cause: str) -> InputError:
        return InputError(
            f"{self.path}: damaged at frame {number} ({cause}); copy or export the file again, "
            f"or cut it before that frame"
        )

    def _measure(self, first: av.VideoFrame) -> None:
        stream, context = self._stream, self._stream.codec_context
        self._format = first.format.name
        self._layout = color.planar_layout(self._format)
        tags = color_tags(first, context)
        self._full = color.is_full_range(self._layout, tags.color_range, self._format)
        self._size = first.width, first.height
        try:
            self._space = color.guess_colorspace(tags.colorspace, tags.color_primaries, *self._size)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None
        orientation = _orientation(first)
        width, height = self._size[::-1] if orientation.transpose else self._size
        self._rate = to_fraction(stream.average_rate or stream.guessed_rate)
        self.info = VideoInfo(
            path=self.path,
            kind="video",
            width=width,
            height=height,
            frame_rate=self._rate,
            frame_count=self._expected_count(),
            exact_count="mov" in self._container.format.name and len(stream.index_entries) > 0,
            duration_seconds=self._header_duration(),
            time_base=to_fraction(stream.time_base),
            pixel_format=self._format,
            bit_depth=self._layout.bits,
            has_alpha=self._layout.alpha,
            has_audio=bool(self._container.streams.audio),
            orientation=orientation,
            **tags._asdict(),
            sample_aspect_ratio=to_fraction(stream.sample_aspect_ratio),
            codec=context.name,
            sources=(self.path,),
            may_be_cut=self._keep_partial,
            light=light_levels(first),
            chroma_place=chroma_place(self._container, stream.index) if self._layout.kind == "yuv" else "",
            field_order=field_order(first, context),
        )

    def _frame(self, decoded: av.VideoFrame, number: int) -> Frame:
        if (decoded.width, decoded.height) != self._size or decoded.format.name != self._format:
            raise InputError(
                f"{self.path}: frame {number} is {decoded.width}x{decoded.height} {decoded.format.name}, "
                f"the ones before are {self._size[0]}x{self._size[1]} {self._format}; split the clip there"
            )
        planar = color.to_planar(decoded, self._layout)
        time_base = to_fraction(decoded.time_base or self._stream.time_base)
        pts = decoded.pts
        if self._stamps:  # stored times rise as shown ones do, a frame gets the next of them
            pts = self._stamps[0]
        elif pts is None:
            pts = decoded.dts
        if pts is None and self._rate and time_base:
            pts = round(number / self._rate / time_base)  # bare streams carry no times
        duration = int(getattr(decoded, "duration", 0) or 0)
        seconds = float(pts * time_base) if pts is not None and time_base else None
        if seconds is not None and time_base:
            length = float(duration * time_base) or (float(1 / self._rate) if self._rate else 0.0)
            self._last_end = max(self._last_end, seconds + length)
        turn = self.info.orientation
        facts = {"number": number, "seconds": seconds, "pts": pts, "time_base": time_base, "duration": duration}
        if self.luma_only and self._layout.kind != "rgb":
            return Frame(np.empty((0, 0, 3), np.uint8), stored=planar, **facts)
        if LazyColors.serves(self._layout, turn):
            return Frame.of_colors(LazyColors(planar, self._layout, self._space, self._full), stored=planar, **facts)
        image, alpha = color.to_rgb(planar, self._layout, self._space, self._full, self._scratch)
        return Frame(turn.upright(image), None if alpha is None else turn.upright(alpha), stored=planar, **facts)

    def _expected_count(self) -> int | None:
        """Count the frames that will be shown, where the header says; an edit list may hide some of them."""
        if not self._stream.frames:
            return None
        self._promised_packets = self._stream.frames
        if "mov" not in self._container.format.name:
            # Other indexes hold key frames only, and GIF's header counts what was looked at so far.
            return None if "gif" in self._container.format.name else self._stream.frames
        entries = [entry.is_discard for entry in self._stream.index_entries]
        if not entries:
            return self._stream.frames
        self._promised_packets = min(self._stream.frames, len(entries))
        return entries.count(False)

    def _header_duration(self) -> float | None:
        stream = self._stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        tagged = _clock(stream.metadata.get("DURATION", ""))  # Matroska's, per stream
        if tagged:
            return tagged
        return self._container.duration / 1e6 if self._container.duration else None

    def _check_length(self, number: int) -> None:
        """Compare with the header: a file that was cut off ends early without any decoder noticing.

        Both the count and the time must fall short where both are known: edit lists skip frames, and a header's
        length may be that of the sound.
        """
        count, frame = self.info.frame_count, float(1 / self._rate) if self._rate else 0.04
        start = float((self._stream.start_time or 0) * (self._stream.time_base or 0)) - float(self._clock.begin)
        own_duration = bool(self._stream.duration) or bool(_clock(self._stream.metadata.get("DURATION", "")))
        length = self.info.duration_seconds if own_duration or not self.info.has_audio else None
        # The Matroska tag gives the time of the end, stream.duration the time from the start.
        length = None if self._clock.watches else length  # estimated from the last time, which may be of another clock
        missing = None if length is None else length - self._last_end
        if missing is not None:
            missing += start if self._stream.duration else -float(self._clock.begin)
        few = count is not None and self._packets < self._promised_packets
        early = missing is not None and missing > max(1.5 * frame, 0.05)
        if (few and early) or (few and missing is None) or (count is None and early):
            promised = f"{count} frames" if count is not None else f"{length:.2f} s"
            if self._keep_partial:
                if not any(note.startswith(f"{self.path}: damaged") for note in self.notes):
                    self.notes.append(
                        f"{self.path}: cut off after {number} frames ({self._last_end:.2f} s), its header promises "
                        f"{promised}: the result ends there"
                    )
                return
            raise InputError(
                f"{self.path}: ends after {number} frames ({self._last_end:.2f} s), its header promises {promised}; "
                "the file is cut off, copy or export it again"
            )


def _open_container(path: Path, hardware: Hardware) -> Any:
    require_pyav()
    av.logging.set_level(None)  # FFmpeg's own chatter on stderr helps nobody here
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; write it again")
    try:
        return open_input(path, decoding(hardware)[0])
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except (FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: not a video that FFmpeg can read ({getattr(error, 'strerror', None) or error}); "
            "it may be cut off, or no video at all"
        ) from error


def _orientation(frame: av.VideoFrame) -> Orientation:
    for item in side_data(frame):
        if getattr(item.type, "name", "") == "DISPLAYMATRIX":
            return Orientation.from_matrix(np.frombuffer(bytes(item), np.int32)[:9].tolist())
    return UPRIGHT


def _clock(text: str) -> float | None:
    """Read Matroska's ``HH:MM:SS.fraction``."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
