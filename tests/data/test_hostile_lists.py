"""Lists and indexes that may be anybody's end in one sentence that names file and line, without waiting."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from co2net import data
from co2net.data.stored_results import read_lut, read_stored_image, stored_path
from co2net.errors import InputError
from co2net.training.color_changes import load_luts

LISTED = ("real_videos", "foreground_mask", "synthetic_composite_videos")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    for folder in ("real_videos/v", "foreground_mask/v/o", "synthetic_composite_videos/v/o"):
        (root / folder).mkdir(parents=True)
        Image.new("L", (8, 8), 255).save(root / folder / "00005.png")
    return root


def one_sentence(error):
    assert "\n" not in str(error) and len(str(error)) < 2000


@pytest.mark.parametrize(
    "line",
    [
        ". . .", "/ / /", "/etc /etc /etc", "a b", f"{'x' * 300} b c", f"real_videos/{'x' * 300}.png y z",
        f"real_videos/{'x' * 5000}1.png foreground_mask/1.png synthetic_composite_videos/1.png", "real_videos/v \0 \0",
        "real_videos foreground_mask synthetic_composite_videos",
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_named(root, line):
    (root / "list.txt").write_text(f"\n{line}\n")
    with pytest.raises(InputError, match=r"list\.txt, line 2") as caught:
        data.read_dataset(root, "list.txt")
    one_sentence(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([*LISTED, "/v", "/o", "/00005.png", " ", "\n", "..", ".", "\0", "é", "x" * 260]), max_size=12
    )
)
def test_any_list_is_read_or_refused(root, words):
    (root / "any.txt").write_text("".join(words), encoding="utf-8")
    try:
        data.read_dataset(root, "any.txt")
    except InputError as error:
        one_sentence(error)


@pytest.mark.parametrize("count", ["1000000000000", "²", "-1", "3", "1" * 5000, "1e3", "٣"])
def test_a_count_of_masks_that_cannot_be_is_named(tmp_path, count):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images/a.png").touch()
    (tmp_path / "masks/a_0.png").touch()
    (tmp_path / "index.csv").write_text(f"id,masks,split\na,{count},train\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.csv, line 2: ") as caught:
        data.read_dataset(tmp_path, split="train")
    one_sentence(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='id,maskspt"\n\r\0²é01a', max_size=80))
def test_any_index_is_read_or_refused(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp() / "stills"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "index.csv").write_text("id,masks,split\n" + text, encoding="utf-8")
    try:
        data.read_dataset(root)
    except InputError as error:
        assert str(root) in str(error)


@pytest.mark.parametrize("split", ["[]", "{}", '{"train": 3}', '{"train": {"a": 1}}', "[" * 9999, "\0", '"train"'])
def test_a_split_of_luts_that_is_none(tmp_path, split):
    np.savez(tmp_path / "luts.npz", a=np.zeros((2, 2, 2, 3), np.float32))
    (tmp_path / "split.json").write_text(split)
    with pytest.raises(InputError, match=r"split\.json"):
        load_luts(tmp_path, "train")


def test_luts_of_another_shape_are_named(tmp_path):
    for values in (np.zeros((2, 2, 3)), np.full((2, 2, 2, 3), np.nan), np.zeros(0)):
        np.savez(tmp_path / "luts.npz", one=values)
        with pytest.raises(InputError, match=r"luts\.npz: one is "):
            load_luts(tmp_path)
    (tmp_path / "luts.npz").write_bytes(json.dumps({}).encode())
    with pytest.raises(InputError, match=r"luts\.npz is no \.npz file"):
        load_luts(tmp_path)


def test_stored_results_that_are_not_finite_are_refused(tmp_path, root):
    (sample,) = data.read_dataset(root)
    np.save(stored_path(tmp_path, sample), np.full((1, 3, 4, 4), np.nan, np.float32))
    with pytest.raises(InputError, match=r"v_o_00005\.npy holds NaN or infinity"):
        read_stored_image(tmp_path, sample)
    np.save(stored_path(tmp_path, sample), np.zeros((3, 0, 4), np.float32))
    with pytest.raises(InputError, match="not a stored frame"):
        read_lut(tmp_path, tmp_path, sample)
