"""Pictures of several frames, sequences and their parts, gaps, and formats that compositors use."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from video import clips

from co2net.errors import InputError, OutputError
from co2net.video import open_mask, open_video, open_writer, pair, tiff
from co2net.video.float_pictures import linear_from_srgb, srgb_from_linear
from co2net.video.picture_clips import Part

SIZE = (48, 32)
DISC = clips.disc(*SIZE)
LEVELS = [np.where(DISC > 127, 255 - 10 * n, 0).astype(np.uint8) for n in range(6)]


def copy(source, output, change=lambda image: image, mask=None, **settings):
    with open_video(source) as reader, open_writer(output, reader.info, **settings) as writer:
        for frame in reader:
            writer.write(frame, change(frame.image), mask)
    return writer.notes


def images(path, **settings):
    with open_video(path, **settings) as reader:
        return [frame.image for frame in reader]


def read_masks(mask, frames, **settings):
    with open_video(frames) as reader, open_mask(mask, reader.info, **settings) as masks:
        return [found for _, found in pair(reader, masks)]


def animated(path, pictures):
    first, *others = [Image.fromarray(p) for p in pictures]
    how = {
        ".webp": {"lossless": True, "duration": 40},
        ".png": {"duration": 40},
        ".tif": {"compression": "tiff_deflate"},
    }
    first.save(path, save_all=True, append_images=others, **how[path.suffix])
    return path


@pytest.mark.parametrize("ending", [".webp", ".png", ".tif"])
def test_frames_of_one_file_are_a_clip(tmp_path, ending):
    frames = clips.make_folder(tmp_path / "frames", [clips.picture(*SIZE)] * 6)
    masks = read_masks(animated(tmp_path / f"m{ending}", LEVELS), frames)
    for mask, level in zip(masks, LEVELS, strict=True):
        np.testing.assert_array_equal(mask, level / np.float32(255))
    pictures = [clips.picture(*SIZE, n) for n in range(4)]
    animated(tmp_path / f"clip{ending}", pictures)
    np.testing.assert_array_equal(images(tmp_path / f"clip{ending}"), pictures)
    copy(tmp_path / f"clip{ending}", tmp_path / "out.mkv")
    np.testing.assert_array_equal(images(tmp_path / "out.mkv"), pictures)
    with open_video(tmp_path / f"clip{ending}") as reader:
        assert (reader.info.frame_rate or 25) == 25


def test_a_phones_jpeg_with_a_second_picture_is_one_picture(tmp_path):
    first, second = Image.fromarray(clips.picture(*SIZE)), Image.fromarray(clips.picture(*SIZE, 9))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.format == "MPO" and opened.n_frames == 2
    with open_video(tmp_path / "a.jpg") as reader:
        assert reader.info.kind == "image" and reader.info.frame_count == 1


@pytest.mark.parametrize("ending", [".gif", ".tga", ".bmp", ".pgm", ".jp2", ".avif"])
def test_a_still_mask_of_any_format_holds_for_every_frame(tmp_path, ending):
    composite = clips.make_video(tmp_path / "c.mkv", 3, size=SIZE, codec="ffv1", pixel_format="bgr0")
    Image.fromarray(LEVELS[0]).save(tmp_path / f"m{ending}")
    for mask in read_masks(tmp_path / f"m{ending}", composite):
        assert np.abs(mask - LEVELS[0] / 255).mean() < 0.02


def test_gaps_that_differ_are_named(tmp_path):
    for name, gap in (("frames", 3), ("masks", 5)):
        clips.make_folder(tmp_path / name, [clips.picture(*SIZE) if name == "frames" else DISC] * 6, "f_{:04d}.png")
        (tmp_path / name / f"f_{gap:04d}.png").unlink()
    with pytest.raises(InputError, match=r"masks lacks f_0005"):
        read_masks(tmp_path / "masks", tmp_path / "frames")
    assert len(read_masks(tmp_path / "masks", tmp_path / "frames", retime="index")) == 5
    (tmp_path / "masks" / "f_0003.png").unlink()
    (tmp_path / "frames" / "f_0005.png").unlink()
    assert len(read_masks(tmp_path / "masks", tmp_path / "frames")) == 4  # the same gaps are an agreement


def test_names_that_share_no_numbers_are_paired_in_order(tmp_path):
    clips.make_folder(tmp_path / "frames", [clips.picture(*SIZE)] * 3, "shot_{:04d}.png")
    clips.make_folder(tmp_path / "masks", [DISC] * 3, "{:d}001.png")
    assert len(read_masks(tmp_path / "masks", tmp_path / "frames")) == 3


def test_one_frame_of_another_format(tmp_path):
    folder = clips.make_folder(tmp_path / "in", [clips.picture(*SIZE)] * 3)
    (folder / "002.png").unlink()
    cv2.imwrite(str(folder / "002.jpg"), clips.picture(*SIZE))
    with pytest.raises(InputError, match=r"002\.jpg is of another format"):
        open_video(folder)


def test_sequences_and_their_parts(tmp_path):
    pictures = [clips.picture(*SIZE, n) for n in range(12)]
    folder = clips.make_folder(tmp_path / "in", pictures, "shot.{:04d}.png")
    np.testing.assert_array_equal(images(folder / "shot.%04d.png"), pictures)
    np.testing.assert_array_equal(images(folder / "shot.####.png"), pictures)
    part = Part(5, 7, before=2, after=9)
    with open_video(folder / "shot.%04d.png", part=part) as reader:
        frames = list(reader)
        assert [f.name for f in frames if not f.is_context] == [f"shot.{n:04d}.png" for n in (5, 6, 7)]
        assert [f.name[5:9] for f in frames] == [f"{n:04d}" for n in range(3, 13)]
        masks = open_mask(folder / "shot.%04d.png", reader.info)
        assert len(list(masks.timed())) == 10
    with pytest.raises(InputError, match="frame 13 of 10-14 is missing"):
        open_video(folder, part=Part(10, 14))
    with pytest.raises(InputError, match="no file of this sequence"):
        open_video(folder / "other.%04d.png")
    (tmp_path / "out").mkdir()
    copy(folder / "shot.####.png", tmp_path / "out" / "done_%03d.tif")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"done_{n:03d}.tif" for n in range(1, 13)]
    np.testing.assert_array_equal(images(tmp_path / "out" / "done_%03d.tif"), pictures)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_in_every_orientation(tmp_path, depth, orientation):
    peak = 1 if depth is np.float32 else np.iinfo(depth).max
    stored = (np.random.default_rng(0).random((12, 20, 3)) * peak).astype(depth)
    data = tiff.encode(stored, None, {})
    entry = struct.pack("<HHIHH", tiff.ORIENTATION, 3, 1, 1, 0)
    assert entry in data
    (tmp_path / "a.tif").write_bytes(data.replace(entry, struct.pack("<HHIHH", tiff.ORIENTATION, 3, 1, orientation, 0)))
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).swapaxes(0, 1),
        8: np.rot90(stored),
    }[orientation]
    (found,) = images(tmp_path / "a.tif")
    assert found.shape == shown.shape
    if depth is np.float32:
        np.testing.assert_allclose(found / 65535, shown, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, shown)
    copy(tmp_path / "a.tif", tmp_path / "b.tif")
    np.testing.assert_array_equal(images(tmp_path / "b.tif")[0], found)


def test_tiff_keeps_depth_alpha_and_profile(tmp_path):
    for peak in (255, 65535):
        image, alpha = clips.picture(*SIZE, peak=peak), clips.disc(*SIZE, peak=peak)
        keep = {"icc_profile": b"some profile of odd length", "dpi": (300, 300)}
        (tmp_path / "a.tif").write_bytes(tiff.encode(image, alpha, keep))
        with open_video(tmp_path / "a.tif") as reader:
            (frame,) = list(reader)
        np.testing.assert_array_equal(frame.image, image)
        np.testing.assert_array_equal(frame.alpha, alpha)
        assert frame.keep["icc_profile"] == keep["icc_profile"]


def test_floating_point_keeps_values_above_1(tmp_path):
    values = np.random.default_rng(0).random((32, 48, 3)).astype(np.float32) * 3 - 0.2
    (tmp_path / "a.tif").write_bytes(tiff.encode(values, None, {}))
    inside = DISC > 127
    notes = copy(tmp_path / "a.tif", tmp_path / "b.tif", lambda i: (i * 0.9 / 65535).astype(np.float32), mask=inside)
    assert not notes
    found = cv2.imread(str(tmp_path / "b.tif"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(found[~inside], values[~inside])
    np.testing.assert_allclose(found[inside], (values - 0.1 * np.clip(values, 0, 1))[inside], atol=2e-5)
    assert "floating-point" in copy(tmp_path / "a.tif", tmp_path / "b.png")[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_open_exr(tmp_path, dtype):
    library = pytest.importorskip("OpenEXR")
    values = (np.random.default_rng(0).random((32, 48, 3)) * 4).astype(dtype)
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        header = {"compression": library.PIZ_COMPRESSION, "owner": "me"}
        with library.File(header, {"RGB": values}) as file:
            file.write(str(tmp_path / "in" / f"f.{number}.exr"))
    (image, _) = images(tmp_path / "in")
    np.testing.assert_allclose(image / 65535, np.clip(srgb_from_linear(values), 0, 1), atol=1e-4)
    inside = DISC > 127
    copy(tmp_path / "in", tmp_path / "out", lambda i: i // 2, mask=inside)
    with library.File(str(tmp_path / "out" / "f.2.exr")) as file:
        found, header = file.channels()["RGB"].pixels, dict(file.header())
    assert found.dtype == dtype and header["owner"] == "me" and header["compression"] == library.PIZ_COMPRESSION
    np.testing.assert_array_equal(found[~inside], values[~inside])
    assert found[inside].max() > 1 and (found[inside] <= values[inside]).all()
    copy(clips.make_folder(tmp_path / "png", [clips.picture(*SIZE)]), tmp_path / "one.%04d.exr")
    np.testing.assert_allclose(images(tmp_path / "one.0001.exr")[0] / 257, clips.picture(*SIZE), atol=0.2)


def test_the_display_curve_is_its_own_inverse():
    values = np.linspace(-2, 20, 999).astype(np.float32)
    np.testing.assert_allclose(linear_from_srgb(srgb_from_linear(values)), values, atol=1e-5, rtol=1e-5)


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.fromarray(clips.picture(*SIZE)).save(tmp_path / "a.heic", quality=95)
    assert np.abs(images(tmp_path / "a.heic")[0].astype(int) - clips.picture(*SIZE)).mean() < 4


@pytest.mark.parametrize("ending", [".webp", ".tif"])
def test_other_single_outputs(tmp_path, ending):
    source = clips.make_folder(tmp_path / "in", [np.dstack([clips.picture(*SIZE), DISC])]) / "001.png"
    copy(source, tmp_path / f"o{ending}")
    with open_video(tmp_path / f"o{ending}") as reader:
        (frame,) = list(reader)
    np.testing.assert_array_equal(frame.image, clips.picture(*SIZE))
    np.testing.assert_array_equal(frame.alpha, DISC)


def test_cmyk_becomes_rgb_without_its_profile(tmp_path):
    Image.fromarray(clips.picture(*SIZE)).convert("CMYK").save(tmp_path / "a.jpg", quality=95, icc_profile=b"stub" * 40)
    copy(tmp_path / "a.jpg", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as found:
        assert found.mode == "RGB" and "icc_profile" not in found.info
        assert np.abs(np.asarray(found).astype(int) - clips.picture(*SIZE)).mean() < 3


def test_what_a_png_says_about_its_colors_stays(tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 3
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add(b"gAMA", struct.pack(">I", 45455))
    said.add(b"cICP", bytes([9, 16, 0, 1]))
    Image.fromarray(clips.picture(*SIZE)).save(tmp_path / "a.png", exif=exif, pnginfo=said)
    copy(tmp_path / "a.png", tmp_path / "b.png")
    data = (tmp_path / "b.png").read_bytes()
    assert b"cICP" + bytes([9, 16, 0, 1]) in data and b"gAMA" + struct.pack(">I", 45455) in data
    with Image.open(tmp_path / "b.png") as found:
        assert found.getexif()[0x010F] == "a camera" and 0x0112 not in found.getexif()


def test_a_name_of_255_bytes(tmp_path):
    source = clips.make_video(tmp_path / "a.mkv", 2, size=SIZE, codec="ffv1", pixel_format="bgr0")
    copy(source, tmp_path / ("é" * 125 + ".mkv"))
    with pytest.raises(OutputError, match="longer than the 255 bytes"):
        copy(source, tmp_path / ("y" * 252 + ".mkv"))


def test_one_pixel(tmp_path):
    clips.make_folder(tmp_path / "in", [clips.picture(1, 1)] * 2)
    copy(tmp_path / "in", tmp_path / "out.mkv")
    np.testing.assert_array_equal(images(tmp_path / "out.mkv")[0], clips.picture(1, 1))
