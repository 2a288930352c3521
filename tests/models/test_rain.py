import pytest
import torch
from recorded_cases import load_case

from co2net.models.backbones import RainNet
from co2net.models.backbones.rain import RAIN


@pytest.mark.parametrize("name", ["rainnet_small", "rainnet"])
def test_matches_recorded_case(name):
    case = load_case(name)
    network = RainNet(ngf=case.settings["ngf"]).eval()
    network.load_state_dict(case.state, strict=True)
    with torch.no_grad():
        images, features = network.network(case.inputs["image"], case.inputs["mask"])
    case.check("images", images)
    case.check("features", features)


def test_parameter_count_and_entries():
    network = RainNet()
    assert sum(p.numel() for p in network.parameters()) == 54_759_043
    assert len(network.state_dict()) == 51


def test_foreground_takes_over_background_statistics():
    x = torch.randn(1, 2, 16, 16)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    x[..., :8] = 5 * x[..., :8] + 3
    out = RAIN(2)(x, mask)
    back = x[..., 8:]
    torch.testing.assert_close(out[..., :8].mean((2, 3)), back.mean((2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[..., :8].std((2, 3)), back.std((2, 3)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_region_gives_finite_numbers(value):
    out = RAIN(3)(torch.randn(2, 3, 8, 8), torch.full((2, 1, 8, 8), value))
    assert out.isfinite().all()


def test_initialize_follows_the_paper():
    network = RainNet(ngf=8)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    network.initialize()
    assert abs(network.unet_block.up[1].weight.std() - 0.02) < 1e-3
    vectors = [p for name, p in network.named_parameters() if not name.endswith("weight")]
    assert len(vectors) == 7 * 4 + 4 and all(not p.any() for p in vectors)
