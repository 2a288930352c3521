"""Scores of masks and mattes: known values."""

import math

import pytest
import torch

from co2net import metrics
from co2net.errors import ShapeError


def square(size=64, top=16, left=16, side=32):
    mask = torch.zeros(1, 1, size, size)
    mask[..., top : top + side, left : left + side] = 1
    return mask


def test_equal_masks():
    mask = square()
    for name, best in {"dice": 1, "iou": 1, "boundary_f": 1, "alpha_mad": 0, "alpha_mse": 0}.items():
        assert getattr(metrics, name)(mask, mask).item() == pytest.approx(best, abs=1e-12)
    assert metrics.alpha_gradient(mask, mask).item() == metrics.alpha_connectivity(mask, mask).item() == 0


def test_empty_masks():
    empty, mask = torch.zeros(1, 1, 64, 64), square()
    for score in (metrics.dice, metrics.iou, metrics.boundary_f):
        assert score(empty, empty).item() == 1
        assert score(empty, mask).item() == pytest.approx(0, abs=1e-6)


def test_half_moved():
    mask, moved = square(), square(left=32)
    assert metrics.iou(moved, mask).item() == pytest.approx(1 / 3)
    assert metrics.dice(moved, mask).item() == pytest.approx(0.5, abs=1e-6)
    assert metrics.alpha_mad(moved, mask).item() == pytest.approx(2 * 16 * 32 / 64**2)


def test_dice_takes_soft_values_and_iou_a_threshold():
    target = square()
    assert metrics.dice(target * 0.6, target).item() == pytest.approx(2 * 0.6 / 1.6, abs=1e-6)
    assert metrics.iou(target * 0.6, target).item() == 1


def test_boundary_f_allows_a_small_offset():
    mask = square(256, 64, 64, 128)
    near, far = square(256, 64, 66, 128), square(256, 64, 84, 128)
    assert math.ceil(0.008 * 256 * math.sqrt(2)) == 3
    assert metrics.boundary_f(near, mask).item() == 1
    assert metrics.boundary_f(far, mask).item() < 0.6  # half of the contour is 20 pixels off


def test_gradient_and_connectivity_see_what_they_are_for():
    mask = square()
    soft = torch.nn.functional.avg_pool2d(mask, 9, 1, 4)
    assert metrics.alpha_gradient(soft, mask).item() > 0
    island = mask.clone()
    island[..., 2:6, 2:6] = 1  # hangs on nothing
    assert metrics.alpha_connectivity(island, mask).item() == pytest.approx(16 / 1000)


def test_dt_ssd_is_about_changes_only():
    clip = torch.cat([square(left=left) for left in (10, 12, 14)])
    assert metrics.dt_ssd(clip * 0.5 + 0.25, clip * 0.5).tolist() == [0, 0]  # a constant error does not flicker
    flicker = clip.clone()
    flicker[1] = flicker[1] * 0.5
    assert (metrics.dt_ssd(flicker, clip) > 0.1).all()


def test_shapes_are_said():
    with pytest.raises(ShapeError, match="target must be a float mask"):
        metrics.iou(square(), square()[0])
    with pytest.raises(ShapeError, match="one shape"):
        metrics.dice(square(64), square(32, 4, 4, 8))
