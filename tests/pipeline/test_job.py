"""The runner of frame jobs, with toy streams: what comes out, and what is left when a job does not end well."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from video import clips

from co2net.errors import Cancelled, InputError, OutputError
from co2net.pipeline.job import run_job
from co2net.video import open_mask, open_video

SIZE = (32, 24)


class Toy:
    """Lags one frame behind and gives `make(frame, mask)`."""

    def __init__(self, make):
        self.make, self.waiting = make, []

    def push(self, frame, mask, tag):
        self.waiting.append((tag, self.make(frame, mask)))
        while len(self.waiting) > 1:
            yield self.waiting.pop(0)

    def finish(self):
        yield from self.waiting


def negative(frame, mask):
    return np.iinfo(frame.dtype).max - frame


def left_half(frame, mask=None):
    matte = np.zeros(frame.shape[:2], np.float32)
    matte[:, : frame.shape[1] // 2] = 1
    return matte


@pytest.fixture
def clip(tmp_path):
    return clips.make_video(tmp_path / "clip.mp4", 5, SIZE, sound="aac")


def run(source, output, make, **settings):
    with open_video(source) as reader:
        return run_job(((frame, None) for frame in reader), reader.info, Toy(make), output, **settings)


def frames(path):
    with open_video(path) as reader:
        return list(reader)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_colors_keep_sound_and_times(tmp_path, clip):
    calls = []
    report = run(clip, tmp_path / "out.mp4", negative, quality=0, on_progress=lambda *call: calls.append(call))
    assert (report.output, report.frames) == (tmp_path / "out.mp4", 5) and calls == [(n, 5) for n in range(1, 6)]
    assert report.seconds > 0 and len(clips.packets(report.output)) == 1
    assert clips.times(report.output) == clips.times(clip)
    for before, after in zip(frames(clip), frames(report.output), strict=True):
        assert np.abs(255.0 - before.image - after.image).mean() < 4


@pytest.mark.parametrize("name", ["m.mkv", "m.mp4", "m.mov", "m.webm", "m/"])
def test_a_matte_is_gray_without_sound_and_reads_as_the_mask_it_is(tmp_path, clip, name):
    output = f"{tmp_path}/{name}"
    report = run(clip, output, left_half, kind="matte")
    assert report.notes == ([] if name != "m/" else report.notes)
    with open_video(clip) as reader, open_video(report.output) as written:
        assert not written.info.has_audio
        with open_mask(report.output, reader.info) as masks:
            masks = list(masks)
    assert len(masks) == 5
    for mask in masks:
        assert np.abs(mask - left_half(np.zeros((24, 32, 3)))).mean() < (0.001 if name in ("m.mkv", "m/") else 0.02)
    if name == "m.mkv":
        assert written.info.pixel_format == "gray"


@pytest.mark.parametrize("name", ["a.mov", "a.mkv", "a.webm", "a/"])
def test_colors_with_an_alpha_channel(tmp_path, clip, name):
    report = run(clip, f"{tmp_path}/{name}", lambda frame, _: (frame, left_half(frame)), kind="alpha")
    for before, after in zip(frames(clip), frames(report.output), strict=True):
        assert after.alpha is not None and np.abs(after.alpha / after.peak - left_half(before.image)).mean() < 0.02
        assert np.abs(after.image[:, :15] / after.peak - before.image[:, :15] / 255).mean() < 0.03
    assert any("no sound" in note for note in report.notes) == (name == "a/")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", None), ("a.mkv", "h264"), ("a.jpg", None)])
def test_a_file_without_an_alpha_channel_is_refused_for_a_result_with_one(tmp_path, clip, name, codec):
    with pytest.raises(OutputError, match=r"has no alpha channel; choose \.mov"):
        run(clip, tmp_path / name, lambda frame, _: (frame, left_half(frame)), kind="alpha", codec=codec)


def test_a_gray_clip_becomes_a_color_clip(tmp_path):
    gray = clips.make_video(tmp_path / "gray.mkv", 2, SIZE, codec="ffv1", pixel_format="gray", full=True)

    def orange(frame, mask):
        return (frame * np.array([1, 0.6, 0.2])).astype(np.float32) / 255

    report = run(gray, tmp_path / "out.mkv", orange, kind="colorized")
    for before, after in zip(frames(gray), frames(report.output), strict=True):
        assert np.abs(before.image * [1, 0.6, 0.2] - after.image).max() <= 1


def test_a_single_picture_and_the_names_of_outputs(tmp_path, clip):
    (folder := tmp_path / "in").mkdir()
    clips.make_folder(folder, [clips.picture(*SIZE)])
    report = run(folder / "001.png", None, left_half, kind="matte")
    assert report.output == folder / "001.matte.png" and frames(report.output)[0].image[0, 0].tolist() == [255] * 3
    assert run(clip, None, negative, word="inverted").output == tmp_path / "clip.inverted.mp4"
    assert (
        run(clip, None, lambda frame, _: (frame, left_half(frame)), kind="alpha").output == tmp_path / "clip.alpha.mov"
    )
    assert run(folder, None, negative, word="inverted").output == tmp_path / "in.inverted"


def test_a_job_ends_when_asked_from_another_thread_and_leaves_nothing(tmp_path, clip):
    before, threads, cancel, seen = files(tmp_path), threading.active_count(), threading.Event(), []

    def make(frame, mask):
        seen.append(1)
        if len(seen) == 2:
            thread = threading.Thread(target=cancel.set)
            thread.start()
            thread.join()
        return frame

    with pytest.raises(Cancelled):
        run(clip, tmp_path / "out.mp4", make, cancel=cancel)
    assert len(seen) == 2 and files(tmp_path) == before and threading.active_count() == threads
    with pytest.raises(Cancelled):
        run(clip, tmp_path / "out.mp4", negative, cancel=lambda: True)
    assert files(tmp_path) == before


def test_what_fails_leaves_the_older_result(tmp_path, clip):
    output = tmp_path / "out.mp4"
    output.write_bytes(b"older")
    before = files(tmp_path)

    def refuse(count):
        raise InputError(f"nothing to do in {count} frames")

    def fail(frame, mask):
        raise MemoryError

    with pytest.raises(InputError, match="nothing to do in 5 frames"):
        run(clip, output, negative, before_finish=refuse)
    with pytest.raises(MemoryError):
        run(clip, output, fail)
    with pytest.raises(OutputError, match="is an input"):
        run(clip, clip, negative)
    assert output.read_bytes() == b"older" and files(tmp_path) == before
