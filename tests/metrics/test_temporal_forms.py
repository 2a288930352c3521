"""Metrics over time against their definitions, written out once more in NumPy, on random clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from co2net import metrics
from co2net.errors import ShapeError
from co2net.metrics.brightness import brightness_costs, frame_brightness
from co2net.metrics.flicker import foreground_colors, frame_flicker
from co2net.metrics.temporal import temporal_losses

SEEDS = st.integers(0, 2**32 - 1)


def tensor(values):
    return torch.from_numpy(np.asarray(values, np.float32))


def naive_warp(picture, field):
    """(C, H, W) moved along (2, H, W), pixel by pixel."""
    channels, height, width = picture.shape
    out = np.zeros((channels, height, width))
    for y in range(height):
        for x in range(width):
            at = (x + field[0, y, x], y + field[1, y, x])
            left, top = int(np.floor(at[0])), int(np.floor(at[1]))
            for column, share in ((left, 1 - (at[0] - left)), (left + 1, at[0] - left)):
                for row, part in ((top, 1 - (at[1] - top)), (top + 1, at[1] - top)):
                    r, c = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
                    out[:, y, x] += share * part * picture[:, r, c]
    return out


def random_pair(seed, height=5, width=7):
    rng = np.random.default_rng(seed)
    current, following = rng.uniform(-0.2, 1.2, (2, 3, height, width))
    real, following_real = rng.uniform(0, 1, (2, 3, height, width))
    mask, following_mask, visible = rng.uniform(0, 1, (3, 1, height, width))
    field = rng.uniform(-3, 3, (2, height, width))
    values = (current, following, real, following_real, mask, following_mask, visible, field)
    return [value.astype(np.float32).astype(np.float64) for value in values]


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_every_form_of_the_temporal_loss_is_its_formula(seed):
    c, n, r0, r1, mask, mask1, visible, field = random_pair(seed)
    given_tensors = [tensor(x)[None] for x in (c, n, r0, r1, mask, field)]
    warped, warped_mask = naive_warp(c, field), naive_warp(mask, field)
    weight = warped_mask * np.exp(-np.abs(naive_warp(r0, field) - r1)).mean(axis=0, keepdims=True)
    published = 255**2 * np.sum((weight * warped - weight * n) ** 2) / weight.sum()
    weighted = 255**2 * np.sum(weight * (warped - n) ** 2) / (3 * weight.sum())
    assert metrics.temporal_loss(*given_tensors).item() == pytest.approx(published, rel=1e-5)
    assert metrics.temporal_loss_weighted(*given_tensors).item() == pytest.approx(weighted, rel=1e-5)
    assert [value.item() for value in temporal_losses(*given_tensors)] == pytest.approx([published, weighted], rel=1e-5)

    seen = warped_mask * mask1 * visible
    clamped = naive_warp(np.clip(c, 0, 1), field) - np.clip(n, 0, 1)
    wanted = 255**2 * np.sum(seen * clamped**2) / (3 * seen.sum())
    found = metrics.temporal_loss_visible(*(tensor(x)[None] for x in (c, n, mask, mask1, field, visible)))
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_what_is_hidden_does_not_count():
    frame, mask = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    field, visible = torch.zeros(2, 2, 8, 8), torch.ones(2, 1, 8, 8)
    following = frame.clone()
    following[..., :4] = 0
    assert (metrics.temporal_loss_visible(frame, following, mask, mask, field, visible) > 100).all()
    visible[..., :4] = 0
    assert metrics.temporal_loss_visible(frame, following, mask, mask, field, visible).tolist() == [0, 0]
    assert (metrics.temporal_loss_weighted(frame, following, frame, following, mask, field) > 100).all()
    left = torch.zeros_like(mask)  # the same by the mask of t + 1 alone
    left[..., 4:] = 1
    assert metrics.temporal_loss_visible(frame, following, mask, left, field, mask).tolist() == [0, 0]
    assert metrics.temporal_loss_visible(frame, following, mask, mask, field, 0 * visible).isnan().all()


def test_visible_form_refuses_what_does_not_fit():
    frame, mask, field = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8), torch.zeros(1, 2, 8, 8)
    for place in (2, 3, 5):
        arguments = [frame, frame, mask, mask, field, mask]
        arguments[place] = mask[..., :4]
        with pytest.raises(ShapeError, match="mask must be"):
            metrics.temporal_loss_visible(*arguments)


def naive_flicker(clip, real, mask):
    """One number per inner frame, from (T, 3, H, W) and (T, 1, H, W)."""

    def statistics(frames):
        rows = []
        for frame, weights in zip(255 * np.clip(frames, 0, 1), mask[:, 0], strict=True):
            means = [np.average(channel, weights=weights) for channel in frame]
            spreads = [
                np.sqrt(np.average((channel - mean) ** 2, weights=weights))
                for channel, mean in zip(frame, means, strict=True)
            ]
            rows.append(means + spreads)
        return np.array(rows)

    own, wanted = statistics(clip), statistics(real)
    return [
        np.sqrt(np.mean([((own[i - 1] - 2 * own[i] + own[i + 1]) - (w0 - 2 * w1 + w2)) ** 2]))
        for i, (w0, w1, w2) in enumerate(zip(wanted, wanted[1:], wanted[2:], strict=False), start=1)
    ]


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(3, 6))
def test_flicker_is_its_formula(seed, frames):
    rng = np.random.default_rng(seed)
    clip, real = rng.uniform(-0.1, 1.1, (frames, 3, 5, 6)), rng.uniform(0, 1, (frames, 3, 5, 6))
    mask = rng.uniform(0, 1, (frames, 1, 5, 6))
    clip, real, mask = (x.astype(np.float32).astype(np.float64) for x in (clip, real, mask))
    wanted = naive_flicker(clip, real, mask)
    series = frame_flicker(*(foreground_colors(tensor(x), tensor(mask)) for x in (clip, real)))
    assert series[[0, -1]].isnan().all()
    np.testing.assert_allclose(series[1:-1], wanted, rtol=1e-5, atol=1e-4)
    assert metrics.color_flicker(tensor(clip), tensor(real), tensor(mask)).item() == pytest.approx(
        np.mean(wanted), rel=1e-4
    )


def test_flicker_by_hand():
    real = 0.3 + 0.4 * torch.rand(1, 3, 8, 8).expand(6, -1, -1, -1)
    mask = torch.zeros(6, 1, 8, 8)
    mask[..., :4] = 1
    time = torch.arange(6).view(6, 1, 1, 1)
    assert metrics.color_flicker(real, real, mask).item() == 0
    # A wrong color that stays or drifts is an error, not flicker.
    assert metrics.color_flicker(real + 0.1 + 0.01 * time, real, mask).item() == pytest.approx(0, abs=1e-3)
    # +-5 levels in turn: every mean stands out from its neighbors by 20, no spread changes; half of six numbers.
    jumping = real + 5 / 255 * (-1.0) ** time
    assert metrics.color_flicker(jumping, real, mask).item() == pytest.approx(20 / np.sqrt(2), rel=1e-4)
    # What happens outside the mask is nobody's foreground.
    outside = real + 0.2 * (-1.0) ** time * (1 - mask)
    assert metrics.color_flicker(outside, real, mask).item() == pytest.approx(0, abs=1e-3)


def test_frames_without_foreground_interrupt_the_flicker():
    clip, real, mask = torch.rand(7, 3, 6, 6), torch.rand(7, 3, 6, 6), torch.ones(7, 1, 6, 6)
    mask[5] = 0
    series = frame_flicker(foreground_colors(clip, mask), foreground_colors(real, mask))
    assert series.isnan().tolist() == [True, False, False, False, True, True, True]
    assert metrics.color_flicker(clip, real, 0 * mask).isnan()
    with pytest.raises(ShapeError, match="at least three frames"):
        metrics.color_flicker(clip[:2], real[:2], mask[:2])


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 6))
def test_brightness_consistency_is_its_formula(seed, frames):
    rng = np.random.default_rng(seed)
    clip, real = rng.integers(0, 256, (2, frames, 3, 4, 5)).astype(np.float64)
    mask = (rng.uniform(0, 1, (frames, 1, 4, 5)) < 0.5).astype(np.float64)
    mask[:, :, 0, 0] = 1
    wanted = []
    for weights in (np.ones_like(mask), mask):
        own, truth = (
            np.array([np.average(f.max(axis=0), weights=w[0]) for f, w in zip(x, weights, strict=True)])
            for x in (clip, real)
        )
        d = np.abs(np.diff(own) - np.diff(truth))
        wanted.append(np.mean(d**2 + np.maximum(0, d - d.mean()) ** 2))
    found = metrics.brightness_consistency(tensor(clip / 255), tensor(real / 255), tensor(mask))
    assert [value.item() for value in found] == pytest.approx(wanted, rel=1e-6)


def test_a_row_of_nan_separates_clips_in_time():
    clip, real, mask = torch.rand(4, 3, 6, 6), torch.rand(4, 3, 6, 6), torch.ones(4, 1, 6, 6)
    own, truth = frame_brightness(clip, mask), frame_brightness(real, mask)
    gap = torch.full((1, 2), torch.nan, dtype=torch.float64)
    apart = brightness_costs(torch.cat([own[:2], gap, own[2:]]), torch.cat([truth[:2], gap, truth[2:]]))
    assert apart[:, 0].isnan().tolist() == [False, True, True, False]
