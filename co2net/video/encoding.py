"""Encode frames into a container: planes changed only where the picture changed, times and tags as they were."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import cv2
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError

from co2net.video import color, matroska
from co2net.video.codecs import Codec, choose_pixel_format, preset_options, quality_options, slice_options
from co2net.video.color import nonzero
from co2net.video.lazy_colors import ComposedColors, Patch, PlanesPatch
from co2net.video.metadata import FULL_RANGE, LIMITED_RANGE, UNSPECIFIED, Frame, VideoInfo
from co2net.video.picture_writing import final_picture
from co2net.video.pyav import file_url, open_input, require_pyav
from co2net.video.reader import DEFAULT_PICTURE_RATE
from co2net.video.sound import SoundCopier, copy_disposition, copy_tags
from co2net.video.streams import video_stream
from co2net.video.tags import field_options, light_options

_NO_DELAY = 1 << 40
"""No encoder holds frames back for so many ticks of any clock."""


class VideoEncoder:
    """One output file: its video stream, and the sound that goes along.

    The file's header is written with the first frame.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        container_format: str,
        codec: Codec,
        quality: float | None,
        notes: list[str],
        preset: str | None = None,
    ) -> None:
        require_pyav()
        self._info, self._codec, self._notes, self._path, self._format = info, codec, notes, path, container_format
        self._aspect = info.sample_aspect_ratio or Fraction(1)
        self._needs_display_width = container_format in ("matroska", "webm") and self._aspect != 1
        self._source = color.planar_layout(info.pixel_format)
        width, height = info.stored_size
        self._space = color.guess_colorspace(info.colorspace, info.color_primaries, width, height)
        self._source_full = color.is_full_range(self._source, info.color_range, info.pixel_format)
        options = quality_options(codec, quality) | preset_options(codec, preset)
        fields, self._interlaced = field_options(codec, info.field_order)
        options |= fields
        if info.light is not None and info.kind == "video":
            kept = light_options(codec, info.light, info.chroma_place, notes)
            parameters = [o["x265-params"] for o in (options, kept) if "x265-params" in o]
            options |= kept | ({"x265-params": ":".join(parameters)} if parameters else {})
        samples = self._source
        if samples.alpha and container_format == "mp4" and codec.encoder == "libvpx-vp9":
            samples = replace(samples, alpha=False)
            notes.append("MP4 files hold no alpha channel of VP9: dropped; .webm and .mkv keep it")
        pixel_format = choose_pixel_format(codec, samples, width, height, notes, self._interlaced)
        self._layout = color.planar_layout(pixel_format)
        if codec.encoder == "ffv1":
            options |= slice_options(self._layout, width, height)
        self._pixel_format = pixel_format
        self._full = self._choose_range()
        self._time_base, rate = _choose_times(info, notes)
        self._first_pts: int | None = None
        self._last_pts: int | None = None
        self._durations: dict[int, int] = {}
        self._sounds: list[SoundCopier] = []
        self._fields: Any = None
        self._output: Any = av.open(
            file_url(path),
            "w",
            format=container_format,
            container_options=_container_options(container_format, self._time_base),
        )
        try:
            if codec.encoder == "libsvtav1":
                os.environ.setdefault("SVT_LOG", "1")  # it writes to stderr by itself: errors only
            self._stream = self._output.add_stream(
                codec.encoder, rate=rate, options=options, width=width, height=height
            )
            self._set_up_stream(pixel_format)
            if info.kind == "video":
                self._copy_from_source(container_format)
            elif info.sound_from is not None:
                self._copy_sound(info.sound_from, container_format)
        except BaseException:
            self.cancel()
            raise

    def write(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> None:
        """Encode one frame; see :meth:`co2net.video.writer.Writer.write`."""
        self._encode(frame, self._planes(frame, image, mask))

    def keeps_planes(self, frame: Frame) -> bool:
        """Whether the frame's decoded planes are written, changed where its colors changed; else it is coded anew."""
        # swscale takes all grey for full range, so grey is coded here like RGB.
        return frame.stored is not None and not (self._source.kind != "yuv" and self._layout.kind == "yuv")

    def write_patch(self, frame: Frame, patch: Patch | PlanesPatch | None) -> None:
        """Encode a frame whose planes are kept, changed inside a box of whole chroma blocks; None: not at all."""
        stored: av.VideoFrame = frame.stored
        if isinstance(patch, PlanesPatch):
            stored.make_writable()  # a decoder may still refer to it
            patch.put_on(color.plane_views(stored, self._source), self._source)
            return self._encode(frame, self._converted(stored))
        if isinstance(frame.colors, ComposedColors):
            patch = frame.colors.on_planes(patch)
        if patch is not None:
            rows, columns = patch.box
            after = patch.after
            if after.dtype == np.float32:
                after = np.clip(after, 0, 1) * np.float32(frame.peak)
            change = cv2.subtract(after, patch.before, dtype=cv2.CV_32F)
            self._add_change(stored, change, rows.start, columns.start, frame.peak)
        self._encode(frame, self._converted(stored))

    def _add_change(self, stored: av.VideoFrame, change: np.ndarray, top: int, left: int, peak: int) -> None:
        stored.make_writable()  # a decoder may still refer to it
        color.add_change(stored, self._source, self._space, self._source_full, change, top, left, peak)

    def _encode(self, frame: Frame, encoded: av.VideoFrame) -> None:
        encoded = self._as_fields(encoded)
        pts = self._next_pts(frame)
        encoded.pts, encoded.time_base = pts, self._time_base
        encoded.pict_type = 0  # the source's frame types are not the encoder's
        if frame.duration:
            self._durations[pts] = frame.duration
        self._mux(self._stream.encode(encoded))
        for sound in self._sounds:
            sound.advance(float(pts * self._time_base))

    def _as_fields(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Mark an interlaced picture: a conversion on the way has forgotten it."""
        if not self._interlaced:
            return frame
        if self._fields is None:
            graph = av.filter.Graph()
            begin = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
            )
            middle = graph.add("setfield", "tff" if self._info.field_order == "tt" else "bff")
            end = graph.add("buffersink")
            begin.link_to(middle)
            middle.link_to(end)
            graph.configure()
            self._fields = graph
        kept = frame.color_range, frame.colorspace
        frame.time_base = self._time_base
        self._fields.push(frame)
        marked = self._fields.pull()
        marked.color_range, marked.colorspace = kept
        return marked

    def finish(self) -> None:
        """Empty the encoder, write the rest of the sound and the file's index."""
        self._mux(self._stream.encode(None))
        for sound in self._sounds:
            sound.finish(float((self._last_pts or 0) * self._time_base))
            sound.close()
        self._output.close()
        self._say_if_moved()
        if self._needs_display_width and not matroska.set_sample_aspect_ratio(self._path, self._aspect):
            self._notes.append(f"the pixel shape {self._aspect} could not be written: shown with square pixels")

    def _say_if_moved(self) -> None:
        """Before FFmpeg 9 Matroska's muxer has no time before 0: it moves pictures and sound together."""
        begin = min((sound.begin for sound in self._sounds), default=0.0)
        if self._format not in ("matroska", "webm") or begin >= 0 or self._first_pts is None:
            return
        with open_input(self._path) as written:
            first = next(written.demux(video=0))
            moved = float(first.pts * first.time_base) - float(self._first_pts * self._time_base)
        if moved > 0.0015:  # less is rounding to milliseconds
            self._notes.append(
                f"the sound begins {-begin:.3f} s before the pictures: here all times are moved by that "
                "much, sound and pictures together; .mp4 and .mov keep them"
            )

    def cancel(self) -> None:
        """Close without finishing; never raises for the file's own sake."""
        for sound in self._sounds:
            sound.close()
        try:
            self._output.close()
        except (FFmpegError, OSError, ValueError):
            pass  # the file is about to be removed

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            # Encoders that reorder frames forget durations; without them the last frame gets its neighbor's.
            duration = self._durations.pop(packet.pts, 0)
            if duration:
                packet.duration = duration
            if packet.pts is not None and packet.dts is not None and not 0 <= packet.pts - packet.dts <= _NO_DELAY:
                packet.dts = packet.pts  # x265 leaves it uninitialized in clips of one or two frames
            self._output.mux(packet)

    def _planes(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> av.VideoFrame:
        info = self._info
        before = frame.stored_image if frame.stored_image is not None else frame.image
        if isinstance(frame.colors, ComposedColors):
            before = frame.colors.stored.whole()
        if not self.keeps_planes(frame):
            return self._planes_from_rgb(frame, image, mask)
        change, top, left = _change(frame.image, before, image, mask, self._source, info)
        stored: av.VideoFrame = frame.stored
        if change is not None:
            self._add_change(stored, change, top, left, frame.peak)
        return self._converted(stored)

    def _planes_from_rgb(self, frame: Frame, image: np.ndarray, mask: np.ndarray | None) -> av.VideoFrame:
        info, layout = self._info, self._layout
        picture = info.orientation.as_stored(final_picture(frame, image, mask))
        if layout.kind == "rgb" and self._pixel_format != layout.name:
            layout = color.planar_layout("gbrap" if layout.alpha else "gbrp")
        height, width = picture.shape[:2]
        fresh = color.black_frame(width, height, layout, self._space, self._full)
        change = picture.astype(np.float32) / frame.peak
        color.add_change(fresh, layout, self._space, self._full, change, 0, 0)
        if layout.alpha and frame.alpha is not None:
            alpha = info.orientation.as_stored(frame.alpha).astype(np.float32) * (layout.peak / frame.peak)
            color.plane_views(fresh, layout)[-1][...] = np.rint(alpha).astype(layout.dtype)
        return self._converted(fresh)

    def _converted(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Bring a planar frame into the encoder's format: the same samples where the format allows."""
        name = frame.format.name
        full = FULL_RANGE if self._full else LIMITED_RANGE
        if name != self._pixel_format or self._source_full != self._full:
            is_rgb = self._layout.kind == "rgb"
            source_full = FULL_RANGE if (self._source_full or is_rgb) else LIMITED_RANGE
            if frame.format.name != self._source.name and not name.startswith("yuvj"):
                source_full = full  # made here, already in the output's range
            frame = frame.reformat(
                format=self._pixel_format,
                src_colorspace=_swscale_space(self._space),
                dst_colorspace=_swscale_space(self._space),
                src_color_range=source_full,
                dst_color_range=FULL_RANGE if is_rgb else full,
            )
        if self._layout.kind != "rgb":
            frame.color_range = full
            frame.colorspace = self._stream.codec_context.colorspace
        return frame

    def _next_pts(self, frame: Frame) -> int:
        if frame.pts is None or frame.time_base is None:
            pts = frame.number
        else:
            pts = round(frame.pts * frame.time_base / self._time_base)
        if self._last_pts is not None and pts <= self._last_pts:
            self._notes[:] = [
                *dict.fromkeys([*self._notes, "some frames had time stamps that do not rise: moved by the least step"])
            ]
            pts = self._last_pts + 1
        self._first_pts = pts if self._first_pts is None else self._first_pts
        self._last_pts = pts
        return pts

    def _choose_range(self) -> bool:
        if self._layout.kind == "rgb":
            return True
        if self._codec.limited_only:
            return False
        return self._source_full if self._source.kind != "rgb" else False

    def _set_up_stream(self, pixel_format: str) -> None:
        info, context = self._info, self._stream.codec_context
        context.pix_fmt = pixel_format
        context.time_base = self._time_base
        if self._interlaced:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        self._stream.time_base = self._time_base
        is_new_yuv = self._source.kind == "rgb" and self._layout.kind == "yuv"
        if self._layout.kind != "rgb":
            # Pictures that become YUV here say how; everything else keeps its tags, "unspecified" among them.
            context.colorspace = self._space if is_new_yuv or info.colorspace == 0 else info.colorspace
            tagged = info.color_range or is_new_yuv or self._codec.limited_only or self._full
            context.color_range = (FULL_RANGE if self._full else LIMITED_RANGE) if tagged else 0
        context.color_primaries = info.color_primaries or UNSPECIFIED
        context.color_trc = info.color_transfer or UNSPECIFIED
        if self._aspect != 1:
            context.sample_aspect_ratio = self._aspect
        if self._needs_display_width:
            self._stream.metadata.update(matroska.PLACEHOLDER)
        if self._codec.limited_only:
            self._stream.options["profile"] = "4444" if self._layout.shift_x == 0 else "hq"
        if info.orientation.matrix is not None and info.orientation.matrix[:2] != (65536, 0):
            self._stream.set_display_matrix(info.orientation.matrix)

    def _copy_from_source(self, container_format: str) -> None:
        info, other = self._info, self._info.sound_from
        source = open_input(info.path)  # for tags and sound alike: to open a file, FFmpeg decodes a frame of it
        try:
            copy_tags(source, self._output)
            copy_tags(video_stream(source), self._stream)
            copy_disposition(video_stream(source), self._stream)
            if info.with_sound and hasattr(source, "chapters") and source.chapters():
                self._output.set_chapters(source.chapters())
        except BaseException:
            source.close()
            raise
        if not info.with_sound:
            return source.close()
        self._sounds.append(
            SoundCopier(
                *(info.path, self._output, container_format, self._notes),
                audio=other is None,
                may_be_cut=info.may_be_cut,
                opened=source,
            )
        )
        if other is not None:
            self._copy_sound(other, container_format)

    def _copy_sound(self, source: Path, container_format: str) -> None:
        self._sounds.append(SoundCopier(source, self._output, container_format, self._notes, others=False))


def _choose_times(info: VideoInfo, notes: list[str]) -> tuple[Fraction, Fraction]:
    rate = info.frame_rate
    if rate is None:
        rate = DEFAULT_PICTURE_RATE
        if info.kind == "folder":
            notes.append(f"pictures carry no times: written at {rate} frames/s; give `frame_rate` for another")
    return info.time_base or 1 / rate, rate


def _container_options(container_format: str, time_base: Fraction) -> dict[str, str]:
    if container_format not in ("mp4", "mov"):
        return {}
    # The muxer would choose its own clock; a time base of n/d ticks needs d ticks per second to be exact.
    return {"movflags": "+faststart", "video_track_timescale": str(time_base.denominator)}


def _swscale_space(space: int) -> int:
    """Translate a matrix code of H.273 to swscale's own numbers."""
    return {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}.get(space, 5)


def _change(
    shown: np.ndarray,
    before: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray | None,
    layout: color.Layout,
    info: VideoInfo,
) -> tuple[np.ndarray | None, int, int]:
    """Return new minus old RGB as stored, float32 in codes of `before`, for the least block-aligned box that holds it.

    None where nothing changes. `shown` counts where the mask is 0, `image` elsewhere; `before` is what the planes hold.
    """
    turn, only_mask = info.orientation, shown is before
    image, before, shown = turn.as_stored(image), turn.as_stored(before), turn.as_stored(shown)
    inside = None if mask is None else nonzero(turn.as_stored(mask))
    box, top, left = np.s_[:, :], 0, 0
    if inside is not None and only_mask:
        left, top, width, height = cv2.boundingRect(inside)
        if width == 0:
            return None, 0, 0
        right, bottom = left + width, top + height
        top, left = top >> layout.shift_y << layout.shift_y, left >> layout.shift_x << layout.shift_x
        block_h, block_w = 1 << layout.shift_y, 1 << layout.shift_x
        bottom = min(image.shape[0], -(-bottom // block_h) * block_h)
        right = min(image.shape[1], -(-right // block_w) * block_w)
        box = np.s_[top:bottom, left:right]
    new, old = image[box], before[box]
    if image.dtype == np.float32:
        new = np.clip(new, 0, 1) * np.float32(65535 if before.dtype == np.uint16 else 255)
    change = np.zeros(new.shape, np.float32)
    if inside is not None and not only_mask:
        cv2.subtract(shown[box], old, dst=change, dtype=cv2.CV_32F)
    # Without the mask's pixels, what stands in `change` stays.
    cv2.subtract(new, old, dst=change, mask=None if inside is None else inside[box], dtype=cv2.CV_32F)
    return change, top, left
