"""Forward splatting: recorded values, and what it must keep."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_cases import load_case

from co2net.errors import InputError, ShapeError
from co2net.flow import splat, splat_metric, warp_variant


def test_recorded_values():
    case = load_case("pwcnet_softsplat")
    image, metric = case.inputs["image"], case.inputs["metric"]
    field = case.settings["flow_scale"] * case.inputs["flow"]
    case.check("summation", splat(image, field, kind="summation"))
    case.check("average", splat(image, field, kind="average"))
    case.check("linear", splat(image, field, case.settings["linear_metric_offset"] + metric.abs(), "linear"))
    case.check("softmax", splat(image, field, metric))
    case.check("warped", splat(image, field, splat_metric(image, case.inputs["target"], field)))


@settings(max_examples=20, deadline=None)
@given(size=st.tuples(st.integers(1, 7), st.integers(1, 7)), seed=st.integers(0, 999))
def test_is_the_transpose_of_the_backward_warp(size, seed):
    torch.manual_seed(seed)
    source, other = torch.randn(2, 2, 3, *size, dtype=torch.float64)
    field = 3 * torch.randn(2, 2, *size, dtype=torch.float64)
    sent = (splat(source, field, kind="summation") * other).sum()
    fetched = (source * warp_variant(other, field, "splat_metric")).sum()
    torch.testing.assert_close(sent, fetched, atol=1e-9, rtol=0)


def test_the_larger_metric_wins_where_pixels_meet():
    source, field = torch.tensor([[[[1.0, 0.0]]]]), torch.zeros(1, 2, 1, 2)
    field[0, 0, 0, 0] = 1  # both end in the second column
    metric = torch.tensor([[[[9.0, -9.0]]]])
    out = splat(source, field, metric)
    torch.testing.assert_close(out[0, 0, 0], torch.tensor([0.0, 1.0]), atol=1e-4, rtol=0)


def test_gradients():
    source, metric = torch.rand(1, 2, 4, 5, dtype=torch.float64), torch.rand(1, 1, 4, 5, dtype=torch.float64)
    field = (torch.randint(-2, 3, (1, 2, 4, 5)) + 0.4).double()
    inputs = [value.requires_grad_() for value in (source, field, metric)]
    assert torch.autograd.gradcheck(splat, inputs, fast_mode=True)


def test_errors():
    source, field = torch.rand(1, 3, 4, 5), torch.zeros(1, 2, 4, 5)
    with pytest.raises(InputError, match="'softmax' takes a metric"):
        splat(source, field)
    with pytest.raises(InputError, match="'average' takes no metric"):
        splat(source, field, source[:, :1], "average")
    with pytest.raises(InputError, match="there is no splatting 'mean'"):
        splat(source, field, None, "mean")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match=r"metric must be \(1, 1, 4, 5\)"):
        splat(source, field, source)
    with pytest.raises(ShapeError, match="field must be"):
        splat(source, field[:, :1], source[:, :1])
