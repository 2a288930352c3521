"""The sample data in the repository: whole, as described, and what its script makes."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from co2net import data
from co2net.color_mapping.cube import load_cube

HERE = Path(__file__).parents[2]
ROOT = HERE / "sample_data"


def frames(path):
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def test_lists_name_what_is_there():
    every = data.read_frame_list(HERE / "all_frames.txt", ROOT)
    test = data.read_frame_list(HERE / "test_frames.txt", ROOT)
    train = data.read_frame_list(HERE / "train_list.txt", ROOT)  # a clip list
    assert (len(every), len(test), len(train)) == (60, 20, 40)
    assert train + test == every
    assert data.expand_clip_list(ROOT / "all_list.txt", ROOT) == every
    assert data.expand_clip_list(ROOT / "test_list.txt", ROOT) == test
    listed = {path for entry in every for path in entry}
    assert listed == {path for path in ROOT.rglob("*") if path.suffix in (".jpg", ".png")}


def test_pictures_fit_together():
    for entry in data.read_frame_list(HERE / "all_frames.txt", ROOT):
        real, composite = (data.read_image(path).astype(int) for path in (entry.real, entry.composite))
        mask = data.read_mask(entry.mask)
        assert real.shape == composite.shape == (180, 320, 3) and mask.shape == (180, 320)
        assert set(np.unique(mask)) == {0, 1} and 0.1 < mask.mean() < 0.6
        change = np.abs(real - composite).mean(axis=2)
        assert change[mask == 1].mean() > 10  # something to harmonize
        assert change[mask == 0].mean() < 2  # JPEG noise only


def test_the_video_and_its_truth():
    real, mask, composite = (frames(ROOT / f"{name}.mp4").astype(np.int16) for name in ("real", "mask", "composite"))
    assert real.shape == mask.shape == composite.shape == (75, 360, 640, 3)
    change = np.abs(real - composite).mean(axis=3)
    inside, outside = mask[..., 0] > 250, mask[..., 0] < 5
    assert change[inside].mean() > 10 and change[outside].mean() < 2
    assert inside.mean() > 0.1 and (inside | outside).mean() > 0.97  # the rest is the soft border
    with av.open(str(ROOT / "composite.mp4")) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, video.average_rate, sound.codec_context.name) == ("h264", 25, "aac")
        tune = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    assert abs(tune.shape[1] / 48000 - 3) < 0.05 and 0.05 < np.abs(tune).max() < 0.9


def test_the_look_makes_the_composite():
    lut = load_cube(ROOT / "look.cube")
    entry = data.read_frame_list(HERE / "test_frames.txt", ROOT)[7]
    composite = data.lut_transfer(data.read_image(entry.real), data.read_mask(entry.mask), lut)
    assert np.abs(composite.astype(int) - data.read_image(entry.composite)).mean() < 2  # JPEG noise


def test_it_stays_small():
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) < 4e6


@pytest.mark.slow
def test_the_script_makes_the_same(tmp_path):
    script = HERE / "scripts" / "make_sample_data.py"
    subprocess.run([sys.executable, str(script), "--output", str(tmp_path)], check=True, timeout=300)
    again = tmp_path / "sample_data"
    for name in ("train_list.txt", "test_frames.txt", "all_frames.txt"):
        assert (tmp_path / name).read_text() == (HERE / name).read_text()
    torch.testing.assert_close(load_cube(again / "look.cube"), load_cube(ROOT / "look.cube"), atol=1e-6, rtol=0)
    # Codecs and GrabCut may round differently from version to version: close, not equal.
    for entry in data.read_frame_list(HERE / "all_frames.txt", ROOT):
        for path in entry:
            there = data.read_image(again / path.relative_to(ROOT)).astype(int)
            assert np.abs(there - data.read_image(path)).mean() < 1
    for name in ("real.mp4", "mask.mp4", "composite.mp4"):
        assert np.abs(frames(again / name).astype(np.int16) - frames(ROOT / name)).mean() < 1


def test_free_composites_are_made(tmp_path):
    script = HERE / "scripts" / "make_composites.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=300)
    names = sorted(path.name for path in (tmp_path / "composite").iterdir())
    assert len(names) == 7
    assert names == sorted(path.name for path in (tmp_path / "mask").iterdir())
    for name in names:
        composite, mask = (np.asarray(Image.open(tmp_path / part / name)) for part in ("composite", "mask"))
        assert composite.shape == (360, 480, 3)
        assert mask.shape == (360, 480)
        assert 0.05 < (mask > 127).mean() < 0.6
