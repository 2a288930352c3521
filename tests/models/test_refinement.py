import pytest
import torch
from recorded_cases import load_case

from co2net.errors import ShapeError
from co2net.models.refinement import Refinement


@pytest.mark.parametrize("channels", [0, 32, 128])
def test_matches_recorded_case(channels):
    case = load_case(f"refine_{channels}")
    network = Refinement(channels)
    network.load_state_dict(case.state, strict=True)
    x = case.inputs
    with torch.no_grad():
        output = network.eval()(x["backbone_output"], x["lut_output"], x["composite"], x.get("feature"))
    case.check("output", output)


@pytest.mark.parametrize(("channels", "parameters"), [(0, 40_964), (32, 59_396), (128, 114_692)])
def test_parameter_count(channels, parameters):
    assert sum(p.numel() for p in Refinement(channels).parameters()) == parameters


def test_features_are_ignored_when_not_used():
    network = Refinement(0).eval()
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(network(image, image, image), network(image, image, image, torch.rand(1, 32, 8, 8)))


@pytest.mark.parametrize("features", [None, torch.zeros(1, 5, 8, 8)])
def test_wrong_features_are_refused(features):
    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(ShapeError, match=r"32 feature channels, got (None|5)"):
        Refinement(32)(image, image, image, features)


@pytest.mark.parametrize("channels", [0, 32])
def test_a_network_started_as_lut_returns_the_lut_output(channels):
    network = Refinement(channels).eval()
    network.initialize_as_lut()
    torch.manual_seed(5)
    raw, lut = (torch.rand(2, 3, 9, 11) * 4.8 - 2.2 for _ in range(2))
    output = network(raw, lut, torch.rand(2, 3, 9, 11), torch.randn(2, channels, 9, 11))
    torch.testing.assert_close(output, lut, atol=2e-3, rtol=0)
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    gradient = network.to_rgb.weight.grad
    assert gradient is not None and float(gradient[:, 6:].abs().min()) > 0  # the random channels learn
