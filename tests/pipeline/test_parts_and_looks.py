"""Parts of a sequence join without a seam; a grade over the result; what is left of a damaged video."""

from __future__ import annotations

import numpy as np
import pytest
from video import clips

import co2net
from co2net.errors import InputError
from co2net.video import open_video

SIZE = (64, 48)


@pytest.fixture(scope="module")
def model():
    return co2net.create_model("co2net", weights="default")


def sequence(tmp_path, count=14):
    frames = clips.make_folder(tmp_path / "in", [clips.picture(*SIZE, n) for n in range(count)], "f.{:04d}.png")
    masks = clips.make_folder(
        tmp_path / "mask", [np.roll(clips.disc(*SIZE), n, 1) for n in range(count)], "m.{:04d}.png"
    )
    return frames / "f.%04d.png", masks


def images(path):
    with open_video(path) as reader:
        return [frame.image for frame in reader]


def test_parts_join_without_a_seam(tmp_path, model):
    frames, masks = sequence(tmp_path)
    settings = {"model": model, "previous": 2, "future": 2}
    co2net.harmonize_video(frames, masks, tmp_path / "whole", **settings)
    (tmp_path / "parts").mkdir()
    for part in ((1, 5), (6, 14)):  # as two machines would
        co2net.harmonize_video(frames, masks, tmp_path / "parts" / "o.%04d.png", frames=part, **settings)
    names = sorted(p.name for p in (tmp_path / "parts").iterdir())
    assert names == [f"o.{n:04d}.png" for n in range(1, 15)]
    np.testing.assert_array_equal(images(tmp_path / "whole"), images(tmp_path / "parts"))


def test_a_look_grades_the_whole_result(tmp_path, model):
    frames, masks = sequence(tmp_path, 2)
    inverted = "LUT_3D_SIZE 2\n" + "".join(f"{1 - r} {1 - g} {1 - b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (tmp_path / "look.cube").write_text(inverted)
    co2net.harmonize_video(frames, masks, tmp_path / "plain", model=model)
    co2net.harmonize_video(frames, masks, tmp_path / "graded", model=model, look=tmp_path / "look.cube")
    for plain, graded in zip(images(tmp_path / "plain"), images(tmp_path / "graded"), strict=True):
        assert np.abs(255 - plain.astype(int) - graded).max() <= 1


@pytest.mark.parametrize("size", [17, 33, 65])
def test_sizes_of_the_written_lut(tmp_path, model, size):
    frames, masks = sequence(tmp_path, 1)
    co2net.harmonize_video(frames, masks, tmp_path / "o", model=model, cube=tmp_path / "c.cube", cube_size=size)
    assert co2net.load_cube(tmp_path / "c.cube").shape[-1] == size


def test_what_is_left_of_a_damaged_video(tmp_path, model):
    source = clips.make_video(tmp_path / "a.mkv", 30, size=SIZE, codec="ffv1", pixel_format="bgr0", sound="flac")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    mask = tmp_path / "m"
    clips.make_folder(mask, [clips.disc(*SIZE)] * 30)
    with pytest.raises(InputError, match=r"a\.mkv"):
        co2net.harmonize_video(source, mask, tmp_path / "o.mkv", model=model)
    report = co2net.harmonize_video(source, mask, tmp_path / "o.mkv", model=model, keep_partial=True)
    assert 5 < report.frames < 30 and len(images(tmp_path / "o.mkv")) == report.frames
    assert any("the result ends" in note for note in report.notes)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_the_smallest_pictures(tmp_path, model, size):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(*size), np.full(size[::-1], 255, np.uint8)])
    report = co2net.harmonize_video(folder / "001.png", folder / "002.png", tmp_path / "o.png", model=model)
    assert report.frames == 1 and images(tmp_path / "o.png")[0].shape == (*size[::-1], 3)
