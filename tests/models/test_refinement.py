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
