"""File to file, with backbones whose result is known."""

from __future__ import annotations

import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pipeline import stubs
from video import clips

from co2net import load_cube
from co2net.errors import InputError, OutputError
from co2net.pipeline import HarmonizeReport, harmonize_video
from co2net.pipeline.job import default_output
from co2net.video import open_video

SIZE = (96, 64)


@pytest.fixture
def model():
    return stubs.model_of(stubs.Known(stubs.warm, 32), mapping="smooth")


@pytest.fixture
def clip(tmp_path):
    """A composite with sound and its mask; a little disc on the left of a wide frame."""
    composite = clips.make_video(tmp_path / "composite.mp4", 5, SIZE, sound="aac")
    mask = clips.make_folder(tmp_path / "mask", [clips.disc(*SIZE)] * 5)
    return composite, mask


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def pictures(path):
    with open_video(path) as reader:
        return [frame.image for frame in reader]


def test_the_foreground_changes_and_the_rest_stays_to_the_bit(tmp_path, model):
    clip = clips.make_video(tmp_path / "composite.mp4", 5, SIZE), tmp_path / "mask"
    clips.make_folder(clip[1], [clips.disc(*SIZE)] * 5)
    report = harmonize_video(*clip, tmp_path / "out.mkv", model, 1, 1)
    mask = clips.disc(*SIZE) / 255
    assert isinstance(report, HarmonizeReport)
    assert (report.output, report.frames, report.harmonized) == (tmp_path / "out.mkv", 5, 5)
    assert report.device == "cpu" and report.seconds > 0
    # FFV1 holds the composite's own planes; a chroma sample is shared by 2 x 2 pixels.
    touched = (mask > 0).reshape(SIZE[1] // 2, 2, SIZE[0] // 2, 2).any(axis=(1, 3))
    for before, after in zip(clips.planes(clip[0]), clips.planes(report.output), strict=True):
        assert np.array_equal(before[0][mask == 0], after[0][mask == 0])
        for plane in (1, 2):
            assert np.array_equal(before[plane][~touched], after[plane][~touched])
    for before, after in zip(pictures(clip[0]), pictures(report.output), strict=True):
        inside = mask == 1
        expected = before[inside] * [0.8, 0.7, 0.6] + np.array([0.15, 0.1, 0.05]) * 255
        assert np.abs(after[inside] - expected).mean() < 3, "8-bit levels; chroma is subsampled"
    assert clips.times(report.output) == clips.times(clip[0])


def test_sound_and_times_stay(tmp_path, clip, model):
    report = harmonize_video(*clip, tmp_path / "out.mp4", model, 1, 1)
    assert [[data for _, data in stream] for stream in clips.packets(report.output)] == [
        [data for _, data in stream] for stream in clips.packets(clip[0])
    ]
    assert clips.times(report.output) == clips.times(clip[0]) and report.notes == []


def test_frames_with_uneven_times_stay_where_they_were(tmp_path, model):
    pts = [0, 3600, 9000, 9100, 20000]
    composite = clips.make_video(tmp_path / "c.mp4", 5, SIZE, pts=pts, time_base=Fraction(1, 90000))
    mask = clips.make_folder(tmp_path / "mask", [clips.disc(*SIZE)] * 5)
    report = harmonize_video(composite, mask, tmp_path / "out.mp4", model, 1, 1)
    assert clips.times(report.output) == clips.times(composite)


@pytest.mark.parametrize("window", [(0, 0), (8, 8), (0, 3)], ids=str)
def test_every_frame_comes_out_whatever_the_window(tmp_path, clip, model, window):
    calls = []
    report = harmonize_video(*clip, tmp_path / "out.mp4", model, *window, on_progress=lambda *c: calls.append(c))
    assert report.frames == 5 and calls == [(n, 5) for n in range(1, 6)]


def test_strength_zero_changes_nothing(tmp_path, clip, model):
    report = harmonize_video(*clip, tmp_path / "out.mkv", model, 1, 1, strength=0)
    for before, after in zip(clips.planes(clip[0]), clips.planes(report.output), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_key_frames_and_the_encoders_preset(tmp_path, clip, model):
    report = harmonize_video(*clip, tmp_path / "out.mp4", model, 1, 1, key_frames=3, preset="ultrafast")
    assert (report.frames, report.harmonized, report.passes) == (5, 5, 2) and report.notes == []
    refined = stubs.model_of(stubs.Tiny(32), mapping="smooth", refinement=True)
    report = harmonize_video(*clip, tmp_path / "out.mp4", refined, 1, 1, key_frames="auto")
    assert any("the refinement is left out" in note for note in report.notes)


def test_no_thread_outlives_the_work(tmp_path, clip, model):
    before = threading.active_count()
    harmonize_video(*clip, tmp_path / "out.mp4", model, 1, 1)
    short = clips.make_folder(tmp_path / "short", [clips.disc(*SIZE)] * 4)
    with pytest.raises(InputError, match="ends after 4 frames"):
        harmonize_video(clip[0], short, tmp_path / "out.mp4", model)
    assert threading.active_count() == before


@pytest.mark.parametrize(("count", "sentence"), [(4, "ends after 4 frames"), (6, "more frames than the 5")])
def test_another_length_is_refused_before_the_work(tmp_path, clip, count, sentence):
    backbone = stubs.Tiny(32)
    masks = clips.make_folder(tmp_path / "others", [clips.disc(*SIZE)] * count)
    foreground = clips.make_folder(tmp_path / "front", [clips.picture(*SIZE)] * count)
    with pytest.raises(InputError, match=sentence):
        harmonize_video(clip[0], masks, tmp_path / "out.mp4", stubs.model_of(backbone), 0, 0)
    with pytest.raises(InputError, match=f"front {sentence}|front has {sentence}"):
        harmonize_video(None, clip[1], tmp_path / "o.mp4", foreground=foreground, background=clip[0])
    assert backbone.calls == []


def test_masks_may_be_empty_now_and_then(tmp_path, clip, model):
    empty = np.zeros(SIZE[::-1], np.uint8)
    mask = clips.make_folder(tmp_path / "some", [empty, clips.disc(*SIZE), empty, empty, clips.disc(*SIZE)])
    report = harmonize_video(clip[0], mask, tmp_path / "out.mkv", model, 1, 1)
    assert (report.frames, report.harmonized) == (5, 2)
    before, after = clips.planes(clip[0]), clips.planes(report.output)
    for number in (0, 2, 3):
        assert all(np.array_equal(a, b) for a, b in zip(before[number], after[number], strict=True))


def test_a_mask_empty_everywhere_is_refused_and_leaves_nothing(tmp_path, clip, model):
    mask = clips.make_folder(tmp_path / "black", [np.zeros(SIZE[::-1], np.uint8)] * 5)
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"the mask is empty in all 5 frames.*white on the foreground"):
        harmonize_video(clip[0], mask, tmp_path / "out.mp4", model)
    assert files(tmp_path) == before


def test_a_mask_that_covers_everything_deserves_a_note(tmp_path, clip, model):
    mask = clips.make_folder(tmp_path / "white", [np.full(SIZE[::-1], 255, np.uint8)] * 5)
    report = harmonize_video(clip[0], mask, tmp_path / "out.mp4", model, 1, 1)
    assert any("is it inverted" in note for note in report.notes)


def test_the_lut_of_the_clip_is_written(tmp_path, clip, model):
    harmonize_video(*clip, tmp_path / "out.mp4", model, 1, 1, cube=tmp_path / "look.cube")
    lut = load_cube(tmp_path / "look.cube")
    assert tuple(lut.shape[-3:]) == (33, 33, 33) and lut.isfinite().all()


def test_a_still_mask_and_a_single_image(tmp_path, model):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(*SIZE)])
    mask = clips.make_folder(tmp_path / "mask", [clips.disc(*SIZE)]) / "001.png"
    report = harmonize_video(folder / "001.png", mask, tmp_path / "out.png", model)
    before, after = pictures(folder / "001.png")[0], pictures(report.output)[0]
    outside = clips.disc(*SIZE) == 0
    assert report.frames == 1 and np.array_equal(before[outside], after[outside]) and not np.array_equal(before, after)


def test_16_bit_pictures_keep_their_depth(tmp_path, model):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(*SIZE, n, peak=65535) for n in range(2)])
    mask = clips.make_folder(tmp_path / "mask", [clips.disc(*SIZE)] * 2)
    report = harmonize_video(folder, mask, tmp_path / "out", model, 1, 1)
    assert files(report.output) == files(folder)
    outside = clips.disc(*SIZE) == 0
    for before, after in zip(pictures(folder), pictures(report.output), strict=True):
        assert after.dtype == np.uint16 and np.array_equal(before[outside], after[outside])
        assert len(np.unique(after[~outside])) > 256, "really 16 bits"


def test_foreground_over_background(tmp_path, model):
    background = clips.make_video(tmp_path / "back.mp4", 4, SIZE, sound="aac")
    foreground = clips.make_folder(tmp_path / "front", [np.full((*SIZE[::-1], 3), (200, 40, 40), np.uint8)] * 4)
    mask = clips.make_folder(tmp_path / "mask", [clips.disc(*SIZE)] * 4)
    report = harmonize_video(
        None, mask, tmp_path / "out.mkv", model, 1, 1, foreground=foreground, background=background
    )
    outside, inside = clips.disc(*SIZE) == 0, clips.disc(*SIZE) == 255
    for before, after in zip(clips.planes(background), clips.planes(report.output), strict=True):
        assert np.array_equal(before[0][outside], after[0][outside])
    expected = np.array([200, 40, 40]) * [0.8, 0.7, 0.6] + np.array([0.15, 0.1, 0.05]) * 255
    assert np.abs(pictures(report.output)[2][inside].mean(axis=0) - expected).max() < 3


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"composite": None}, "give a composite video"),
        ({"composite": "c.mp4", "foreground": "f", "background": "b"}, "not both"),
        ({"composite": None, "foreground": "f.mov"}, "belong together"),
        ({"composite": None, "background": "b.mov"}, "belong together"),
    ],
)
def test_inputs_that_do_not_go_together(model, inputs, sentence):
    with pytest.raises(InputError, match=sentence):
        harmonize_video(model=model, **inputs)


@pytest.mark.parametrize(
    ("cube", "sentence"),
    [("look.txt", "must end in .cube"), ("nowhere/look.cube", "does not exist"), ("in.cube", "is an input")],
)
def test_a_cube_that_cannot_be_written_is_refused_before_the_work(tmp_path, clip, model, cube, sentence):
    (tmp_path / "in.cube").mkdir()  # stands for an input of that name
    mask = tmp_path / "in.cube" if cube == "in.cube" else clip[1]
    if cube == "in.cube":
        clips.make_folder(mask, [clips.disc(*SIZE)] * 5)
    with pytest.raises(OutputError, match=sentence):
        harmonize_video(clip[0], mask, tmp_path / "out.mp4", model, cube=tmp_path / cube)
    assert not (tmp_path / "out.mp4").exists()


def test_default_names(tmp_path):
    video = clips.make_video(tmp_path / "a.b.mkv", 1, SIZE, codec="ffv1")
    folder = clips.make_folder(tmp_path / "shots", [clips.picture(*SIZE)])
    for path, name in (
        (video, "a.b.harmonized.mp4"),
        (folder, "shots.harmonized"),
        (folder / "001.png", "001.harmonized.png"),
    ):
        with open_video(path) as reader:
            assert Path(default_output(reader.info, "harmonized")) == path.parent / name


def test_an_interruption_leaves_nothing(tmp_path, clip, model):
    before = files(tmp_path)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harmonize_video(*clip, tmp_path / "out.mp4", model, 1, 1, on_progress=stop)
    assert files(tmp_path) == before


def test_an_older_result_survives_a_failure(tmp_path, clip, model):
    (tmp_path / "out.mp4").write_bytes(b"older")
    mask = clips.make_folder(tmp_path / "short", [clips.disc(*SIZE)] * 4)
    with pytest.raises(InputError, match="ends after 4 frames"):
        harmonize_video(clip[0], mask, tmp_path / "out.mp4", model)
    assert (tmp_path / "out.mp4").read_bytes() == b"older"


MEASURE = """
import itertools, sys, torch
from pipeline import stubs
from co2net.pipeline import harmonize_frames
torch.set_num_threads(1)
def source(count):
    frames, masks = stubs.moving_clip(1, 48, 64)
    for _ in range(count):
        yield frames[0].copy(), masks[0].copy()
def run(count):
    first, second = itertools.tee(source(count))
    frames, masks = (frame for frame, _ in first), (mask for _, mask in second)
    assert sum(1 for _ in harmonize_frames(frames, masks, stubs.model_of(stubs.Tiny(32)))) == count
run(int(sys.argv[1]))
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_memory_of_1000_frames_is_that_of_100():
    from pathlib import Path

    def peak(count):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(count)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        return int(done.stdout) / 1024

    short, long = peak(100), peak(1000)
    # 900 frames with their masks are 11 MiB, their volumes would be 490 MiB.
    assert long - short < 8, f"{short:.0f} MiB for 100 frames, {long:.0f} MiB for 1000"
