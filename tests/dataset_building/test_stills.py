"""Clips of photographs: the camera's path, masks that stay masks, what resumes and what is left out."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from co2net import data
from co2net.color_mapping.completion import identity_lut
from co2net.color_mapping.cube import save_cube
from co2net.dataset_building import BuildSettings, StillsSettings, build_dataset, make_stills
from co2net.dataset_building.camera_moves import Window, crop_image, crop_mask, draw_move
from co2net.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*without 20 frames")


def photo(height=90, width=120):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=2).astype(np.uint8)


def mask(height=90, width=120, size=30, soft=False):
    values = np.zeros((height, width), np.uint8)
    values[30 : 30 + size, 40 : 40 + size] = 128 if soft else 255
    return values


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for name in ("a", "b c", "tiny"):
        Image.fromarray(photo()).save(root / "images" / f"{name}.png")
    for name, array in {"a_0": mask(), "a_1": mask(size=20), "b c_0": mask(), "tiny_0": mask(size=3)}.items():
        Image.fromarray(array).save(root / "masks" / f"{name}.png")
    (root / "index.csv").write_text("id,masks,split\na,2,train\nb c,1,val\ntiny,1,train\n")
    return root


def tree(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_clips_of_photographs(photos, tmp_path):
    out = tmp_path / "out"
    summary = make_stills(photos, out, StillsSettings(per_picture=3, size=40, format="png"))
    assert summary == (6, 0, ["tiny", "tiny+1", "tiny+2"])
    videos = ["a", "a+1", "a+2", "b_c", "b_c+1", "b_c+2"]
    assert sorted(path.name for path in (out / "real_videos").iterdir()) == videos
    assert [path.name for v in videos for path in (out / "foreground_mask" / v).iterdir()] == [
        "object_0", "object_1", "object_0", "object_0", "object_0", "object_0",
    ]  # fmt: skip
    for v in videos:
        (folder,) = (out / "foreground_mask" / v).iterdir()
        masks = data.numbered_files(folder)
        assert list(masks) == list(data.numbered_files(out / "real_videos" / v)) == [0, 5, 10, 15, 20, 25, 30, 35]
        for number, path in masks.items():
            values = data.read_mask(path)
            assert min(values.shape) == 40 and set(np.unique(values)) == {0, 1} and 0.01 <= values.mean() <= 0.9
            assert data.read_image(out / "real_videos" / v / f"{number:05d}.png").shape[:2] == values.shape
    assert json.loads((out / "stills.json").read_text())["clips"]["tiny"]["left_out"] is True


def test_the_moves_are_a_function_of_seed_and_name(photos, tmp_path):
    make_stills(photos, tmp_path / "one", StillsSettings(seed=1))
    make_stills(photos, tmp_path / "two", StillsSettings(seed=1), workers=2)
    make_stills(photos, tmp_path / "split", StillsSettings(seed=1), split="val")
    make_stills(photos, tmp_path / "other", StillsSettings(seed=2))
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    assert tree(tmp_path / "two") == one
    split = {name: content for name, content in tree(tmp_path / "split").items() if "_" in name and "b_c" in name}
    assert split and split.items() <= one.items()
    assert one["real_videos/a/00000.jpg"] != other["real_videos/a/00000.jpg"]


def test_it_goes_on_and_is_careful(photos, tmp_path):
    out = tmp_path / "out"
    make_stills(photos, out, StillsSettings(), split="val")
    before = tree(out)
    assert make_stills(photos, out, StillsSettings())[:2] == (1, 1)
    assert {k: v for k, v in tree(out).items() if "b_c" in k} == {k: v for k, v in before.items() if "b_c" in k}
    with pytest.raises(InputError, match=r"b_c was made otherwise: frames was 8, is 4; use `overwrite`"):
        make_stills(photos, out, StillsSettings(frames=4), split="val")
    assert make_stills(photos, out, StillsSettings(frames=4), split="val", overwrite=True).built == 1
    assert len(list((out / "real_videos/b_c").iterdir())) == 4
    (out / "still_records/a.json").unlink()
    with pytest.raises(InputError, match="foreground_mask/a is there, but this command did not make it"):
        make_stills(photos, out, StillsSettings())


def test_a_data_set_can_be_built_of_them_and_no_photo_is_in_both_splits(photos, tmp_path):
    out = tmp_path / "out"
    make_stills(photos, out, StillsSettings(per_picture=2))
    save_cube(identity_lut(5, torch.zeros(1)).clamp(0.2, 0.8), tmp_path / "look.cube")
    real, masks = out / "real_videos", out / "foreground_mask"
    build_dataset(real, masks, tmp_path / "look.cube", out, BuildSettings(), train_share=0.5)
    assert data.check_pictures(data.read_dataset(out)) == []
    splits = [data.read_dataset(out, split=split) for split in ("train", "test")]
    photos_of = [{entry.real.parent.name.split("+")[0] for entry in entries} for entries in splits]
    assert sorted(map(sorted, photos_of)) == [["a"], ["b_c"]] and len(splits[0]) == len(splits[1]) == 16


def test_errors(photos, tmp_path):
    Image.fromarray(mask()[:-1]).save(photos / "masks/a_0.png")
    with pytest.raises(InputError, match=r"a_0\.png is 120x89, its picture 120x90"):
        make_stills(photos, tmp_path / "out")
    for wrong, message in (({"frames": 0}, "0 frames"), ({"per_picture": 0}, "0 clips"), ({"size": 4}, "4 pixels")):
        with pytest.raises(InputError, match=message):
            StillsSettings(**wrong)
    (photos / "index.csv").write_text("id,masks,split\n")
    with pytest.raises(InputError, match="no picture with a mask for the split 'val'"):
        make_stills(photos, tmp_path / "out", split="val")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 20), size=st.integers(14, 80), height=st.integers(85, 200))
def test_every_path_is_smooth_inside_and_shows_the_foreground(seed, frames, size, height):
    values = mask(height, 120, size).astype(np.float32) / 255
    windows = draw_move(values, frames, np.random.default_rng(seed))
    assert windows is not None and len(windows) == frames
    for window in windows:
        assert window.left >= -1e-9 and window.left + window.width <= 120 + 1e-9
        assert window.top >= -1e-9 and window.top + window.height <= height + 1e-9
        assert np.isclose(window.width / window.height, 120 / height)
    if frames > 2:
        places = np.array(windows) / [120, height, 120, height]
        steps = np.diff(places, axis=0)
        assert np.abs(steps).max() < 2 * 0.5 / (frames - 1)  # slow ...
        assert np.abs(np.diff(steps, axis=0)).max() < 8 * 0.5 / (frames - 1) ** 2 + 0.02  # ... and without jerks


def test_crops_are_where_the_window_is():
    image, size = photo(), (90, 120)
    np.testing.assert_array_equal(crop_image(image, Window(0, 0, 120, 90), size), image)
    np.testing.assert_array_equal(crop_image(image, Window(10, 20, 40, 30), (30, 40)), image[20:50, 10:50])
    half = crop_image(image, Window(0, 0, 120, 90), (45, 60)).astype(int)
    area = image.reshape(45, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - area)[..., :2].max() <= 1
    np.testing.assert_array_equal(crop_mask(mask() / 255, Window(10, 20, 40, 30), (30, 40)), mask()[20:50, 10:50] / 255)
    # Half a pixel to the right: the image moves, the hard mask stays hard, the soft one keeps its values.
    moved = crop_image(image, Window(10.5, 20, 40, 30), (30, 40)).astype(float)
    between = (image[20:50, 10:50].astype(float) + image[20:50, 11:51]) / 2
    assert np.abs(moved - between)[2:-2, 2:-2, :2].max() <= 1.5
    assert set(np.unique(crop_mask(mask() / 255, Window(10.5, 20, 39, 29), (30, 40)))) == {0, 1}
    soft = crop_mask(mask(soft=True) / 255, Window(10, 20, 40, 30), (30, 40))
    assert set(np.unique(soft.round(4))) == {0, np.float32(128 / 255).round(4)}
