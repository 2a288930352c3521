"""Reading a LUT: the definition against closed forms, then the kernel against the definition."""

import lut_cases
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import trilinear
from trilinear import _native, cpp, reference


def random_lut(dim, batch, filled, seed=1):
    generator = torch.Generator().manual_seed(seed)
    lut = torch.rand((batch, 3, dim, dim, dim), generator=generator)
    if filled is None:
        return lut, None
    return lut, (torch.rand((batch, dim, dim, dim), generator=generator) < filled).float()


# ---- known values ----


@pytest.mark.parametrize("dim", [2, 3, 17, 33, 64])
def test_identity_lut_returns_the_image(backend, dim):
    image = lut_cases.colors(2, 9, 11)
    output = trilinear.apply_lut(lut_cases.identity(dim, 2), image)
    torch.testing.assert_close(output, image.clamp(0, 1) / 1.000001, atol=3e-7, rtol=0)


def test_equals_grid_sample_within_the_longer_axis(backend):
    lut, _ = random_lut(9, 2, None)
    image = torch.rand(2, 3, 8, 10)
    grid = (image / 1.000001 * 2 - 1).permute(0, 2, 3, 1)[:, None]
    wanted = F.grid_sample(lut, grid, align_corners=True)[:, :, 0]
    torch.testing.assert_close(trilinear.apply_lut(lut, image), wanted, atol=2e-6, rtol=0)


def test_axes_are_blue_green_red(backend):
    lut = torch.zeros(1, 3, 3, 3, 3)
    lut[0, 1, 2, 1, 0] = 1.0  # green output at b = 2, g = 1, r = 0
    image = torch.tensor([0.0, 0.5000005, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(trilinear.apply_lut(lut, image).flatten(), torch.tensor([0, 1.0, 0]), atol=3e-6, rtol=0)


def test_every_filled_cell_equals_no_count(backend):
    lut, _ = random_lut(9, 1, None)
    image = lut_cases.colors(1, 20, 20)
    counted = trilinear.apply_lut(lut, image, torch.full((1, 9, 9, 9), 7, dtype=torch.int64))
    torch.testing.assert_close(counted, trilinear.apply_lut(lut, image), atol=3e-7, rtol=0)


def test_all_empty(backend):
    lut, count = random_lut(5, 1, 0.0)
    image = lut_cases.colors(1, 6, 7)
    assert not trilinear.apply_lut(lut, image, count).any()
    assert trilinear.unseen_map(count, image).all() and trilinear.unseen_map(count, image, "all_empty").all()


def test_filled_corner_without_weight_is_unseen_but_not_all_empty(backend):
    count = torch.zeros(1, 3, 3, 3)
    count[0, 0, 0, 1] = 5
    black = torch.zeros(1, 3, 1, 1)
    assert trilinear.unseen_map(count, black).item() == 1
    assert trilinear.unseen_map(count, black, "all_empty").item() == 0
    assert not trilinear.apply_lut(torch.ones(1, 3, 3, 3, 3), black, count).any()


def test_weights_too_small_for_the_dtype_are_no_information(backend):
    count = torch.zeros(1, 3, 3, 3)
    count[0, 1, 1, 1] = 1
    image = torch.full((1, 3, 1, 2), 1e-13)
    image[..., 1] = 1e-12  # cubed and scaled: 8e-39 and 8e-36; the smallest normal number is 1.2e-38
    assert trilinear.unseen_map(count, image).flatten().tolist() == [1, 0]
    output = trilinear.apply_lut(torch.full((1, 3, 3, 3, 3), 0.7), image, count)
    torch.testing.assert_close(output[0, 0, 0], torch.tensor([0, 0.7]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5), (1, 3, 4, 0)])
def test_empty_images(backend, shape):
    lut, count = random_lut(3, shape[0], 0.5)
    image = torch.rand(shape, requires_grad=True)
    output = trilinear.apply_lut(lut.requires_grad_(), image, count)
    assert output.shape == shape and trilinear.unseen_map(count, image).shape == (shape[0], 1, *shape[2:])
    output.sum().backward()
    assert image.grad.shape == shape and not lut.grad.any()


def test_layouts_do_not_matter(backend):
    lut, count = random_lut(5, 2, 0.6)
    image = torch.rand(2, 3, 6, 8)
    wanted = trilinear.apply_lut(lut, image, count)
    strided = torch.empty(2, 5, 12, 8)[:, 1:4, ::2].copy_(image)
    turned = lut.permute(0, 4, 3, 2, 1).contiguous().permute(0, 4, 3, 2, 1)
    for other in (strided, image.contiguous(memory_format=torch.channels_last)):
        output = trilinear.apply_lut(turned, other, count.transpose(1, 3).contiguous().transpose(1, 3))
        assert output.is_contiguous() and torch.equal(output, wanted)
    assert torch.equal(
        trilinear.apply_lut(lut[:1].expand(2, -1, -1, -1, -1), image)[:1], trilinear.apply_lut(lut, image)[:1]
    )


# ---- gradients ----


@pytest.mark.parametrize("filled", [None, 0.6])
def test_gradcheck(filled):
    lut, count = random_lut(4, 2, filled)
    image = torch.rand(2, 3, 3, 4, dtype=torch.float64).mul(0.8).add(0.1)
    image = torch.where((image * 3 - (image * 3).round()).abs() < 1e-3, image + 0.01, image)  # off the cell borders
    inputs = (lut.double().requires_grad_(), image.requires_grad_())
    assert torch.autograd.gradcheck(lambda lut, image: trilinear.apply_lut(lut, image, count), inputs)


@pytest.mark.parametrize("filled", [None, 0.5])
def test_written_gradient_is_that_of_the_definition(filled):
    lut, count = random_lut(5, 2, filled)
    image = lut_cases.colors(2, 8, 9).double()
    image[image == image[image > 0].min()] = 0.3  # at 1e-30 the automatic gradient of a quotient has no digits left
    inputs = (lut.double().requires_grad_(), image.requires_grad_())
    flow = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    wanted = torch.autograd.grad(reference.apply_lut(*inputs, count), inputs, flow)
    actual = torch.autograd.grad(trilinear.apply_lut(*inputs, count), inputs, flow)
    for mine, theirs in zip(actual, wanted, strict=True):
        # At a value of 1 the automatic gradient cancels terms of 1 / S, up to 1e8 here.
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-7)


def test_no_gradient_along_an_axis_with_one_side_empty(backend):
    lut, _ = random_lut(3, 1, None)
    count = torch.zeros(1, 3, 3, 3)
    count[..., 1] = 1  # the far side of the first cell along red, where this color has weight 2e-12
    image = torch.tensor([1e-12, 0.3, 1.0]).view(1, 3, 1, 1).requires_grad_()
    trilinear.apply_lut(lut, image, count).sum().backward()
    assert image.grad[0, 0] == 0 and image.grad[0, 1:].abs().max() < 10


def test_clamped_colors_have_no_gradient(backend):
    image = torch.tensor([-0.1, 0.0, 1.0, 1.1]).view(1, 1, 2, 2).repeat(1, 3, 1, 1).requires_grad_()
    trilinear.apply_lut(lut_cases.identity(5), image).sum().backward()
    wanted = torch.tensor([0, 1, 1, 0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(image.grad, wanted.float(), atol=1e-5, rtol=0)


def test_only_the_asked_gradients(backend):
    lut, count = random_lut(5, 1, 0.6)
    image = torch.rand(1, 3, 4, 4)
    for needed in (lut, image):
        needed.requires_grad_()
        trilinear.apply_lut(lut, image, count).sum().backward()
        assert needed.grad is not None
        needed.requires_grad_(False)


# ---- kernel against definition ----


@pytest.mark.parametrize("filled", [None, 0.5, 0.02])
@pytest.mark.parametrize(("dim", "batch", "height", "width"), lut_cases.SHAPES)
def test_kernel_equals_definition(dim, batch, height, width, filled):
    lut_cases.needs_kernel()
    lut, count = random_lut(dim, batch, filled)
    image = lut_cases.colors(batch, height, width)
    # The worst of eight rounded products and a quotient, for LUTs in [0, 1]: measured 4e-7.
    torch.testing.assert_close(
        cpp.apply_lut(lut, image, count), reference.apply_lut(lut, image, count), atol=1e-6, rtol=0
    )
    flow = torch.randn(batch, 3, height, width)
    actual = cpp.apply_lut_backward(flow, lut, image, count, True, True)
    wanted = reference.apply_lut_backward(flow, lut, image, count, True, True)
    torch.testing.assert_close(actual[0], wanted[0], atol=1e-6, rtol=2e-6)  # float products, sums in float64
    torch.testing.assert_close(actual[1], wanted[1], atol=1e-5, rtol=1e-5)
    if count is not None:
        for all_empty in (False, True):
            torch.testing.assert_close(
                cpp.unseen_map(count, image, all_empty), reference.unseen_map(count, image, all_empty), rtol=0, atol=0
            )


def test_instruction_sets_and_threads_agree_to_the_bit():
    lut_cases.needs_kernel()
    kernel, threads = _native.library("trilinear"), torch.get_num_threads()
    lut, count = random_lut(33, 1, 0.5)
    image, flow = lut_cases.colors(1, 600, 900), torch.randn(1, 3, 600, 900)
    results = []
    try:
        for newest, workers in ((2, 1), (1, 2), (0, 3)):
            kernel.co2net_limit_instructions(newest)
            torch.set_num_threads(workers)
            gradients = cpp.apply_lut_backward(flow, lut, image, count, True, True)
            results.append((cpp.apply_lut(lut, image, count), cpp.unseen_map(count, image), *gradients))
    finally:
        kernel.co2net_limit_instructions(2)
        torch.set_num_threads(threads)
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(dim=st.integers(2, 20), seed=st.integers(0, 2**31), filled=st.sampled_from([0.05, 0.5, 0.95]))
def test_output_stays_between_the_luts_values(dim, seed, filled):
    lut, count = random_lut(dim, 1, filled, seed)
    image = lut_cases.colors(1, 7, 9, seed)
    output, unseen = trilinear.apply_lut(lut, image, count), trilinear.unseen_map(count, image)
    assert output.min() >= 0 and output.max() <= lut.max() * (1 + 1e-6)
    assert not output[unseen.expand_as(output) == 1].any()
    assert (unseen >= trilinear.unseen_map(count, image, "all_empty")).all()
