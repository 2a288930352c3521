"""Building a data set: layouts, sources, LUTs, records; bad sources and settings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_building.small_source import frame, mask, run, save, tree
from PIL import Image

from co2net import data
from co2net.color_mapping.cube import load_cube
from co2net.dataset_building import BuildSettings, LutChanges, build_dataset, change_lut
from co2net.dataset_building.luts import assign_luts
from co2net.errors import InputError

SAMPLE = Path(__file__).parents[2] / "sample_data"
pytestmark = pytest.mark.filterwarnings("ignore:.*without 20 frames")


def test_what_is_made(source, tmp_path):
    out = tmp_path / "out"
    summary = run(source, out, format="png")
    assert (summary.built, summary.skipped, summary.frames, summary.empty_masks) == (4, 0, 12, 0)
    entries = data.read_dataset(out)
    assert len(entries) == 12 and data.check_pictures(entries) == []
    assert data.read_dataset(out, out / "all_list.txt") == entries
    records = json.loads((out / "build.json").read_text())["clips"]
    assert list(records) == ["aa/object_0", "aa/object_1", "bb/object_0", "cc/object_0"]
    used = dict(line.split() for line in (out / "LUT_list.txt").read_text().splitlines())
    for entry in entries:
        assert entry.real.samefile(source / "real" / entry.real.parent.name / entry.real.name)  # no second copy
        clip = "/".join(entry.composite.parts[-3:-1])
        assert used[f"synthetic_composite_videos/{clip}"] == records[clip]["lut"]
        lut = load_cube(source / "luts" / records[clip]["lut"])
        wanted = data.lut_transfer(data.read_image(entry.real), data.read_mask(entry.mask), lut)
        np.testing.assert_array_equal(data.read_image(entry.composite), wanted)
    record = records["aa/object_1"]
    assert record["frames"] == [5, 10, 15] and record["quality"] is None and len(record["lut_sha256"]) == 64
    assert {"co2net", "pillow", "numpy"} <= record["versions"].keys()


def test_composites_are_jpeg_of_the_data_sets_quality(source, tmp_path):
    run(source, tmp_path / "out", luts="luts/0.cube")
    with Image.open(tmp_path / "out/synthetic_composite_videos/bb/object_0/00005.jpg") as picture:
        Image.new("RGB", (8, 8)).save(tmp_path / "q75.jpg")  # the imaging library's default
        with Image.open(tmp_path / "q75.jpg") as wanted:
            assert picture.quantization == wanted.quantization


def test_luts_are_a_function_of_seed_and_clip(source, tmp_path):
    names = [f"v{k}/object_0" for k in range(40)]
    drawn = assign_luts(names, source / "luts", 2, seed=3)
    assert assign_luts(names[7:8], source / "luts", 2, seed=3)[names[7]] == drawn[names[7]]
    assert all(len({t.name for t in luts}) == 2 for luts in drawn.values())
    assert {luts[0].name for luts in drawn.values()} == {f"{k}.cube" for k in range(4)}
    assert assign_luts(names, source / "luts", 2, seed=4) != drawn
    assert assign_luts(names, source / "luts", 3, seed=3)[names[0]][:2] == drawn[names[0]]


def test_several_luts_per_clip_and_building_in_place(source, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(source / "real", root / "real_videos")
    shutil.copytree(source / "masks", root / "foreground_mask")
    shutil.rmtree(root / "foreground_mask/cc")
    shutil.rmtree(root / "real_videos/cc")

    def again(**settings):
        return build_dataset(
            root / "real_videos", root / "foreground_mask", source / "luts", root, BuildSettings(**settings)
        )

    assert again().built == 3
    before = tree(root / "synthetic_composite_videos")
    assert again(luts_per_clip=2)[:2] == (3, 3)  # more LUTs add clips, and change none
    assert again(luts_per_clip=2)[:2] == (0, 6)  # the copies of masks are no new objects
    assert before.items() <= tree(root / "synthetic_composite_videos").items()
    used = json.loads((root / "build.json").read_text())["clips"]
    assert used["aa/object_0"]["lut"] != used["aa/object_0_2"]["lut"]
    assert data.check_pictures(data.read_dataset(root)) == [] and len(data.read_dataset(root)) == 18


def test_a_list_says_which_lut(source, tmp_path):
    lines = [
        "synthetic_composite_videos/aa/object_0 2.cube",
        "Composite\\aa\\object_1  1.cube",
        "",
        "zz/object_0 9.cube",
    ]
    (source / "luts/LUT_list.txt").write_bytes("\r\n".join(lines).encode())
    run(source, tmp_path / "out", "luts/LUT_list.txt", clips=["aa"])
    assert (tmp_path / "out/LUT_list.txt").read_text().splitlines() == [
        "synthetic_composite_videos/aa/object_0 2.cube",
        "synthetic_composite_videos/aa/object_1 1.cube",
    ]
    with pytest.raises(InputError, match=r"LUT_list\.txt names no LUT for the clip bb/object_0"):
        run(source, tmp_path / "out2", "luts/LUT_list.txt")
    (source / "luts/LUT_list.txt").write_text("aa/object_0 9.cube\n")
    with pytest.raises(InputError, match=r"line 1: .*9\.cube does not exist; the LUTs must be beside the list"):
        run(source, tmp_path / "out2", "luts/LUT_list.txt", clips=["aa/object_0"])
    (source / "luts/LUT_list.txt").write_text("aa/object_0\n")
    with pytest.raises(InputError, match="line 1: expected <folder of composites> <LUT>"):
        run(source, tmp_path / "out2", "luts/LUT_list.txt", clips=["aa/object_0"])


def test_changes_of_the_luts(source, tmp_path):
    changes = LutChanges(contrast=0.1, vibrance=0.5, exposure=0.2, gamma=1.3)
    run(source, tmp_path / "out", "luts/1.cube", clips=["bb"], format="png", changes=changes)
    lut = change_lut(load_cube(source / "luts/1.cube"), changes)
    made = data.read_image(tmp_path / "out/synthetic_composite_videos/bb/object_0/00010.png")
    np.testing.assert_array_equal(made, data.lut_transfer(frame(10), mask(2), lut))
    assert not np.array_equal(made, data.lut_transfer(frame(10), mask(2), load_cube(source / "luts/1.cube")))


@pytest.mark.parametrize(
    ("layout", "train", "test"),
    [("lists", "train_list.txt", "test_list.txt"), ("description", "train.txt", "test.txt")],
)
def test_splits_never_part_a_video(source, tmp_path, layout, train, test):
    out = tmp_path / "out"
    run(source, out, share=0.6, layout=layout, luts_per_clip=2)
    videos = [{entry.real.parent.name for entry in data.read_dataset(out, out / name)} for name in (train, test)]
    assert videos[0] | videos[1] == {"aa", "bb", "cc"} and not videos[0] & videos[1] and len(videos[0]) == 2
    assert data.read_dataset(out, split="train") == data.read_dataset(out, out / train)


def test_every_second_frame(source, tmp_path):
    summary = run(source, tmp_path / "out", clips=["aa/object_1"], step=10)
    assert (summary.built, summary.frames) == (1, 2)
    assert [entry.number for entry in data.read_dataset(tmp_path / "out")] == [5, 15]


def test_workers_make_the_same(source, tmp_path):
    run(source, tmp_path / "one")
    run(source, tmp_path / "two", workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_masks_with_loss_are_cut_at_one_half(source, tmp_path):
    for file in (source / "masks/bb/object_0").iterdir():
        Image.open(file).save(file.with_suffix(".jpg"), quality=40)
        file.unlink()
    run(source, tmp_path / "out", clips=["bb"])
    entries = data.read_dataset(tmp_path / "out")
    assert [entry.mask.suffix for entry in entries] == [".png"] * 3 and data.check_pictures(entries) == []
    assert np.abs(data.read_mask(entries[1].mask) - mask(2) / 255).mean() < 0.03


def test_frames_without_foreground_are_counted(source, tmp_path):
    save(source / "masks/bb/object_0/00010.png", np.zeros_like(mask()))
    assert run(source, tmp_path / "out", clips=["bb"]).empty_masks == 1


BAD = {
    "no masks": (lambda s: shutil.rmtree(s / "masks/bb"), "holds no masks for .*bb; add a folder bb"),
    "no video": (lambda s: shutil.rmtree(s / "real/bb"), "real holds no video bb"),
    "no real frame": (lambda s: (s / "real/bb/00010.png").unlink(), "bb lacks frame 00010, of which .*00010.png"),
    "other size": (
        lambda s: save(s / "masks/bb/object_0/00010.png", mask()[:-1]),
        "00010.png is 24x15, its real frame 24x16; they must be of one size",
    ),
    "damaged": (lambda s: (s / "real/bb/00010.png").write_bytes(b"x"), "real/bb/00010.png: not a picture"),
    "empty folder": (
        lambda s: [file.unlink() for file in (s / "masks/bb/object_0").iterdir()],
        "object_0: no masks in it",
    ),
    "blank in the name": (lambda s: (s / "masks/bb/object_0").rename(s / "masks/bb/a b"), "a b: the name has a blank"),
    "broken LUT": (lambda s: (s / "luts/0.cube").write_text("1"), r"0\.cube, line 1: expected a LUT_3D_SIZE"),
    "no LUTs": (lambda s: shutil.rmtree(s / "luts"), "the LUTs .*luts do not exist"),
    "empty LUTs": (lambda s: [f.unlink() for f in (s / "luts").iterdir()], r"holds 0 \.cube file"),
    "no folder": (lambda s: shutil.rmtree(s / "masks"), "the folder of masks .*masks does not exist"),
    "two of a name": (lambda s: (s / "real/bb.mp4").touch(), "both bb and bb.mp4; which is bb"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sources_end_in_one_sentence(source, tmp_path, name):
    spoil, message = BAD[name]
    spoil(source)
    with pytest.raises(InputError, match=message) as caught:
        run(source, tmp_path / "out", luts_per_clip=4)
    assert "\n" not in str(caught.value)
    for folder in (tmp_path / "out").glob("synthetic_composite_videos/*"):
        assert not list(folder.glob(".*"))  # nothing half-written


def test_bad_settings(source, tmp_path):
    for settings, message in [
        ({"luts_per_clip": 5}, "holds 4 .cube file.s., 5 per clip"),
        ({"luts_per_clip": 0}, "0 LUTs per clip"),
        ({"quality": 0}, "quality 0: JPEG takes 1 to 100"),
        ({"step": 0}, "step 0: take every frame"),
        ({"share": 2}, "a train share of 2"),
        ({"clips": ["zz"]}, "holds no video zz"),
        ({"clips": ["aa/object_7"]}, "holds no object aa/object_7"),
    ]:
        with pytest.raises(InputError, match=message):
            run(source, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_video_files(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "masks").mkdir()
    shutil.copy(SAMPLE / "real.mp4", tmp_path / "real/scene.mp4")
    shutil.copy(SAMPLE / "mask.mp4", tmp_path / "masks/scene.mp4")
    out = tmp_path / "out"
    progress = []
    settings = BuildSettings(step=30, format="png")
    look = SAMPLE / "look.cube"
    summary = build_dataset(
        tmp_path / "real", tmp_path / "masks", look, out, settings, on_progress=lambda *now: progress.append(now)
    )
    entries = data.read_dataset(out)
    assert summary.frames == len(entries) == 3 and progress == [(3, 3)]
    assert [entry.number for entry in entries] == [0, 30, 60] and data.check_pictures(entries) == []
    lut = load_cube(look)
    for entry in entries:
        real, mask = data.read_image(entry.real), data.read_mask(entry.mask)
        np.testing.assert_array_equal(data.read_image(entry.composite), data.lut_transfer(real, mask, lut))
        assert 0.1 < mask.mean() < 0.6
    with pytest.raises(InputError, match=r"00000\.png is already there, made with another `format`"):
        build_dataset(tmp_path / "real", tmp_path / "masks", look, out, BuildSettings(step=30), overwrite=True)
