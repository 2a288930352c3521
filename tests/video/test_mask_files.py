"""One meaning of a mask: files, data sets and arrays agree, say what they took it for, and refuse what is ambiguous."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest
from PIL import Image
from video import clips

import co2net
from co2net.data.pictures import read_mask, read_mask8
from co2net.errors import InputError, ShapeError
from co2net.video import open_mask, open_video
from co2net.video.mask_evidence import noise_floor
from co2net.video.mask_files import MaskArrays, MaskOptions
from co2net.video.mask_files import read_mask as read_with_note

DISC = clips.disc(96, 64)
HARD = (DISC > 127).astype(np.uint8)
LABELS = np.where(np.arange(96) < 48, 1, 2).astype(np.uint8) * HARD


def save(path, values, palette=None, mode=None):
    picture = Image.fromarray(values, mode) if mode else Image.fromarray(values)
    if palette is not None:
        picture = picture.convert("P") if picture.mode != "P" else picture
        picture.putpalette(palette)
    picture.save(path)
    return path


def tiff32(path, values):
    """Pillow writes all 32-bit integers as signed; the tag SampleFormat is changed by hand."""
    Image.fromarray(values.view(np.int32), "I").save(path)
    if values.dtype == np.uint32:
        entry = struct.pack("<HHIH", 339, 3, 1, 2)
        path.write_bytes(path.read_bytes().replace(entry, struct.pack("<HHIH", 339, 3, 1, 1)))
    return path


def clip_of(tmp_path, count):
    return clips.make_folder(tmp_path / "frames", [clips.picture(96, 64)] * count)


def read_clip(tmp_path, masks, name="mask", **options):
    frames = clip_of(tmp_path, len(masks))
    folder = clips.make_folder(tmp_path / name, masks)
    with open_video(frames) as reader, open_mask(folder, reader.info, options=MaskOptions(**options)) as found:
        return [mask for mask, _ in found.timed()], found.notes


SAME = {
    "bool": (HARD.astype(bool), ""),
    "0 and 1": (HARD, "a mask of 0 and 1"),
    "0 and 255": (HARD * np.uint8(255), ""),
    "object numbers": (LABELS, "object numbers up to 2"),
    "16 bits": (HARD * np.uint16(65535), ""),
    "16 bits of 0 and 1": (HARD.astype(np.uint16), "a mask of 0 and 1"),
    "8 bits in 16": (HARD * np.uint16(255), "8-bit values in 16 bits"),
    "10 bits in 16": (HARD * np.uint16(1023), "10-bit values in 16 bits"),
    "limited range": (HARD * np.uint8(219) + np.uint8(16), "black is 16 and white 235"),
}


@pytest.mark.parametrize("kind", SAME)
def test_files_and_arrays_agree(tmp_path, kind):
    values, note = SAME[kind]
    wanted = HARD.astype(np.float32)
    mask, said = read_with_note(save(tmp_path / "m.png", values))
    np.testing.assert_array_equal(mask, wanted)
    assert note in said and bool(note) == bool(said)
    np.testing.assert_array_equal(read_mask8(tmp_path / "m.png"), HARD * 255)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(MaskArrays()(values), wanted)
    assert [note in str(one.message) for one in caught] == ([True] if note else [])


@pytest.mark.parametrize("color", [(0, 255, 0), (255, 0, 0), (0, 0, 255), (128, 0, 0)])
def test_one_color_counts_fully_everywhere(tmp_path, color):
    path = save(tmp_path / "m.png", HARD[..., None] * np.uint8(color))
    np.testing.assert_array_equal(read_mask(path), HARD)
    (mask,), notes = read_clip(tmp_path, [HARD[..., None] * np.uint8(color)])
    np.testing.assert_array_equal(mask, HARD)
    assert "color" in notes[0]


def test_a_soft_color_stays_soft(tmp_path):
    path = save(tmp_path / "m.png", np.dstack([DISC * 0, DISC, DISC * 0]))
    np.testing.assert_allclose(read_mask(path), DISC / np.float32(255), atol=1e-7)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p10le"])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_color_in_yuv_video(tmp_path, channel, pixel_format):
    images = [np.dstack([DISC if c == channel else DISC * 0 for c in range(3)])] * 3
    path = clips.make_video(tmp_path / "m.mkv", images, codec="ffv1", pixel_format=pixel_format)
    frames = clips.make_video(tmp_path / "c.mp4", 3)
    with open_video(frames) as reader, open_mask(path, reader.info) as found:
        for mask, _ in found.timed():
            assert mask[:8, :8].max() < 0.02 and mask[28:36, 44:52].min() > 0.98
            assert mask.mean() == pytest.approx((DISC / 255).mean(), abs=0.01)
        assert "mask in color" in found.notes[0]


def test_an_alpha_channel_that_is_the_same_everywhere_says_nothing(tmp_path):
    for alpha in (0, 255):
        path = save(tmp_path / "m.png", np.dstack([HARD * np.uint8(255)] * 3 + [HARD * 0 + np.uint8(alpha)]))
        np.testing.assert_array_equal(read_mask(path), HARD)


def test_a_folder_whose_first_picture_is_opaque(tmp_path):
    rgb = clips.picture(96, 64)
    opaque, cut = np.dstack([rgb, HARD * 0 + np.uint8(255)]), np.dstack([rgb, DISC])
    masks, notes = read_clip(tmp_path, [opaque, cut, cut])
    np.testing.assert_array_equal(masks[0], 1)
    np.testing.assert_allclose(masks[1], DISC / 255, atol=1e-6)
    assert "alpha" in notes[0]
    with pytest.raises(InputError, match=r"014\.png: its alpha channel is not opaque"):  # none of those looked at
        read_clip(tmp_path / "late", [opaque] * 13 + [cut] + [opaque] * 16)


def test_dark_frames_of_a_soft_clip_stay_as_they_are(tmp_path):
    fade = [(DISC * share).astype(np.uint8) for share in (0, 0.004, 0.01, 0.02, 0.1, 1)]
    masks, notes = read_clip(tmp_path, fade)
    for mask, stored in zip(masks, fade, strict=True):
        np.testing.assert_array_equal(mask, stored / np.float32(255))
    assert not notes
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", fade[3])), fade[3] / np.float32(255))


def test_object_numbers_of_a_clip(tmp_path):
    masks, notes = read_clip(tmp_path, [LABELS * 0, HARD, LABELS, LABELS * 3])
    assert [mask.sum() for mask in masks] == [0, HARD.sum(), HARD.sum(), HARD.sum()]
    assert "object numbers up to 6" in notes[0]
    masks, _ = read_clip(tmp_path / "one", [LABELS, LABELS], number=2)
    np.testing.assert_array_equal(masks[0], LABELS == 2)


def test_options(tmp_path):
    levels = np.tile(np.uint8([0, 8, 60, 128, 200, 255]), (64, 16))
    assert [round(float(v), 3) for v in read_clip(tmp_path / "a", [levels], threshold=(20, 220))[0][0][0, :6]] == [
        0,
        0,
        0.2,
        0.54,
        0.9,
        1,
    ]
    assert read_clip(tmp_path / "b", [levels], threshold=(128, 128))[0][0][0, :6].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(read_clip(tmp_path / "c", [DISC], invert=True)[0][0], 1 - DISC / 255, atol=1e-6)
    for wrong in ({"threshold": (9, 3)}, {"threshold": (0, 256)}, {"number": -1}, {"channel": "red"}):
        with pytest.raises(InputError):
            MaskOptions(**wrong)
    with pytest.raises(InputError, match="no object numbers"):
        read_clip(tmp_path / "d", [np.dstack([DISC] * 3)], number=1)


AMBIGUOUS = {
    "numbers and white": np.where(HARD == 1, LABELS, 0) + (np.arange(64)[:, None] > 60) * np.uint8(255),
    "levels without white": np.where(LABELS == 1, 38, np.where(LABELS == 2, 75, 0)).astype(np.uint8),
    "unknown bits": (LABELS * np.uint16(1000)).astype(np.uint16),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_ambiguous_masks_are_refused(tmp_path, kind):
    path = save(tmp_path / "m.png", AMBIGUOUS[kind])
    with pytest.raises(InputError, match=r"m\.png: .*(object numbers|objects).*"):
        read_mask(path)
    with pytest.raises(InputError, match="object"):
        MaskArrays()(AMBIGUOUS[kind])
    assert read_with_note(path, MaskOptions(threshold=(0, 255)))[0].max() > 0


def test_32_bit_pictures_mean_the_same_everywhere(tmp_path):
    for white, dtype in (
        (1, np.int32),
        (255, np.int32),
        (65535, np.uint32),
        (2**31 - 1, np.int32),
        (2**32 - 1, np.uint32),
    ):
        path = tiff32(tmp_path / "m.tif", HARD.astype(dtype) * np.dtype(dtype).type(white))
        np.testing.assert_array_equal(read_mask(path), HARD)
        with open_video(clip_of(tmp_path, 1)) as reader, open_mask(path, reader.info) as found:
            np.testing.assert_array_equal(next(iter(found)), HARD)
    with pytest.raises(InputError, match="negative"):
        read_mask(tiff32(tmp_path / "m.tif", HARD.astype(np.int32) * np.int32(-3)))


def test_floating_point(tmp_path):
    soft = DISC.astype(np.float32) / 255
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.tif", soft)), soft)
    for wrong, message in ((soft * 255, "from 0 to 255"), (np.where(HARD == 1, np.nan, soft), "nan")):
        with pytest.raises(InputError, match=message):
            read_mask(save(tmp_path / "m.tif", wrong.astype(np.float32)))
        with pytest.raises(ShapeError, match=r"in \[0, 1\]"):
            list(co2net.harmonize_frames([clips.picture(96, 64)], [wrong.astype(np.float32)]))


def test_palettes(tmp_path):
    colored = [0, 0, 0, 128, 0, 0, 0, 128, 0]
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", LABELS, colored, "P")), HARD)
    one = save(tmp_path / "m.png", HARD, colored, "P")  # one object: still every entry but 0, not half of red
    np.testing.assert_array_equal(read_mask(one), HARD)
    shades = [part for level in range(256) for part in (level, 0, 0)]
    soft = read_mask(save(tmp_path / "m.png", DISC, shades, "P"))
    np.testing.assert_allclose(soft, DISC / 255, atol=1e-6)
    with pytest.raises(InputError, match="which is the background"):
        read_mask(save(tmp_path / "m.png", LABELS, [200, 0, 0, 0, 0, 0, 0, 128, 0], "P"))


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_noise_in_black_is_cut_or_said(tmp_path, ending):
    noise = np.random.default_rng(0).integers(3, 14, DISC.shape).astype(np.uint8)
    path = save(tmp_path / f"m{ending}", np.maximum(DISC, noise))
    mask, note = read_with_note(path)
    if ending == ".jpg":
        assert (mask[:8, :8] == 0).all() and "cut off" in note
    else:  # lossless: nothing is changed unasked
        np.testing.assert_array_equal(mask, np.maximum(DISC, noise) / np.float32(255))
        assert "threshold of 13,255" in note
        assert (read_with_note(path, MaskOptions(threshold=(13, 255)))[0][:8, :8] == 0).all()


def test_noise_is_looked_for_where_no_square_around_reaches_the_foreground():
    levels = np.zeros((160, 200), np.uint8)
    levels[::2, ::3] = 6
    levels[60:90, 0:40] = 255
    reach = 160 // 16
    near = np.zeros(levels.shape, bool)
    near[60 - reach : 90 + reach, : 40 + reach] = True
    beside = levels.copy()
    beside[near & (levels < 255)] = 16  # a soft edge, which is no noise
    assert noise_floor(levels) == noise_floor(beside) == 6
    beside[60 - reach - 1, ::3] = 16
    assert noise_floor(beside) == 16


def test_arrays_of_a_clip_stay_of_one_kind():
    read = MaskArrays()
    with pytest.warns(UserWarning, match="0 and 1"):
        read(HARD)
    with pytest.raises(InputError, match="mask 1: holds 255"):
        read(HARD * np.uint8(255))


def test_harmonize_frames_understands_0_and_1():
    """A mask of 0 and 1 once counted as almost nothing: the frames came back unchanged without a word."""
    frames = [clips.picture(96, 64, n) for n in range(2)]
    with pytest.warns(UserWarning, match="0 and 1"):
        found = list(
            co2net.harmonize_frames(frames, [HARD] * 2, model=co2net.create_model("co2net", weights="default"))
        )
    wanted = list(
        co2net.harmonize_frames(
            frames, [HARD * np.uint8(255)] * 2, model=co2net.create_model("co2net", weights="default")
        )
    )
    np.testing.assert_array_equal(found, wanted)
