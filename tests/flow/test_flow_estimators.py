"""Estimators find a known motion, in the direction and units that the house promises."""

import pytest
import torch
from torch.nn import functional as F

from co2net import flow
from co2net.errors import InputError, ShapeError


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
    estimate = flow.create_flow("dis")
    with pytest.raises(ShapeError, match="one shape"):
        estimate(texture(), texture()[..., :-8])
    with pytest.raises(ShapeError, match="frame1 must be a float tensor"):
        estimate((255 * texture()).byte(), texture())
    assert flow.list_flows() == sorted(flow.list_flows()) and "dis" in flow.list_flows()
