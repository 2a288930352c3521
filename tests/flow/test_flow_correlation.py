"""The cost volume: recorded values, the plain definition, gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_cases import load_case
from torch.nn import functional as F

from co2net.errors import ShapeError
from co2net.flow import correlation
from co2net.flow.flownet2_blocks import channel_norm


def definition(first, second, reach, step):
    """The formula of the module, displacement by displacement."""
    height, width = first.shape[2:]
    padded = F.pad(second, (reach,) * 4)
    return torch.stack(
        [
            (first * padded[:, :, reach + dy : reach + dy + height, reach + dx : reach + dx + width]).mean(1)
            for dy in range(-reach, reach + 1, step)
            for dx in range(-reach, reach + 1, step)
        ],
        1,
    )


def test_recorded_values_of_flownet2():
    case = load_case("flownet2_ops")
    case.check("correlation", correlation(case.inputs["features1"], case.inputs["features2"], reach=20, step=2))
    case.check("channel_norm", channel_norm(case.inputs["features1"]))


def test_recorded_values_and_gradients_of_pwcnet():
    case = load_case("pwcnet_correlation")
    first, second = (case.inputs[name].requires_grad_() for name in ("first", "second"))
    volume = correlation(first, second, reach=case.settings["radius"])
    case.check("volume", volume.detach())
    (volume * case.inputs["weight"]).sum().backward()
    assert first.grad is not None and second.grad is not None
    case.check("grad_first", first.grad)
    case.check("grad_second", second.grad)


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 40)),
    window=st.tuples(st.integers(0, 4), st.integers(1, 3)),
    seed=st.integers(0, 999),
)
def test_agrees_with_the_definition(size, window, seed):
    torch.manual_seed(seed)
    steps, step = window
    first, second = torch.randn(2, *size, dtype=torch.float64)
    wanted = definition(first, second, steps * step, step)
    torch.testing.assert_close(correlation(first, second, steps * step, step), wanted, atol=1e-12, rtol=0)


def test_gradients_are_those_of_the_formula():
    first, second = torch.randn(2, 2, 3, 4, 18, dtype=torch.float64)
    first.requires_grad_(), second.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: correlation(a, b, reach=2, step=2), (first, second), fast_mode=True)


def test_finds_a_displacement():
    second = torch.randn(1, 64, 20, 33)
    first = second.roll((-1, 3), (2, 3))  # what is at x in first is at x + (dx, dy) = (-3, 1) in second
    best = correlation(first, second, reach=4)[:, :, 5:-5, 5:-5].argmax(1)
    assert (best == 9 * (1 + 4) + (-3 + 4)).all()


def test_channel_norm_has_a_gradient_at_zero():
    x = torch.zeros(1, 3, 2, 2, requires_grad=True)
    channel_norm(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("shapes", "window", "message"),
    [
        (((1, 3, 4, 5), (1, 3, 4, 6)), (4, 1), "one shape"),
        (((3, 4, 5), (3, 4, 5)), (4, 1), r"\(B, C, H, W\)"),
        (((1, 0, 4, 5), (1, 0, 4, 5)), (4, 1), "without a zero"),
        (((1, 3, 4, 5), (1, 3, 4, 5)), (5, 2), "multiple of step, got reach 5 and step 2"),
        (((1, 3, 4, 5), (1, 3, 4, 5)), (4, 0), "multiple of step"),
    ],
)
def test_errors(shapes, window, message):
    with pytest.raises(ShapeError, match=message):
        correlation(torch.zeros(shapes[0]), torch.zeros(shapes[1]), *window)
