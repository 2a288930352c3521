"""The smooth LUT: what it must reproduce, and that it invents nothing."""

from __future__ import annotations

import pytest
import torch

import tridistribute
import trilinear
from co2net.color_mapping.completion import complete, identity_lut

GAIN = torch.tensor([[0.8, 0.1, 0.0], [0.05, 0.7, 0.05], [0.0, -0.1, 0.9]])
SHIFT = torch.tensor([0.1, 0.05, -0.02])


def affine(colors):
    return torch.einsum("ij,bjhw->bihw", GAIN.to(colors), colors) + SHIFT.to(colors)[:, None, None]


def volume_of(colors, change, dim=33):
    return tridistribute.accumulate(colors, change(colors) - colors, torch.ones_like(colors[:, :1]), dim)


def cloud(pixels=20000, center=(0.6, 0.5, 0.35), width=0.12):
    """Colors as a foreground has them: a cloud, not the whole cube."""
    colors = torch.tensor(center)[:, None] + width * torch.randn(3, pixels)
    return colors.clamp(0, 1).view(1, 3, 1, -1)


def test_without_a_pixel_it_is_the_identity():
    lut = complete(torch.zeros(2, 4, 33, 33, 33))
    assert torch.equal(lut, identity_lut(33, lut).expand(2, -1, -1, -1, -1))


def test_the_identity_lut_returns_the_picture():
    image = torch.rand(1, 3, 40, 50)
    read = trilinear.apply_lut(identity_lut(33, image), image)
    torch.testing.assert_close(read, image, rtol=0, atol=1e-6)


def test_nothing_changed_gives_the_identity():
    lut = complete(volume_of(cloud(), lambda colors: colors))
    torch.testing.assert_close(lut, identity_lut(33, lut), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dim", [9, 16, 33])
def test_an_affine_change_is_reproduced(dim):
    colors = cloud()
    read = trilinear.apply_lut(complete(volume_of(colors, affine, dim)), colors)
    assert (read - affine(colors)).abs().mean() < 0.04 / dim, "in proportion to a cell's width"
    # Colors between those seen: the same change, a fresh sample of the cloud.
    fresh = cloud()
    assert (trilinear.apply_lut(complete(volume_of(colors, affine, dim)), fresh) - affine(fresh)).abs().amax() < 0.03


def test_an_affine_change_is_continued_to_colors_far_away():
    colors = cloud()
    corners = identity_lut(2, colors).flatten(2)[..., None]
    read = trilinear.apply_lut(complete(volume_of(colors, affine)), corners)
    # The ridge holds slopes back where few colors determine them; the paper's LUT has nothing there at all.
    assert (read - affine(corners)).abs().amax() < 0.12
    assert (read - affine(corners)).abs().mean() < (corners - affine(corners)).abs().mean() / 4


def test_a_curved_change_is_followed_where_colors_were_seen():
    colors = cloud(200_000, width=0.2)
    read = trilinear.apply_lut(complete(volume_of(colors, lambda c: c**1.6)), colors)
    # Shrinkage is strong on purpose (docs/decisions.md); an affine fit alone would be off by 0.013.
    assert (read - colors**1.6).abs().mean() < 0.009


def hard_volumes():
    one, two = torch.rand(1, 3, 1, 1), torch.tensor([0.1, 0.9, 0.1, 0.9, 0.1, 0.9]).view(1, 3, 1, 2)
    return {
        "one pixel": volume_of(one, affine),
        "two pixels": volume_of(two, affine),
        "a gray ramp": volume_of(torch.linspace(0, 1, 100).expand(1, 3, -1)[:, :, None], affine),
        "a tiny weight": volume_of(one, affine) * 1e-20,
        "a huge weight": volume_of(cloud(), affine) * 1e6,
        "empty": torch.zeros(1, 4, 33, 33, 33),
        "a wild target": volume_of(cloud(50), lambda colors: torch.randn_like(colors)),
    }


@pytest.mark.parametrize("name", ["one pixel", "two pixels", "a gray ramp", "a tiny weight", "a huge weight", "empty"])
def test_finite_and_sane_everywhere(name):
    lut = complete(hard_volumes()[name])
    assert lut.isfinite().all()
    assert lut.amin() > -0.5 and lut.amax() < 1.5


def test_random_targets_stay_finite():
    assert complete(hard_volumes()["a wild target"]).isfinite().all()


def test_no_outliers_between_cells_that_were_seen():
    # Two groups of colors with corrections of one sign: everything between them lies between their corrections.
    dark, light = cloud(2000, (0.3, 0.3, 0.3), 0.03), cloud(2000, (0.7, 0.7, 0.7), 0.03)
    volume = volume_of(dark, lambda c: c + 0.1) + volume_of(light, lambda c: c + 0.2)
    ramp = torch.linspace(0.3, 0.7, 200).expand(1, 3, -1)[:, :, None].contiguous()
    change = trilinear.apply_lut(complete(volume), ramp) - ramp
    assert change.amin() > 0.08 and change.amax() < 0.22
    steps = change.diff(dim=-1).abs()
    assert steps.amax() < 0.01, "it changes gradually: 0.1 over 12 cells"


def test_a_stray_pixel_does_not_spoil_its_surroundings():
    colors = cloud()
    stray = tridistribute.accumulate(
        torch.full((1, 3, 1, 1), 0.95), torch.full((1, 3, 1, 1), -0.9), torch.ones(1, 1, 1, 1)
    )
    clean, spoiled = complete(volume_of(colors, affine)), complete(volume_of(colors, affine) + stray)
    read = [trilinear.apply_lut(lut, colors) for lut in (clean, spoiled)]
    assert (read[0] - read[1]).abs().mean() < 1e-3


def test_items_of_a_batch_do_not_meet():
    volumes = torch.cat([volume_of(cloud(), affine), torch.zeros(1, 4, 33, 33, 33), hard_volumes()["one pixel"]])
    together = complete(volumes)
    for number in range(3):
        torch.testing.assert_close(together[number, None], complete(volumes[number, None]), rtol=0, atol=1e-4)


def test_the_unit_of_the_weights_does_not_matter():
    volume = volume_of(cloud(), affine)
    torch.testing.assert_close(complete(volume), complete(volume * 17), rtol=0, atol=1e-5)


def test_float64_agrees():
    colors = cloud()
    torch.testing.assert_close(
        complete(volume_of(colors, affine)).double(), complete(volume_of(colors, affine).double()), rtol=0, atol=1e-4
    )
