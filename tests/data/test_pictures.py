"""Reading and resizing pictures: the recorded case, and masks as people store them."""

import logging

import fixtures
import numpy as np
import pytest
from PIL import Image

from co2net.data import read_image, read_mask, resize_image, resize_mask
from co2net.errors import InputError, ShapeError


def test_recorded_resize():
    case, wanted = fixtures.load("hyoutube_resize")
    given = fixtures.inputs(case)
    size = tuple(case["settings"]["size"])
    image = np.round(255 * given["image"]).astype(np.uint8).transpose(1, 2, 0)
    mask = (255 * given["ellipse"][0]).astype(np.uint8).astype(np.float32) / np.float32(255)
    resized = resize_image(image, size).transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_allclose(resized, wanted["image"], atol=case["settings"]["output_tolerance"]["image"])
    np.testing.assert_allclose(resize_mask(mask, size)[None], wanted["mask"], atol=case["tolerance"])
    np.testing.assert_array_equal(resize_mask(mask, size, nearest=True)[None], wanted["mask_nearest"])
    assert (resize_mask(mask, size) == 1).sum() == wanted["count_full"].item()


def test_a_picture_of_the_right_size_is_left_alone():
    image = np.random.randint(0, 256, (256, 256, 3), np.uint8)
    assert resize_image(image) is image


def test_resize_errors():
    with pytest.raises(ShapeError, match=r"image must be \(H, W, 3\) uint8"):
        resize_image(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ShapeError, match=r"mask must be \(H, W\) float32"):
        resize_mask(np.zeros((4, 4), np.uint8))


INSIDE = np.array([[0, 1, 0], [1, 1, 0]], bool)


def palette():
    picture = Image.fromarray(np.where(INSIDE, 2, 0).astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 9, 9, 9, 0, 90, 0])  # dark green: its red channel would be empty
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(255 * INSIDE.astype(np.uint8)),
        Image.fromarray(INSIDE.astype(np.uint8)),
        Image.fromarray(INSIDE),
        Image.fromarray(255 * INSIDE.astype(np.uint8)).convert("RGB"),
        Image.fromarray(np.where(INSIDE, 65535, 0).astype(np.uint16)),
        Image.merge("RGBA", [Image.new("L", (3, 2), 77)] * 3 + [Image.fromarray(255 * INSIDE.astype(np.uint8))]),
        Image.merge("LA", [Image.fromarray(255 * INSIDE.astype(np.uint8)), Image.new("L", (3, 2), 255)]),
        palette(),
    ],
    ids=["grey", "0 and 1", "one bit", "color", "16 bit", "alpha", "opaque alpha", "palette"],
)
def test_masks_as_people_store_them(tmp_path, picture):
    picture.save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, INSIDE.astype(np.float32))


def test_soft_mask_keeps_its_values_and_empty_is_empty(tmp_path):
    Image.fromarray(np.array([[0, 51, 255]], np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), np.array([[0, 0.2, 1]], np.float32))
    Image.new("L", (3, 2)).save(tmp_path / "mask.png")
    assert not read_mask(tmp_path / "mask.png").any()


def test_a_choice_is_told(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    palette().save(tmp_path / "mask.png")
    read_mask(tmp_path / "mask.png")
    assert "a palette picture" in caplog.text


def test_images_come_as_rgb(tmp_path):
    color = np.random.randint(0, 256, (4, 5, 3), np.uint8)
    Image.fromarray(color).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), color)
    Image.fromarray(color[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), color[..., [0, 0, 0]])


def test_unreadable_pictures(tmp_path):
    with pytest.raises(InputError, match=r"cannot read picture .*none\.png: No such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match=r"text\.png: not a picture"):
        read_mask(tmp_path / "text.png")
    Image.fromarray(np.random.randint(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "cut.jpg")
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut\.jpg: not a picture that can be read"):
        read_image(tmp_path / "cut.jpg")
