"""Bad input ends in one sentence that names the file; a failed job leaves nothing behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import tracemalloc

import av
import numpy as np
import pytest
from video import clips

from co2net.errors import InputError, OutputError, ShapeError
from co2net.video import open_video, open_writer


@pytest.fixture
def source(tmp_path):
    return clips.make_video(tmp_path / "a.mp4", 6, sound="aac")


def copy(source, output, **settings):
    with open_video(source) as reader, open_writer(output, reader.info, **settings) as writer:
        for frame in reader:
            writer.write(frame, frame.image)


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and "Errno" not in text and "0x" not in text
    return text


def sound_only(path):
    output = av.open(str(path), "w")
    clips._mux_sine(output, output.add_stream("aac", rate=48000, layout="stereo"), 0.5, 440.0)
    output.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_text("not a video, only its name says so\n" * 50), "not a video"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (sound_only, "no video stream"),
        (lambda p: p.mkdir(), "no pictures in the folder"),
    ],
    ids=["missing", "text", "empty", "sound", "folder"],
)
def test_what_is_no_video(tmp_path, make, message):
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(InputError, match=message) as error:
        open_video(path)
    assert one_sentence(error).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "codec", "moov_first"),
    [("b.mp4", "libx264", True), ("b.mkv", "ffv1", False), ("b.mov", "prores_ks", True)],
)
@pytest.mark.parametrize("part", [0.4, 0.9])
def test_a_file_that_was_cut_off(tmp_path, name, codec, moov_first, part):
    noise = [np.random.randint(0, 256, (64, 96, 3), np.uint8) for _ in range(20)]
    path = clips.make_video(
        tmp_path / name, noise, codec=codec, pixel_format="yuv422p10le" if codec == "prores_ks" else "yuv420p"
    )
    if moov_first:  # with its index at the end a cut file cannot be opened at all
        with open_video(path) as reader, open_writer(tmp_path / f"c{name}", reader.info, codec=None) as writer:
            for frame in reader:
                writer.write(frame, frame.image)
        path = tmp_path / f"c{name}"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"damaged at frame \d+|ends after \d+ frames|no frame of video") as error:
        with open_video(path) as reader:
            list(reader)
    assert str(path) in one_sentence(error)


def test_an_index_that_is_cut_off(source):
    source.write_bytes(source.read_bytes()[:-400])
    with pytest.raises(InputError, match="not a video that FFmpeg can read"):
        open_video(source)


def test_a_damaged_middle(tmp_path):
    noise = [np.random.randint(0, 256, (64, 96, 3), np.uint8) for _ in range(20)]
    path = clips.make_video(tmp_path / "a.mkv", noise, codec="ffv1", options={"slicecrc": "1", "level": "3"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = os.urandom(2000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged at frame|ends after") as error:
        with open_video(path) as reader:
            list(reader)
    one_sentence(error)


def test_whole_files_are_not_called_damaged(tmp_path, source):
    for name in ("o.mp4", "o.mkv", "o.mov", "o.webm"):
        copy(source, tmp_path / name)
        with open_video(tmp_path / name) as reader:
            assert len(list(reader)) == 6


def test_sound_longer_than_the_pictures_is_fine(tmp_path):
    path = clips.make_video(tmp_path / "a.mkv", 6, codec="ffv1", sound="flac", sound_seconds=3)
    with open_video(path) as reader:
        assert len(list(reader)) == 6


def test_frames_can_be_walked_only_once(source):
    with open_video(source) as reader:
        list(reader)
        with pytest.raises(InputError, match="only once"):
            list(reader)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("out.avi", {}, r"unknown ending \.avi; use \.mp4, .*folder of PNG frames"),
        ("no/such/out.mp4", {}, "does not exist; make it first"),
        ("a.mp4", {}, "is an input"),
        ("out.png", {}, "one picture cannot hold a clip"),
        ("out.mp4", {"codec": "divx"}, "codec divx: unknown"),
        ("out.mp4", {"codec": "ffv1"}, "do not hold FFV1"),
        ("out.mp4", {"quality": 90}, r"H\.264 takes 0 \(best\) to 51"),
        ("out.mkv", {"quality": 10}, "FFV1 has no quality setting"),
        ("out.mov", {"quality": 10}, "ProRes has no quality setting"),
        ("frames", {"quality": 10}, "PNG is lossless"),
        ("out.mp4", {"preset": "quick"}, r"preset quick: H\.264 takes ultrafast, superfast, .*veryslow"),
        ("out.mov", {"preset": "fast"}, "ProRes has no presets"),
        ("frames", {"preset": "fast"}, "written as pictures"),
        ("frames", {"codec": "h264"}, "written as pictures"),
        ("mask.mp4", {"protect": ["MASK"]}, "is an input"),
        ("old.mp4", {"overwrite": False}, "exists already"),
        (".", {}, "no earlier result|holds the input"),
    ],
)
def test_outputs_that_cannot_be(tmp_path, source, name, settings, message):
    (tmp_path / "old.mp4").write_text("x")
    (tmp_path / "mask.mp4").write_text("x")
    settings = {k: [tmp_path / "mask.mp4"] if k == "protect" else v for k, v in settings.items()}
    before = sorted(tmp_path.iterdir())
    with open_video(source) as reader, pytest.raises(OutputError, match=message) as error:
        open_writer(tmp_path / name, reader.info, **settings)
    one_sentence(error)
    assert sorted(tmp_path.iterdir()) == before


def test_an_input_reached_by_another_name(tmp_path, source):
    (tmp_path / "link.mp4").symlink_to(source)
    with open_video(source) as reader, pytest.raises(OutputError, match="is an input"):
        open_writer(tmp_path / "link.mp4", reader.info)


def test_a_folder_of_other_files_is_never_replaced(tmp_path, source):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "000001.png").write_text("x")
    (folder / "diary.txt").write_text("x")
    with open_video(source) as reader, pytest.raises(OutputError, match=r"holds diary\.txt"):
        open_writer(folder, reader.info)
    assert len(list(folder.iterdir())) == 2


def test_an_earlier_result_is_replaced_whole(tmp_path, source):
    long = clips.make_video(tmp_path / "long.mp4", 9)
    copy(long, tmp_path / "frames")
    copy(source, tmp_path / "frames")
    assert [p.name for p in sorted((tmp_path / "frames").iterdir())] == [f"{n:06d}.png" for n in range(1, 7)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "frames", "long.mp4"]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm", "frames"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_an_interrupted_job_leaves_nothing_and_the_old_result(tmp_path, source, name, kind):
    if "." in name:
        (tmp_path / name).write_text("the old result")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(kind), open_video(source) as reader, open_writer(tmp_path / name, reader.info) as writer:
        for frame in reader:
            writer.write(frame, frame.image)
            if frame.number == 3:
                raise kind
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    if "." in name:
        assert (tmp_path / name).read_text() == "the old result"


def test_nothing_written_is_an_error(tmp_path, source):
    with open_video(source) as reader, pytest.raises(OutputError, match="no frame was written"):
        with open_writer(tmp_path / "out.mp4", reader.info):
            pass
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_failing_disks_by_stand_in(tmp_path, source, monkeypatch, number, name):
    def fail(*_args, **_settings):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("co2net.video.encoding.VideoEncoder.write", fail)
    monkeypatch.setattr("co2net.video.writer.write_frame", fail)
    with pytest.raises(OutputError, match=r"no space left|no permission") as error:
        copy(source, tmp_path / name)
    one_sentence(error)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are a thing of Unix")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "frames"])
def test_a_disk_that_is_really_full(tmp_path, name):
    """A limit on the size of files makes the very write fail, deep inside FFmpeg; noise does not compress."""
    noise = [np.random.randint(0, 256, (128, 160, 3), np.uint8) for _ in range(12)]
    source = clips.make_video(tmp_path / "a.mkv", noise, codec="ffv1", pixel_format="yuv444p")
    script = f"""
        import resource
        from co2net.errors import OutputError
        from co2net.video import open_video, open_writer
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            with open_video({str(source)!r}) as reader, open_writer({str(tmp_path / name)!r}, reader.info) as writer:
                for frame in reader:
                    writer.write(frame, frame.image)
        except OutputError as error:
            print("said:", error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert "said:" in done.stdout and "no space left" in done.stdout, done.stdout + done.stderr
    assert done.stderr == ""
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path, source):
    (tmp_path / "locked").mkdir(mode=0o500)
    with open_video(source) as reader, pytest.raises(OutputError, match="no permission"):
        open_writer(tmp_path / "locked" / "out.mp4", reader.info)


def test_images_that_do_not_fit_their_frame(tmp_path, source):
    with open_video(source) as reader, open_writer(tmp_path / "out.mp4", reader.info) as writer:
        frame = next(frames := iter(reader))
        for image, mask in (
            (frame.image[:-1], None),
            (frame.image.astype(np.float64), None),
            (frame.image, np.zeros((3, 3), np.float32)),
        ):
            with pytest.raises(ShapeError):
                writer.write(frame, image, mask)
        for each in (frame, *frames):
            writer.write(each, each.image)


def test_ffmpeg_does_not_chatter(tmp_path, capfd):
    path = tmp_path / "a.mp4"
    path.write_bytes(os.urandom(5000))
    with pytest.raises(InputError):
        open_video(path)
    good = clips.make_video(tmp_path / "b.mp4", 4, rotation=90)
    for name, codec in (("o.mp4", "h265"), ("p.mp4", "av1"), ("q.mp4", None), ("r.webm", None)):
        copy(good, tmp_path / name, codec=codec)
    assert capfd.readouterr().err == ""


def test_memory_does_not_grow_with_length(tmp_path):
    """Python's own memory at its highest while a clip is copied, for 10 and for 60 frames."""
    peaks = []
    for count in (10, 60):
        source = clips.make_video(tmp_path / f"{count}.mp4", count, size=(320, 240), sound="aac")
        tracemalloc.start()
        copy(source, tmp_path / "out.mkv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 320 * 240 * 3


@pytest.mark.parametrize("version", ["16.1.0", "17.0.1"])
def test_an_old_pyav_is_refused(source, monkeypatch, version):
    monkeypatch.setattr(av, "__version__", version)
    with pytest.raises(InputError, match=rf"PyAV {version} is too old.*av>=17\.1"):
        open_video(source)
