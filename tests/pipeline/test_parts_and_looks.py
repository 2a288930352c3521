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


@pytest.mark.parametrize("key_frames", [None, "auto", 3])
def test_parts_join_without_a_seam(tmp_path, model, key_frames):
    frames, masks = sequence(tmp_path, 34)
    settings = {"model": model, "previous": 2, "future": 2, "key_frames": key_frames}
    co2net.harmonize_video(frames, masks, tmp_path / "whole", **settings)
    (tmp_path / "parts").mkdir()
    for part in ((1, 5), (6, 19), (20, 34)):  # as three machines would
        co2net.harmonize_video(frames, masks, tmp_path / "parts" / "o.%04d.png", frames=part, **settings)
    names = sorted(p.name for p in (tmp_path / "parts").iterdir())
    assert names == [f"o.{n:04d}.png" for n in range(1, 35)]
    np.testing.assert_array_equal(images(tmp_path / "whole"), images(tmp_path / "parts"))


def test_one_lut_for_a_shot_is_not_made_of_a_part(tmp_path, model):
    frames, masks = sequence(tmp_path, 3)
    with pytest.raises(InputError, match="`per_shot` makes one LUT of a whole shot"):
        co2net.harmonize_video(frames, masks, tmp_path / "o", model=model, frames=(1, 2), per_shot=True)


def test_a_look_grades_the_whole_result(tmp_path, model):
    frames, masks = sequence(tmp_path, 2)
    inverted = "LUT_3D_SIZE 2\n" + "".join(f"{1 - r} {1 - g} {1 - b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (tmp_path / "look.cube").write_text(inverted)
    co2net.harmonize_video(frames, masks, tmp_path / "plain", model=model)
    co2net.harmonize_video(frames, masks, tmp_path / "graded", model=model, look=tmp_path / "look.cube")
    for plain, graded in zip(images(tmp_path / "plain"), images(tmp_path / "graded"), strict=True):
        assert np.abs(255 - plain.astype(int) - graded).max() <= 1


@pytest.mark.parametrize("size", [17, 33, 65])
@pytest.mark.parametrize("codes", ["full", "video"])
def test_sizes_and_ranges_of_the_written_lut(tmp_path, model, size, codes):
    frames, masks = sequence(tmp_path, 1)
    how = {"cube": tmp_path / "c.cube", "cube_size": size, "cube_range": codes}
    co2net.harmonize_video(frames, masks, tmp_path / "o", model=model, **how)
    lut = co2net.load_cube(tmp_path / "c.cube")
    assert lut.shape[-1] == size and ("VIDEO_RANGE" in (tmp_path / "c.cube").read_text()) == (codes == "video")
    co2net.harmonize_video(frames, masks, tmp_path / "o", model=model, cube=tmp_path / "d.cube")
    if size == 33:  # the same grid; between its points the one for video range is off by a little
        difference = (lut - co2net.load_cube(tmp_path / "d.cube")).abs()
        assert difference.max() < 5 / 255 and difference.mean() < 0.5 / 255


def test_curves_are_the_nearest_that_a_1d_lut_can_come(tmp_path, model):
    frames, masks = sequence(tmp_path, 2)
    how = {"cube": tmp_path / "c.cube", "cube_type": "1d", "cube_size": 256}
    co2net.harmonize_video(frames, masks, tmp_path / "o", model=model, **how)
    text = (tmp_path / "c.cube").read_text().splitlines()
    assert "LUT_1D_SIZE 256" in text and len(text) == 4 + 256
    inside = clips.disc(*SIZE) == 255  # a mask of the first frame
    source, result = (images(path)[0][inside].astype(float) for path in (frames, tmp_path / "o"))
    curves = np.loadtxt(text[4:])
    graded = np.stack([np.interp(source[:, c], np.arange(256), 255 * curves[:, c]) for c in range(3)], axis=1)
    error, change = np.abs(graded - result).mean(), np.abs(source - result).mean()
    assert change > 1 and error < 0.5 * change
    # The command's own --look takes them.
    co2net.harmonize_video(frames, masks, tmp_path / "g", model=model, strength=0.0, look=tmp_path / "c.cube")
    assert np.abs(images(tmp_path / "g")[0][inside] - graded).max() < 1.6


def test_wrong_kinds_of_lut_are_refused(tmp_path, model):
    frames, masks = sequence(tmp_path, 1)
    for how in ({"cube_type": "2d"}, {"cube_range": "legal"}, {"cube_size": 130}, {"cube_size": 1}):
        with pytest.raises(InputError, match=f"`{next(iter(how))}`"):
            co2net.harmonize_video(frames, masks, tmp_path / "o", model=model, cube=tmp_path / "c.cube", **how)


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
