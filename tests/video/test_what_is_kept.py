"""Times that begin anywhere, tracks and what they are for, light levels, fields, names."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import av.logging
import numpy as np
import pytest
from av.codec.context import Flags
from video import clips

from co2net.errors import InputError, OutputError
from co2net.video import open_mask, open_video, open_writer, pair

SIZE = (96, 64)


def copy(source, output, **settings):
    with open_video(source) as reader, open_writer(output, reader.info, **settings) as writer:
        for frame in reader:
            image = frame.image // 2 if frame.image.dtype == np.uint8 else frame.image
            writer.write(frame, image)
    return writer.notes


def spoken_at(path, offset):
    """A transport stream whose clock begins at `offset` seconds."""
    muxer = {"output_ts_offset": f"{round(offset * 1e6)}us"}
    return clips.make_video(path, 25, size=SIZE, sound="mp2", time_base=Fraction(1, 90000), muxer=muxer)


def streams(path):
    with av.open(str(path)) as container:
        return [(s.type, getattr(s.codec_context, "name", ""), int(s.disposition)) for s in container.streams]


def steps(path):
    found = clips.times(path)
    return {b - a for a, b in pairwise(found)}


@pytest.fixture
def spoken(tmp_path):
    return clips.make_video(tmp_path / "spoken.mkv", 25, size=SIZE, sound="aac")


@pytest.mark.parametrize("offset", [1.4, 36000.0])
def test_a_clock_that_begins_anywhere(tmp_path, offset):
    source = spoken_at(tmp_path / "a.ts", offset)
    assert clips.times(source)[0] >= offset
    copy(source, tmp_path / "o.mp4")
    assert 0 <= clips.times(tmp_path / "o.mp4")[0] < Fraction(1, 4)
    assert steps(tmp_path / "o.mp4") == {Fraction(1, 25)}
    with av.open(str(tmp_path / "o.mp4")) as found:
        assert 0.9 < found.duration / 1e6 < 1.3
    before, after = (clips.packets(f)[0][0][0] - float(clips.times(f)[0]) for f in (source, tmp_path / "o.mp4"))
    assert before == pytest.approx(after, abs=0.03)


def test_a_clock_that_begins_again_in_the_middle(tmp_path):
    one, two = (spoken_at(tmp_path / f"{offset}.ts", offset).read_bytes() for offset in (100, 5))
    (tmp_path / "both.ts").write_bytes(one + two)
    copy(tmp_path / "both.ts", tmp_path / "o.mp4")
    times = clips.times(tmp_path / "o.mp4")
    assert len(times) == 50 and times[0] < 1 and times[-1] - times[0] < 3
    assert all(0 < b - a < Fraction(1, 8) for a, b in pairwise(times))
    sound = [t for t, _ in clips.packets(tmp_path / "o.mp4")[0]]
    assert sound[-1] - sound[0] < 3


def test_h264_with_b_frames_in_avi(tmp_path):
    for name in ("a.mkv", "a.avi"):
        clips.make_video(tmp_path / name, 20, size=SIZE, options={"bf": "2", "b-adapt": "0"})
    notes = copy(tmp_path / "a.avi", tmp_path / "o.mp4")
    assert steps(tmp_path / "o.mp4") == {Fraction(1, 25)} and not notes
    with open_video(tmp_path / "a.mkv") as one, open_video(tmp_path / "a.avi") as other:
        for a, b in zip(one, other, strict=True):
            assert np.abs(a.image.astype(int) - b.image).mean() < 2  # x264 with threads differs a little


@pytest.fixture
def tracks(tmp_path, spoken):
    with av.open(str(spoken)) as origin, av.open(str(tmp_path / "tracks.mkv"), "w") as output:
        video = output.add_stream_from_template(origin.streams.video[0])
        sounds = [output.add_stream_from_template(origin.streams.audio[0]) for _ in range(2)]
        text = output.add_mux_stream("subrip")
        text.time_base = Fraction(1, 1000)
        sounds[0].disposition, sounds[1].disposition, text.disposition = 0, 1 | 8, 64
        output.add_attachment("cover.png", "image/png", _png())
        output.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
        title = av.Packet(b"hello\nthere")
        title.pts = title.dts = 100
        title.duration, title.time_base, title.stream = 200, Fraction(1, 1000), text
        packets = [p for p in origin.demux() if p.pts is not None]
        for packet in packets:
            for target in [video] if packet.stream.type == "video" else sounds:
                again = av.Packet(bytes(packet))
                again.pts, again.dts, again.duration = packet.pts, packet.dts, packet.duration
                again.time_base, again.is_keyframe, again.stream = packet.time_base, packet.is_keyframe, target
                output.mux(again)
        output.mux(title)
    return tmp_path / "tracks.mkv"


def _png():
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(clips.picture(16, 16)).save(file, "PNG")
    return file.getvalue()


def test_what_tracks_are_for(tmp_path, tracks):
    notes = copy(tracks, tmp_path / "o.mkv")
    before, after = streams(tracks), streams(tmp_path / "o.mkv")
    assert [s for s in after if s[0] != "video"] == [s for s in before if s[0] != "video"]
    assert sum(s[0] == "video" and s[2] & 1024 > 0 for s in after) == 1 and not notes
    notes = copy(tracks, tmp_path / "o.mp4")
    kinds = streams(tmp_path / "o.mp4")
    assert [s[2] for s in kinds if s[0] == "audio"] == [0, 9]
    assert [s[1] for s in kinds if s[0] == "subtitle"] == ["mov_text"] and any(s[2] & 1024 for s in kinds)
    assert len(notes) == 2 and "mov_text" in notes[0] and "font.ttf was left out" in notes[1]
    with av.open(str(tmp_path / "o.mp4")) as found:
        said = [part.dialogue for p in found.demux(found.streams.subtitles[0]) if p.size for part in p.decode()]
    assert said == [b"hello\\Nthere"] or said == [b"hello\nthere"]


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


@pytest.fixture
def hdr(tmp_path):
    parameters = f"log-level=none:hdr10=1:repeat-headers=1:chromaloc=2:master-display={MASTERING}:max-cll=1000,400"
    return clips.make_video(
        tmp_path / "hdr.mp4",
        3,
        size=SIZE,
        codec="libx265",
        pixel_format="yuv420p10le",
        primaries=9,
        transfer=16,
        colorspace=9,
        options={"x265-params": parameters, "chroma_sample_location": "topleft"},
    )


@pytest.mark.parametrize("codec", ["h265", "h264", "av1"])
def test_hdr10(tmp_path, hdr, codec):
    with open_video(hdr) as reader:
        wanted = reader.info.light
        assert wanted.content == (1000, 400) and wanted.mastering[0] == (34000, 16000)
        assert reader.info.chroma_place == "topleft"
    notes = copy(hdr, tmp_path / "o.mp4", codec=codec)
    with open_video(tmp_path / "o.mp4") as reader:
        assert reader.info.light.content == wanted.content
        for one, other in zip(reader.info.light.mastering, wanted.mastering, strict=True):
            assert one == pytest.approx(other, rel=0.01, abs=5)
        if codec != "av1":
            assert reader.info.chroma_place == "topleft" and not notes
        else:
            assert "topleft" in notes[0]


def test_what_of_hdr10_is_lost_is_said(tmp_path, hdr):
    notes = copy(hdr, tmp_path / "o.mkv")
    assert any("mastering display" in note for note in notes) and any("topleft" in note for note in notes)


def interlaced(path, pixel_format="yuv420p", order="tt"):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, width=96, height=64, options={"field_order": order})
        stream.codec_context.pix_fmt = pixel_format
        stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        graph = av.filter.Graph()
        begin = graph.add_buffer(width=96, height=64, format=av.VideoFormat(pixel_format), time_base=Fraction(1, 25))
        middle, end = graph.add("setfield", "tff" if order == "tt" else "bff"), graph.add("buffersink")
        begin.link_to(middle)
        middle.link_to(end)
        graph.configure()
        for number in range(4):
            frame = clips.frame_of(clips.picture(96, 64, number), pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.push(frame)
            output.mux(stream.encode(graph.pull()))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("order", ["tt", "bb"])
@pytest.mark.parametrize("output", ["o.mp4", "o.mov", "o.mkv"])
def test_interlaced_stays_interlaced(tmp_path, output, order):
    source = interlaced(tmp_path / "a.mp4", order=order)
    copy(source, tmp_path / output)
    with open_video(tmp_path / output) as reader:
        assert reader.info.field_order == order
        assert output == "o.mkv" or reader.first_frame().stored.interlaced_frame


def test_interlaced_is_refused_where_it_would_be_lost(tmp_path):
    with pytest.raises(OutputError, match=r"interlaced.*deinterlace"):
        copy(interlaced(tmp_path / "a.mp4"), tmp_path / "o.mp4", codec="h265")


def test_names_with_colons_and_dashes(tmp_path, spoken, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spoken.rename(tmp_path / "12:30 take.mkv")
    copy("12:30 take.mkv", "-out:1.mp4")
    assert len(clips.times(tmp_path / "-out:1.mp4")) == 25
    clips.make_video(
        tmp_path / "m:a.mkv", [np.full((64, 96, 3), 255, np.uint8)] * 25, codec="ffv1", pixel_format="gray"
    )
    with open_video("12:30 take.mkv") as reader, open_mask("m:a.mkv", reader.info) as masks:
        assert all(mask.min() == 1 for _, mask in pair(reader, masks))


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile other.mkv\n", "#EXTM3U\n#EXTINF:1,\nother.mkv\n"])
def test_lists_of_other_files_are_not_followed(tmp_path, spoken, text):
    spoken.rename(tmp_path / "other.mkv")
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(InputError, match=r"a\.mp4: not a video"):
        open_video(tmp_path / "a.mp4")


def test_links(tmp_path, spoken):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.mkv").symlink_to(tmp_path / "there" / "real.mkv")
    copy(spoken, tmp_path / "link.mkv")
    assert (tmp_path / "link.mkv").is_symlink() and (tmp_path / "there" / "real.mkv").is_file()
    (tmp_path / "a.mkv").symlink_to("b.mkv")
    (tmp_path / "b.mkv").symlink_to("a.mkv")
    with pytest.raises(InputError, match="link"):
        open_video(tmp_path / "a.mkv")
    with pytest.raises(OutputError, match="link"):
        copy(spoken, tmp_path / "b.mkv")
