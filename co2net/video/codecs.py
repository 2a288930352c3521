"""What to encode with: by the output's ending, the wanted codec and the samples of the source."""

from __future__ import annotations

from dataclasses import dataclass, field

import av

from co2net.errors import OutputError
from co2net.video.color import Layout
from co2net.video.hardware import encoder_fails


@dataclass(frozen=True)
class Codec:
    """An encoder and how this project sets it."""

    encoder: str
    title: str
    options: dict[str, str] = field(default_factory=dict)
    quality: str | tuple[str, ...] | None = None
    """The encoder's option that `quality` sets, or several that it sets alike."""
    default_quality: int | None = None
    worst_quality: int = 0
    """Greatest value; 0 is the best for all of them."""
    lossless: bool = False
    limited_only: bool = False
    """The codec has no full range: ProRes."""
    alpha: bool = False
    """The codec holds an alpha channel."""
    presets: tuple[str, ...] = ()
    """Names of the encoder's speeds, fastest first; they weigh time against the size of the file."""
    family: str = ""
    """The codec of the same files, if another name than its own: what endings and players go by."""
    needs: str = ""
    """The hardware that encodes, with its driver; empty: the processor."""
    deep: bool = True
    """More than 8 bits per channel can be encoded."""


# Constant-quality settings that cannot be told from the source at normal viewing; the outside of the mask is encoded
# once more too, so they lie above what a camera delivers.
_SPEEDS = "ultrafast superfast veryfast faster fast medium slow slower veryslow".split()
CODECS = {
    # At one CRF superfast is nearly as close to the source as medium (docs/decisions.md) in a fifth of its time.
    "h264": Codec("libx264", "H.264", {"preset": "superfast"}, "crf", 16, 51, presets=(*_SPEEDS,)),
    "h265": Codec(
        "libx265", "H.265", {"preset": "medium", "x265-params": "log-level=none"}, "crf", 18, 51, presets=(*_SPEEDS,)
    ),
    "ffv1": Codec("ffv1", "FFV1", {"level": "3", "slicecrc": "1", "g": "1"}, lossless=True, alpha=True),
    "prores": Codec("prores_ks", "ProRes", {"vendor": "apl0"}, limited_only=True, alpha=True),
    "vp9": Codec(
        "libvpx-vp9", "VP9", {"b": "0", "row-mt": "1", "cpu-used": "3", "deadline": "good"}, "crf", 18, 63, alpha=True
    ),
    "av1": Codec("libsvtav1", "AV1", {"preset": "7"}, "crf", 20, 63, presets=tuple(map(str, range(13, -1, -1)))),
}


def _on_graphics_processors() -> dict[str, Codec]:
    """Encoders of graphics processors, by FFmpeg's names: constant quality, on the scale of the same codec's CRF."""
    found: dict[str, Codec] = {}
    for family, base, title, quality, worst in (
        ("h264", "h264", "H.264", 18, 51),
        ("h265", "hevc", "H.265", 20, 51),
        ("av1", "av1", "AV1", 22, 63),
    ):
        for kind, options, sets, presets, needs in (
            ("nvenc", {"rc": "vbr", "b": "0"}, "cq", tuple(f"p{n}" for n in range(1, 8)), "an NVIDIA GPU (NVENC)"),
            ("qsv", {}, "global_quality", (*_SPEEDS[2:],), "Intel graphics (Quick Sync)"),
            ("amf", {"rc": "cqp"}, ("qp_i", "qp_p"), ("speed", "balanced", "quality"), "an AMD GPU (AMF)"),
        ):
            name = f"{base}_{kind}"
            if name == "av1_amf":  # counts its quality another way
                continue
            found[name] = Codec(
                name, title, options, sets, quality, worst if kind == "nvenc" else 51, presets=presets, family=family,
                needs=needs, deep=family != "h264",
            )  # fmt: skip
    return found


CODECS |= _on_graphics_processors()
_ALIASES = {"hevc": "h265", "avc": "h264", "x264": "h264", "x265": "h265", "libx264": "h264", "libx265": "h265"}
_ALIASES |= {"libvpx-vp9": "vp9", "prores_ks": "prores", "libsvtav1": "av1"}

# ending -> (FFmpeg's container, default codec, codecs that belong in it)
CONTAINERS = {
    ".mp4": ("mp4", "h264", ("h264", "h265", "av1", "vp9")),
    ".m4v": ("mp4", "h264", ("h264", "h265")),
    ".mov": ("mov", "prores", ("prores", "h264", "h265")),
    ".mkv": ("matroska", "ffv1", ("ffv1", "h264", "h265", "vp9", "av1", "prores")),
    ".webm": ("webm", "vp9", ("vp9", "av1")),
}
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".exr")


def endings() -> str:
    """List every ending, for messages."""
    return f"{', '.join([*CONTAINERS, *PICTURES])}, or a name without ending for a folder of PNG frames"


def choose_codec(ending: str, codec: str | None, name: str) -> Codec:
    """Return the codec for a video file.

    Raises:
        OutputError: unknown codec, or one that does not belong in this kind of file.
    """
    _, default, allowed = CONTAINERS[ending]
    wanted = _ALIASES.get(codec.lower(), codec.lower()) if codec else default
    if wanted not in CODECS:
        raise OutputError(f"codec {codec}: unknown; choose one of {', '.join(CODECS)}")
    chosen = CODECS[wanted]
    if (chosen.family or wanted) not in allowed:
        raise OutputError(f"{name}: {ending} files do not hold {chosen.title} here; choose {', '.join(allowed)}")
    try:
        av.Codec(chosen.encoder, "w")
    except ValueError as error:
        raise OutputError(
            f"{name}: this PyAV was built without the encoder {chosen.encoder}; pip install --upgrade av"
        ) from error
    if chosen.needs and (cause := encoder_fails(chosen.encoder)):
        raise OutputError(
            f"codec {codec}: needs {chosen.needs} with its driver, and this machine offers none ({cause}); codec "
            f"{chosen.family} encodes on the processor"
        )
    return chosen


def slice_options(layout: Layout, width: int, height: int) -> dict[str, str]:
    """FFV1's form without slices, where FFmpeg would lose the last column of chroma.

    In 4:1:1 and 4:1:0 its slices may begin within a block of four pixels; unless the size is a multiple of four their
    chroma then leaves a gap. (For blocks of two it looks for another number of slices.)
    """
    gap = (layout.shift_x == 2 and width % 4) or (layout.shift_y == 2 and height % 4)
    return {"level": "1", "slicecrc": "0"} if gap else {}


def quality_options(codec: Codec, quality: float | None) -> dict[str, str]:
    """Return the encoder's options with the wanted quality (constant rate factor: 0 best, greater is smaller).

    Raises:
        OutputError: the codec has no such setting, or the value is out of its range.
    """
    names = (codec.quality,) if isinstance(codec.quality, str) else codec.quality or ()
    if quality is None:
        return codec.options | {name: str(codec.default_quality) for name in names}
    if not names:
        why = "it is lossless" if codec.lossless else "its profile fixes it"
        raise OutputError(f"quality {quality}: {codec.title} has no quality setting ({why}); leave it out")
    if not 0 <= quality <= codec.worst_quality:
        raise OutputError(f"quality {quality}: {codec.title} takes 0 (best) to {codec.worst_quality}")
    if codec.needs and codec.quality != "cq" and quality != int(quality):
        raise OutputError(f"quality {quality:g}: {codec.encoder} takes whole numbers")
    # Quick Sync and AMF take 0 for "none given".
    least = 1 if codec.needs else 0
    return codec.options | {name: f"{max(quality, least):g}" for name in names}


def preset_options(codec: Codec, preset: str | None) -> dict[str, str]:
    """Return the encoder's option for the wanted speed; empty for the usual one.

    Raises:
        OutputError: the codec has no such speed, or none to choose.
    """
    if preset is None:
        return {}
    if preset not in codec.presets:
        names = ", ".join(codec.presets)
        known = f"{codec.title} takes {names}" if names else f"{codec.title} has no presets; leave it out"
        raise OutputError(f"preset {preset}: {known}")
    return {"preset": preset}


def choose_pixel_format(
    codec: Codec, source: Layout, width: int, height: int, notes: list[str], interlaced: bool = False
) -> str:
    """Return the pixel format to encode, nearest to the source's; what gets lost goes into `notes`.

    Lossy 8-bit output is 4:2:0, which plays everywhere; above 8 bits the source's own subsampling is kept, nothing
    that plays 10 bits minds. Odd sizes have no 4:2:0 in H.264 and H.265: they become 4:4:4 rather than another size.
    """
    offered = [f.name for f in av.Codec(codec.encoder, "w").video_formats or ()]
    if codec.lossless:
        return _lossless_format(source, offered)
    if codec.limited_only:
        if source.alpha:
            return "yuva444p10le"
        is_444 = source.kind == "rgb" or (source.kind == "yuv" and (source.shift_x, source.shift_y) == (0, 0))
        return "yuv444p10le" if is_444 else "yuv422p10le"
    deep = source.bits > 8 and codec.deep
    scheme = {(0, 0): "444", (1, 0): "422"}.get((source.shift_x, source.shift_y), "420")
    scheme = scheme if deep and source.kind == "yuv" else "420"
    if interlaced and source.kind == "yuv":
        # Chroma is not scaled down the picture: that would mix the fields.
        scheme = "420" if source.shift_y else "422" if source.shift_x else "444"
    if (width % 2 or height % 2) and (codec.needs or codec.encoder in ("libx264", "libx265")):
        if codec.needs and "yuv444p" not in offered:
            raise OutputError(f"codec {codec.encoder}: takes no odd size ({width}x{height}); codec {codec.family} does")
        scheme = "444"
        notes.append(
            f"{codec.title} has no 4:2:0 for the odd size {width}x{height}: written as 4:4:4, which not every player "
            "shows; .webm and .mkv have no such limit"
        )
    alpha = source.alpha and "yuva420p" in offered and codec.encoder == "libvpx-vp9"
    if alpha:  # the only form that WebM has an alpha channel in
        scheme, deep = "420", False
        if source.bits > 8:
            notes.append(f"VP9 with an alpha channel has 8 bits per channel, the source {source.bits}: rounded")
    if source.alpha and not alpha:
        notes.append(f"{codec.title} has no alpha channel: dropped; .mov (ProRes 4444), .webm and .mkv keep it")
    wanted = f"yuv{'a' if alpha else ''}{scheme}p"
    for name in (f"{wanted}10le", f"yuv{scheme}p10le", "yuv420p10le", "p010le") if deep else ():
        if name in offered:
            return name
    if source.bits > 8 and not alpha:
        notes.append(
            f"{codec.title} here has 8 bits per channel, the source {source.bits}: rounded; .mkv and .mov keep more"
        )
    return wanted if wanted in offered else "yuv420p" if "yuv420p" in offered else "nv12"


def _lossless_format(source: Layout, offered: list[str]) -> str:
    if source.name in offered:
        return source.name
    if source.kind == "rgb" and source.bits == 8:
        return "bgra" if source.alpha else "bgr0"
    raise OutputError(f"FFV1 does not hold {source.name}; choose another ending")
