"""The warp against recorded values and its defining properties."""

import fixtures
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from co2net import flow
from co2net.errors import ShapeError


@pytest.fixture(scope="module")
def recorded():
    case, wanted = fixtures.load("flow_warp")
    given_ = {name: torch.from_numpy(value) for name, value in fixtures.inputs(case).items()}
    return given_, case["settings"]["flow_scale"] * given_["raw_flow"], wanted, case["tolerance"]


def test_recorded_values(recorded):
    inputs, field, wanted, tolerance = recorded
    np.testing.assert_allclose(flow.warp(inputs["image"], field), wanted["warped"], rtol=0, atol=tolerance)
    # Whole pixels are moved, not mixed.
    np.testing.assert_array_equal(flow.warp(inputs["image"], field.round()), wanted["warped_whole"])


def test_recorded_gradient(recorded):
    inputs, field, wanted, tolerance = recorded
    image = inputs["image"].clone().requires_grad_()
    (inputs["grad"] * flow.warp(image, field)).sum().backward()
    assert image.grad is not None
    np.testing.assert_allclose(image.grad, wanted["grad_image"], rtol=0, atol=tolerance)


def test_gradients_are_those_of_the_formula():
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    # Away from whole pixels, where a bilinear surface has an edge; some places are outside the frame.
    field = (torch.randint(-8, 9, (1, 2, 5, 6)) + 0.2 + 0.6 * torch.rand(1, 2, 5, 6)).double().requires_grad_()
    assert torch.autograd.gradcheck(flow.warp, (image, field))


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(st.integers(2, 9), st.integers(2, 9)), scale=st.floats(0, 20), seed=st.integers(0, 999))
def test_agrees_with_the_grid_sampler(size, scale, seed):
    torch.manual_seed(seed)
    height, width = size
    image = torch.rand(2, 3, height, width, dtype=torch.float64)
    field = scale * torch.randn(2, 2, height, width, dtype=torch.float64)
    x = (torch.arange(width) + field[:, 0]) * 2 / (width - 1) - 1
    y = (torch.arange(height)[:, None] + field[:, 1]) * 2 / (height - 1) - 1
    sampled = F.grid_sample(image, torch.stack([x, y], -1), padding_mode="border", align_corners=True)
    torch.testing.assert_close(flow.warp(image, field), sampled, atol=1e-9, rtol=0)


@given(dx=st.integers(-3, 3), dy=st.integers(-3, 3))
def test_fetches_from_where_the_field_points(dx, dy):
    image = torch.rand(1, 1, 8, 9)
    field = torch.tensor([dx, dy]).float().view(1, 2, 1, 1).expand(1, 2, 8, 9)
    rows = (torch.arange(8) + dy).clamp(0, 7)
    columns = (torch.arange(9) + dx).clamp(0, 8)
    assert torch.equal(flow.warp(image, field), image[:, :, rows][:, :, :, columns])


def test_far_outside_is_the_border_and_nan_stays_nan():
    image = torch.rand(1, 1, 4, 4)
    field = torch.zeros(1, 2, 4, 4)
    field[0, 0, 0, 0], field[0, 0, 1, 0], field[0, 1, 2, 0] = 1e20, -1e20, float("nan")
    warped = flow.warp(image, field)
    assert warped[0, 0, 0, 0] == image[0, 0, 0, 3] and warped[0, 0, 1, 0] == image[0, 0, 1, 0]
    assert warped.isnan().sum() == 1 and warped[0, 0, 2, 0].isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keeps_the_type(dtype):
    image = torch.rand(1, 3, 4, 5).to(dtype)
    warped = flow.warp(image, torch.zeros(1, 2, 4, 5))
    assert warped.dtype == dtype and torch.equal(warped, image)


def test_wide_frames_keep_their_precision():
    image = torch.arange(4000.0).expand(1, 1, 1, 4000)  # the value is the place
    field = torch.zeros(1, 2, 1, 4000)
    field[:, 0] = 0.25
    torch.testing.assert_close(flow.warp(image, field)[..., :-1], image[..., :-1] + 0.25, atol=0, rtol=0)


def test_errors():
    image, field = torch.rand(1, 3, 4, 5), torch.zeros(1, 2, 4, 5)
    with pytest.raises(ShapeError, match="field must be \\(1, 2, 4, 5\\) to fit the image, got \\(1, 2, 5, 4\\)"):
        flow.warp(image, field.transpose(2, 3))
    with pytest.raises(ShapeError, match="image must be \\(B, C, H, W\\)"):
        flow.warp(image[0], field)
    with pytest.raises(ShapeError, match="at least one pixel"):
        flow.warp(image[..., :0], field[..., :0])
    with pytest.raises(ShapeError, match=r"field must be a float tensor, got torch.int64"):
        flow.warp(image, field.long())
    with pytest.raises(ShapeError, match="image must be a torch tensor, got ndarray"):
        flow.warp(image.numpy(), field)  # pyright: ignore[reportArgumentType]
