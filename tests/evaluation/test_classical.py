"""Classical color transfer: leaves alone what matches already, moves what does not, keeps to the mask."""

from __future__ import annotations

import numpy as np
import pytest

from co2net.evaluation.methods import CLASSICAL, histogram_matching, reinhard

pytest.importorskip("skimage")
METHODS = pytest.mark.parametrize("transfer", CLASSICAL.values(), ids=CLASSICAL)


def texture(height=60, width=80):
    return (0.5 + 0.12 * np.random.randn(height, width, 3)).clip(0.05, 0.95).astype(np.float32)


def half_mask(height=60, width=80):
    mask = np.zeros((height, width), np.float32)
    mask[:, : width // 2] = 1
    return mask


@METHODS
def test_a_harmonious_picture_stays_nearly_as_it_is(transfer):
    image = texture()
    assert np.abs(transfer(image, half_mask()) - image).mean() < 0.012, "two samples of one distribution: 3 levels"


@METHODS
def test_exactly_equal_statistics_change_nothing(transfer):
    half = texture(60, 40)
    image = np.concatenate([half, half[:, ::-1]], axis=1)
    np.testing.assert_allclose(transfer(image, half_mask()), image, atol=2e-3)


@METHODS
def test_a_shifted_foreground_moves_to_the_background(transfer):
    image, mask = texture(), half_mask()
    image[:, :40] = image[:, :40] * 0.6 + np.float32([0.25, 0.0, 0.1])
    result = transfer(image, mask)
    # Reinhard's statistics are those of Lab: the spread of RGB follows less closely.
    for statistic, tolerance in ((np.mean, 0.02), (np.std, 0.05)):
        inside, outside = statistic(result[:, :40], axis=(0, 1)), statistic(result[:, 40:], axis=(0, 1))
        np.testing.assert_allclose(inside, outside, atol=tolerance)


@METHODS
def test_outside_the_mask_every_value_stays(transfer):
    image, mask = texture(), half_mask()
    image[:, :40] *= 0.5
    mask[:5] = 0
    before = image.copy()
    result = transfer(image, mask)
    assert result.shape == image.shape and result.dtype == np.float32
    assert np.array_equal(image, before), "the picture that came in was changed"
    assert np.array_equal(result[mask == 0], image[mask == 0])
    assert result.min() >= 0 and result.max() <= 1


@METHODS
def test_soft_masks_blend(transfer):
    image, mask = texture(), half_mask()
    image[:, :40] *= 0.5
    full = transfer(image, mask)
    mask[:, 10] = 0.75
    soft = transfer(image, mask)
    # The same pixels count (above one half), so the same transfer, three quarters of it.
    np.testing.assert_allclose(soft[:, 10], 0.75 * full[:, 10] + 0.25 * image[:, 10], atol=1e-5)


@METHODS
@pytest.mark.parametrize("pixels", [0, 1, 15])
def test_too_few_pixels_say_nothing(transfer, pixels):
    image = texture()
    mask = np.zeros((60, 80), np.float32)
    mask.flat[:pixels] = 1
    assert np.array_equal(transfer(image, mask), image)
    assert np.array_equal(transfer(image, 1 - mask), image)


@METHODS
def test_flat_colors_give_no_nan(transfer):
    image, mask = np.full((60, 80, 3), 0.2, np.float32), half_mask()
    image[:, 40:] = 0.7
    result = transfer(image, mask)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[:, :40], 0.7, atol=0.01)


def test_the_methods_differ():
    image, mask = texture(), half_mask()
    image[:, :40] = image[:, :40] ** 2
    assert np.abs(reinhard(image, mask) - histogram_matching(image, mask)).max() > 0.01
