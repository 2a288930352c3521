"""Clips: neighbors from disk, frames as tensors, stored results under the original's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from co2net.data import Sample
from co2net.data.clips import Clip, group_clips, read_frame
from co2net.data.stored_results import read_lut, read_stored_image, stored_path, write_image, write_lut
from co2net.errors import InputError


def _clip(root: Path, numbers: list[int], name: str = "object_0", size: tuple[int, int] = (12, 16)) -> list[Sample]:
    rng, entries = np.random.default_rng(3), []
    for number in numbers:
        entry = Sample(
            root / "real_videos" / "vid" / f"{number:05d}.png",
            root / "foreground_mask" / "vid" / name / f"{number:05d}.png",
            root / "synthetic_composite_videos" / "vid" / name / f"{number:05d}.png",
        )
        for path in entry:
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = size if path is entry.mask else (*size, 3)
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        entries.append(entry)
    return entries


def test_neighbors_are_looked_up_on_disk_not_in_the_list(tmp_path):
    entries = _clip(tmp_path, [0, 5, 10, 25, 30])
    (clip,) = group_clips(entries[3:4])
    assert clip.name == "vid/object_0"
    numbers = [entry.number for entry in clip.neighbors(clip.entries[0], 3, 2)]
    assert numbers == [25, 25, 10, 30, 30]


def test_a_neighbor_needs_mask_and_composite(tmp_path):
    entries = _clip(tmp_path, [0, 5, 10])
    entries[0].composite.unlink()
    entries[2].mask.unlink()
    clip = Clip(entries[1:2])
    assert [e.number for e in clip.neighbors(entries[1], 1, 1)] == [5, 5]


def test_clips_keep_the_order_of_the_list(tmp_path):
    second, first = _clip(tmp_path, [0, 5], "object_1"), _clip(tmp_path, [0, 5], "object_0")
    clips = group_clips([second[0], first[1], second[1], first[0]])
    assert [clip.name for clip in clips] == ["vid/object_1", "vid/object_0"]
    assert [entry.number for entry in clips[1].entries] == [5, 0]


def test_frames_come_as_tensors_of_the_asked_size(tmp_path):
    (entry,) = _clip(tmp_path, [0])
    frame = read_frame(entry)
    assert frame.composite.shape == frame.real.shape == (3, 256, 256) and frame.mask.shape == (1, 256, 256)
    own = read_frame(entry, None, real=False)
    assert own.composite.shape == (3, 12, 16) and own.real.numel() == 0
    assert torch.equal(own.composite[:, 3, 4] * 255, torch.tensor(Image.open(entry.composite).getpixel((4, 3))))


def test_a_mask_of_another_size_is_named(tmp_path):
    (entry,) = _clip(tmp_path, [0])
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(entry.mask)
    with pytest.raises(InputError, match=r"00000.png is 7x5, its composite 16x12"):
        read_frame(entry)


def test_stored_results_have_the_original_names_and_shapes(tmp_path):
    (entry,) = _clip(tmp_path, [5])
    lut, unseen = torch.rand(3, 8, 8) * 2 - 0.5, torch.rand(1, 8, 8)
    write_lut(tmp_path / "out", tmp_path / "map", entry, lut, unseen)
    write_image(tmp_path / "deep" / "er", entry, lut)
    assert stored_path("x", entry) == Path("x/vid_object_0_00005.npy")
    assert np.load(tmp_path / "map/vid_object_0_00005.npy").shape == (3, 8, 8)
    assert np.load(tmp_path / "deep/er/vid_object_0_00005.npy").shape == (1, 3, 8, 8)
    back, back_map = read_lut(tmp_path / "out", tmp_path / "map", entry)
    assert torch.equal(back, lut) and torch.equal(back_map, unseen)
    assert torch.equal(read_stored_image(tmp_path / "deep" / "er", entry), lut)


@pytest.mark.parametrize("content", [None, b"", b"no array", "object"])
def test_unusable_stored_results_are_named(tmp_path, content):
    (entry,) = _clip(tmp_path, [5])
    path = stored_path(tmp_path, entry)
    if content == "object":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"vid_object_0_00005\.npy"):
        read_stored_image(tmp_path, entry)
