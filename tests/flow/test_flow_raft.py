"""RAFT: our frames and fields around torchvision's network."""

import sys

import pytest
import torch

from co2net.errors import InputError, WeightsError
from co2net.flow import create_flow
from co2net.flow.raft import RAFT


class Constant(torch.nn.Module):
    """Stands for torchvision's network: keeps what it is given, finds the same motion everywhere."""

    def forward(self, first, second, num_flow_updates):
        self.given = first, second
        field = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(len(first), 2, *first.shape[2:])
        return [field * (i + 1) / num_flow_updates for i in range(num_flow_updates)]


@pytest.fixture
def torchvision_raft():
    """Its module, also where torchvision lacks the compiled operators, which RAFT does not use."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # what a failed import left
    yield pytest.importorskip("torchvision.models.optical_flow", exc_type=ImportError)


def test_frames_are_scaled_and_padded_and_the_last_field_is_cut_out():
    network = Constant()
    frames = torch.rand(2, 2, 3, 50, 135)
    field = RAFT(network, iterations=4).field(*frames)
    assert torch.equal(field, torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(2, 2, 50, 135))
    for given, frame in zip(network.given, frames, strict=True):
        assert given.shape == (2, 3, 128, 136)
        assert torch.equal(given[:, :, :50, :135], 2 * frame - 1)
        assert torch.equal(given[:, :, 49:, :135], given[:, :, 49:50, :135].expand(-1, -1, 79, -1))
        assert torch.equal(given[..., 135], given[..., 134])


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_takes_the_weights_of_torchvision(torchvision_raft, tmp_path, name):
    network = getattr(torchvision_raft, name)(weights=None, progress=False).eval()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    frames = torch.rand(2, 1, 3, 128, 136)
    with torch.no_grad():
        wanted = network(*(2 * frames - 1), num_flow_updates=2)[-1]
    field = create_flow("raft", tmp_path / "raft.pth", iterations=2)(*frames)
    torch.testing.assert_close(field, wanted, atol=1e-4, rtol=1e-5)


def test_other_builds_of_raft_are_told_apart(tmp_path):
    torch.save({"module.fnet.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "raft-things.pth")
    with pytest.raises(WeightsError, match=r"raft-things.pth is not RAFT as torchvision has it"):
        create_flow("raft", tmp_path / "raft-things.pth")


@pytest.mark.parametrize("broken", ["missing", "mismatched"])
def test_without_torchvision_one_sentence_with_the_mend(tmp_path, monkeypatch, broken):
    torch.save({"feature_encoder.convnormrelu.0.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "raft.pth")
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    if broken == "missing":
        monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it is then an ImportError
    else:
        (tmp_path / "torchvision").mkdir()
        (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"raft needs torchvision.*importing it failed \[.*\]; install both") as error:
        create_flow("raft", tmp_path / "raft.pth")
    assert "\n" not in str(error.value)


def test_errors():
    with pytest.raises(InputError, match="at least one iteration, got 0"):
        RAFT(Constant(), iterations=0)
