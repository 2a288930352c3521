"""Estimators find a known motion, in the direction and units that the house promises."""

import pytest
import torch
from torch.nn import functional as F

from co2net import flow
from co2net.errors import InputError, ShapeError, WeightsError
from co2net.flow.estimators import NetworkEstimator


def texture(batch=1, height=96, width=128):
    """Soft blobs: enough structure everywhere for a motion to be visible."""
    return F.interpolate(torch.rand(batch, 3, height // 8, width // 8), (height, width), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 3)])
def test_finds_a_shift(dx, dy):
    frame1 = texture(2)
    frame2 = frame1.roll((dy, dx), (2, 3))  # what was at x is at x + (dx, dy)
    field = flow.create_flow("dis")(frame1, frame2)
    assert field.shape == (2, 2, 96, 128) and field.dtype == torch.float32
    middle = field[:, :, 16:-16, 16:-16]
    torch.testing.assert_close(middle[:, 0].median().item(), float(dx), atol=0.25, rtol=0)
    torch.testing.assert_close(middle[:, 1].median().item(), float(dy), atol=0.25, rtol=0)
    # Hence warping frame 2 by it gives frame 1, far better than frame 2 itself.
    error = (flow.warp(frame2, field) - frame1)[..., 16:-16, 16:-16].abs().mean()
    assert error < 0.2 * (frame2 - frame1)[..., 16:-16, 16:-16].abs().mean()


def test_each_pair_is_estimated_on_its_own():
    frame1, estimate = texture(2), flow.create_flow("dis")
    frame2 = frame1.roll(2, 3)
    together = estimate(frame1, frame2)
    assert torch.equal(together[1:], estimate(frame1[1:], frame2[1:]))
    assert torch.equal(together, estimate(frame1, frame2))
    assert estimate(frame1[:0], frame2[:0]).shape == (0, 2, 96, 128)


def test_no_motion_and_no_gradient():
    frame = texture().requires_grad_()
    field = flow.create_flow()(frame, frame)
    assert field.abs().max() < 0.1 and not field.requires_grad


def test_smallest_frames():
    frame = texture(1, 16, 24)
    assert flow.create_flow("dis")(frame, frame).isfinite().all()
    with pytest.raises(ShapeError, match="at least 16 pixels"):
        flow.create_flow("dis")(frame[:, :, :15], frame[:, :, :15])


def test_errors():
    with pytest.raises(InputError, match=r"there is no flow estimator 'raffle'; there are: .*dis"):
        flow.create_flow("raffle")
    with pytest.raises(InputError, match=r"dis has no weights, got flow.pth"):
        flow.create_flow("dis", weights="flow.pth")
    with pytest.raises(InputError, match=r"dis has no setting warp; it has none"):
        flow.create_flow("dis", warp="exact")
    with pytest.raises(InputError, match=r"pwcnet has no setting iterations; there are: warp"):
        flow.create_flow("pwcnet", iterations=3)
    estimate = flow.create_flow("dis")
    with pytest.raises(ShapeError, match="one shape"):
        estimate(texture(), texture()[..., :-8])
    with pytest.raises(ShapeError, match="frame1 must be a float tensor"):
        estimate((255 * texture()).byte(), texture())
    assert flow.list_flows() == sorted(flow.list_flows()) and "dis" in flow.list_flows()


@pytest.mark.parametrize(
    ("name", "file", "place"),
    [
        ("flownet2", "FlowNet2_checkpoint.pth.tar", "github.com/NVIDIA/flownet2-pytorch"),
        ("pwcnet", "network-default.pytorch", "github.com/sniklaus/pytorch-pwc"),
        ("raft", "raft_large_", "docs.pytorch.org"),
    ],
)
def test_a_network_without_weights_says_which_file_and_where(name, file, place):
    with pytest.raises(InputError) as error:
        flow.create_flow(name)
    assert name in str(error.value) and file in str(error.value) and place in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in flow.list_flows() if name != "dis"])
def test_every_network_checks_its_file(name, tmp_path):
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth"):
        flow.create_flow(name, tmp_path / "w.pth")


class Average(torch.nn.Module):
    """A network whose field is the mean of all it is given, scaled."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.norm = torch.nn.BatchNorm2d(3)

    def field(self, frame1, frame2):
        return self.scale * self.norm(frame1 + frame2)[:, :2]


def test_a_network_is_frozen_and_gets_single_precision():
    network = Average()
    estimate = NetworkEstimator(network)
    assert not network.training
    frame = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    field = estimate(frame, frame)
    assert field.dtype == torch.float32 and not field.requires_grad
    assert estimate(frame.clone().requires_grad_(), frame).requires_grad
    assert estimate(frame[:0], frame[:0]).shape == (0, 2, 4, 5)
    with pytest.raises(ShapeError, match="one shape"):
        estimate(frame, frame[..., 1:])
    with pytest.raises(ShapeError, match="at least 1 pixel"):
        estimate(frame[..., :0], frame[..., :0])


@pytest.mark.needs_cuda
def test_a_network_follows_the_frames():
    frame = torch.rand(1, 3, 4, 5)
    estimate = NetworkEstimator(Average())
    assert estimate(frame.cuda(), frame.cuda()).device.type == "cuda"
    assert estimate(frame, frame).device.type == "cpu"
