"""What a clip says of its pixels: colors, light levels, place of chroma, fields; and what encoders are told of it."""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.filter
import av.logging

from co2net.errors import OutputError
from co2net.video.codecs import Codec

_CHROMA = ("left", "center", "topleft", "top", "bottomleft", "bottom")
"""Places of chroma samples; numbered from 0 by x264 and x265."""
_LOCK = threading.Lock()


class ColorTags(NamedTuple):
    """What a stream says its colors are, by the numbers of ITU-T H.273; fields of :class:`VideoInfo`."""

    color_range: int
    """FFmpeg's: 1 limited, 2 full, 0 not said."""
    color_primaries: int
    color_transfer: int
    colorspace: int


def color_tags(frame: Any, context: Any) -> ColorTags:
    """Read them from a stream's coding, the range also from its first frame."""
    said = context.color_range or int(frame.color_range) or (2 if frame.format.name.startswith("yuvj") else 0)
    return ColorTags(said, int(context.color_primaries), int(context.color_trc), int(context.colorspace))


@dataclass(frozen=True)
class LightLevels:
    """HDR10's static metadata (SMPTE ST 2086, CTA-861.3)."""

    mastering: tuple[tuple[int, int], ...] = ()
    """Red, green, blue, white as x and y in 1/50000; greatest and least light in 1/10000 cd/m2. Empty: not known."""
    content: tuple[int, int] | None = None
    """Greatest light of a pixel, and of a frame on average, in cd/m2."""


def side_data(frame: Any) -> list[Any]:
    """What a decoded frame carries besides its planes; empty where it is of a kind that PyAV does not know."""
    try:
        found = frame.side_data
        return [found[i] for i in range(len(found))]
    except ValueError:
        return []


def light_levels(frame: Any) -> LightLevels:
    """Read them from the side data of a decoded frame."""
    mastering: tuple[tuple[int, int], ...] = ()
    content = None
    for item in side_data(frame):
        name, data = getattr(item.type, "name", ""), bytes(item)
        if name == "MASTERING_DISPLAY_METADATA" and len(data) >= 88:
            numbers = struct.unpack("=20i2i", data[:88])
            if all(numbers[20:]) and all(numbers[1:20:2]):
                ratios = [numbers[i] / numbers[i + 1] for i in range(0, 20, 2)]
                points = [(round(ratios[i] * 50000), round(ratios[i + 1] * 50000)) for i in range(0, 8, 2)]
                mastering = (*points, (round(ratios[9] * 10000), round(ratios[8] * 10000)))
        elif name == "CONTENT_LIGHT_LEVEL" and len(data) >= 8:
            content = struct.unpack("=2I", data[:8])
    return LightLevels(mastering, content)


def chroma_place(container: Any, video: int) -> str:
    """Where the chroma samples of the chosen stream lie; empty where the file does not say.

    PyAV has no field for it: FFmpeg says it in its description of the file, if asked for much detail.
    """
    with _LOCK:
        before = av.logging.get_level()
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            lines = container.dumps_format().splitlines()
        finally:
            av.logging.set_level(before)
    line = next((line for line in lines if f"Stream #0:{video}" in line and "Video:" in line), "")
    words = [word.strip(" ()") for word in line.replace("(", ",").replace(")", ",").split(",")]
    return next((place for place in _CHROMA if place in words), "")


def field_order(frame: Any, context: Any) -> str:
    """Which field is shown first, "tt" (top) or "bb" (bottom); empty for progressive pictures.

    The frame is right where the container disagrees; PyAV tells only that it is interlaced, FFmpeg's filter the rest.
    """
    if not frame.interlaced_frame:
        return {2: "tt", 3: "bb", 4: "bb", 5: "tt"}.get(int(context.field_order or 0), "")
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    middle, end = graph.add("showinfo"), graph.add("buffersink")
    begin.link_to(middle)
    middle.link_to(end)
    graph.configure()
    with _LOCK:
        before = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture() as lines:
                graph.push(frame)
                graph.pull()
        finally:
            av.logging.set_level(before)
    return "bb" if any(" i:B " in line[2] for line in lines) else "tt"


def light_options(codec: Codec, levels: LightLevels, place: str, notes: list[str]) -> dict[str, str]:
    """Return the encoder's options that keep light levels and place of chroma; what gets lost goes into `notes`."""
    options: dict[str, str] = {}
    has_levels = bool(levels.mastering or levels.content)
    if codec.encoder in ("libx264", "libx265") and has_levels:
        is_265 = codec.encoder == "libx265"
        words = []
        if levels.mastering:
            red, green, blue, white, light = levels.mastering
            names = zip("G B R WP L".split(), (green, blue, red, white, light), strict=True)
            mastering = "".join(f"{name}({a},{b})" for name, (a, b) in names)
            words.append(f"{'master-display' if is_265 else 'mastering-display'}={mastering}")
        if levels.content:
            words.append(f"{'max-cll' if is_265 else 'cll'}={levels.content[0]},{levels.content[1]}")
        words += ["hdr10=1", "repeat-headers=1"] if is_265 else []
        options["x265-params" if is_265 else "x264-params"] = ":".join(words)
    elif codec.encoder == "libsvtav1" and has_levels:
        words = []
        if levels.mastering:
            red, green, blue, white, light = levels.mastering
            names = zip("G B R WP".split(), (green, blue, red, white), strict=True)
            mastering = "".join(f"{name}({a / 50000:.5f},{b / 50000:.5f})" for name, (a, b) in names)
            words.append(f"mastering-display={mastering}L({light[0] / 10000:.4f},{light[1] / 10000:.4f})")
        if levels.content:
            words.append(f"content-light={levels.content[0]},{levels.content[1]}")
        options["svtav1-params"] = ":".join(words)
    elif has_levels:
        notes.append(
            f"{codec.title} here holds no mastering display and content light level: left out; h265 keeps them"
        )
    if place and place != "left":
        if codec.encoder in ("libx264", "libx265"):
            options["chroma_sample_location"] = place
        else:
            notes.append(f"{codec.title} here does not say that chroma lies {place}: left out; the codec h265 keeps it")
    return options


def field_options(codec: Codec, field_order: str) -> tuple[dict[str, str], bool]:
    """Return the encoder's options for interlaced pictures, and whether it codes fields.

    Raises:
        OutputError: this codec would lose the fields.
    """
    if field_order not in ("tt", "bb"):
        return {}, False
    if codec.encoder not in ("libx264", "prores_ks", "ffv1"):
        raise OutputError(
            f"the source is interlaced, and {codec.title} here keeps no fields; choose the codec h264, prores or ffv1, "
            "or deinterlace the source first (FFmpeg: -vf bwdif)"
        )
    return {"field_order": field_order}, True
