"""Every cell of the tables in docs/formats.md is measured; ``python tests/video/test_formats.py`` prints them."""

from __future__ import annotations

import re
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, features
from video import clips

from co2net.errors import InputError, OutputError
from co2net.video import open_video, open_writer
from co2net.video.codecs import CONTAINERS

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
SIZE = (64, 48)
VIDEO_COLUMNS = ("bits", "alpha", "sound", "text", "cover", "attachments", "chapters", "time code", "HDR10", "fields")
PICTURE_COLUMNS = ("read", "bits", "alpha", "frames", "written", "profile", "EXIF")
VIDEOS = [(ending, codec) for ending, (_, _, codecs) in CONTAINERS.items() for codec in codecs]
PICTURES = ".png .jpg .tif .webp .exr .dpx .gif .bmp .tga .ppm .jp2 .avif .heic".split()
EXTRAS = {".exr": "OpenEXR", ".heic": "pillow_heif"}


def copy(source, output, **settings):
    with open_video(source) as reader, open_writer(output, reader.info, **settings) as writer:
        for frame in reader:
            writer.write(frame, frame.image)
    return writer.notes


def deep_source(folder):
    alphas = [clips.disc(*SIZE, peak=65535)] * 2
    images = [clips.picture(*SIZE, n, peak=65535) for n in range(2)]
    kind = {"codec": "ffv1", "pixel_format": "yuva444p10le", "sound": "pcm_s16le", "tags": {"timecode": "01:00:00:00"}}
    return clips.make_video(folder / "deep.mkv", images, alphas=alphas, **kind)


def talking_source(folder):
    """A film with text, cover, a font and chapters."""
    plain = clips.make_video(folder / "plain.mkv", 3, size=SIZE, codec="ffv1", pixel_format="yuv420p")
    with av.open(str(plain)) as origin, av.open(str(folder / "talking.mkv"), "w") as output:
        video = output.add_stream_from_template(origin.streams.video[0])
        text = output.add_mux_stream("subrip")
        text.time_base = Fraction(1, 1000)
        Image.fromarray(clips.picture(16, 16)).save(folder / "cover.png")
        output.add_attachment("cover.png", "image/png", (folder / "cover.png").read_bytes())
        output.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
        output.set_chapters(
            [{"id": 1, "start": 0, "end": 80, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
        )
        title = av.Packet(b"hello")
        title.pts = title.dts = 0
        title.duration, title.time_base, title.stream = 80, Fraction(1, 1000), text
        output.mux(title)
        for packet in origin.demux(video=0):
            if packet.pts is not None:
                packet.stream = video
                output.mux(packet)
    return folder / "talking.mkv"


def hdr_source(folder):
    mastering = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    options = {"x265-params": f"log-level=none:hdr10=1:repeat-headers=1:master-display={mastering}:max-cll=1000,400"}
    kind = {"codec": "libx265", "pixel_format": "yuv420p10le", "primaries": 9, "transfer": 16, "colorspace": 9}
    return clips.make_video(folder / "hdr.mp4", 6, size=SIZE, options=options, **kind)


def field_source(folder):
    from test_what_is_kept import interlaced

    return interlaced(folder / "fields.mp4")


def video_row(folder, ending, codec):
    """What comes out of a kind of file, in words."""
    out = folder / f"o{ending}"
    notes = copy(deep_source(folder), out, codec=codec)
    with open_video(out) as reader:
        row = {"bits": str(reader.info.bit_depth), "alpha": "yes" if reader.info.has_alpha else "said"}
    assert row["alpha"] == "yes" or any("alpha" in note and "dropped" in note for note in notes)
    kinds = [s.codec_context.name for s in av.open(str(out)).streams.audio]
    row["sound"] = "copied" if kinds == ["pcm_s16le"] else kinds[0]
    with av.open(str(out)) as found:
        codes = {**found.metadata, **{k: v for s in found.streams for k, v in s.metadata.items()}}
        row["time code"] = "yes" if any(k.lower() == "timecode" for k in codes) else "no"
    notes = copy(talking_source(folder), out, codec=codec)
    with av.open(str(out)) as found:
        texts = [s.codec_context.name for s in found.streams.subtitles]
        row["text"] = texts[0].replace("subrip", "srt") if texts else "said"
        row["cover"] = "yes" if any(int(s.disposition) & 1024 for s in found.streams.video) else "said"
        row["attachments"] = "yes" if any(s.type == "attachment" for s in found.streams) else "said"
        row["chapters"] = "yes" if found.chapters() else "no"
    assert row["cover"] == "yes" or any("cover" in note for note in notes)
    assert row["attachments"] == "yes" or any("font.ttf" in note for note in notes)
    notes = copy(hdr_source(folder), out, codec=codec)
    with open_video(out) as reader:
        row["HDR10"] = "yes" if reader.info.light.content == (1000, 400) else "said"
    assert row["HDR10"] == "yes" or any("light level" in note for note in notes)
    try:
        copy(field_source(folder), out, codec=codec)
        with open_video(out) as reader:
            row["fields"] = "yes" if reader.info.field_order == "tt" else "LOST"
    except OutputError:
        row["fields"] = "refused"
    return [row[name] for name in VIDEO_COLUMNS]


def picture_row(folder, ending):
    """What is read of a kind of picture, and what is written to it."""
    path = folder / f"a{ending}"
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    image, alpha = clips.picture(*SIZE), clips.disc(*SIZE)
    source = folder / "deep.png"
    clips.make_folder(folder / "d", [np.dstack([clips.picture(*SIZE, peak=65535), clips.disc(*SIZE, peak=65535)])])
    (folder / "d" / "001.png").rename(source)
    row = dict.fromkeys(PICTURE_COLUMNS, "no")
    try:
        copy(source, path)
        row["written"] = "yes"
    except OutputError:
        _save(path, image, alpha)
    with open_video(path) as reader:
        (frame,) = list(reader)
        row |= {"read": "yes", "bits": str(reader.info.bit_depth), "alpha": "yes" if frame.alpha is not None else "no"}
        row["bits"] = "float" if reader.info.has_float else row["bits"]
    if _save_frames(folder / f"many{ending}", [image, image[::-1]]):
        with open_video(folder / f"many{ending}") as reader:
            row["frames"] = "clip" if len(list(reader)) == 2 else "first"
    if row["written"] == "yes":
        Image.fromarray(image).save(folder / "said.jpg", icc_profile=b"some profile", exif=exif, quality=95)
        copy(folder / "said.jpg", path)
        with open_video(path) as reader:
            (frame,) = list(reader)
        row["profile"] = "yes" if frame.keep.get("icc_profile") == b"some profile" else "no"
        row["EXIF"] = "yes" if b"a camera" in frame.keep.get("exif", b"") else "no"
    return [row[name] for name in PICTURE_COLUMNS]


def _save(path, image, alpha):
    if path.suffix == ".dpx":
        from test_pages_and_transfer import dpx

        dpx(path, image.astype(np.uint16) * 257)
        return
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        Image.fromarray(np.dstack([image, alpha])).save(path)
    except OSError:
        Image.fromarray(image).save(path)


def _save_frames(path, images):
    """Whether Pillow writes several frames into one file of this kind; JPEG's are those of a phone."""
    first, other = map(Image.fromarray, images)
    kind = {".jpg": "MPO"}.get(path.suffix)
    try:
        first.save(path, format=kind, save_all=True, append_images=[other])
        with Image.open(path) as found:
            return getattr(found, "n_frames", 1) == 2
    except (OSError, ValueError, KeyError):
        return False


def rows_of_page(heading):
    text = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.M)
    ]
    return rows[0], rows[2:]


@pytest.mark.parametrize("row", rows_of_page("Video files")[1], ids=lambda row: "".join(row[:2]))
def test_video_files(tmp_path, row):
    assert video_row(tmp_path, *row[:2]) == row[2:]


@pytest.mark.parametrize("row", rows_of_page("Pictures")[1], ids=lambda row: row[0])
def test_pictures(tmp_path, row):
    if row[0] in EXTRAS:
        pytest.importorskip(EXTRAS[row[0]])
    if row[0] == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert picture_row(tmp_path, row[0]) == row[1:]


def test_the_page_is_complete():
    heads, rows = rows_of_page("Video files")
    assert tuple(heads[2:]) == VIDEO_COLUMNS and [tuple(row[:2]) for row in rows] == VIDEOS
    heads, rows = rows_of_page("Pictures")
    assert tuple(heads[1:]) == PICTURE_COLUMNS and [row[0] for row in rows] == PICTURES


def _print(heads, rows):
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for heading, rows in (("v", VIDEOS), ("p", [(e,) for e in PICTURES])):
            done = []
            for number, key in enumerate(rows):
                folder = Path(place) / f"{heading}{number}"
                folder.mkdir()
                measure = video_row if heading == "v" else picture_row
                try:
                    found = measure(folder, *key)
                except (AssertionError, InputError) as error:
                    found = [f"FAULT {error}"[:150]]
                done.append([*(f"`{k}`" for k in key), *found])
            _print(["file", "codec", *VIDEO_COLUMNS] if heading == "v" else ["file", *PICTURE_COLUMNS], done)
            print()
