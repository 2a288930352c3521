import pytest
import torch
from pipeline import stubs
from torch import nn

from co2net.errors import InputError
from co2net.models import precision
from co2net.models.backbones.base import Backbone
from co2net.models.precision import backbone_pass, fold_batch_norms, one_thread_for, training_autocast
from co2net.models.registry import create_backbone
from co2net.pipeline import harmonize_frames

CPU = torch.device("cpu")


def settled(name: str) -> Backbone:
    """A network whose batch norms are not the identity."""
    torch.manual_seed(0)
    network = create_backbone(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def inputs():
    mask = torch.zeros(1, 1, 32, 40)
    mask[..., 8:24, 8:30] = 1
    return torch.rand(1, 3, 32, 40), mask


@torch.inference_mode()
def test_folding_batch_norms_changes_nothing():
    network, (image, mask) = settled("issam"), inputs()
    wanted = network(image, mask).raw
    count = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    torch.testing.assert_close(fold_batch_norms(network)(image, mask).raw, wanted, atol=1e-4, rtol=1e-4)
    assert count > 8 and not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@torch.inference_mode()
def test_bfloat16_is_close_and_leaves_the_network_alone(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    network, (image, mask) = settled("issam"), inputs()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    wanted = network(image, mask)
    found = backbone_pass(network, CPU, "auto")(image, mask)
    for part in ("image", "features", "raw"):
        assert getattr(found, part).dtype == torch.float32
    assert 0 < (found.image - wanted.image).abs().max() < 4 / 255
    assert torch.equal(found.image[..., 30:], image[..., 30:])
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_full_precision_and_other_processors_take_the_network_itself(monkeypatch):
    network = settled("issam")
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    assert backbone_pass(network, CPU, "full") is network
    lutnet = create_backbone("lutnet")
    assert backbone_pass(lutnet, CPU, "auto") is lutnet
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    assert backbone_pass(network, CPU, "auto") is network


@pytest.mark.parametrize("there", [False, True])
def test_training_does_not_imitate_bfloat16(monkeypatch, there):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: there)
    with training_autocast(CPU, "bf16"):
        product = nn.Linear(2, 2)(torch.ones(1, 2))
    assert product.dtype == (torch.bfloat16 if there else torch.float32)


def test_unknown_precision_is_told():
    with pytest.raises(InputError, match="`precision` half: must be one of"):
        harmonize_frames([], [], stubs.model_of(stubs.Tiny()), precision="half")


def test_small_networks_run_on_one_thread_and_the_number_is_restored():
    torch.set_num_threads(2)
    with pytest.raises(KeyboardInterrupt), one_thread_for(create_backbone("lutnet"), CPU):
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2
    with one_thread_for(settled("issam"), CPU):
        assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
