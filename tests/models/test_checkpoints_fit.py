"""Fitting files to networks: what is inferred, what is loaded, what is refused."""

import pytest
import torch
from torch import nn

from co2net.errors import WeightsError
from co2net.models.backbones import ISSAM, RainNet
from co2net.models.checkpoints import Unfilled, infer_settings, load_backbone, load_model
from co2net.models.co2net import CO2Net
from co2net.weight_files import WeightFile, read_weights, save_weights

NETWORKS = {"issam": ISSAM, "rain": lambda: RainNet(ngf=2)}


def file_of(state, **metadata):
    return WeightFile("some/w.pth", dict(state), metadata)


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("use_feature", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_inferred(name, use_feature):
    network = NETWORKS[name]()
    settings = {"ngf": 2} if name == "rain" else {}
    full = infer_settings(CO2Net(network, use_feature=use_feature).state_dict())
    assert (full.backbone, full.backbone_settings) == (name, settings)
    assert (full.refinement, full.use_feature) == (True, use_feature)
    for state in (network.state_dict(), CO2Net(network, refinement=False).state_dict()):
        found = infer_settings(state)
        assert (found.backbone, found.backbone_settings) == (name, settings)
        assert (found.refinement, found.use_feature) == (False, None)
    assert infer_settings({"something.weight": torch.zeros(1)}).backbone is None


@pytest.mark.parametrize("name", NETWORKS)
def test_a_backbone_loads_from_bare_and_full_files(name):
    source = NETWORKS[name]()
    for state in (source.state_dict(), CO2Net(source).state_dict(), CO2Net(source, refinement=False).state_dict()):
        target = NETWORKS[name]()
        load_backbone(target, file_of(state, training_size="320"))
        assert same_state(target, source) and target.training_size == 320


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_full_model_round_trips_through_files(tmp_path, ending):
    source, target, path = CO2Net(RainNet(ngf=2)), CO2Net(RainNet(ngf=2)), tmp_path / f"w.{ending}"
    state = source.state_dict()
    if ending == "pth":
        torch.save(state, path)
    else:
        save_weights(path, state)
    load_model(target, read_weights(path))
    assert same_state(target, source)


def test_half_precision_files_load():
    target = RainNet(ngf=2)
    load_backbone(target, file_of({name: t.half() for name, t in RainNet(ngf=2).state_dict().items()}))
    assert target.model_layer0.weight.dtype == torch.float32


def test_only_the_batch_counters_may_be_missing():
    state = CO2Net(ISSAM()).state_dict()
    load_model(CO2Net(ISSAM()), file_of({n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}))
    for name in ("backbone.decoder.up_blocks.2.attention.mask_blurring.weight", "refine_network.to_rgb.bias"):
        with pytest.raises(WeightsError, match=rf"w\.pth does not fit CO2Net: missing: {name} \(1\)"):
            load_model(CO2Net(ISSAM()), file_of({n: t for n, t in state.items() if n != name}))


def test_the_first_entry_missing_is_reported_as_such():
    state = RainNet(ngf=2).state_dict()
    del state["model_layer0.weight"]
    with pytest.raises(WeightsError, match=r"does not fit RainNet: missing: model_layer0\.weight \(1\)"):
        load_backbone(RainNet(ngf=2), file_of(state))


def test_every_kind_of_misfit_is_counted_and_the_network_stays_as_it_was():
    network = RainNet(ngf=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = RainNet(ngf=2).state_dict()
    for name in list(state)[3:8]:
        del state[name]
    state |= {"extra": torch.zeros(1), "model_out.1.bias": torch.zeros(4)}
    with pytest.raises(WeightsError) as caught:
        load_backbone(network, file_of(state))
    message = str(caught.value)
    assert "missing: " in message and ", ... (5 in all)" in message
    assert "unknown: extra (1)" in message
    assert "of another shape: model_out.1.bias is (4,), wanted (3,) (1)" in message
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_another_networks_file_is_recognized():
    with pytest.raises(WeightsError, match='does not fit iSSAM: it looks like RainNet weights; use backbone="rain"'):
        load_backbone(ISSAM(), file_of(RainNet(ngf=2).state_dict()))
    with pytest.raises(WeightsError, match='does not fit RainNet: it looks like iSSAM weights; use backbone="issam"'):
        load_backbone(RainNet(ngf=2), file_of(CO2Net(ISSAM()).state_dict()))
    with pytest.raises(
        WeightsError, match=r"does not look like iSSAM or any backbone known here; it holds head\.weight"
    ):
        load_backbone(ISSAM(), file_of({"head.weight": torch.zeros(1)}))


def test_a_backbone_file_is_no_full_model():
    with pytest.raises(WeightsError, match=r"holds a backbone only, no refinement.*refinement=False"):
        load_model(CO2Net(ISSAM()), file_of(ISSAM().state_dict()))


def test_diverged_weights_are_refused():
    state = RainNet(ngf=2).state_dict()
    state["model_out.1.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    with pytest.raises(WeightsError, match=r"holds NaN or infinity, in model_out\.1\.bias"):
        load_backbone(RainNet(ngf=2), file_of(state))


def test_absurd_weights_are_refused():
    state = RainNet(ngf=2).state_dict()
    state["model_out.1.bias"] = torch.tensor([0.0, 1e30, 0.0])
    with pytest.raises(WeightsError, match=r"holds values above 1e\+08, in model_out\.1\.bias"):
        load_backbone(RainNet(ngf=2), file_of(state))


@pytest.mark.parametrize("size", ["0", "-1", "256.0", "large", ""])
def test_a_bad_training_size_is_refused(size):
    with pytest.raises(WeightsError, match="training_size in its metadata must be a positive whole number"):
        load_backbone(RainNet(ngf=2), file_of(RainNet(ngf=2).state_dict(), training_size=size))


def test_layers_for_a_file_are_built_without_drawing_values():
    before = torch.get_rng_state()
    with Unfilled():
        layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.BatchNorm2d(2))
    assert torch.equal(torch.get_rng_state(), before) and len(layers.state_dict()) == 9
    nn.Linear(2, 2)
    assert not torch.equal(torch.get_rng_state(), before)
