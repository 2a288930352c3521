"""What was not asked to change comes out as it went in."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from video import clips

from co2net.video import open_mask, open_video, open_writer, pair

SIZE = (96, 64)
VARIABLE = [0, 3600, 9000, 9100, 20000, 23600]


def run(source, output, change=lambda image: 255 - image, mask=None, **settings):
    """Write `source` to `output`, changed inside the mask; returns the writer's notes."""
    with open_video(source) as reader:
        if mask is None:
            with open_writer(output, reader.info, **settings) as writer:
                for frame in reader:
                    writer.write(frame, change(frame.image))
        else:
            with open_mask(mask, like=reader.info) as masks, open_writer(output, reader.info, **settings) as writer:
                for frame, values in pair(reader, masks):
                    writer.write(frame, change(frame.image), values)
    return writer.notes


def same(image):
    return image


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "extra"),
    [
        ("a.mp4", "libx264", "yuv420p", {}),
        ("a.mp4", "libx264", "yuv420p", {"full": True, "colorspace": 6}),
        ("a.mp4", "libx264", "yuv420p10le", {"colorspace": 9, "primaries": 9, "transfer": 16}),
        ("a.mp4", "libx264", "yuv422p", {"tag_colorspace": False}),
        ("a.mkv", "ffv1", "yuv444p", {}),
        ("a.mkv", "ffv1", "yuv420p", {"size": (53, 37)}),
        ("a.mkv", "ffv1", "bgr0", {}),
        ("a.mkv", "ffv1", "gray", {"full": True}),
        ("a.mov", "prores_ks", "yuv422p10le", {}),
        ("a.mov", "png", "rgb24", {}),
        ("a.mov", "png", "rgb48be", {}),
        ("a.webm", "libvpx-vp9", "yuv420p", {}),
    ],
)
def test_lossless_output_is_the_source_where_nothing_changed(tmp_path, name, codec, pixel_format, extra):
    source = clips.make_video(tmp_path / name, 3, codec=codec, pixel_format=pixel_format, **{"size": SIZE, **extra})
    run(source, tmp_path / "out.mkv", same)
    for before, after in zip(clips.planes(source), clips.planes(tmp_path / "out.mkv"), strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le", "bgr0"])
def test_samples_outside_the_mask_stay_bit_for_bit(tmp_path, pixel_format):
    source = clips.make_video(tmp_path / "a.mkv", 3, codec="ffv1", pixel_format=pixel_format, size=SIZE)
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[11:30, 13:44] = 255
    clips.make_folder(tmp_path / "mask", [mask] * 3)
    run(source, tmp_path / "out.mkv", lambda image: image // 2, tmp_path / "mask")
    block = 2 if "420" in pixel_format else 1
    for before, after in zip(clips.planes(source), clips.planes(tmp_path / "out.mkv"), strict=True):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            step = block if index and one.shape != mask.shape else 1
            touched = np.zeros(one.shape, bool)
            touched[11 // step : -(-30 // step), 13 // step : -(-44 // step)] = True
            np.testing.assert_array_equal(one[~touched], other[~touched])
        assert np.mean(before[0][11:30, 13:44] != after[0][11:30, 13:44]) > 0.9


@pytest.mark.parametrize(("pixel_format", "tolerance"), [("yuv444p", 2), ("bgr0", 0), ("yuv444p10le", 0.5)])
@pytest.mark.parametrize("as_float", [False, True])
def test_the_change_arrives(tmp_path, pixel_format, tolerance, as_float):
    """Two roundings to 8-bit YUV and RGB can be two codes apart; RGB is exact; 10 bits are finer than a code of 8."""
    source = clips.make_video(tmp_path / "a.mkv", 2, codec="ffv1", pixel_format=pixel_format, size=SIZE)
    peak = 65535 if "10" in pixel_format else 255
    wanted = clips.picture(*SIZE, 30, peak)

    def change(_image):
        return (wanted / peak).astype(np.float32) if as_float else wanted

    run(source, tmp_path / "out.mkv", change)
    with open_video(tmp_path / "out.mkv") as reader:
        for frame in reader:
            assert frame.image.dtype == wanted.dtype
            difference = np.abs(frame.image.astype(int) - wanted) / (peak / 255)
            assert difference.max() <= tolerance


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_tags_times_turn_and_length_are_kept(tmp_path, ending):
    source = clips.make_video(
        tmp_path / "a.mp4", 6, primaries=9, transfer=16, colorspace=9, rotation=90, aspect=Fraction(4, 3),
        time_base=Fraction(1, 90000), pts=VARIABLE,
    )  # fmt: skip
    notes = run(source, tmp_path / f"out{ending}")
    before, after = clips.tags(source), clips.tags(tmp_path / f"out{ending}")
    for key in ("range", "primaries", "transfer", "colorspace", "rotation", "size"):
        assert after[key] == before[key], key
    assert after["aspect"] == before["aspect"]
    assert notes == []
    # Matroska and WebM count milliseconds, whatever the source did.
    allowed = Fraction(0) if ending in (".mp4", ".mov") else Fraction(1, 2000)
    for one, other in zip(clips.times(source), clips.times(tmp_path / f"out{ending}"), strict=True):
        assert abs(one - other) <= allowed


def test_full_range_stays_full_range_and_prores_becomes_limited(tmp_path):
    source = clips.make_video(tmp_path / "a.mp4", 3, full=True)
    run(source, tmp_path / "out.mp4", same)
    run(source, tmp_path / "out.mov", same)
    assert clips.tags(tmp_path / "out.mp4")["range"] == 2
    assert clips.tags(tmp_path / "out.mov")["range"] == 1
    with open_video(source) as one, open_video(tmp_path / "out.mp4") as two, open_video(tmp_path / "out.mov") as three:
        for a, b, c in zip(one, two, three, strict=True):
            assert np.abs(a.image.astype(int) - b.image).mean() < 2
            assert np.abs(a.image.astype(int) - c.image / 257).mean() < 2


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_packet_for_packet(tmp_path, ending):
    source = clips.make_video(tmp_path / "a.mp4", 20, sound=("aac", "aac"), sound_seconds=1.5)
    notes = run(source, tmp_path / f"out{ending}")
    before, after = clips.packets(source), clips.packets(tmp_path / f"out{ending}")
    assert len(before) == len(after) == 2
    # Sound that begins before 0 (the encoder's run-in) moves everything in Matroska as FFmpeg before 9 writes it; in
    # step with the pictures still.
    moved = clips.times(tmp_path / f"out{ending}")[0]
    assert bool(moved) == bool(notes) == (ending == ".mkv" and av.library_versions["libavformat"] < (63,))
    for one, other in zip(before, after, strict=True):
        assert [data for _, data in one] == [data for _, data in other]
        for (time, _), (new_time, _) in zip(one, other, strict=True):
            assert new_time - float(moved) == pytest.approx(time, abs=1e-3 if ending == ".mkv" else 1e-9)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("sound", ["pcm_s16le", "flac", "libopus", "libmp3lame", "ac3", "alac"])
def test_every_sound_arrives_copied_or_said(tmp_path, ending, sound):
    """Matroska rounds times to milliseconds and names no durations: the hardest source there is."""
    source = clips.make_video(tmp_path / "a.mkv", 25, codec="mpeg4", sound=sound)
    notes = run(source, tmp_path / f"out{ending}", same)
    (before,), (after,) = clips.packets(source), clips.packets(tmp_path / f"out{ending}")
    # PCM is cut into packets at will, so it is compared as one.
    copied = b"".join(data for _, data in before) == b"".join(data for _, data in after)
    assert copied or any("was encoded as" in note for note in notes)
    assert not copied or not any("was encoded as" in note for note in notes)
    with av.open(str(tmp_path / f"out{ending}")) as container:
        heard = np.concatenate(
            [f.to_ndarray().ravel()[: f.samples] for f in container.decode(container.streams.audio[0])]
        )
    assert 0.95 < len(heard) / 48000 < 1.1
    if not copied:
        steady = heard[4800:38400].astype(np.float64)
        peak = np.iinfo(heard.dtype).max if heard.dtype.kind == "i" else 1.0
        assert 0.17 < np.abs(steady).mean() / peak < 0.21  # a sine of 0.3 has the mean 0.19


def test_titles_go_along(tmp_path):
    source = clips.make_video(tmp_path / "a.mp4", 5, sound="aac", tags={"title": "Take 3"})
    run(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "Take 3"


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_pictures_are_upright_and_the_planes_as_stored(tmp_path, rotation):
    image = clips.picture(*SIZE)
    source = clips.make_video(tmp_path / "a.mp4", [image] * 2, rotation=rotation)
    with open_video(source) as reader:
        assert reader.info.rotation == rotation
        frame = next(iter(reader))
    assert frame.image.shape[:2] == (reader.info.height, reader.info.width)
    wanted = np.rot90(image, rotation // 90)
    assert np.abs(frame.image.astype(int) - wanted).mean() < 3
    run(source, tmp_path / "out.mkv", same)
    for before, after in zip(clips.planes(source), clips.planes(tmp_path / "out.mkv"), strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)
    run(
        source,
        tmp_path / "marked.mkv",
        lambda i: np.where(np.arange(i.shape[0])[:, None, None] < 8, 255, i).astype("uint8"),
    )
    with open_video(tmp_path / "marked.mkv") as reader:
        marked = next(iter(reader)).image
    assert marked[:8].mean() > 250  # the top as people see it, not as it is stored


@pytest.mark.parametrize(
    ("output", "codec", "wanted"),
    [
        ("out.mp4", None, "yuv420p10le"),
        ("out.mp4", "h265", "yuv420p10le"),
        ("out.mp4", "av1", "yuv420p10le"),
        ("out.mov", None, "yuv422p10le"),
        ("out.mkv", None, "yuv420p10le"),
    ],
)
def test_ten_bits_stay_ten_bits(tmp_path, output, codec, wanted):
    source = clips.make_video(tmp_path / "a.mkv", 2, codec="ffv1", pixel_format="yuv420p10le", size=SIZE)
    with open_video(source) as reader:
        assert reader.info.bit_depth == 10 and next(iter(reader)).image.dtype == np.uint16
    run(source, tmp_path / output, same, codec=codec)
    assert clips.tags(tmp_path / output)["format"] == wanted


@pytest.mark.parametrize("output", ["out.mov", "out.mkv", "out.webm", "frames"])
def test_alpha_is_kept_where_the_output_has_it(tmp_path, output):
    alpha = clips.disc(*SIZE)
    source = clips.make_video(
        tmp_path / "a.mov", 2, codec="png", pixel_format="rgba", alphas=[alpha] * 2, colorspace=1, full=True
    )
    run(source, tmp_path / output, same)
    with open_video(tmp_path / output) as reader:
        for frame in reader:
            assert frame.alpha is not None
            assert np.abs(frame.alpha.astype(float) / frame.peak * 255 - alpha).mean() < 1.5


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "yuv411p", "yuv440p", "gbrp10le", "yuv444p16le", "ya8"])
@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.mov", "out.webm", "frames"])
def test_rare_formats_keep_their_colors(tmp_path, output, pixel_format, full):
    source = clips.make_video(tmp_path / "a.mkv", 2, codec="ffv1", pixel_format=pixel_format, full=full)
    run(source, tmp_path / output, same)
    with open_video(source) as one, open_video(tmp_path / output) as two:
        for before, after in zip(one, two, strict=True):
            difference = np.abs(before.image / before.peak - after.image / after.peak).mean() * 255
            # Lossless outputs differ by the last bit of 16 at most, the others by their compression.
            assert difference < (0.01 if output in ("out.mkv", "frames") else 2.5)


def test_alpha_that_cannot_be_kept_is_said(tmp_path):
    source = clips.make_video(tmp_path / "a.mov", 2, codec="qtrle", pixel_format="argb", alphas=[clips.disc(*SIZE)] * 2)
    (note,) = run(source, tmp_path / "out.mp4", same)
    assert "alpha" in note


@pytest.mark.parametrize("output", ["out.mp4", "out.webm", "out.mkv", "out.mov"])
@pytest.mark.parametrize("size", [(97, 64), (53, 37)])
def test_odd_sizes_are_kept(tmp_path, output, size):
    source = clips.make_video(tmp_path / "a.mkv", 2, codec="ffv1", size=size)
    notes = run(source, tmp_path / output, same)
    assert clips.tags(tmp_path / output)["size"] == size
    assert bool(notes) == (output == "out.mp4")
    with open_video(source) as one, open_video(tmp_path / output) as two:
        for before, after in zip(one, two, strict=True):
            difference = np.abs(before.image / before.peak - after.image / after.peak)
            assert difference.mean() * 255 < 5


def test_pictures_become_a_video_with_tags(tmp_path):
    folder = clips.make_folder(tmp_path / "frames", [clips.picture(*SIZE, n) for n in range(4)])
    with open_video(folder, frame_rate=12) as reader, open_writer(tmp_path / "out.mp4", reader.info) as writer:
        for frame in reader:
            writer.write(frame, frame.image)
    assert clips.tags(tmp_path / "out.mp4")["colorspace"] == 6  # small pictures: BT.601, said in the file
    assert clips.times(tmp_path / "out.mp4") == [Fraction(n, 12) for n in range(4)]
    with open_video(tmp_path / "out.mp4") as reader:
        for number, frame in enumerate(reader):
            assert np.abs(frame.image.astype(int) - clips.picture(*SIZE, number)).mean() < 2


def test_a_long_clip_keeps_sound_and_pictures_in_step_in_the_file(tmp_path):
    """Sound is handed over as the pictures come, so neither piles up in memory."""
    source = clips.make_video(tmp_path / "a.mp4", 100, size=(32, 32), sound="aac")
    run(source, tmp_path / "out.mkv", same)
    with av.open(str(tmp_path / "out.mkv")) as container:
        order = [(p.stream.type, float(p.pts * p.time_base)) for p in container.demux() if p.size]
    latest = {"video": 0.0, "audio": 0.0}
    for kind, time in order:
        latest[kind] = time
        assert abs(latest["video"] - latest["audio"]) < 1.0


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("output", "codec"), [("o.mp4", None), ("o.mp4", "h265"), ("o.mp4", "av1"), ("o.webm", None)])
def test_the_shortest_clips(tmp_path, output, codec, count):
    source = clips.make_video(tmp_path / "a.mkv", count, codec="ffv1", pixel_format="yuv420p10le")
    run(source, tmp_path / output, same, codec=codec)
    assert [float(t) for t in clips.times(tmp_path / output)] == pytest.approx([n / 25 for n in range(count)])


def test_a_trimmed_clip_shows_what_a_player_shows(tmp_path):
    """An edit list hides the first frames; they are neither shown nor missed."""
    whole = clips.make_video(tmp_path / "a.mp4", 40, options={"g": "10"})
    with av.open(str(whole)) as source, av.open(str(tmp_path / "trim.mp4"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts = packet.pts - 12, packet.dts - 12
                packet.stream = stream
                output.mux(packet)
    with open_video(tmp_path / "trim.mp4") as reader:
        frames = list(reader)
        assert reader.info.frame_count == len(frames) == 28
        assert frames[0].seconds == 0
    run(tmp_path / "trim.mp4", tmp_path / "out.mp4")
    assert clips.times(tmp_path / "out.mp4") == clips.times(tmp_path / "trim.mp4")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ts", "libx264"), ("a.avi", "mpeg4"), ("a.gif", "gif"), ("a.mpg", "mpeg2video")]
)
def test_other_containers_are_read(tmp_path, name, codec):
    source = clips.make_video(tmp_path / name, 10, codec=codec, pixel_format="rgb8" if codec == "gif" else "yuv420p")
    run(source, tmp_path / "out.mp4")
    before, after = clips.times(source), clips.times(tmp_path / "out.mp4")
    assert len(before) == 10
    assert [t - before[0] for t in before] == [t - after[0] for t in after]


def test_the_decoder_lets_go_of_the_last_frames(tmp_path):
    path = clips.make_video(tmp_path / "clip.mp4", frames=9)
    with open_video(path) as reader:
        stored = [frame.stored for frame in reader]
        places = [frame.planes[0].buffer_ptr for frame in stored]
        for frame in stored:
            frame.make_writable()
        assert [frame.planes[0].buffer_ptr for frame in stored] == places, "copied to be changed"


def test_time_stamps_that_do_not_rise_are_mended_and_said(tmp_path):
    folder = clips.make_folder(tmp_path / "frames", [clips.picture(*SIZE)] * 3)
    with open_video(folder, frame_rate=25) as reader, open_writer(tmp_path / "out.mp4", reader.info) as writer:
        for frame in reader:
            frame.pts = 0
            writer.write(frame, frame.image)
    assert any("do not rise" in note for note in writer.notes)
    assert len(clips.times(tmp_path / "out.mp4")) == 3


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_tags_that_are_not_utf8_stop_nothing(tmp_path, ending):
    source = clips.make_video(tmp_path / f"a{ending}", 3, sound="aac", tags={"title": "Caf+++"})
    data = source.read_bytes()
    assert data.count(b"Caf+++") == 1
    source.write_bytes(data.replace(b"Caf+++", b"Caf\xe9 \xfc"))
    run(source, tmp_path / f"out{ending}", same)
    assert len(clips.times(tmp_path / f"out{ending}")) == 3
