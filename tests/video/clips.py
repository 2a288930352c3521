"""Little clips made on the fly: ``from video import clips`` in any test."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from co2net.video import color
from co2net.video.metadata import UNSPECIFIED


def picture(width: int, height: int, number: int = 0, peak: int = 255) -> np.ndarray:
    """A soft colored picture ``(H, W, 3)`` that moves with `number`; uint8, or uint16 for a peak of 65535."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    shift = number * 0.07
    rgb = np.stack([0.5 + 0.4 * np.sin(6 * x + shift), 0.5 + 0.4 * np.cos(5 * y + shift), 0.3 + 0.5 * x * y], axis=-1)
    return np.rint(rgb * peak).astype(np.uint8 if peak == 255 else np.uint16)


def disc(width: int, height: int, peak: int = 255) -> np.ndarray:
    """A soft-edged disc ``(H, W)``, 0 outside, `peak` inside."""
    x, y = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    soft = np.clip((min(width, height) / 3 - np.hypot(x, y)) / 6 + 0.5, 0, 1)
    return np.rint(soft * peak).astype(np.uint8 if peak == 255 else np.uint16)


def frame_of(
    image: np.ndarray, pixel_format: str, colorspace: int = 1, full: bool = False, alpha: Any = None
) -> av.VideoFrame:
    """Code an RGB picture as a frame in a planar or packed format."""
    layout = color.planar_layout(pixel_format)
    height, width = image.shape[:2]
    frame = color.black_frame(width, height, layout, colorspace, full)
    peak = np.iinfo(image.dtype).max
    color.add_change(frame, layout, colorspace, full, image.astype(np.float32) / peak, 0, 0)
    if alpha is not None and layout.alpha:
        view = color.plane_views(frame, layout)[-1]
        view[...] = np.rint(alpha.astype(np.float32) / np.iinfo(alpha.dtype).max * layout.peak)
    return frame if layout.name == pixel_format else frame.reformat(format=pixel_format)


def make_video(
    path: Path,
    frames: int | list[np.ndarray] = 6,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 25,
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    colorspace: int = 1,
    primaries: int = UNSPECIFIED,
    transfer: int = UNSPECIFIED,
    tag_colorspace: bool = True,
    full: bool = False,
    aspect: Fraction | None = None,
    rotation: int | None = None,
    sound: str | tuple[str, ...] | None = None,
    sound_seconds: float | None = None,
    alphas: list[np.ndarray] | None = None,
    options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Write a clip of :func:`picture` (or of the given RGB pictures), with sine tones for sound."""
    images = [picture(*size, n) for n in range(frames)] if isinstance(frames, int) else frames
    height, width = images[0].shape[:2]
    time_base = time_base or 1 / Fraction(rate)
    pts = pts or [round(n / Fraction(rate) / time_base) for n in range(len(images))]
    muxer = muxer or {}
    muxer |= {"video_track_timescale": str(time_base.denominator)} if path.suffix in (".mp4", ".mov") else {}
    output: Any = av.open(str(path), "w", container_options=muxer)
    output.metadata.update(tags or {})
    stream = output.add_stream(codec, rate=rate, width=width, height=height, options=options or {})
    context = stream.codec_context
    context.pix_fmt, context.time_base, stream.time_base = pixel_format, time_base, time_base
    context.color_range = 2 if full else 1
    context.color_primaries, context.color_trc = primaries, transfer
    rgb = color.planar_layout(pixel_format).kind == "rgb"
    context.colorspace = 0 if rgb else colorspace if tag_colorspace else UNSPECIFIED
    if aspect:
        context.sample_aspect_ratio = aspect
    if rotation:
        stream.set_display_rotation(rotation)
    names = (sound,) if isinstance(sound, str) else sound or ()
    tones = [output.add_stream(name, rate=48000, layout="stereo") for name in names]
    for number, image in enumerate(images):
        frame = frame_of(image, pixel_format, colorspace, full, alphas[number] if alphas else None)
        frame.pts, frame.time_base = pts[number], time_base
        if not rgb:
            frame.color_range, frame.colorspace = (2 if full else 1), context.colorspace
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
    seconds = sound_seconds or float(len(images) / Fraction(rate))
    for index, tone in enumerate(tones):
        _mux_sine(output, tone, seconds, 330.0 * (index + 1))
    output.close()
    return path


def _mux_sine(output: Any, stream: Any, seconds: float, pitch: float) -> None:
    total = int(48000 * seconds)
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(total) / 48000)
    stereo = np.stack([wave, wave]).astype(np.float32)
    sampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=48000)
    fifo = av.AudioFifo()
    for start in range(0, total, 4096):
        piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(stereo[:, start : start + 4096]), "fltp", "stereo")
        piece.sample_rate, piece.pts, piece.time_base = 48000, start, Fraction(1, 48000)
        for resampled in sampler.resample(piece):
            fifo.write(resampled)
    size = stream.codec_context.frame_size or 1024
    while (piece := fifo.read(size, True)) is not None:
        output.mux(stream.encode(piece))
    output.mux(stream.encode(None))


def make_folder(folder: Path, images: list[np.ndarray], name: str = "{:03d}.png") -> Path:
    """Write pictures (grey ``(H, W)``, RGB or RGBA; uint8 or uint16) as a folder of frames, counted from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, 1):
        order = (
            image
            if image.ndim == 2
            else image[..., [2, 1, 0, 3][: image.shape[2]]]
            if image.shape[2] == 4
            else image[..., ::-1]
        )
        cv2.imwrite(str(folder / name.format(number)), order)
    return folder


def planes(path: Path) -> list[list[np.ndarray]]:
    """Decode a video: for each frame its planes, as stored."""
    result = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            layout = color.planar_layout(frame.format.name)
            result.append([view.copy() for view in color.plane_views(color.to_planar(frame, layout), layout)])
    return result


def packets(path: Path, kind: str = "audio") -> list[list[tuple[float, bytes]]]:
    """For each stream of a kind: the time and the bytes of every packet."""
    with av.open(str(path)) as container:
        wanted: list[Any] = [s for s in container.streams if s.type == kind]
        found: dict[int, list[tuple[float, bytes]]] = {s.index: [] for s in wanted}
        for packet in container.demux(*wanted) if wanted else ():
            if packet.size and packet.pts is not None:
                found[packet.stream.index].append((float(packet.pts * packet.time_base), bytes(packet)))
    return list(found.values())


def times(path: Path) -> list[Fraction]:
    """The time of every frame, exactly."""
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(container.streams.video[0])]


def tags(path: Path) -> dict[str, Any]:
    """What a player needs to know: color tags, aspect ratio, turn."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        frame: Any = next(container.decode(stream))
        context = stream.codec_context
        return {
            "range": context.color_range,
            "primaries": context.color_primaries,
            "transfer": context.color_trc,
            "colorspace": context.colorspace,
            "aspect": stream.sample_aspect_ratio or Fraction(1),
            "rotation": frame.rotation,
            "format": frame.format.name,
            "size": (frame.width, frame.height),
        }
