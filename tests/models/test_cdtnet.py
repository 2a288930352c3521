import numpy as np
import pytest
import torch
from recorded_cases import load_case

import co2net
import trilinear
from co2net import training
from co2net.errors import InputError
from co2net.models.backbones import cdtnet
from co2net.models.backbones.cdtnet import CDTNet


def network_of(case, **settings):
    network = CDTNet(case.settings["base_size"], case.settings.get("n_lut", 4), **settings).eval()
    network.load_state_dict(case.state)
    return network


@pytest.mark.parametrize("name", ["cdtnet", "cdtnet_wide"])
@torch.no_grad()
def test_matches_recorded_cases(name):
    case = load_case(name)
    image, mask = case.inputs["image"], case.inputs["mask"]
    network = network_of(case)
    out = network(image, mask)
    images = network.denormalize(out.raw)
    case.check("images", images)
    case.check("lut_images", out.lut_image)
    case.check("base_images", out.base_image)
    torch.testing.assert_close(out.image, images * mask + image * (1 - mask), rtol=0, atol=1e-6)
    read = trilinear.apply_lut(out.lut, image) * mask + image * (1 - mask)
    torch.testing.assert_close(out.lut_image, read)


@torch.no_grad()
def test_the_simplified_network_is_the_lut_alone():
    case = load_case("cdtnet_sim")
    network = network_of(case, simplified=True)
    out = network(case.inputs["image"], case.inputs["mask"])
    case.check("images", out.image)
    assert out.image is out.lut_image and out.base_image is None and out.features.shape[1] == 0


@torch.no_grad()
def test_the_generator_alone():
    case = load_case("cdtnet_generator")
    network = CDTNet(case.settings["base_size"]).eval()
    missing, unknown = network.load_state_dict(case.state, strict=False)
    assert not unknown and {name.split(".")[0] for name in missing} == {"lut", "refine"}
    parts = network.parts_of(case.inputs["image"], case.inputs["mask"])
    case.check("features", parts["features"])
    case.check("bottleneck", parts["bottleneck"])
    case.check("base_images", parts["base_image"])


@torch.no_grad()
def test_the_color_mapping_alone():
    case = load_case("cdtnet_lut")
    network = CDTNet().eval()
    missing, unknown = network.load_state_dict(case.state, strict=False)
    assert not unknown and not any(name.startswith("lut") for name in missing)
    features, image, mask = (case.inputs[name] for name in ("features", "image", "mask"))
    case.check("weights", network.lut.classifier(features, mask))
    case.check("lut_images", network.map_colors(features, image, mask)[1])


def test_luts_are_read_and_learned_as_recorded():
    case = load_case("cdtnet_trilinear")
    lut = case.inputs["table"].clone().requires_grad_()

    def read(image):
        return trilinear.apply_lut(lut[None].expand(len(image), -1, -1, -1, -1), image)

    image = case.inputs["image"]
    case.check("image", read(image))
    case.check("corners", read(case.inputs["corners"]))
    case.check("quantised", read((image * 255).round() / 255))
    (case.inputs["upstream"] * read(image)).sum().backward()
    case.check("table_grad", lut.grad)


def test_losses_match_the_recorded_case():
    case = load_case("cdtnet_losses")
    pred, target, mask = (case.inputs[name] for name in ("pred", "target", "mask"))
    luts = [case.inputs["table"], case.inputs["table2"]]
    found = {
        "loss_min_area_100": training.foreground_normalized_loss(pred, target, mask, min_area=100),
        "loss_min_area_1000": training.foreground_normalized_loss(pred, target, mask, min_area=1000),
        "monotonicity": training.lut_monotonicity(luts),
        "smoothness": training.lut_smoothness(luts[0]),
    }
    for name, value in found.items():
        torch.testing.assert_close(value.flatten(), case.outputs[name].flatten(), rtol=0, atol=case.tolerance)


def test_parameters_and_entries():
    network = CDTNet()
    assert sum(p.numel() for p in network.parameters()) == 2_744_400
    assert len(network.state_dict()) == 139
    assert len(CDTNet(luts=2).lut.basis()) == 2


@pytest.mark.parametrize("size", [(61, 90), (40, 33), (200, 96)])
@torch.no_grad()
def test_strips_are_the_whole(size, monkeypatch):
    network = CDTNet(base_size=32).eval()
    network.initialize()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    image, mask = torch.rand(2, 3, *size), torch.rand(2, 1, *size)
    whole = network(image, mask).raw
    monkeypatch.setattr(cdtnet, "STRIP_PIXELS", 16 * size[1])
    torch.testing.assert_close(network(image, mask).raw, whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_strips_features_are_those_of_the_whole():
    out = CDTNet(base_size=32).eval()(torch.rand(1, 3, 50, 70), torch.ones(1, 1, 50, 70))
    assert out.features.shape == (1, 32, 50, 70)


@pytest.mark.parametrize("settings", [{"base_size": 100}, {"base_size": 0}, {"luts": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(InputError, match="CDTNet"):
        CDTNet(**settings)


def test_the_number_of_luts_follows_from_the_file(tmp_path):
    source = co2net.create_backbone("cdtnet", luts=6)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    assert co2net.create_backbone("cdtnet", weights=tmp_path / "w.pth").lut.count == 6


@torch.no_grad()
def test_fresh_weights_start_at_the_identity():
    network = CDTNet(base_size=64)
    network.initialize(start_as_identity=True)
    lut = network.lut.basis()[0]
    assert lut[0, 3, 5, 8] == 8 / 32 and lut[2, 3, 5, 8] == 3 / 32 and not network.lut.basis()[1].any()
    kernel = network.decoder.up_blocks[2].attention.mask_blurring.weight
    assert np.isclose(float(kernel.sum()), 1) and float(kernel.max()) == float(kernel[0, 0, 3, 3])


def test_losses_name_the_three_parts():
    network = CDTNet(base_size=32).train()
    image, target, mask = torch.rand(2, 3, 48, 40), torch.rand(2, 3, 48, 40), torch.ones(2, 1, 48, 40)
    for loss in ("paper", "quick"):
        terms = network.losses(network(image, mask), target, mask, network.recipes[loss])
        assert {*terms} == {"base", "lut", "pixel"}
    network.paints = False
    terms = network.losses(network(image, mask), target, mask, network.recipes["paper"])
    assert {*terms} == {"lut"}
