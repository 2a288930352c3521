"""Masks come out exactly, whatever they are stored in, and never pair up wrongly in silence."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image
from video import clips

from co2net.errors import InputError
from co2net.video import alpha_mask, masks_from_alpha, open_composed, open_mask, open_video, open_writer, pair

SIZE = (96, 64)
SOFT = np.tile(np.arange(64, dtype=np.uint8)[:, None] * 4, (1, 96))


@pytest.fixture
def composite(tmp_path):
    return clips.make_video(tmp_path / "composite.mp4", 4)


def read(path, like, **settings):
    with open_video(like) as frames, open_mask(path, like=frames.info, **settings) as masks:
        return [mask for _, mask in pair(frames, masks)]


def gray_video(path, images, codec="ffv1", pixel_format="gray", full=True, **more):
    return clips.make_video(
        path, [np.dstack([i] * 3) for i in images], codec=codec, pixel_format=pixel_format, full=full, **more
    )


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p10le"])
def test_black_and_white_video_is_exactly_0_and_1(tmp_path, composite, pixel_format, full):
    hard = np.where(clips.disc(*SIZE) > 127, 255, 0).astype(np.uint8)
    path = gray_video(tmp_path / "m.mkv", [hard] * 4, pixel_format=pixel_format, full=full)
    for mask in read(path, composite):
        assert mask.dtype == np.float32
        np.testing.assert_array_equal(mask, hard / 255)


def test_lossless_grey_video_stays_soft_to_the_bit(tmp_path, composite):
    path = gray_video(tmp_path / "m.mkv", [SOFT] * 4)
    for mask in read(path, composite):
        np.testing.assert_array_equal(mask, SOFT.astype(np.float32) / np.float32(255))


def test_codec_noise_near_black_and_white_is_cleared(tmp_path, composite):
    soft = clips.disc(*SIZE)
    path = gray_video(tmp_path / "m.mp4", [soft] * 4, codec="libx264", pixel_format="yuv420p", full=False)
    for mask in read(path, composite):
        assert (mask[:8, :8] == 0).all() and (mask[28:36, 44:52] == 1).all()
        assert ((mask > 0) & (mask < 1)).any()
        assert np.abs(mask - soft / 255).max() < 0.1


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.uint8([[0, 128, 255]]), [0, 128 / 255, 1]),
        (np.uint8([[0, 1, 1]]), [0, 1, 1]),
        (np.uint16([[0, 30000, 65535]]), [0, 30000 / 65535, 1]),
        (np.uint8([[[0, 0, 0], [255, 0, 0], [0, 128, 0]]]), [0, 1, 128 / 255]),
        (np.uint8([[[9, 9, 9, 0], [9, 9, 9, 128], [9, 9, 9, 255]]]), [0, 128 / 255, 1]),
        (np.uint8([[[0, 0, 0, 255], [128, 128, 128, 255], [255, 255, 255, 255]]]), [0, 128 / 255, 1]),
    ],
    ids=["grey", "zero-one", "16-bit", "colored", "alpha", "opaque-alpha"],
)
def test_pictures_of_every_kind(tmp_path, values, wanted):
    folder = clips.make_folder(tmp_path / "frames", [clips.picture(3, 1)])
    clips.make_folder(tmp_path / "mask", [values])
    (mask,) = read(tmp_path / "mask", folder)
    np.testing.assert_array_equal(mask, np.float32([wanted]))


@pytest.mark.parametrize(
    ("palette", "wanted"),
    [([0, 0, 0, 128, 128, 128, 255, 255, 255], [0, 128 / 255, 1]), ([0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 1, 1])],
    ids=["grey-levels", "labels"],
)
def test_palette_pictures(tmp_path, palette, wanted):
    folder = clips.make_folder(tmp_path / "frames", [clips.picture(3, 1)])
    picture = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    picture.putpalette(palette)
    picture.save(tmp_path / "m.png")
    (mask,) = read(tmp_path / "m.png", folder)
    np.testing.assert_array_equal(mask, np.float32([wanted]))


def test_one_bit_pictures(tmp_path):
    folder = clips.make_folder(tmp_path / "frames", [clips.picture(2, 1)])
    Image.fromarray(np.uint8([[0, 255]])).convert("1").save(tmp_path / "m.png")
    np.testing.assert_array_equal(read(tmp_path / "m.png", folder)[0], [[0, 1]])


def test_a_still_picture_holds_for_every_frame(tmp_path, composite):
    cv2.imwrite(str(tmp_path / "m.png"), SOFT)
    masks = read(tmp_path / "m.png", composite)
    assert len(masks) == 4
    np.testing.assert_array_equal(masks[3], SOFT.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(("codec", "pixel_format"), [("png", "rgba"), ("qtrle", "argb"), ("prores_ks", "yuva444p10le")])
def test_alpha_of_the_input(tmp_path, codec, pixel_format):
    alpha = clips.disc(*SIZE)
    path = clips.make_video(tmp_path / "a.mov", 2, codec=codec, pixel_format=pixel_format, alphas=[alpha] * 2)
    with open_video(path) as frames, masks_from_alpha(frames.info) as masks:
        assert frames.info.has_alpha
        for frame, mask in pair(frames, masks):
            assert np.abs(mask - alpha / 255).max() < (0.02 if codec == "prores_ks" else 1e-6)
            assert np.abs(alpha_mask(frame) - mask).max() < 0.01


def test_alpha_of_an_opaque_input_is_refused(composite):
    with open_video(composite) as reader, pytest.raises(InputError, match=r"composite\.mp4: no alpha channel"):
        masks_from_alpha(reader.info)


def test_another_size(tmp_path, composite):
    cv2.imwrite(str(tmp_path / "m.png"), np.full((32, 48), 255, np.uint8))
    with pytest.raises(InputError, match=r"48x32 .* 96x64.*`mask_fit` resize"):
        read(tmp_path / "m.png", composite)
    assert read(tmp_path / "m.png", composite, fit="resize")[0].shape == (64, 96)


def test_another_frame_rate(tmp_path, composite):
    path = gray_video(tmp_path / "m.mkv", [SOFT] * 4, rate=30)
    with pytest.raises(InputError, match=r"30 frames/s .* 25; .*`mask_retime` nearest"):
        read(path, composite)
    assert len(read(path, composite, retime="index")) == 4


def test_pairing_by_time_takes_the_nearest(tmp_path):
    composite = clips.make_video(tmp_path / "c.mp4", 10, rate=25)
    levels = [np.full(SIZE[::-1], 10 * n, np.uint8) for n in range(20)]
    path = gray_video(tmp_path / "m.mkv", levels, rate=50)
    masks = read(path, composite, retime="nearest")
    assert [round(float(m[0, 0]) * 255) for m in masks] == [20 * n for n in range(10)]


@pytest.mark.parametrize(("count", "message"), [(3, "ends after 3 frames"), (5, "more frames than the 4")])
@pytest.mark.parametrize("kind", ["folder", "video"])
def test_another_length(tmp_path, composite, kind, count, message):
    path = tmp_path / "m"
    if kind == "folder":
        clips.make_folder(path, [SOFT] * count)
    else:
        path = gray_video(tmp_path / "m.mkv", [SOFT] * count)
    with pytest.raises(InputError, match=message):
        read(path, composite)


@pytest.mark.parametrize(("count", "message"), [(4, "ends at"), (30, "goes on at")])
def test_another_duration_when_pairing_by_time(tmp_path, count, message):
    composite = clips.make_video(tmp_path / "c.mp4", 10, rate=25)
    path = gray_video(tmp_path / "m.mkv", [SOFT] * count, rate=50)
    with pytest.raises(InputError, match=message):
        read(path, composite, retime="nearest")


def test_masks_of_a_turned_clip_are_upright(tmp_path):
    """A mask of the shown size is taken as it stands; one of the stored size is turned with the clip."""
    composite = clips.make_video(tmp_path / "c.mp4", 2, rotation=90)
    upright = np.zeros((96, 64), np.uint8)
    upright[:20] = 255
    cv2.imwrite(str(tmp_path / "upright.png"), upright)
    cv2.imwrite(str(tmp_path / "stored.png"), np.ascontiguousarray(np.rot90(upright, -1)))
    for name in ("upright.png", "stored.png"):
        np.testing.assert_array_equal(read(tmp_path / name, composite)[0], upright / 255)


@pytest.mark.parametrize("setting", [{"fit": "crop"}, {"retime": "closest"}, {"channel": "red"}])
def test_unknown_settings(tmp_path, composite, setting):
    cv2.imwrite(str(tmp_path / "m.png"), SOFT)
    with pytest.raises(InputError, match="must be one of"):
        read(tmp_path / "m.png", composite, **setting)


def test_composing_leaves_the_background_alone(tmp_path):
    front, back = [clips.picture(*SIZE, n + 40) for n in range(3)], [clips.picture(*SIZE, n) for n in range(3)]
    alpha = clips.disc(*SIZE)
    foreground = clips.make_folder(tmp_path / "front", [np.dstack([f, alpha]) for f in front])
    background = clips.make_video(tmp_path / "back.mkv", back, codec="ffv1", pixel_format="bgr0", sound="flac")
    with open_composed(foreground, background) as pairs:
        assert pairs.info.path == background and foreground in pairs.info.sources
        with open_writer(tmp_path / "out.mkv", pairs.info) as writer:
            for frame, mask in pairs:
                n = frame.number
                wanted = mask[..., None] * front[n] + (1 - mask[..., None]) * back[n]
                assert np.abs(frame.image - wanted).max() <= 0.51
                writer.write(frame, frame.image, mask)
    assert len(clips.packets(tmp_path / "out.mkv")[0]) == len(clips.packets(background)[0])
    with open_video(tmp_path / "out.mkv") as reader:
        for n, frame in enumerate(reader):
            np.testing.assert_array_equal(frame.image[alpha == 0], back[n][alpha == 0])
            np.testing.assert_array_equal(frame.image[alpha == 255], front[n][alpha == 255])


def test_composing_refuses_what_does_not_fit(tmp_path, composite):
    plain = clips.make_folder(tmp_path / "plain", [clips.picture(*SIZE)] * 4)
    small = clips.make_folder(tmp_path / "small", [clips.picture(48, 32)] * 4)
    short = clips.make_folder(tmp_path / "short", [np.dstack([clips.picture(*SIZE), SOFT])] * 3)
    long = clips.make_folder(tmp_path / "long", [np.dstack([clips.picture(*SIZE), SOFT])] * 5)
    with pytest.raises(InputError, match="no alpha channel"):
        open_composed(plain, composite)
    with pytest.raises(InputError, match="of one size"):
        open_composed(small, composite)
    for folder, message in ((short, "ends after 3 frames"), (long, "more frames than the 4")):
        with pytest.raises(InputError, match=message), open_composed(folder, composite) as pairs:
            list(pairs)


def test_variable_frame_rate_pairs_by_number(tmp_path):
    composite = clips.make_video(
        tmp_path / "c.mp4", 4, time_base=Fraction(1, 90000), pts=[0, 3600, 9000, 10000], rate=25
    )
    clips.make_folder(tmp_path / "m", [SOFT] * 4)
    assert len(read(tmp_path / "m", composite)) == 4
