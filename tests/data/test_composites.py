"""Making a composite: the recorded cases and, bit for bit, the imaging library that made the data set."""

import fixtures
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from co2net.data import lut_transfer
from co2net.errors import ShapeError


@pytest.mark.parametrize("name", ["hyoutube_lut_16", "hyoutube_lut_16_enhanced", "hyoutube_lut_33"])
def test_recorded_case(name):
    case, wanted = fixtures.load(name)
    given = fixtures.inputs(case)
    image = np.round(255 * given["image"]).astype(np.uint8).transpose(1, 2, 0)
    lut = torch.from_numpy(wanted["lut"]).permute(3, 0, 1, 2)[None]
    everywhere = np.ones(image.shape[:2], np.uint8)
    for mask, output in ((everywhere, "transferred"), (given["mask"][0], "composite")):
        # Exact, although the case allows one level: the steps are those of the library that recorded it.
        result = lut_transfer(image, mask, lut)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result.transpose(2, 0, 1), wanted[output])


@pytest.mark.parametrize("size", [2, 3, 16, 17, 32, 33, 65])
def test_equals_pillow_bit_for_bit(size):
    image = np.random.randint(0, 256, (40, 50, 3), np.uint8)
    image[0, :2] = [[255] * 3, [0] * 3]
    table = np.random.uniform(-2.5, 2.5, (size, size, size, 3)).astype(np.float32)  # saturates in places
    table[-1, -1, -1] = 0.5
    pillow = Image.fromarray(image).filter(ImageFilter.Color3DLUT(size, table.reshape(-1).tolist()))
    lut = torch.from_numpy(table).permute(3, 0, 1, 2)
    np.testing.assert_array_equal(lut_transfer(image, np.ones((40, 50)), lut), np.asarray(pillow))


@pytest.mark.slow
def test_largest_table_ends_on_its_last_point():
    line = torch.linspace(0, 1, 256)
    b, g, r = torch.meshgrid(line, line, line, indexing="ij")
    image = np.random.randint(0, 256, (16, 16, 3), np.uint8)
    image[0, 0] = 255
    np.testing.assert_array_equal(lut_transfer(image, np.ones((16, 16)), torch.stack([r, g, b])), image)


def test_the_mask_is_a_hard_switch():
    image = np.full((1, 5, 3), 100, np.uint8)
    black = torch.zeros(1, 3, 2, 2, 2)
    before = image.copy()
    result = lut_transfer(image, np.array([[0, 1, 2, 254, 255]], np.uint8), black)
    assert result[0, :, 0].tolist() == [100, 0, 0, 0, 0]
    assert lut_transfer(image, np.array([[0, 1e-6, 0, 0, 1]]), black)[0, :, 0].tolist() == [100, 0, 100, 100, 0]
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(lut_transfer(image, np.zeros((1, 5), bool), black), image)


def test_errors():
    image, mask, lut = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.uint8), torch.zeros(1, 3, 2, 2, 2)
    for arguments, message in [
        ((image / 255, mask, lut), "uint8, got .* float64"),
        ((image[..., 0], mask, lut), "must be \\(H, W, 3\\)"),
        ((image, mask[:, :4], lut), "mask must be \\(4, 5\\)"),
        ((image, image, lut), "mask must be \\(4, 5\\)"),
        ((image, mask, lut.numpy()), "torch tensor"),
        ((image, mask, lut.movedim(1, -1)), "lut must be"),
        ((image, mask, torch.zeros(3, 1, 1, 1)), "lut must be"),
    ]:
        with pytest.raises(ShapeError, match=message):
            lut_transfer(*arguments)
