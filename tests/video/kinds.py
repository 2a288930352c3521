"""Kinds of files that people have and that give trouble, made on the fly: ``from video import kinds``."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image
from video import clips

SIZE = (96, 64)
COUNT = 6
VIDEOS: dict[str, Callable[[Path], Path]] = {}
PICTURES: dict[str, Callable[[Path], Path]] = {}


def video(maker: Callable[[Path], Path]) -> Callable[[Path], Path]:
    VIDEOS[maker.__name__] = maker
    return maker


def still(maker: Callable[[Path], Path]) -> Callable[[Path], Path]:
    PICTURES[maker.__name__] = maker
    return maker


def coded(name: str, ending: str, codec: str, pixel_format: str, **settings: object) -> None:
    """A clip of :data:`COUNT` frames in one codec."""
    VIDEOS[name] = lambda folder: clips.make_video(
        folder / f"{name}{ending}",
        COUNT,
        **{"size": SIZE, "codec": codec, "pixel_format": pixel_format, **settings},  # type: ignore[arg-type]
    )


coded("even_steps_of_23_976", ".mp4", "libx264", "yuv420p", rate=Fraction(24000, 1001))
coded("variable_rate", ".mp4", "libx264", "yuv420p", pts=[0, 40, 130, 133, 300, 900], time_base=Fraction(1, 1000))
coded("b_frames_and_late_start", ".mov", "libx264", "yuv420p", pts=[400 + 40 * n for n in range(6)],
      time_base=Fraction(1, 1000), options={"bf": "2"})  # fmt: skip
coded("odd_size", ".mkv", "ffv1", "yuv420p", size=(95, 63))
coded("odd_size_vp9", ".webm", "libvpx-vp9", "yuv420p", size=(95, 63))
coded("full_range", ".mp4", "libx264", "yuv420p", full=True)
coded("full_range_mjpeg", ".avi", "mjpeg", "yuv422p", full=True, colorspace=5)
coded("phone_hlg_rotated", ".mov", "libx265", "yuv420p10le", rotation=90, primaries=9, transfer=18, colorspace=9,
      options={"x265-params": "log-level=none"})  # fmt: skip
coded("hevc_12_bits_444", ".mp4", "libx265", "yuv444p12le", options={"x265-params": "log-level=none"})
coded("rgb_h264", ".mp4", "libx264rgb", "rgb24")
coded("planar_rgb_10", ".mkv", "ffv1", "gbrp10le")
coded("palette", ".mov", "qtrle", "rgb24")
coded("gray", ".mkv", "ffv1", "gray")
coded("gray_h264", ".mp4", "libx264", "gray")
coded("gray_10", ".mkv", "ffv1", "gray10le")
coded("black_and_white", ".avi", "rawvideo", "monow")
coded("packed_yuv", ".avi", "rawvideo", "yuyv422", colorspace=5)
coded("sound_of_8_bits", ".avi", "mpeg4", "yuv420p", sound="pcm_u8", colorspace=5)
coded("mpeg1_with_mp2", ".mpg", "mpeg1video", "yuv420p", sound="mp2", colorspace=5)
coded("mpeg2_in_mxf", ".mxf", "mpeg2video", "yuv422p", sound="pcm_s16le")
coded("wmv", ".wmv", "wmv2", "yuv420p", sound="wmav2", colorspace=5)
coded("flash", ".flv", "flv", "yuv420p", colorspace=5)
coded("mobile", ".3gp", "mpeg4", "yuv420p", sound="aac", colorspace=5)
coded("transport_stream", ".ts", "mpeg2video", "yuv420p", sound="mp2", colorspace=5)
coded("dnxhr", ".mov", "dnxhd", "yuv422p", size=(256, 144), options={"profile": "dnxhr_sq"})
coded("cineform", ".mov", "cfhd", "yuv422p10le")
coded("prores_lt", ".mov", "prores_ks", "yuv422p10le", options={"profile": "1"})
coded("uncompressed_10", ".mov", "v210", "yuv422p10le", colorspace=5)
coded("huffyuv", ".avi", "huffyuv", "yuv422p", colorspace=5)
coded("png_in_mov", ".mov", "png", "rgb24")
coded("y4m", ".y4m", "rawvideo", "yuv420p", colorspace=5)
coded("y4m_odd_411", ".y4m", "rawvideo", "yuv411p", size=(94, 63))
coded("y4m_odd_410", ".avi", "rawvideo", "yuv410p", size=(95, 61))
coded("anamorphic", ".mp4", "libx264", "yuv420p", aspect=Fraction(64, 45))
coded("fast", ".mp4", "libx264", "yuv420p", rate=1000)
coded("slow", ".mkv", "libx264", "yuv420p", rate=Fraction(1, 10))
coded("one_frame", ".mp4", "libx264", "yuv420p")
coded("av1_10", ".mp4", "libsvtav1", "yuv420p10le", options={"svtav1-params": "lp=1"})
coded("vp9_444", ".webm", "libvpx-vp9", "yuv444p")
VIDEOS["one_frame"] = lambda folder: clips.make_video(folder / "one_frame.mp4", 1, SIZE)


def _with_alpha(path: Path, codec: str, pixel_format: str, **settings: object) -> Path:
    images = [clips.picture(*SIZE, n) for n in range(COUNT)]
    kind = {"codec": codec, "pixel_format": pixel_format, "alphas": [clips.disc(*SIZE)] * COUNT, **settings}
    return clips.make_video(path, images, **kind)  # type: ignore[arg-type]


@video
def alpha_vp8(folder: Path) -> Path:
    return _with_alpha(folder / "alpha_vp8.webm", "libvpx", "yuva420p", options={"auto-alt-ref": "0"})


@video
def alpha_qtrle(folder: Path) -> Path:
    return _with_alpha(folder / "alpha_qtrle.mov", "qtrle", "argb")


@video
def alpha_png_mov(folder: Path) -> Path:
    return _with_alpha(folder / "alpha_png.mov", "png", "rgba")


@video
def trimmed_by_an_edit_list(folder: Path) -> Path:
    """Two of its frames lie before the edit list's beginning."""
    whole = clips.make_video(folder / "whole.mp4", COUNT + 2, SIZE, options={"bf": "0", "g": "1"})
    path = folder / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        base = source.streams.video[0].time_base
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.pts -= round(Fraction(2, 25) / base)
                packet.dts -= round(Fraction(2, 25) / base)
                packet.stream = stream
                out.mux(packet)
    return path


def with_sound(path: Path, layout: str, codec: str, rate: int, gap: float = 0.0) -> Path:
    """A clip with a tone from as many loudspeakers as `layout` has; in its middle it is away for `gap` seconds."""
    plain = clips.make_video(path.with_name("plain.mkv"), COUNT, SIZE)
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        tone = out.add_stream(codec, rate=rate, layout=layout)
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.stream = stream
                out.mux(packet)
        channels, half = len(tone.layout.channels), rate * COUNT // 50
        wave = (0.3 * np.sin(np.arange(half) / 9)).astype(np.float32)
        sampler = av.AudioResampler(format=tone.codec_context.format, layout=layout, rate=rate)
        for start in (0, half + round(gap * rate)):
            # Interleaved: PyAV cannot fill planes of eight channels.
            interleaved = np.stack([wave] * channels, axis=1).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(interleaved, "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for piece in sampler.resample(frame):
                piece.pts = start
                out.mux(tone.encode(piece))
        out.mux(tone.encode(None))
    return path


@video
def sound_of_seven_channels(folder: Path) -> Path:
    return with_sound(folder / "seven.mkv", "6.1", "pcm_s24le", 44100)


@video
def sound_mono_11khz(folder: Path) -> Path:
    return with_sound(folder / "mono.mov", "mono", "pcm_s16be", 11025)


@video
def animated_avif(folder: Path) -> Path:
    first, *others = [Image.fromarray(clips.picture(*SIZE, n)) for n in range(COUNT)]
    first.save(folder / "a.avif", save_all=True, append_images=others, duration=40, quality=95)
    return folder / "a.avif"


@video
def picture_numbers_beyond_32_bits(folder: Path) -> Path:
    made = clips.make_folder(folder / "in", [clips.picture(*SIZE, n) for n in range(COUNT)], "f{:d}.png")
    for n in range(1, COUNT + 1):
        (made / f"f{n}.png").rename(made / f"f{2**33 + n}.png")
    return made


@video
def what_systems_leave_in_folders(folder: Path) -> Path:
    made = clips.make_folder(folder / "in", [clips.picture(*SIZE, n) for n in range(COUNT)])
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._001.png", "notes.txt", "~$x.png~"):
        (made / name).write_bytes(b"\0\1\2")
    (made / "sub.png").mkdir()
    return made


@video
def endings_in_capitals(folder: Path) -> Path:
    made = clips.make_folder(folder / "in", [clips.picture(*SIZE, n) for n in range(COUNT)])
    for n in (2, 4):
        (made / f"{n:03d}.png").rename(made / f"{n:03d}.PNG")
    return made


@video
def names_of_several_scripts(folder: Path) -> Path:
    """Composed and decomposed letters, right-to-left, digits that are no ASCII digits."""
    place = folder / "Cafe\u0301 \u05d0\u05d1 \u0663 %d"
    place.mkdir()
    return clips.make_video(place / "u\u0308ber \U0001f3ac #1 [x]'\"\\.mp4", COUNT, SIZE)


@video
def links_to_frames(folder: Path) -> Path:
    made = clips.make_folder(folder / "real", [clips.picture(*SIZE, n) for n in range(COUNT)])
    (folder / "in").mkdir()
    for file in made.iterdir():
        (folder / "in" / file.name).symlink_to(file)
    return folder / "in"


# Pictures


def _saved(name: str, mode: str, **how: object) -> None:
    def make(folder: Path) -> Path:
        image = Image.fromarray(clips.picture(*SIZE))
        if "A" in mode:
            image.putalpha(Image.fromarray(clips.disc(*SIZE)))
        path = folder / name
        (image.convert(mode) if image.mode != mode else image).save(path, **how)
        return path

    PICTURES[name] = make


_saved("progressive.jpg", "RGB", progressive=True, quality=95)
_saved("cmyk.jpeg", "CMYK", quality=95)
_saved("grey.jpg", "L", quality=95)
_saved("palette.png", "P")
_saved("grey_alpha.png", "LA")
_saved("bits.png", "1")
_saved("alpha.tif", "RGBA", compression="tiff_lzw")
_saved("palette.tif", "P", compression="packbits")
_saved("cmyk.tif", "CMYK", compression="tiff_deflate")
_saved("lab.tif", "LAB")
_saved("jpeg_inside.tif", "RGB", compression="jpeg", quality=95)
_saved("fax.tif", "1", compression="group4")
_saved("alpha.bmp", "RGBA")
_saved("alpha.jp2", "RGBA")
_saved("alpha.webp", "RGBA", lossless=True, exact=True)
_saved("alpha.avif", "RGBA", quality=95)
_saved("rle.tga", "RGBA", compression="tga_rle")


@still
def gray_alpha_16(folder: Path) -> Path:
    """PNG of two channels of 16 bits, which no library writes."""
    import struct
    import zlib

    gray = clips.picture(*SIZE, peak=65535)[..., 1]
    rows = np.dstack([gray, clips.disc(*SIZE, peak=65535)]).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", *SIZE, 16, 4, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    (folder / "ga16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return folder / "ga16.png"


@still
def tiny_palette_with_transparency(folder: Path) -> Path:
    index = (clips.disc(*SIZE) > 127).astype(np.uint8) + (clips.picture(*SIZE)[..., 0] > 128) * np.uint8(2)
    picture = Image.fromarray(index, "P")
    picture.putpalette([10, 20, 30, 200, 100, 50, 90, 90, 200, 250, 250, 0])
    picture.save(folder / "tiny.png", transparency=bytes([0, 255, 0, 255]), bits=2)
    return folder / "tiny.png"


@still
def deep_alpha(folder: Path) -> Path:
    pixels = np.dstack([clips.picture(*SIZE, peak=65535)[..., ::-1], clips.disc(*SIZE, peak=65535)])
    cv2.imwrite(str(folder / "deep.png"), pixels)
    return folder / "deep.png"


@still
def one_pixel(folder: Path) -> Path:
    Image.fromarray(clips.picture(1, 1)).save(folder / "one.png")
    return folder / "one.png"


@still
def thin(folder: Path) -> Path:
    Image.fromarray(clips.picture(1, 3000)).save(folder / "thin.png")
    return folder / "thin.png"
