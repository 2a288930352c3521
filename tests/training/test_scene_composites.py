import pytest
import torch

from co2net.color_mapping.completion import identity_lut
from co2net.training import composites
from co2net.training.composites import CompositeMix, make_composites

PLAIN = CompositeMix(untouched=0, graded=0, weakened=0, disturbed=0)


def pictures(count=6, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    real = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear").clamp(0, 1)
    masks = torch.zeros(count, 1, size, size)
    masks[..., 8:24, 6:20] = 1
    return real, masks


def luts(dim=9):
    identity = identity_lut(dim, torch.zeros(1))
    return torch.cat([identity**2, identity**0.5, identity[:, [1, 2, 0]]])


def made(mix, seed=0, **sizes):
    return make_composites(*pictures(**sizes), luts(), mix, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "mix", [PLAIN, CompositeMix(disturbed=0), CompositeMix(lut=0, adjusted=0, both=0, disturbed=0)]
)
def test_only_the_foreground_is_wrong(mix):
    result, (real, masks) = made(mix), pictures()
    assert result.composite.shape == result.target.shape == real.shape
    assert 0 <= result.composite.min() and result.composite.max() <= 1
    outside = (masks == 0).expand_as(real)
    torch.testing.assert_close(result.composite[outside], result.target[outside])
    inside = ~outside
    assert (result.composite[inside] - result.target[inside]).abs().mean() > 0.01
    if mix.graded == 0:
        torch.testing.assert_close(result.target, real)
    else:
        assert (result.target - real).abs().mean() > 0.01


def test_untouched_foregrounds_are_right():
    result = made(CompositeMix(untouched=1, disturbed=0))
    torch.testing.assert_close(result.composite, result.target)


def test_the_same_seed_makes_the_same_batch():
    first, same, other = made(CompositeMix()), made(CompositeMix()), made(CompositeMix(), seed=1)
    assert torch.equal(first.composite, same.composite) and torch.equal(first.mask, same.mask)
    assert not torch.equal(first.composite, other.composite)


def test_changes_are_bounded():
    mix = CompositeMix(untouched=0, graded=0, lut=0, adjusted=1, weakened=0, disturbed=0)
    result = made(mix, count=16)
    _, masks = pictures(count=16)
    change = ((result.composite - result.target).square() * masks).sum(dim=(1, 2, 3)) / (3 * masks.sum(dim=(1, 2, 3)))
    assert change.sqrt().max() <= composites.LARGEST_CHANGE + 1e-3


def test_disturbances_leave_the_target_alone():
    calm, disturbed = made(CompositeMix(disturbed=0)), made(CompositeMix(disturbed=1))
    torch.testing.assert_close(calm.target, disturbed.target)
    assert not torch.equal(calm.composite, disturbed.composite)
    assert not torch.equal(calm.mask, disturbed.mask)


def statistics(image, mask):
    inside = image.movedim(1, 0)[:, mask[:, 0] > 0]
    return inside.mean(dim=1), torch.cov(inside)


def test_covariance_transfer_takes_over_mean_and_covariance():
    real, masks = pictures(count=2)
    source, reference = 0.3 + 0.2 * real[:1], 0.2 + 0.3 * real[1:]
    out = composites._match_covariance(source, masks[:1], reference, masks[1:])
    mean, covariance = statistics(out, masks[:1])
    wanted, wide = statistics(reference, masks[1:])
    torch.testing.assert_close(mean, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(covariance, wide, atol=3e-3, rtol=0)


def test_histogram_transfer_takes_over_the_quantiles():
    real, masks = pictures(count=2)
    out = composites._match_histograms(real[:1], masks[:1], real[1:] ** 2, masks[1:])
    inside = masks[0, 0] > 0
    for share in (0.2, 0.5, 0.8):
        got, wanted = out[0, 1][inside].quantile(share), (real[1, 1] ** 2)[inside].quantile(share)
        assert abs(float(got - wanted)) < 0.04


def test_reinhard_transfer_of_itself_changes_nothing():
    real, masks = pictures(count=1)
    real = 0.1 + 0.8 * real
    torch.testing.assert_close(composites._match_spread(real, masks, real, masks), real, atol=1e-3, rtol=0)
