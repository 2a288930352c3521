"""The warps of published systems: recorded values and what sets them apart."""

import pytest
import torch
from recorded_cases import load_case

from co2net.errors import InputError, ShapeError
from co2net.flow import warp, warp_variant

VARIANTS = ("exact", "svcnet", "scribble", "legacy", "splat_metric")


@pytest.mark.parametrize("variant", ["svcnet", "scribble", "legacy", "splat_metric"])
def test_recorded_values(variant):
    case = load_case("pwcnet_warp")
    field = case.settings["flow_scale"] * case.inputs["flow"]
    case.check(variant, warp_variant(case.inputs["image"], field, variant))


def test_all_agree_on_whole_pixels_inside():
    image, field = torch.rand(2, 3, 9, 9), torch.zeros(2, 2, 9, 9)
    field[:, 0, :, :-2], field[:, 1, 3:] = 2, -3
    wanted = warp(image, field)
    for variant in ("exact", "scribble", "splat_metric"):
        assert torch.equal(warp_variant(image, field, variant), wanted)
    assert not torch.equal(warp_variant(image, field, "legacy"), wanted)  # stretches the field: the defect


def test_outside_is_zero_except_at_the_clamped_border():
    image, field = torch.ones(1, 1, 4, 4), torch.zeros(1, 2, 4, 4)
    field[:, 0] = -0.25  # the first column comes from a quarter pixel outside
    first = {variant: warp_variant(image, field, variant)[0, 0, 0, 0].item() for variant in VARIANTS}
    assert first == {"exact": 0, "svcnet": 1, "scribble": 1, "legacy": 0, "splat_metric": 0.75}


def test_positions_that_are_no_numbers():
    image, field = torch.rand(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    field[0, 0, 1, 1], field[0, 1, 2, 2] = float("nan"), float("inf")
    for variant in ("exact", "svcnet", "legacy", "splat_metric"):
        broken = warp_variant(image, field, variant).isnan()[0].all(0)
        assert broken.sum() == 2 and broken[1, 1] and broken[2, 2]
    assert (warp_variant(image, field, "scribble")[0, :, [1, 2], [1, 2]] == 0).all()


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1)])
def test_one_pixel_wide(size):
    image = torch.rand(1, 3, *size)
    for variant in VARIANTS:
        assert torch.equal(warp_variant(image, torch.zeros(1, 2, *size), variant), image)


@pytest.mark.parametrize("variant", ["exact", "legacy", "splat_metric"])
def test_gradients(variant):
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    # Between pixels, also when stretched, so that no step crosses an edge of the surface or of the mask.
    field = (torch.randint(-3, 4, (1, 2, 5, 6)) + 0.37).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: warp_variant(i, f, variant), (image, field), fast_mode=True)


def test_errors():
    image, field = torch.rand(1, 3, 4, 5), torch.zeros(1, 2, 4, 5)
    with pytest.raises(InputError, match="there is no warp 'border'; there are: exact, svcnet"):
        warp_variant(image, field, "border")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match="field must be"):
        warp_variant(image, field[..., 1:], "exact")
