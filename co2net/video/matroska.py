"""Write the display width into a finished Matroska or WebM file.

Anamorphic pictures need it, FFmpeg's muxer writes it from a field that PyAV does not set, and FFV1 and VP9 have no
other place for it. The file is not rewritten: the muxer is asked for an element that says nothing
(:data:`PLACEHOLDER`), and its bytes are used.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

PLACEHOLDER = {"stereo_mode": "mono"}
"""Stream tag that makes the muxer write StereoMode 0, its own default."""

_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO, _CRC = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0, 0xBF
_STEREO, _UNIT, _VOID, _INTERLACED, _ORDER = 0x53B8, 0x54B2, 0xEC, 0x9A, 0x9D
_HEAD = 1 << 20  # the tracks stand at the beginning


class _Element(NamedTuple):
    number: int
    start: int
    body: int
    end: int


def set_sample_aspect_ratio(path: Path, ratio: Fraction) -> bool:
    """Set the pixel shape of the first video track; False where the file has no room for it (unchanged then)."""
    with path.open("r+b") as file:
        data = bytearray(file.read(_HEAD))
        try:
            segment = next(e for e in _children(data, 0, len(data)) if e.number == _SEGMENT)
            tracks = next(e for e in _children(data, segment.body, len(data)) if e.number == _TRACKS)
            video = next(v for t in _children(data, tracks.body, tracks.end) if (v := _video_of(data, t)) is not None)
            patched = _with_display_width(bytes(data), video, ratio)
        except (StopIteration, IndexError):
            return False
        if patched is None:
            return False
        data[video.body : video.end] = patched
        first = next(_children(data, tracks.body, tracks.end))
        if first.number == _CRC:
            data[first.body : first.end] = zlib.crc32(data[first.end : tracks.end]).to_bytes(4, "little")
        file.seek(tracks.start)
        file.write(data[tracks.start : tracks.end])
    return True


def _with_display_width(data: bytes, video: _Element, ratio: Fraction) -> bytes | None:
    children = list(_children(data, video.body, video.end))
    width = next(int.from_bytes(data[e.body : e.end], "big") for e in children if e.number == 0xB0)
    shown = round(width * ratio)
    size = max(1, (shown.bit_length() + 7) // 8)
    added = b"\x54\xb0" + bytes([0x80 | size]) + shown.to_bytes(size, "big")
    # What the place is taken from: elements that say nothing, then the one that says "progressive".
    for dropped in ({_STEREO, _UNIT, _VOID}, {_STEREO, _UNIT, _VOID, _INTERLACED, _ORDER}):
        kept = b"".join(data[e.start : e.end] for e in children if e.number not in dropped)
        room = video.end - video.body - len(kept) - len(added)
        if room == 0 or room >= 2:
            padding = bytes([_VOID, 0x80 | (room - 2)]) + bytes(room - 2) if room else b""
            return kept + added + padding
    return None


def _video_of(data: bytearray, track: _Element) -> _Element | None:
    if track.number != _TRACK:
        return None
    children = list(_children(data, track.body, track.end))
    is_video = any(e.number == _TYPE and data[e.body] == 1 for e in children)
    return next((e for e in children if e.number == _VIDEO), None) if is_video else None


def _children(data: bytes | bytearray, start: int, end: int) -> Iterator[_Element]:
    while start < end:
        number, body = _number(data, start, keep_marker=True)
        size, body = _number(data, body, keep_marker=False)
        yield _Element(number, start, body, body + size)
        start = body + size


def _number(data: bytes | bytearray, start: int, keep_marker: bool) -> tuple[int, int]:
    """Read EBML's variable-length number: as many leading zero bits as bytes follow."""
    length = 9 - data[start].bit_length()
    value = int.from_bytes(data[start : start + length], "big")
    return (value if keep_marker else value & ~(1 << (7 * length))), start + length
