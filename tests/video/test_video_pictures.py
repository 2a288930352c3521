"""Folders and single pictures: order, names, depth, and what a file carries besides its pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from video import clips

from co2net.errors import InputError, OutputError
from co2net.video import natural_key, open_video, open_writer


def copy(source, output, change=lambda image: image, **settings):
    with open_video(source) as reader, open_writer(output, reader.info, **settings) as writer:
        for frame in reader:
            writer.write(frame, change(frame.image))
    return writer.notes


def images(path):
    with open_video(path) as reader:
        return [frame.image for frame in reader]


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=20), st.text("abc_-. ", max_size=4))
def test_numbers_count(numbers, prefix):
    names = [f"{prefix}x{n}.png" for n in numbers]
    assert sorted(names, key=natural_key) == [f"{prefix}x{n}.png" for n in sorted(numbers)]


@given(st.lists(st.text(max_size=8)))
def test_the_order_is_total(names):
    ordered = sorted(names, key=natural_key)
    assert ordered == sorted(reversed(names), key=natural_key)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_folder_stays_what_it_was(tmp_path, dtype):
    peak = np.iinfo(dtype).max
    pictures = [clips.picture(20, 12, n, peak) for n in range(11)]
    folder = clips.make_folder(tmp_path / "in", pictures, "shot_{}.png")
    (folder / "notes.txt").write_text("x")
    (folder / "._shot_1.png").write_text("left by a Mac")
    copy(folder, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"shot_{n}.png" for n in range(1, 12))
    for before, after in zip(pictures, images(tmp_path / "out"), strict=True):
        assert after.dtype == dtype
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("ending", ["jpg", "tif", "bmp", "webp"])
def test_other_pictures_become_png_under_their_own_names(tmp_path, ending):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(20, 12)] * 2, f"f{{}}.{ending}")
    copy(folder, tmp_path / "out/")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["f1.png", "f2.png"]
    np.testing.assert_array_equal(images(folder)[0], images(tmp_path / "out")[0])


@pytest.mark.parametrize("depth", ["8", "16"])
@pytest.mark.parametrize("gray", [False, True])
def test_a_single_picture_with_alpha_and_profile(tmp_path, depth, gray):
    profile = b"a color profile, as far as anybody looks" * 9
    image = clips.picture(20, 12)
    alpha = clips.disc(20, 12)
    if depth == "8":
        picture = Image.fromarray(np.dstack([image, alpha])).convert("LA" if gray else "RGBA")
        picture.save(tmp_path / "a.png", icc_profile=profile, dpi=(300, 300))
    else:
        deep = np.dstack([image[..., ::-1], alpha]).astype(np.uint16) * 257
        cv2.imwrite(str(tmp_path / "a.png"), deep[..., 0] if gray else deep)
    copy(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        assert before.mode == after.mode and before.info.get("icc_profile") == after.info.get("icc_profile")
    one, other = (cv2.imread(str(tmp_path / n), cv2.IMREAD_UNCHANGED) for n in ("a.png", "b.png"))
    np.testing.assert_array_equal(one, other)


def test_a_deep_picture_keeps_its_profile(tmp_path):
    from co2net.video.picture_writing import write_picture

    write_picture(tmp_path / "a.png", clips.picture(20, 12, peak=65535), None, {"icc_profile": b"profile"})
    copy(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as after:
        assert after.info["icc_profile"] == b"profile"
    np.testing.assert_array_equal(images(tmp_path / "b.png")[0], clips.picture(20, 12, peak=65535))


def test_photographs_stand_upright(tmp_path):
    image = clips.picture(20, 12)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(images(tmp_path / "a.png")[0], np.rot90(image, -1))


def test_jpeg_output(tmp_path):
    source = clips.make_folder(tmp_path / "in", [clips.picture(64, 48)]) / "001.png"
    copy(source, tmp_path / "fine.jpg")
    copy(source, tmp_path / "coarse.jpg", quality=10)
    assert (tmp_path / "coarse.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size
    assert np.abs(images(tmp_path / "fine.jpg")[0].astype(int) - clips.picture(64, 48)).max() < 8
    with pytest.raises(OutputError, match="1 to 100"):
        copy(source, tmp_path / "bad.jpg", quality=0)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (clips.picture(22, 12), "of one size"),
        (clips.picture(20, 12, peak=65535), "all frames must be alike"),
    ],
)
def test_frames_that_differ(tmp_path, second, message):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(20, 12), second])
    with pytest.raises(InputError, match=message) as error:
        images(folder)
    assert "002.png" in str(error.value) and "001.png" in str(error.value)


@pytest.mark.parametrize("data", [b"", b"no picture", "cut"])
def test_a_picture_that_cannot_be_read(tmp_path, data):
    folder = clips.make_folder(tmp_path / "in", [np.random.randint(0, 256, (40, 60, 3), np.uint8)] * 2)
    whole = (folder / "002.png").read_bytes()
    (folder / "002.png").write_bytes(whole[: len(whole) // 2] if data == "cut" else data)
    with pytest.raises(InputError, match=r"002\.png: "):
        images(folder)


def test_a_frame_that_is_there_twice(tmp_path):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(20, 12)])
    clips.make_folder(folder, [clips.picture(20, 12)], "{:03d}.jpg")
    with pytest.raises(InputError, match=r"both 001\.jpg and 001\.png"):
        open_video(folder)


def test_rates_of_folders(tmp_path):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(32, 32)] * 3)
    (note,) = copy(folder, tmp_path / "out.mp4")
    assert "25 frames/s" in note
    with open_video(folder, frame_rate=23.976) as reader:
        assert float(reader.info.frame_rate) == pytest.approx(24000 / 1001, rel=1e-6)
        assert [f.seconds for f in reader][1] == pytest.approx(1001 / 24000)
    with pytest.raises(InputError, match="greater than 0"):
        open_video(folder, frame_rate=-1)
