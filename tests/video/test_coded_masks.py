"""Masks that stay codes until somebody asks are the masks that were there before."""

import numpy as np
import pytest
from video import clips

from co2net.video import open_mask, open_video
from co2net.video.coded_masks import CodedMask, bounding_box
from co2net.video.color import nonzero

RAMP = np.arange(256, dtype=np.float32) / 255
TABLES = {
    "from some code on": np.where(RAMP > 0.1, RAMP, 0),
    "inverted": np.where(RAMP < 0.9, 1 - RAMP, 0),
    "a hole": np.where(abs(RAMP - 0.5) < 0.1, 0, RAMP),
    "nothing": np.zeros(256),
    "everything": np.ones(256),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("shape", [(20, 30), (1, 1), (1, 40)], ids=str)
def test_values_and_box(table, shape):
    codes = np.zeros(shape, np.uint8)
    codes[shape[0] // 4 : shape[0] // 2 + 1, shape[1] // 3 : shape[1] // 2 + 1] = 200
    mask = CodedMask(codes, table.astype(np.float32))
    whole = np.asarray(mask)
    assert whole.dtype == np.float32 and np.array_equal(whole, table.astype(np.float32)[codes])
    assert mask.box() == bounding_box(mask) == bounding_box(whole)
    inside = np.argwhere(nonzero(whole))
    if not len(inside):
        assert mask.box() is None
        return
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    box = slice(low[0], high[0]), slice(low[1], high[1])
    assert mask.box() == box and np.array_equal(np.asarray(mask[box]), whole[box])


@pytest.mark.parametrize("size, fit", [((96, 64), "error"), ((48, 32), "resize")], ids=str)
def test_a_video_gives_coded_masks_where_asked(size, fit, tmp_path):
    clips.make_video(tmp_path / "clip.mp4", 2)
    picture = np.repeat(clips.disc(*size)[..., None], 3, axis=2)
    clips.make_video(tmp_path / "mask.mp4", [picture, picture[:, ::-1]], size=size)
    with open_video(tmp_path / "clip.mp4") as reader:
        with open_mask(tmp_path / "mask.mp4", reader.info, fit=fit) as plain:
            wanted = list(plain)
        with open_mask(tmp_path / "mask.mp4", reader.info, fit=fit) as coded:
            coded.coded = True
            found = list(coded)
    assert all(isinstance(mask, np.ndarray) for mask in wanted)
    assert [isinstance(mask, CodedMask) for mask in found] == [fit == "error"] * 2
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(found, wanted, strict=True))
