"""Subtitles as text, from the coding of one container into that of another."""

from __future__ import annotations

import struct
from typing import Any

import av
from av.error import FFmpegError

KINDS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
"""What each container holds text as."""
_TEXT = ("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text")


def can_convert(codec: str, container_format: str) -> bool:
    """Whether subtitles of a coding are text, and the container holds text."""
    return codec in _TEXT and container_format in KINDS


class SubtitleConverter:
    """Writes text subtitles anew; style and place of the old coding are left out, line breaks stay."""

    def __init__(self, stream: Any, output: Any, container_format: str) -> None:
        self.name = KINDS[container_format]
        self.target = output.add_mux_stream(self.name)
        self.target.time_base = stream.time_base

    def convert(self, packet: Any) -> list[Any]:
        """The packets that say the same."""
        try:
            found = [getattr(part, "dialogue", None) for part in packet.decode()]
        except FFmpegError:
            return []  # a damaged line is no reason to stop a film
        lines = [line for line in found if line]
        if not lines or packet.pts is None:
            return []
        text = b"\n".join(lines)
        new = av.Packet(struct.pack(">H", min(len(text), 65535)) + text[:65535] if self.name == "mov_text" else text)
        new.pts = new.dts = packet.pts
        new.duration, new.time_base, new.stream = packet.duration, packet.time_base, self.target
        return [new]
