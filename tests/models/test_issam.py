import pytest
import torch
from recorded_cases import load_case

from co2net.models.backbones import ISSAM


@pytest.mark.parametrize("name", ["issam", "issam_nonsquare"])
@torch.no_grad()
def test_matches_recorded_case(name):
    case = load_case(name)
    network = ISSAM().eval()
    if "blur_kernel" in case.outputs:
        case.check("blur_kernel", network.decoder.up_blocks[2].attention.mask_blurring.weight)
    missing, unexpected = network.load_state_dict(case.state, strict=False)
    assert not unexpected and all(key.endswith("mask_blurring.weight") for key in missing)
    images, features = network.network(case.inputs["image"], case.inputs["mask"])
    case.check("images", images)
    case.check("features", features)


def test_parameter_count_and_entries():
    network = ISSAM()
    assert sum(p.numel() for p in network.parameters()) == 2_185_340
    assert len(network.state_dict()) == 113


@torch.no_grad()
def test_initialize_leaves_the_blur_kernel_alone():
    network = ISSAM()
    kernel = network.decoder.up_blocks[2].attention.mask_blurring.weight.clone()
    network.initialize(start_as_identity=True)
    assert torch.equal(network.decoder.up_blocks[2].attention.mask_blurring.weight, kernel)
    image, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    assert (network.eval()(image, mask).image - image).abs().mean() < 0.1
