"""Temporal loss and brightness consistency against recorded values, and against what the formulas must do."""

import warnings

import fixtures
import numpy as np
import pytest
import torch

from co2net import flow, metrics
from co2net.errors import ShapeError

BOTH = [metrics.temporal_loss, metrics.temporal_loss_weighted]


def pairs(name):
    """Arguments of the temporal losses, as the recorded cases describe them."""
    case, wanted = fixtures.load(name)
    given = fixtures.inputs(case)
    current = 1.2 * given["raw_current_result"] - 0.1
    following = current + 0.1 * (given["raw_next_result"] - 0.5)
    real = given["current_real"]
    following_real = np.clip(real + 0.6 * (given["raw_next_real"] - 0.5), 0, 1)
    e = given["ellipse"]
    mask = (e + np.roll(e, 1, 3) + np.roll(e, 1, 2) + np.roll(e, (1, 1), (2, 3))) / 4
    field = case["settings"]["flow_scale"] * (given["raw_flow"] - 0.5)
    arguments = (current, following, real, following_real, mask, field)
    return [torch.from_numpy(np.asarray(x, np.float32)) for x in arguments], wanted, case["tolerance"]


def test_recorded_temporal_loss():
    (current, following, real, following_real, mask, field), wanted, tolerance = pairs("temporal_loss")
    loss = metrics.temporal_loss(current, following, real, following_real, mask, field)
    floor = metrics.temporal_loss(real, following_real, real, following_real, mask, field)
    weighted = metrics.temporal_loss_weighted(current, following, real, following_real, mask, field)
    np.testing.assert_allclose(loss, wanted["tl"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(loss.mean(), wanted["tl_mean"].item(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(floor, wanted["tl_real"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(weighted, wanted["tl_weighted_mse"], rtol=0, atol=tolerance)


def test_recorded_steps_of_the_temporal_loss():
    (current, _, real, following_real, mask, field), wanted, tolerance = pairs("temporal_loss_maps")
    warped_real, warped_mask = flow.warp(real, field), flow.warp(mask, field)
    confidence = torch.exp(-(warped_real - following_real).abs()).mean(dim=1, keepdim=True)
    steps = {
        "warped_result": flow.warp(current, field),
        "warped_real": warped_real,
        "warped_mask": warped_mask,
        "confidence": confidence,
        "weight": warped_mask * confidence,
    }
    assert steps.keys() == wanted.keys()
    for name, value in steps.items():
        np.testing.assert_allclose(value, wanted[name], rtol=0, atol=tolerance, err_msg=name)


def scene(batch=2, height=24, width=32):
    """Results and real frames that stand still, a mask over the left half."""
    frame = torch.rand(batch, 3, height, width)
    mask = torch.zeros(batch, 1, height, width)
    mask[..., : width // 2] = 1
    return frame, mask, torch.zeros(batch, 2, height, width)


@pytest.mark.parametrize("loss", BOTH)
def test_a_result_that_moves_as_the_scene_is_perfect(loss):
    frame, mask, field = scene()
    moved = frame.roll(3, 3)
    field[:, 0] = -3  # from the following frame back to the current one
    field[..., :3] = 0
    moved[..., :3] = frame[..., :3]
    assert loss(frame, moved, frame, moved, mask, field).tolist() == [0, 0]


def test_known_values():
    frame, mask, field = scene()
    flicker = frame + 10 / 255
    # The scene stands still, so the confidence is 1: a flicker of 10 levels costs 100 per channel.
    weighted = metrics.temporal_loss_weighted(frame, flicker, frame, frame, mask, field)
    torch.testing.assert_close(weighted, torch.full((2,), 100.0, dtype=torch.float64), rtol=1e-4, atol=0)
    loss = metrics.temporal_loss(frame, flicker, frame, frame, mask, field)
    torch.testing.assert_close(loss, 3 * weighted, rtol=1e-9, atol=0)
    # Half the weight: the published form halves, the weighted one stays.
    half = metrics.temporal_loss(frame, flicker, frame, frame, mask / 2, field)
    torch.testing.assert_close(half, loss / 2, rtol=1e-9, atol=0)
    same = metrics.temporal_loss_weighted(frame, flicker, frame, frame, mask / 2, field)
    torch.testing.assert_close(same, weighted, rtol=1e-9, atol=0)


@pytest.mark.parametrize("loss", BOTH)
def test_only_the_foreground_counts(loss):
    frame, mask, field = scene()
    background = frame + (1 - mask) * 0.3
    assert loss(frame, background, frame, frame, mask, field).tolist() == [0, 0]
    assert (loss(frame, frame + mask * 0.3, frame, frame, mask, field) > 1000).all()


@pytest.mark.parametrize("loss", BOTH)
def test_an_empty_mask_is_nan_and_pairs_do_not_mix(loss):
    frame, mask, field = scene(3)
    mask[1] = 0
    flicker = frame + torch.tensor([0.1, 0.1, 0.2]).view(3, 1, 1, 1)
    together = loss(frame, flicker, frame, frame, mask, field)
    assert together.dtype == torch.float64 and together.isnan().tolist() == [False, True, False]
    alone = loss(*(x[2:] for x in (frame, flicker, frame, frame, mask, field)))
    torch.testing.assert_close(together[2:], alone)


@pytest.mark.parametrize("loss", BOTH)
def test_temporal_errors(loss):
    frame, mask, field = scene()
    with pytest.raises(ShapeError, match="one shape and device"):
        loss(frame, frame, frame[..., :8], frame[..., :8], mask, field)
    with pytest.raises(ShapeError, match="mask must be"):
        loss(frame, frame, frame, frame, mask[:1], field)
    with pytest.raises(ShapeError, match="field must be"):
        loss(frame, frame, frame, frame, mask, field[:, :1])


def recorded_clips():
    case, wanted = fixtures.load("hyoutube_rtc")
    given = {name: value.astype(np.float64) for name, value in fixtures.inputs(case).items()}
    level = given["noise_level"][:, :, None, None, None]
    change = 0.06 * (level - 0.5) + 0.05 * (given["noise"] - 0.5)
    real = np.round(255 * given["real"])
    harmonized = np.round(255 * np.clip(given["real"] + change, 0, 1))
    return [torch.from_numpy(x).float() for x in (harmonized / 255, real / 255, given["mask"])], wanted, case


def test_recorded_brightness_consistency():
    (harmonized, real, mask), wanted, case = recorded_clips()
    scores = [metrics.brightness_consistency(*clip) for clip in zip(harmonized, real, mask, strict=True)]
    for name in ("image", "foreground"):
        values = [getattr(score, name).item() for score in scores]
        np.testing.assert_allclose(values, wanted[name], rtol=0, atol=case["tolerance"])
        np.testing.assert_allclose(np.mean(values), wanted[f"{name}_mean"].item(), rtol=0, atol=case["tolerance"])


def test_brightness_by_hand():
    # Brightness 100, 110, 100 where it should stay: d = 10, 10, D = 10, no excess.
    real = torch.full((3, 3, 4, 4), 100 / 255)
    harmonized = real.clone()
    harmonized[1, 0] = 110 / 255  # one channel is enough: V is the largest
    mask = torch.zeros(3, 1, 4, 4)
    mask[:, :, :2] = 1
    image, foreground = metrics.brightness_consistency(harmonized, real, mask)
    assert image.item() == pytest.approx(100) and foreground.item() == pytest.approx(100)
    harmonized[1, 0, 2:] = 100 / 255  # the background is right again: d = 5, 5 over the frame
    image, foreground = metrics.brightness_consistency(harmonized, real, mask)
    assert image.item() == pytest.approx(25) and foreground.item() == pytest.approx(100)
    # d = 10, 0, D = 5: one change above the mean counts its excess too. (100 + 25 + 0) / 2
    harmonized[2] = harmonized[1]
    assert metrics.brightness_consistency(harmonized, real, mask).foreground.item() == pytest.approx(62.5)


def test_a_constant_offset_is_consistent():
    real = torch.rand(5, 3, 8, 8) * 0.5
    score = metrics.brightness_consistency((real * 255).round() / 255 + 20 / 255, real, torch.ones(5, 1, 8, 8))
    assert score.image.item() == pytest.approx(0, abs=1e-9) and score.foreground.item() == pytest.approx(0, abs=1e-9)


def test_frames_without_foreground_are_left_out_with_a_warning():
    real, harmonized, mask = torch.rand(6, 3, 8, 8), torch.rand(6, 3, 8, 8), torch.ones(6, 1, 8, 8)
    mask[0] = 0
    with pytest.warns(UserWarning, match="leaves out 1 of 6 frames"):
        score = metrics.brightness_consistency(harmonized, real, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rest = metrics.brightness_consistency(harmonized[1:], real[1:], mask[1:])
    assert score.foreground.item() == pytest.approx(rest.foreground.item())
    with pytest.warns(UserWarning, match="6 of 6"):
        nothing = metrics.brightness_consistency(harmonized, real, 0 * mask)
    assert nothing.foreground.isnan() and nothing.image.isfinite()


def test_brightness_errors():
    frame, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    with pytest.raises(ShapeError, match="at least two frames"):
        metrics.brightness_consistency(frame, frame, mask)
    with pytest.raises(ShapeError, match="mask must be"):
        metrics.brightness_consistency(frame, frame, mask[:, :, :4])
