from itertools import pairwise

import pytest
import torch
from noise_frames import frames

from co2net.cli import main
from co2net.color_mapping.completion import identity_lut
from co2net.errors import InputError
from co2net.models.backbones import ISSAM
from co2net.models.backbones.losses import roughness
from co2net.models.backbones.lutnet import LUTNet, mapping_loss
from co2net.models.backbones.region_statistics import QUANTILES, color_quantiles, color_statistics, look_closer
from co2net.models.co2net import CO2Net
from co2net.models.registry import create_backbone, create_model, load_model
from co2net.weight_files import save_weights

SMALL = {"width": 4, "hidden": 16, "points": 5, "bins": 6}


def trained(seed=0, **settings):
    """A network that has left the identity."""
    torch.manual_seed(seed)
    network = LUTNet(**(SMALL | settings))
    for member in network.members:
        for layer in (member.affine, member.residual, member.doubt):
            torch.nn.init.normal_(layer.weight, std=0.1)
    return network.eval()


def test_a_fresh_network_changes_nothing():
    network = create_backbone("lutnet", **SMALL)
    network.initialize()
    out = network.eval()(*frames())
    torch.testing.assert_close(out.image, frames()[0], atol=2e-6, rtol=0)
    torch.testing.assert_close(out.lut, identity_lut(5, out.lut).expand(2, -1, -1, -1, -1))


def test_mirrored_frames_get_the_same_lut():
    network = trained(mirrored=True)
    image, mask = frames()
    lut, expected_error = network.predict(image, mask)
    mirrored, mirrored_expected_error = network.predict(image.flip(3), mask.flip(3))
    torch.testing.assert_close(lut, mirrored, atol=1e-6, rtol=0)
    torch.testing.assert_close(expected_error, mirrored_expected_error)


def test_members_are_averaged():
    pair = trained(members=2)
    singles = [trained(), trained()]
    for single, member in zip(singles, pair.members, strict=True):
        single.members[0].load_state_dict(member.state_dict())
    image, mask = frames()
    wanted = torch.stack([single.predict(image, mask)[0] for single in singles]).mean(dim=0)
    torch.testing.assert_close(pair.predict(image, mask)[0], wanted)


def test_the_correction_is_bounded():
    network = trained()
    for member in network.members:
        member.residual.weight.data *= 1e4
    lut, _ = network.predict(*frames())
    assert lut.isfinite().all() and (lut - identity_lut(5, lut)).abs().max() < 3


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("members", [1, 3])
def test_weight_files_carry_the_settings(tmp_path, near, members):
    network = trained(near=near, members=members)
    save_weights(tmp_path / "w.safetensors", network.state_dict(), {"format": "co2net"})
    loaded = create_backbone("lutnet", weights=tmp_path / "w.safetensors")
    assert torch.equal(loaded.predict(*frames())[0], network.predict(*frames())[0])
    model = load_model(tmp_path / "w.safetensors")
    assert model.mapping.name == "predicted" and not model.refinement


def test_empty_and_full_masks():
    network = trained()
    image, _ = frames()
    for mask in (torch.zeros(2, 1, 40, 48), torch.ones(2, 1, 40, 48)):
        out = network(image, mask)
        assert out.image.isfinite().all() and out.expected_error.min() > 0
    assert torch.equal(network(image, torch.zeros(2, 1, 40, 48)).image, image)


def test_color_statistics_are_histograms():
    image, mask = frames(1)
    image[:] = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    found = color_statistics(image, mask, 3).view(9, 3)
    # The first volume's axes are blue, green, red.
    torch.testing.assert_close(found[:3] ** 2, torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]), atol=1e-4, rtol=0)


def test_the_model_averages_the_window():
    backbone = trained()
    model = CO2Net(backbone, refinement=False, mapping="predicted").eval()
    image, mask = frames(3)
    result = model(image[:1], mask[:1], image[None, 1:], mask[None, 1:])
    lut, expected_error = backbone.predict(image, mask)
    weight = (1 / expected_error.clamp(min=1e-3)).view(-1, 1, 1, 1, 1)
    from trilinear import apply_lut

    mean = (lut * weight).sum(0, keepdim=True) / weight.sum()
    wanted = apply_lut(mean, image[:1]) * mask[:1] + image[:1] * (1 - mask[:1])
    torch.testing.assert_close(result.image, wanted, atol=1e-6, rtol=0)
    assert not result.unseen.any()


def test_frames_without_foreground_say_nothing():
    model = CO2Net(trained(), refinement=False, mapping="predicted").eval()
    image, mask = frames(3)
    with_empty = torch.cat([mask[1:2], torch.zeros_like(mask[:1])])
    alone = model(image[:1], mask[:1], image[None, 1:2], mask[None, 1:2])
    both = model(image[:1], mask[:1], image[None, 1:], with_empty[None])
    torch.testing.assert_close(alone.image, both.image)


def test_other_backbones_predict_nothing():
    with pytest.raises(InputError, match="predicts no LUT"):
        CO2Net(ISSAM(), mapping="predicted")
    assert create_model(backbone="lutnet").mapping.name == "predicted"


def test_the_mapping_loss_trains_lut_and_expected_error():
    torch.manual_seed(0)
    network = LUTNet(**SMALL).train()
    image, mask = frames(8)
    target = image * 0.7
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    errors = []
    for _ in range(60):
        out = network(image, mask)
        loss = mapping_loss(out, target, mask, 0.01)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(((out.raw.detach() - target) ** 2 * mask).mean()))
    assert errors[-1] < 0.2 * errors[0]


def test_affine_maps_are_smooth():
    assert roughness(identity_lut(5, torch.zeros(1)) * 0.5 + 0.1) < 1e-10
    assert roughness(torch.rand(1, 3, 5, 5, 5)) > 0.1


def test_quantiles_are_those_of_the_foreground():
    image, mask = frames(1)
    image[:, :, :, 30:] = 0
    inside = image[:, :, 10:30, 8:30].flatten(2)
    found = color_quantiles(image, mask).view(5, len(QUANTILES))
    wanted = torch.quantile(inside[0], torch.tensor(QUANTILES), dim=1).T
    torch.testing.assert_close(found[:3], wanted, atol=1.5 / 47, rtol=0)


def test_doubtful_corrections_are_left_out():
    network = trained()
    image, mask = frames()
    free, _ = network.predict(image, mask)
    network.caution.fill_(1e6)
    held, _ = network.predict(image, mask)
    torch.testing.assert_close(held, identity_lut(5, held).expand_as(held))
    network.caution.fill_(1e-9)
    torch.testing.assert_close(network.predict(image, mask)[0], free)


def test_released_members_are_those_of_the_files(tmp_path):
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, members in zip(paths, (1, 2), strict=True):
        save_weights(path, trained(seed=members, members=members).state_dict(), {"format": "co2net"})
    options = ["--mapping", "predicted", "--training-size", "64", "--caution", "0.3"]
    assert main(["release", *map(str, paths), *options, "--output", str(tmp_path / "c.safetensors")]) == 0
    joined = load_model(tmp_path / "c.safetensors").backbone
    assert len(joined.members) == 3 and float(joined.caution) == pytest.approx(0.3)
    states = [trained(seed=1).members[0], *trained(seed=2, members=2).members]
    for member, state in zip(joined.members, states, strict=True):
        assert all(torch.equal(tensor, member.state_dict()[name]) for name, tensor in state.state_dict().items())


def test_the_command_prefers_the_lut_predictor_and_the_papers_model_stays(tmp_path):
    facts = {"format": "co2net", "refinement": "false"}
    save_weights(tmp_path / "issam.safetensors", ISSAM().state_dict(), {**facts, "backbone": "issam"})
    assert isinstance(load_model("default", folder=tmp_path).backbone, ISSAM)
    lutnet = {**facts, "backbone": "lutnet", "mapping": "predicted"}
    save_weights(tmp_path / "lutnet.safetensors", trained().state_dict(), lutnet)
    assert isinstance(load_model("default", folder=tmp_path).backbone, LUTNet)
    assert isinstance(load_model("default", "issam", folder=tmp_path).backbone, ISSAM)
    assert isinstance(create_model(refinement=False, weights="default", folder=tmp_path).backbone, ISSAM)


def test_large_frames_are_shrunk_by_area():
    network = trained()
    image, mask = frames(size=(2 * network.frame_size, 4 * network.frame_size))
    small = torch.nn.functional.avg_pool2d(image, (2, 4)), torch.nn.functional.avg_pool2d(mask, (2, 4))
    torch.testing.assert_close(network.predict(image, mask)[0], network.predict(*small)[0])


def test_looks_at_the_foreground_and_its_surroundings():
    image, mask = torch.rand(2, 3, 96, 128), torch.zeros(2, 1, 96, 128)
    mask[0, :, 30:50, 80:110] = 1  # twice as wide and high: rows 20 to 60, columns 65 to 125; at least 64 of each
    mask[1, :, 2:4, :3] = 1
    seen, seen_mask = look_closer(image, mask, 64)
    assert seen.shape == (2, 3, 64, 64) and seen_mask.shape == (2, 1, 64, 64)
    for item, (top, left) in enumerate(((8, 63), (0, 0))):
        part = (slice(item, item + 1), slice(None), slice(top, top + 64), slice(left, left + 64))
        torch.testing.assert_close(seen[item : item + 1].mean((2, 3)), image[part].mean((2, 3)), atol=0.01, rtol=0)
        assert float(seen_mask[item].sum()) == pytest.approx(float(mask[part].sum()), rel=0.02)
    torch.testing.assert_close(seen[1], image[1, :, :64, :64])  # in the corner, no pixel is split


def test_the_window_keeps_what_it_averages():
    image, mask = torch.rand(1, 3, 128, 100), torch.ones(1, 1, 128, 100)
    seen, seen_mask = look_closer(image, mask, 32)
    torch.testing.assert_close(seen.mean((2, 3)), image.mean((2, 3)))  # a full mask: the whole frame
    torch.testing.assert_close(seen_mask, torch.ones_like(seen_mask))
    empty, _ = look_closer(image, torch.zeros_like(mask), 32)
    assert empty.isfinite().all()
    same, same_mask = look_closer(image[..., :32, :20], mask[..., :32, :20], 32)
    assert torch.equal(same, image[..., :32, :20]) and torch.equal(same_mask, mask[..., :32, :20])


def test_the_window_follows_the_foreground_smoothly():
    mask = torch.zeros(1, 1, 128, 128)
    image = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    shown = []
    for step in range(12):
        mask.zero_()
        mask[..., 40:70, 40 + step : 60 + step] = 1
        shown.append(float(look_closer(image, mask, 64)[0].mean()))
    steps = [after - before for before, after in pairwise(shown)]
    assert max(steps) == pytest.approx(min(steps), rel=0.05) and min(steps) > 0
