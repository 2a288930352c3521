"""There and back again: which pixels of one frame are found in the other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from co2net.errors import ShapeError
from co2net.flow import consistency_mask, create_flow, occlusion_mask, round_trip_error, warp


def shift(dx, dy, height=8, width=10):
    return torch.tensor([dx, dy]).float().view(1, 2, 1, 1).repeat(1, 1, height, width)


@settings(deadline=None)
@given(dx=st.integers(-12, 12), dy=st.integers(-12, 12))
def test_a_shift_comes_back_and_hides_what_leaves(dx, dy):
    forward, backward = shift(dx, dy), shift(-dx, -dy)
    assert (round_trip_error(forward, backward) == 0).all()
    assert (consistency_mask(forward, backward) == 1).all()
    x, y = torch.arange(10) + dx, torch.arange(8)[:, None] + dy
    leaves = (x < 0) | (x > 9) | (y < 0) | (y > 7)
    assert torch.equal(occlusion_mask(forward, backward)[0, 0] == 1, leaves)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    relative=st.floats(0, 0.5),
    absolute=st.floats(0.01, 5),
    seed=st.integers(0, 999),
)
def test_the_rule(size, relative, absolute, seed):
    torch.manual_seed(seed)
    batch, height, width = size
    forward, backward = 2 * torch.randn(2, batch, 2, height, width, dtype=torch.float64)
    back = warp(backward, forward)
    error = torch.linalg.vector_norm(forward + back, dim=1) ** 2
    allowed = relative * (forward.norm(dim=1) ** 2 + back.norm(dim=1) ** 2) + absolute
    mask = consistency_mask(forward, backward, relative=relative, absolute=absolute)
    assert torch.equal(mask[:, 0] == 1, error < allowed)
    torch.testing.assert_close(round_trip_error(forward, backward)[:, 0].square(), error)
    occluded = occlusion_mask(forward, backward, relative=relative, absolute=absolute)
    assert ((occluded == 1) | (mask == 1)).all()  # what does not come back is occluded


def test_published_numbers_of_the_rule():
    forward = shift(10, 0)
    # 1.6² = 2.56 is less than 0.01 (10² + 11.6²) + 0.5 = 2.85, but 1.7² = 2.89 is more than 2.87.
    assert (consistency_mask(forward, shift(-11.6, 0)) == 1).all()
    assert (consistency_mask(forward, shift(-11.7, 0)) == 0).all()
    assert (consistency_mask(shift(0, 0), shift(0.7, 0)) == 1).all()
    assert (consistency_mask(shift(0, 0), shift(0.72, 0)) == 0).all()


def test_a_square_that_moves_covers_and_uncovers():
    """A square moves 6 pixels to the right: in frame 1 exactly the ground it will stand on is hidden in frame 2."""
    forward, backward, hidden = torch.zeros(1, 2, 20, 40), torch.zeros(1, 2, 20, 40), torch.zeros(1, 1, 20, 40)
    forward[:, 0, 5:15, 10:20], backward[:, 0, 5:15, 16:26] = 6, -6
    hidden[..., 5:15, 20:26] = 1
    assert torch.equal(occlusion_mask(forward, backward), hidden)
    uncovered = torch.zeros(1, 1, 20, 40)
    uncovered[..., 5:15, 10:16] = 1
    assert torch.equal(occlusion_mask(backward, forward), uncovered)


def test_noise_at_the_border_is_no_occlusion():
    assert (occlusion_mask(shift(-0.01, 0.01), shift(0.01, -0.01)) == 0).all()


def test_with_an_estimated_field():
    frame1 = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 16), (96, 128), mode="bicubic").clamp(0, 1)
    frame2 = frame1.roll(5, 3)
    estimate = create_flow("dis")
    occluded = occlusion_mask(estimate(frame1, frame2), estimate(frame2, frame1))
    assert occluded[..., 16:-16, 16:-16].mean() < 0.05 and occluded[..., -4:].mean() > 0.9


def test_not_finite_is_occluded_and_masks_have_no_gradient():
    forward, backward = shift(0, 0).requires_grad_(), shift(0, 0)
    backward[0, 0, 0, 0] = float("nan")  # read by the corner alone: bilinear takes the next pixels, too
    mask = consistency_mask(forward, backward)
    assert mask[0, 0, 0, 0] == 0 and mask.sum() == 79 and not mask.requires_grad
    assert occlusion_mask(forward, backward).sum() == 1
    assert round_trip_error(forward, backward).isnan().sum() == 1


def test_gradient_of_the_error():
    # Away from zero error and from whole pixels, where the derivative jumps.
    forward = (torch.randint(1, 4, (1, 2, 4, 5)) + 0.4).double().requires_grad_()
    backward = (1 + torch.rand(1, 2, 4, 5)).double().requires_grad_()
    assert torch.autograd.gradcheck(round_trip_error, (forward, backward), fast_mode=True)


@pytest.mark.parametrize("function", [round_trip_error, consistency_mask, occlusion_mask])
def test_errors(function):
    with pytest.raises(ShapeError, match="forward must be a float field"):
        function(torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5))
    with pytest.raises(ShapeError, match="backward must be a float field"):
        function(torch.zeros(1, 2, 4, 5), torch.zeros(1, 2, 4, 5).long())
    with pytest.raises(ShapeError, match="must have one shape and device"):
        function(torch.zeros(1, 2, 4, 5), torch.zeros(2, 2, 4, 5))
