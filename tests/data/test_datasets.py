"""Every kind of data set read by one function, and the check of its pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from co2net import data
from co2net.data.clips import group_clips
from co2net.data.datasets import find_list
from co2net.data.stills import find_stills
from co2net.errors import InputError

LISTED = ("real_videos", "foreground_mask", "synthetic_composite_videos")
DESCRIBED = ("Ground-truth", "Mask", "Composite")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def picture(path, size=(8, 6), mask=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    if mask:
        values = np.zeros(size[::-1], np.uint8)
        values[1:3, 2:5] = 255
        Image.fromarray(values).save(path)
    else:
        Image.new("RGB", size, (10, 90, 200)).save(path)


def hyoutube(root, names=LISTED, clips=("v1/object_0", "v1/object_1", "v2/object_0"), numbers=range(0, 100, 5)):
    for clip in clips:
        for number in numbers:
            picture(root / names[0] / clip.split("/")[0] / f"{number:05d}.jpg")
            picture(root / names[1] / clip / f"{number:05d}.png", mask=True)
            picture(root / names[2] / clip / f"{number:05d}.jpg")
    return root


def clip_line(clip, names=LISTED):
    return f"{names[0]}/{clip.split('/')[0]} {names[1]}/{clip} {names[2]}/{clip}\n"


@pytest.mark.parametrize(("names", "list_name"), [(LISTED, "test_list.txt"), (DESCRIBED, "test.txt")])
def test_hyoutube_with_and_without_lists(tmp_path, names, list_name):
    root = hyoutube(tmp_path / "set", names)
    everything = data.read_dataset(root)
    assert len(everything) == 60
    assert [entry.result_name for entry in everything[::20]] == [
        "v1_object_0_00000", "v1_object_1_00000", "v2_object_0_00000",
    ]  # fmt: skip
    assert everything[20].real == root / names[0] / "v1/00000.jpg"
    (root / list_name).write_text(clip_line("v2/object_0", names))
    test = data.read_dataset(root, split="test")
    assert test == everything[40:] == data.read_dataset(root, list_name) == data.read_dataset(root, root / list_name)
    assert data.read_dataset(root, split="val") == test  # there is no list of its own
    with pytest.raises(InputError, match=r"no list of the split train; looked for train_frames\.txt, train_list\.txt"):
        data.read_dataset(root, split="train")


def test_a_mixed_list_under_the_root(tmp_path):
    root = hyoutube(tmp_path / "set")
    entry = data.read_dataset(root)[25]
    (root / "mixed.txt").write_text(data.frame_line(entry, root) + "\n" + clip_line("v2/object_0"))
    entries = data.read_dataset(root, "mixed.txt")
    assert entries[0] == entry and len(entries) == 21


def test_a_build_that_goes_on_is_not_seen(tmp_path):
    root = hyoutube(tmp_path / "set")
    hyoutube(root, clips=["v3/.object_0.part"])
    assert len(data.read_dataset(root)) == 60


def iharmony4(root):
    for name in ("f_12_1_3", "f_12_2_1", "d-a_b_1_1"):
        picture(root / "HFlickr/composite_images" / f"{name}.jpg")
        picture(root / "HFlickr/masks" / f"{name.rsplit('_', 1)[0]}.png", mask=True)
        picture(root / "HFlickr/real_images" / f"{name.rsplit('_', 2)[0]}.jpg")
    (root / "IHD_train.txt").write_bytes(
        b"HFlickr/composite_images/f_12_1_3.jpg\r\n\r\nHFlickr\\composite_images\\f_12_2_1.jpg\r\n"
    )
    (root / "IHD_test.txt").write_text("HFlickr/composite_images/d-a_b_1_1.jpg")
    (root / "HFlickr/HFlickr_train.txt").write_text("f_12_1_3.jpg\n")
    (root / "HFlickr/HFlickr_test.txt").write_text("d-a_b_1_1.jpg\n")
    return root


def test_iharmony4_whole_and_by_sub_set(tmp_path):
    root = iharmony4(tmp_path)
    train, test = data.read_dataset(root, split="train"), data.read_dataset(root, split="val")
    folder = root / "HFlickr"
    assert tuple(train[0]) == (
        folder / "real_images/f_12.jpg", folder / "masks/f_12_1.png", folder / "composite_images/f_12_1_3.jpg",
    )  # fmt: skip
    assert test[0].real.name == "d-a_b.jpg" and test[0].mask.name == "d-a_b_1.png"
    assert data.read_dataset(root) == train + test and len(train) == 2
    assert data.read_dataset(root, "HFlickr/HFlickr_train.txt") == train[:1]
    assert data.read_dataset(folder, split="train") == train[:1]
    assert data.read_dataset(folder) == [train[0], test[0]]


def test_iharmony4_errors(tmp_path):
    root = iharmony4(tmp_path)
    (root / "HFlickr/other_train.txt").write_text("")
    with pytest.raises(InputError, match="which list is of the split train, HFlickr_train"):
        data.read_dataset(root / "HFlickr", split="train")
    (root / "HFlickr/masks/f_12_2.png").unlink()
    with pytest.raises(InputError, match=r"IHD_train\.txt, line 3: the mask .*f_12_2\.png does not exist"):
        data.read_dataset(root, split="train")
    (root / "IHD_test.txt").write_text("HFlickr/composite_images/odd.jpg")
    with pytest.raises(InputError, match=r"line 1: odd\.jpg is not <image>_<mask>_<variant>"):
        data.read_dataset(root, split="test")
    (root / "IHD_test.txt").unlink()
    with pytest.raises(InputError, match="no list of the split test"):
        data.read_dataset(root, split="test")


def test_plain_folders_of_pictures_by_name_and_by_number(tmp_path):
    for name in ("beach", "cat_2"):
        for kind, ending in (("composite", "jpg"), ("mask", "png"), ("real", "jpg")):
            touch(tmp_path / "a" / kind / f"{name}.{ending}")
    pictures = data.read_dataset(tmp_path / "a")
    assert [entry.composite.name for entry in pictures] == ["beach.jpg", "cat_2.jpg"]
    (clip,) = group_clips(pictures)  # no clip in time: every picture is its own neighbor
    assert not clip.is_video and clip.neighbors(pictures[1], 1, 2) == [pictures[1]] * 3
    for number in (3, 12):
        for kind, form in (("composite", "{:05d}.jpg"), ("mask", "mask_{}.png"), ("real", "f{:04d}.png")):
            touch(tmp_path / "b" / kind / form.format(number))
    entries = data.read_dataset(tmp_path / "b")
    assert [(e.number, e.mask.name, e.real.name) for e in entries] == [
        (3, "mask_3.png", "f0003.png"), (12, "mask_12.png", "f0012.png"),
    ]  # fmt: skip
    touch(tmp_path / "b/composite/00020.jpg")
    with pytest.raises(InputError, match=r"mask lacks frame 00020$"):
        data.read_dataset(tmp_path / "b")


def test_plain_folders_of_clips_share_real_frames(tmp_path):
    for clip in ("a/one", "a/two", "b"):
        for number in (1, 2):
            touch(tmp_path / "composite" / clip / f"{number}.png")
            touch(tmp_path / "mask" / clip / f"{number}.png")
    for real in ("a", "b"):
        for number in (1, 2, 3):
            touch(tmp_path / "real" / real / f"{number}.png")
    entries = data.read_dataset(tmp_path)
    assert [e.composite.relative_to(tmp_path / "composite").as_posix() for e in entries] == [
        "a/one/1.png", "a/one/2.png", "a/two/1.png", "a/two/2.png", "b/1.png", "b/2.png",
    ]  # fmt: skip
    assert [e.real.parent.name for e in entries] == ["a"] * 4 + ["b"] * 2
    splits = [data.read_dataset(tmp_path, split=split) for split in ("train", "val", "test")]
    assert {len(splits[0]), len(splits[1])} == {2, 4} and splits[2] == entries  # whole videos are held out
    assert set(splits[0]) | set(splits[1]) == set(entries)


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        data.read_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no data set that is known here; .*HYouTube .*, iHarmony4 .*photograph"):
        data.read_dataset(tmp_path)
    hyoutube(tmp_path)
    with pytest.raises(InputError, match=r"the list x\.txt does not exist, tried: .*/x\.txt, x\.txt$"):
        data.read_dataset(tmp_path, "x.txt")
    (tmp_path / LISTED[1]).rename(tmp_path / "gone")
    with pytest.raises(InputError, match="the mask folder is missing, neither foreground_mask nor Mask"):
        data.read_dataset(tmp_path)
    (tmp_path / LISTED[2]).rename(tmp_path / "gone too")
    with pytest.raises(InputError, match="the composite folder is missing, neither synthetic_composite_videos nor"):
        data.read_dataset(tmp_path)


def test_a_bare_list_name_is_the_data_sets_own_list(tmp_path, monkeypatch):
    root, here = hyoutube(tmp_path / "set"), tmp_path / "here"
    (here / "below").mkdir(parents=True)
    monkeypatch.chdir(here)
    for folder in (root, here, here / "below"):
        (folder / "train_list.txt").write_text(clip_line("v1/object_1"))
    (here / "other.txt").write_text(clip_line("v1/object_1"))
    assert find_list("train_list.txt", root) == root / "train_list.txt"
    assert find_list("other.txt", root) == Path("other.txt")  # only here
    assert find_list("./train_list.txt", root) == Path("train_list.txt")
    assert find_list("below/train_list.txt", root) == Path("below/train_list.txt")
    assert find_list(root / "train_list.txt", root) == root / "train_list.txt"
    (root / "lists").mkdir()
    (root / "lists/a.txt").write_text(clip_line("v1/object_1"))
    assert find_list("lists/a.txt", root) == root / "lists/a.txt"


def test_a_list_of_another_data_set_names_list_line_and_root(tmp_path):
    root = hyoutube(tmp_path / "set")
    (tmp_path / "clips.txt").write_text(clip_line("v9/object_0"))
    (tmp_path / "frames.txt").write_text(" ".join(f"{folder}/v1/00001.png" for folder in LISTED) + "\n")
    for name in ("clips.txt", "frames.txt"):
        with pytest.raises(InputError) as error:
            data.read_dataset(root, tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}, line 1")
        assert str(error.value).endswith(f"does not exist; is the list one of the data set {root}?")


def test_every_problem_of_a_list_can_be_heard(tmp_path):
    root = hyoutube(tmp_path / "set")
    (root / LISTED[1] / "v1/object_1/00010.png").unlink()
    (root / "list.txt").write_text(
        clip_line("v1/object_1") + "x\n" + clip_line("v2/object_0") + clip_line("v9/object_0")
    )
    problems = []
    entries = data.read_dataset(root, "list.txt", on_problem=problems.append)
    assert len(entries) == 20 and len(problems) == 3
    assert [f"line {n}" in str(problem) for n, problem in zip((1, 2, 4), problems, strict=True)] == [True] * 3
    problems.clear()
    assert len(data.read_dataset(root, on_problem=problems.append)) == 40 and "lacks frame 00010" in str(problems[0])


def test_good_pictures_have_no_problems(tmp_path):
    progress = []
    assert data.check_pictures(data.read_dataset(hyoutube(tmp_path)), 2, lambda *now: progress.append(now)) == []
    assert progress[-1] == (60, 60)


def test_bad_pictures_are_named(tmp_path):
    entries = data.read_dataset(hyoutube(tmp_path, clips=["v/object_0"]))
    picture(entries[0].composite, size=(9, 6))
    Image.new("L", (8, 6)).save(entries[1].mask)
    Image.new("L", (8, 6), 7).save(entries[2].mask)
    entries[3].real.write_bytes(b"no picture")
    Image.open(entries[4].mask).convert("RGB").save(entries[4].mask)
    entries[5].mask.unlink()
    entries[6].mask.write_bytes(entries[7].mask.read_bytes()[:-30])
    problems = data.check_pictures(entries, 2)
    wanted = [
        "00000.jpg is 8x6, its composite 9x6",
        "00000.png is 8x6, its composite 9x6",
        "00005.png: the mask is empty",
        "00010.png: the mask has 1 values, 0 and 255 are wanted",
        "00015.jpg: not a picture",
        "00020.png: a mask of one channel is wanted, this has RGB",
        "00025.png: No such file",
        "00030.png",
    ]
    assert len(problems) == len(wanted)
    for problem, part in zip(problems, wanted, strict=True):
        assert part in problem


def test_an_index_of_stills_that_is_wrong(tmp_path):
    (tmp_path / "images").mkdir()
    index = tmp_path / "index.csv"
    for text, message in [
        ("id,split\na,train\n", "index.csv: no column masks"),
        ("id,masks,split\na,two,train\n", "line 2: masks is to be the number of masks, got 'two'"),
        ("id,masks,split\na,1,train\n", "names a, but images/ holds no picture"),
    ]:
        index.write_text(text)
        with pytest.raises(InputError, match=message):
            find_stills(tmp_path)
    index.unlink()
    with pytest.raises(InputError, match=r"holds no folders images/ and masks/"):
        find_stills(tmp_path)
