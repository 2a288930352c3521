"""PWC-Net against recorded values, in all spellings of its weight files."""

import pytest
import torch
from recorded_cases import load_case
from safetensors.torch import save_file

from co2net.errors import InputError, ShapeError, WeightsError
from co2net.flow import create_flow
from co2net.flow.pwcnet import PWCNet, load_pwcnet, official_names


@pytest.fixture(scope="module")
def case():
    return load_case("pwcnet_svcnet")


def newer(state):
    return {name.replace("module", "net"): tensor for name, tensor in state.items()}


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize("variant", ["svcnet", "scribble", "legacy"])
def test_recorded_values(variant):
    case = load_case(f"pwcnet_{variant}")
    network = PWCNet(case.settings["warp"]).eval()
    network.load_state_dict(case.state)
    first, second = case.inputs["first"], case.inputs["second"]
    with torch.no_grad():
        case.check("flow", network.estimate(first, second))
        case.check("flow_back", network.estimate(second, first))
        sides = [-(-side // 64) * 64 for side in first.shape[2:]]
        raw = network(*(torch.nn.functional.interpolate(x, sides, mode="bilinear") for x in (first, second)))
    torch.testing.assert_close(raw, case.outputs["raw"], rtol=0, atol=5e-6)  # the case's own bound for this output


def test_official_names_and_size(case):
    state = PWCNet().state_dict()
    assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in case.state.items()}
    assert len(state) == 126 and sum(tensor.numel() for tensor in state.values()) == 9_374_274


def test_the_estimator_takes_rgb(case, tmp_path):
    torch.save(case.state, tmp_path / "network-default.pytorch")
    estimate = create_flow("pwcnet", tmp_path / "network-default.pytorch", warp="svcnet")
    field = estimate(case.inputs["first"].flip(1), case.inputs["second"].flip(1))  # the case's frames are BGR
    case.check("flow", field)
    assert not field.requires_grad


@pytest.mark.parametrize("spelling", [lambda s: parallel(newer(s)), lambda s: {"state_dict": s}])
def test_spellings_of_official_files(case, tmp_path, spelling):
    torch.save(spelling(case.state), tmp_path / "w.pytorch", _use_new_zipfile_serialization=False)
    network = load_pwcnet(tmp_path / "w.pytorch")
    assert all(torch.equal(tensor, case.state[name]) for name, tensor in network.state_dict().items())


def test_prefixes_and_both_spellings_name_the_same():
    old = {"moduleExtractor.moduleOne.0.weight": torch.zeros(1), "moduleSix.moduleSix.0.bias": torch.ones(1)}
    assert official_names(old) == old == official_names(newer(old))
    assert list(official_names({"subnetOne.network": torch.zeros(1)})) == ["subnetOne.network"]


def test_safetensors(case, tmp_path):
    save_file(newer(case.state), tmp_path / "w.safetensors")
    assert torch.equal(
        load_pwcnet(tmp_path / "w.safetensors").moduleRefiner.moduleMain[0].bias,
        case.state["moduleRefiner.moduleMain.0.bias"],
    )


def test_any_size_and_batch(case):
    network = PWCNet()
    network.load_state_dict(case.state)
    frames = torch.rand(2, 2, 3, 33, 70)
    with torch.no_grad():
        together = network.field(*frames)
        assert together.shape == (2, 2, 33, 70)
        alone = network.field(*frames[:, 1:])
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=0)


def test_differentiable(case):
    network = PWCNet()
    network.load_state_dict(case.state)
    frames = torch.rand(2, 1, 3, 64, 64, requires_grad=True)
    network.field(*frames).square().mean().backward()
    assert frames.grad is not None and (frames.grad != 0).any(4).all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_wrong_files(case, tmp_path):
    path = tmp_path / "w.pth"
    bias = torch.zeros(2)
    torch.save({"moduleSix.moduleSix.0.bias": bias}, path)
    with pytest.raises(WeightsError, match=r"w.pth does not fit PWC-Net: missing: .* \(125 in all\)"):
        create_flow("pwcnet", path)
    torch.save({"moduleSix.moduleSix.0.bias": bias, "netSix.netSix.0.bias": bias}, path)
    with pytest.raises(InputError, match="holds an entry twice"):
        create_flow("pwcnet", path)
    torch.save({**case.state, "moduleSix.moduleSix.0.bias": torch.full((2,), float("nan"))}, path)
    with pytest.raises(WeightsError, match="holds NaN"):
        create_flow("pwcnet", path)
    with pytest.raises(WeightsError, match="does not exist"):
        create_flow("pwcnet", tmp_path / "none.pth")


def test_errors():
    with pytest.raises(InputError, match="there is no warp 'clamp'"):
        PWCNet("clamp")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match="one shape"):
        PWCNet().estimate(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 70))
