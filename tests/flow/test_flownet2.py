"""FlowNet2 against recorded values, and its file in the form of its time."""

import io
import pickle
import struct

import pytest
import torch
from recorded_cases import load_case
from torch import nn

from co2net.errors import WeightsError
from co2net.flow import create_flow
from co2net.flow.estimators import NetworkEstimator
from co2net.flow.flownet2 import FlowNet2, load_flownet2
from co2net.flow.flownet2_parts import FlowNetFusion
from co2net.weight_files import read_weights

PARTS = {"flow_c": "flownetc", "flow_s1": "flownets_1", "flow_s2": "flownets_2", "flow_sd": "flownets_d"}


def check(case, name, value):
    torch.testing.assert_close(value, case.outputs[name], rtol=0, atol=case.tolerance)


@pytest.fixture(scope="module")
def case():
    return load_case("flownet2")


@pytest.fixture(scope="module")
def network(case):
    """The recorded weights, taken over without a second copy of 650 MB."""
    with torch.device("meta"):
        network = FlowNet2()
    network.load_state_dict(case.state, assign=True)
    return network.eval()


def test_recorded_values(case, network):
    seen = {}
    hooks = [
        network.get_submodule(part).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
        for name, part in PARTS.items()
    ]
    hooks.append(network.flownetfusion.register_forward_pre_hook(lambda _m, inputs: seen.update(stack=inputs[0])))
    flow = NetworkEstimator(network)(case.inputs["frame1"], case.inputs["frame2"])
    for hook in hooks:
        hook.remove()
    check(case, "flow", flow)
    for name in PARTS:
        check(case, name, seen[name])
    stack = seen["stack"][:, :, ::4, ::4]
    check(case, "stack3_flow_sd", stack[:, 3:5])
    check(case, "stack3_rest", torch.cat([stack[:, :3], stack[:, 5:]], 1))


def test_official_names_and_sizes(case):
    with torch.device("meta"):
        network = FlowNet2()
    state = network.state_dict()
    assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in case.state.items()}
    sizes = [sum(p.numel() for p in part.parameters()) for part in network.children()]
    assert sizes == [39_175_298, 38_695_322, 38_695_322, 45_371_666, 581_226]
    assert len(state) == 220 and sum(sizes) == 162_518_834


def test_fusion_alone():
    case = load_case("flownet2_fusion")
    network = FlowNetFusion()
    network.load_state_dict(case.state)
    with torch.no_grad():
        check(case, "flow", network(case.inputs["stack"]))


def test_any_size_and_batch(network):
    estimate = NetworkEstimator(network)
    frames = torch.rand(2, 2, 3, 40, 65)
    together = estimate(*frames)
    assert together.shape == (2, 2, 40, 65) and not together.requires_grad
    torch.testing.assert_close(estimate(*frames[:, 1:]), together[1:], atol=1e-3, rtol=1e-4)
    # The border is repeated, so a frame that was padded by hand gives the same.
    padded = (nn.functional.pad(frame, (0, 63, 0, 24), mode="replicate") for frame in frames)
    torch.testing.assert_close(estimate(*padded)[:, :, :40, :65], together, atol=1e-3, rtol=1e-4)


def test_brightness_of_both_frames_does_not_matter(network):
    # The mean of the pair is taken off; nothing is clamped, so the input may leave [0, 1].
    frames = torch.rand(2, 1, 3, 64, 64)
    estimate = NetworkEstimator(network)
    torch.testing.assert_close(estimate(*(frames + 0.25)), estimate(*frames), atol=1e-3, rtol=1e-4)


def test_differentiable(network):
    frames = torch.rand(2, 1, 3, 64, 64, requires_grad=True)
    NetworkEstimator(network)(*frames).square().mean().backward()
    assert frames.grad is not None and frames.grad.isfinite().all() and (frames.grad != 0).any(4).all()


class Python2Pickler(pickle._Pickler):  # the one in Python: it lets text be written as Python 2 did
    dispatch = pickle._Pickler.dispatch.copy()

    def save_str(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(data)) + data)

    dispatch[str] = save_str

    def persistent_id(self, obj):
        if isinstance(obj, torch.UntypedStorage):
            return ("storage", torch.FloatStorage, str(obj.data_ptr()), "cuda:0", obj.nbytes() // 4, None)
        return None


class Rebuilt:
    """A tensor as PyTorch pickled it before 0.4."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        t = self.tensor
        return torch._utils._rebuild_tensor, (t.untyped_storage(), 0, tuple(t.shape), t.stride())


def write_like_python2(content, tensors, path):
    """The layout before the zip form: magic number, protocol, machine, pickle, names of storages, their values."""
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "type_sizes": {}}):
            pickle.dump(value, file, protocol=2)
        buffer = io.BytesIO()
        Python2Pickler(buffer, protocol=2).dump(content)
        file.write(buffer.getvalue())
        keys = {str(tensor.untyped_storage().data_ptr()): tensor for tensor in tensors}
        pickle.dump(sorted(keys), file, protocol=2)
        for key in sorted(keys):
            file.write(struct.pack("<q", keys[key].numel()) + keys[key].numpy().tobytes())


def test_reads_a_file_of_python_2(tmp_path):
    """As the official file is described: before the zip form, byte strings for keys, other entries beside the state."""
    state = {"flownetc.conv1.0.weight": torch.randn(4, 3, 7, 7), "flownetc.conv1.0.bias": torch.randn(4)}
    content = {"epoch": 0, "state_dict": {name: Rebuilt(t) for name, t in state.items()}, "best_EPE": 1e10}
    path = tmp_path / "FlowNet2_checkpoint.pth.tar"
    write_like_python2(content, state.values(), path)
    found = read_weights(path).state
    assert list(found) == list(state) and all(torch.equal(found[name], state[name]) for name in state)
    with pytest.raises(WeightsError, match=r"FlowNet2_checkpoint.pth.tar does not fit FlowNet2: missing: .*218 in all"):
        create_flow("flownet2", path)


@pytest.mark.slow
def test_loads_the_whole_file(case, network, tmp_path):
    path = tmp_path / "FlowNet2_checkpoint.pth.tar"
    content = {"epoch": 0, "state_dict": case.state, "best_EPE": 1e10}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    loaded = load_flownet2(path)
    assert all(torch.equal(tensor, case.state[name]) for name, tensor in loaded.state_dict().items())
    field = create_flow("flownet2", path)(case.inputs["frame1"], case.inputs["frame2"])
    check(case, "flow", field)
