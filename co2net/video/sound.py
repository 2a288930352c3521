"""Carry sound, subtitles and attachments over: packets as they are, in step with the pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import numpy as np
from av.error import FFmpegError

from co2net.errors import InputError
from co2net.video.clock import Clock
from co2net.video.pyav import open_input
from co2net.video.streams import is_cover, video_stream
from co2net.video.subtitles import SubtitleConverter, can_convert

# What to encode with where a container cannot hold the source's own coding, best first.
_ENCODERS = {"mp4": ("aac",), "mov": ("pcm_s24le", "aac"), "webm": ("libopus",), "matroska": ("flac",)}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_GAP_SECONDS = 0.1  # less is rounding or jitter
_RATES_OF_OPUS = (8000, 12000, 16000, 24000, 48000)
# Tags that describe the old file, not what is in it.
_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "alpha_mode", "vendor_id"}


class SoundCopier:
    """Copies what a file holds beside its pictures into an output; opens the file once more, or takes `opened` over.

    Every sound track, subtitles (as text of the output's own kind where it does not hold theirs), cover art and
    attachments; or only its sound, or only the others. Packets are handed over up to the time of the pictures written,
    so nothing piles up in memory.
    """

    def __init__(
        self,
        source: Path,
        output: Any,
        container_format: str,
        notes: list[str],
        audio: bool = True,
        others: bool = True,
        may_be_cut: bool = False,
        opened: Any = None,
    ) -> None:
        self._may_be_cut, self._source = may_be_cut, opened or open_input(source)
        self._path, self._output, self._format = source, output, container_format
        self._copied: dict[int, Any] = {}
        self._transcoded: dict[int, _Transcoder] = {}
        self._converted: dict[int, SubtitleConverter] = {}
        self._covers: list[Any] = []
        sounds = self._source.streams.audio if audio else []
        for stream in [*sounds, *(self._source.streams.subtitles if others else [])]:
            self._add(stream, notes)
        video = video_stream(self._source)
        if others:
            self._add_others(video, notes)
        self._clock = Clock(self._source, video.index) if video is not None else None
        known = {*self._copied, *self._transcoded, *self._converted}
        if self._clock is not None and video is not None and self._clock.watches:
            known.add(video.index)  # its packets are passed over, their times count
        streams = [s for s in self._source.streams if s.index in known]
        self._packets: Iterator[Any] = self._source.demux(*streams) if streams else iter(())
        self._pending: Any = None
        self._latest: dict[int, int] = {}
        self.begin = 0.0
        """Time of the earliest packet handed over, where before 0: the encoder's run-in."""

    def advance(self, seconds: float | None) -> None:
        """Hand over every packet that begins no later than `seconds`; None: all that is left.

        Raises:
            InputError: the source's sound is damaged.
        """
        while True:
            packet = self._pending if self._pending is not None else self._next()
            self._pending = packet
            if packet is None:
                return
            begin = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and begin is not None and float(begin * packet.time_base) > seconds:
                return
            self._pending = None
            if packet.pts is not None and packet.stream.index in self._copied:
                self.begin = min(self.begin, float(packet.pts * packet.time_base))
            self._hand_over(packet)

    def finish(self, end: float | None = None) -> None:
        """Hand over the rest, of a file that may be cut off up to `end` seconds, and empty the encoders."""
        self.advance(end if self._may_be_cut else None)
        for packet in self._covers:
            self._output.mux(packet)
        for transcoder in self._transcoded.values():
            self._output.mux(transcoder.finish())

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _next(self) -> Any:
        try:
            for packet in self._packets:
                if self._clock is not None:
                    self._clock.correct(packet)
                if (packet.size or packet.dts is not None) and packet.stream.type != "video":
                    return packet
            return None
        except FFmpegError as error:
            if self._may_be_cut:
                return None
            raise InputError(f"{self._path}: its sound is damaged ({error.strerror}); export the file again") from error

    def _hand_over(self, packet: Any) -> None:
        index = packet.stream.index
        if index in self._converted:
            for converted in self._converted[index].convert(packet):
                self._output.mux(converted)
            return
        if index in self._transcoded:
            try:
                packets = self._transcoded[index].encode(packet)
            except FFmpegError as error:
                raise InputError(
                    f"{self._path}: its sound is damaged ({error.strerror}); export the file again"
                ) from error
            self._output.mux(packets)
            return
        if not packet.duration and packet.pts is not None:
            # Matroska names no durations for some codecs; without one MP4 would cut the last packet off.
            packet.duration = max(0, packet.pts - self._latest.get(index, packet.pts))
            self._latest[index] = packet.pts
        packet.stream = self._copied[index]
        self._output.mux(packet)

    def _add(self, stream: Any, notes: list[str]) -> None:
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        if _holds(self._format, self._path, stream.index):
            target = self._output.add_stream_from_template(stream)
            self._copied[stream.index] = target
        elif stream.type == "audio":
            transcoder = _Transcoder(stream, self._output, self._format)
            self._transcoded[stream.index], target = transcoder, transcoder.target
            notes.append(
                f"{self._format} files do not hold this {name} sound: stream {stream.index} was encoded as "
                f"{transcoder.name}; .mkv keeps it as it is"
            )
        elif can_convert(name, self._format):
            converter = SubtitleConverter(stream, self._output, self._format)
            self._converted[stream.index], target = converter, converter.target
            notes.append(
                f"{self._format} files do not hold {name} subtitles: stream {stream.index} was written as "
                f"{converter.name}, without its styles"
            )
        else:
            notes.append(f"{self._format} files do not hold {name} subtitles: stream {stream.index} was left out")
            return
        copy_tags(stream, target)
        copy_disposition(stream, target)

    def _add_others(self, video: Any, notes: list[str]) -> None:
        """Cover art and attachments; what else there is beside the pictures is said."""
        for stream in self._source.streams:
            if stream.type == "attachment" and self._format == "matroska":
                self._output.add_attachment(
                    stream.name or "attachment", stream.mimetype or "", bytes(stream.data or b"")
                )
            elif stream.type == "video" and stream is not video and is_cover(stream):
                if not self._add_cover(stream):
                    notes.append(f"{self._format} files do not hold this cover picture here: left out")
            elif stream.type == "attachment":
                notes.append(f"{self._format} files hold no attachments: {stream.name} was left out; .mkv keeps it")
            elif stream.type == "video" and stream is not video:
                notes.append(f"stream {stream.index} is a further video stream: left out, only the first is harmonized")
            elif stream.type == "data" and "timecode" not in {key.lower() for key in stream.metadata}:
                notes.append(f"stream {stream.index} holds data ({stream.name or 'unknown'}): left out")

    def _add_cover(self, stream: Any) -> bool:
        with open_input(self._path) as source:
            try:
                packet = next((p for p in source.demux(source.streams[stream.index]) if p.size), None)
            except FFmpegError:
                packet = None
            data = bytes(packet) if packet is not None else b""
        kind = {"png": "image/png", "mjpeg": "image/jpeg"}.get(stream.codec_context.name)
        if not data or kind is None:
            return False
        if self._format == "matroska":
            name = stream.metadata.get("filename", f"cover.{kind[6:]}")
            self._output.add_attachment(name, stream.metadata.get("mimetype", kind), data)
            return True
        if self._format != "mp4" or not _holds(self._format, self._path, stream.index):
            return False
        target = self._output.add_stream_from_template(stream)
        copy_disposition(stream, target)
        cover = av.Packet(data)
        cover.pts = cover.dts = 0
        cover.time_base, cover.stream, cover.is_keyframe = stream.time_base, target, True
        self._covers.append(cover)
        return True


class _Transcoder:
    """Decodes one audio stream and encodes it anew."""

    def __init__(self, stream: Any, output: Any, container_format: str) -> None:
        self._decoder, source = stream, stream.codec_context
        self.name = next(n for n in _ENCODERS[container_format] if n in av.codec.codecs_available)
        rate = source.sample_rate
        if self.name == "libopus" and rate not in _RATES_OF_OPUS:
            rate = 48000
        self.target = output.add_stream(self.name, rate=rate)
        self._context = self.target.codec_context
        self._context.layout = _layout_for(self.name, rate, source.layout)
        if self.name in ("aac", "libopus"):
            self._context.bit_rate = 96_000 * max(1, source.layout.nb_channels)
        self._resampler = av.AudioResampler(format=self._context.format, layout=self._context.layout, rate=rate)
        self._fifo = av.AudioFifo()
        self._rate, self._next_sample = rate, -1

    def encode(self, packet: Any) -> list[Any]:
        for frame in packet.decode():
            self._take(frame)
        return self._encode_pieces(partial=False)

    def finish(self) -> list[Any]:
        for frame in [*self._decoder.codec_context.decode(None), None]:
            self._take(frame)
        return self._encode_pieces(partial=True) + self.target.encode(None)

    def _take(self, frame: Any) -> None:
        """Count samples instead of trusting times, which some containers round; fill real gaps with silence."""
        if frame is not None and frame.time is not None:
            begin = round(frame.time * self._rate)
            if self._next_sample < 0:
                self._next_sample = max(0, begin)
            gap = begin - self._next_sample if begin - self._next_sample > _GAP_SECONDS * self._rate else 0
            while gap >= 1024:
                self._put(self._silence())
                gap -= 1024
        if frame is not None:
            frame.pts = None
        for resampled in self._resampler.resample(frame):
            self._put(resampled)

    def _silence(self) -> Any:
        """1024 samples; written interleaved, since PyAV writes beyond the planes of a frame of eight channels."""
        layout = self._context.layout
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024 * layout.nb_channels), np.float32), "flt", layout.name)
        frame.sample_rate = self._rate
        return av.AudioResampler(format=self._context.format, layout=layout, rate=self._rate).resample(frame)[0]

    def _put(self, samples: Any) -> None:
        self._next_sample = max(0, self._next_sample)
        samples.pts, samples.sample_rate, samples.time_base = self._next_sample, self._rate, Fraction(1, self._rate)
        self._next_sample += samples.samples
        self._fifo.write(samples)

    def _encode_pieces(self, partial: bool) -> list[Any]:
        packets: list[Any] = []
        size = self._context.frame_size or 1024
        while (piece := self._fifo.read(size, partial)) is not None:
            packets += self.target.encode(piece)
        return packets


def _layout_for(encoder: str, rate: int, layout: Any) -> str:
    """The source's own arrangement of loudspeakers, or the smallest usual one that has room for it.

    Raw sound may come without one ("2 channels"), and encoders know few of them (Opus no 5.1 with side speakers).
    """
    channels = layout.nb_channels
    named = [] if layout.name.endswith("channels") else [layout.name]
    usual = sorted(_LAYOUTS.items(), key=lambda item: (item[0] < channels, abs(item[0] - channels)))
    for name in [*named, *(name for _, name in usual)]:
        trial: Any = av.CodecContext.create(encoder, "w")  # of sound, which PyAV does not say
        trial.sample_rate, trial.layout, trial.format = rate, name, _first_format(trial)
        try:
            trial.open()
            return name
        except FFmpegError:
            continue
    return layout.name


def _first_format(context: Any) -> str:
    formats = context.codec.audio_formats
    return formats[0].name if formats else "s16"


def copy_tags(source: Any, target: Any) -> None:
    """Copy the tags of a stream or container (language, title, time code, ...) that are not about the old file."""
    for key, value in source.metadata.items():
        if key.lower() not in _OF_THE_FILE and not key.upper().startswith(
            ("BPS", "NUMBER_OF_", "_STATISTICS", "DURATION")
        ):
            target.metadata[key] = value


def copy_disposition(source: Any, target: Any) -> None:
    """Copy what a track is for: default, forced, comment, hearing impaired, cover art, ..."""
    target.disposition = source.disposition


def _holds(container_format: str, path: Path, index: int) -> bool:
    """Find out by writing the first packet: what a muxer takes is written down nowhere else."""
    try:
        with open_input(path) as source:
            stream = source.streams[index]
            packet = next((p for p in source.demux(stream) if p.size), None)
            trial: Any = av.open(io.BytesIO(), "w", format=container_format)
            try:
                target = trial.add_stream_from_template(stream)
                trial.start_encoding()
                if packet is not None:
                    packet.stream = target
                    trial.mux(packet)
            finally:
                trial.close()
    except (FFmpegError, ValueError, OSError, RuntimeError):
        return False
    return True
