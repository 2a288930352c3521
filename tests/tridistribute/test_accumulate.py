"""Writing a LUT: closed forms and properties, then the kernel against the definition, then what PyTorch may do."""

import lut_cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

import tridistribute
import trilinear
from tridistribute import cpp, ops, reference
from trilinear import _native


def pixels(batch, height, width, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed + 1)
    target = torch.rand((batch, 3, height, width), generator=generator) * 1.4 - 0.2
    mask = torch.rand((batch, 1, height, width), generator=generator)
    return lut_cases.colors(batch, height, width, seed).to(dtype), target.to(dtype), mask.to(dtype)


# ---- known values ----


def test_one_pixel_on_a_grid_point(backend):
    source = torch.tensor([0.0, 0.5000005, 0.0]).view(1, 3, 1, 1)
    target = torch.tensor([0.1, 2.0, -3.0]).view(1, 3, 1, 1)
    volume = tridistribute.accumulate(source, target, torch.ones(1, 1, 1, 1), dim=3)
    torch.testing.assert_close(volume[0, :, 0, 1, 0], torch.tensor([0.1, 2.0, -3.0, 1.0]), atol=1e-6, rtol=0)
    lut, count = tridistribute.normalize(volume)
    torch.testing.assert_close(lut[0, :, 0, 1, 0], target.flatten(), atol=1e-6, rtol=0)
    assert count[0, 0, 0, 1] == 0 and count[0, 1, 0, 0] == 0  # red and blue are exactly 0: their far corners stay empty


def test_mask_is_a_gate_and_one_half_is_out(backend):
    source = torch.rand(1, 3, 1, 4)
    mask = torch.tensor([0.5, 0.50001, float("nan"), 1.0]).view(1, 1, 1, 4)
    total = tridistribute.accumulate(source, source, mask, dim=4)[0, 3].sum()
    torch.testing.assert_close(total, torch.tensor(2.0))
    volumes = [tridistribute.accumulate(source, source, m, dim=4) for m in (mask > 0.5, mask.double(), mask)]
    torch.testing.assert_close(volumes[0], volumes[1], rtol=0, atol=0)
    torch.testing.assert_close(volumes[0], volumes[2], rtol=0, atol=0)


def test_weights_sum_to_the_pixels(backend):
    source, target, mask = pixels(2, 30, 40)
    _, count = tridistribute.build_lut(source, target, mask)
    wanted = (mask > 0.5).flatten(1).sum(1).float()
    torch.testing.assert_close(count.flatten(1).sum(1), wanted, rtol=1e-6, atol=0)


def test_targets_outside_the_mask_do_not_matter(backend):
    source, target, mask = pixels(1, 9, 9)
    wanted = tridistribute.accumulate(source, target, mask)
    target = torch.where(mask > 0.5, target, float("nan"))
    torch.testing.assert_close(tridistribute.accumulate(source, target, mask), wanted, rtol=0, atol=0)


def test_nothing_in_the_mask(backend):
    source, target, mask = pixels(2, 4, 5)
    lut, count = tridistribute.build_lut(source, target, mask * 0, dim=5)
    assert not lut.any() and not count.any()


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5)])
def test_empty_images(backend, shape):
    source = torch.rand(shape, requires_grad=True)
    volume = tridistribute.accumulate(source, torch.rand(shape), torch.rand(shape)[:, :1], dim=4)
    assert volume.shape == (shape[0], 4, 4, 4, 4) and not volume.any()
    volume.sum().backward()
    assert source.grad.shape == shape


def test_a_cell_with_millions_of_pixels_still_counts(backend):
    source = torch.full((1, 3, 1000, 1200), 0.3)
    volume = tridistribute.accumulate(source, source, torch.ones(1, 1, 1000, 1200), dim=3).double()
    torch.testing.assert_close(volume[0, 3].sum().item(), 1.2e6, rtol=3e-7, atol=0)
    torch.testing.assert_close(volume[0, 0].sum().item(), 1.2e6 * source[0, 0, 0, 0].item(), rtol=3e-7, atol=0)


def test_normalize_shares_no_memory():
    volume = torch.rand(1, 4, 3, 3, 3)
    lut, count = tridistribute.normalize(volume)
    before = lut.clone(), count.clone()
    volume.zero_()
    torch.testing.assert_close(lut, before[0], rtol=0, atol=0)
    torch.testing.assert_close(count, before[1], rtol=0, atol=0)


# ---- properties ----


@settings(max_examples=25, deadline=None)
@given(dim=st.integers(2, 20), seed=st.integers(0, 2**31), cut=st.integers(0, 11))
def test_volumes_add_up_and_order_does_not_matter(dim, seed, cut):
    source, target, mask = pixels(2, 6, 11, seed)
    whole = tridistribute.accumulate(source, target, mask, dim)
    halves = [tridistribute.accumulate(*(x[..., side] for x in (source, target, mask)), dim)
              for side in (slice(None, cut), slice(cut, None))]  # fmt: skip
    torch.testing.assert_close(halves[0] + halves[1], whole, atol=1e-5, rtol=1e-5)
    order = torch.randperm(66, generator=torch.Generator().manual_seed(seed))
    shuffled = tridistribute.accumulate(
        *(x.flatten(2)[..., order].unflatten(2, (6, 11)) for x in (source, target, mask)), dim
    )
    torch.testing.assert_close(shuffled, whole, atol=1e-6, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(dim=st.integers(2, 20), seed=st.integers(0, 2**31))
def test_reading_and_writing_are_transposes(dim, seed):
    source, target, mask = pixels(1, 6, 11, seed)
    lut = torch.rand((1, 3, dim, dim, dim), generator=torch.Generator().manual_seed(seed))
    read = (target * trilinear.apply_lut(lut, source) * (mask > 0.5)).double().sum()
    written = (lut * tridistribute.accumulate(source, target, mask, dim)[:, :3]).double().sum()
    torch.testing.assert_close(read, written, rtol=1e-5, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(dim=st.integers(2, 20), seed=st.integers(0, 2**31))
def test_a_constant_change_of_color_comes_back(dim, seed):
    source, _, mask = pixels(1, 6, 11, seed)
    target = torch.tensor([0.2, -0.5, 1.7]).view(1, 3, 1, 1).expand_as(source)
    lut, count = tridistribute.build_lut(source, target, mask, dim)
    inside = (mask > 0.5).expand_as(source)
    torch.testing.assert_close(trilinear.apply_lut(lut, source, count)[inside], target[inside], atol=2e-6, rtol=0)
    assert not trilinear.unseen_map(count, source)[mask > 0.5].any()


# ---- gradients ----


def test_gradcheck():
    source = torch.rand(2, 3, 3, 4, dtype=torch.float64).mul(0.8).add(0.1)
    source = torch.where((source * 3 - (source * 3).round()).abs() < 1e-3, source + 0.01, source)  # off the borders
    _, target, mask = pixels(2, 3, 4, dtype=torch.float64)
    inputs = (source.requires_grad_(), target.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, y: tridistribute.accumulate(x, y, mask, 4), inputs)
    assert torch.autograd.gradcheck(lambda x, y: tridistribute.build_lut(x, y, mask, 4)[0], inputs)


def test_written_gradient_is_that_of_the_definition():
    source, target, mask = pixels(2, 6, 7, dtype=torch.float64)
    inputs = (source.requires_grad_(), target.requires_grad_())
    flow = torch.randn(2, 4, 5, 5, 5, dtype=torch.float64)
    wanted = torch.autograd.grad(reference.accumulate(*inputs, mask, 5), inputs, flow)
    actual = torch.autograd.grad(tridistribute.accumulate(*inputs, mask, 5), inputs, flow)
    for mine, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


# ---- kernel against definition ----


@pytest.mark.parametrize(("dim", "batch", "height", "width"), lut_cases.SHAPES)
def test_kernel_equals_definition(dim, batch, height, width):
    lut_cases.needs_kernel()
    given_pixels = pixels(batch, height, width)
    actual, wanted = cpp.accumulate(*given_pixels, dim), reference.accumulate(*given_pixels, dim)
    # Each weight is a product of three rounded numbers; the sums themselves are exact enough in both.
    torch.testing.assert_close(actual, wanted, atol=2e-6, rtol=1e-6)
    flow = torch.randn(batch, 4, dim, dim, dim)
    for mine, theirs in zip(cpp.accumulate_backward(flow, *given_pixels, True, True),
                            reference.accumulate_backward(flow, *given_pixels, True, True), strict=True):  # fmt: skip
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_instruction_sets_and_threads_agree_to_the_bit():
    lut_cases.needs_kernel()
    kernel, threads = _native.library("tridistribute"), torch.get_num_threads()
    given_pixels, flow = pixels(1, 800, 900), torch.randn(1, 4, 33, 33, 33)  # large enough to be summed in parts
    results = []
    try:
        for newest, workers in ((2, 1), (1, 2), (0, 3)):
            kernel.co2net_limit_instructions(newest)
            torch.set_num_threads(workers)
            gradients = cpp.accumulate_backward(flow, *given_pixels, True, True)
            results.append((cpp.accumulate(*given_pixels, 33), *gradients))
    finally:
        kernel.co2net_limit_instructions(2)
        torch.set_num_threads(threads)
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=0, atol=0)


def test_batch_items_are_summed_alone(backend):
    given_pixels = pixels(5, 70, 80)
    together = tridistribute.accumulate(*given_pixels, 9)
    for item in range(5):
        alone = tridistribute.accumulate(*(x[item : item + 1] for x in given_pixels), 9)
        torch.testing.assert_close(together[item : item + 1], alone, rtol=0, atol=0)


# ---- operators and arguments ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(dtype):
    source, target, mask = pixels(2, 4, 5, dtype=dtype)
    flow = torch.rand(2, 4, 4, 4, 4, dtype=dtype)
    torch.library.opcheck(ops.accumulate_backward, (flow, source, target, mask, False, True))
    torch.library.opcheck(ops.accumulate, (source.requires_grad_(), target.requires_grad_(), mask, 4))


def test_compile_and_export():
    source, target, mask = pixels(2, 4, 5)
    inputs = (source.clamp(0.1, 0.9).requires_grad_(), target.requires_grad_())
    compiled = torch.compile(tridistribute.build_lut, fullgraph=True, backend="aot_eager")
    flow = torch.rand(2, 3, 4, 4, 4)
    wanted = torch.autograd.grad(tridistribute.build_lut(*inputs, mask, 4)[0], inputs, flow)
    actual = torch.autograd.grad(compiled(*inputs, mask, 4)[0], inputs, flow)
    for mine, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)

    class Build(torch.nn.Module):
        def forward(self, source, target, mask):
            return tridistribute.build_lut(source, target, mask, 4)

    program = torch.export.export(Build(), (source.detach(), target.detach(), mask))
    torch.testing.assert_close(
        program.module()(source, target, mask)[1], tridistribute.build_lut(source, target, mask, 4)[1], rtol=0, atol=0
    )


def test_fake_tensors():
    with FakeTensorMode():
        lut, count = tridistribute.build_lut(*pixels(2, 4, 5))
        assert lut.shape == (2, 3, 33, 33, 33) and count.shape == (2, 33, 33, 33)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": torch.rand(3, 4, 5)}, r"source must be \(B, 3, H, W\)"),
        ({"source": torch.zeros(2, 3, 4, 5, dtype=torch.uint8)}, "divide by 255"),
        ({"target": torch.rand(2, 3, 4, 6)}, "they must be alike"),
        ({"target": torch.rand(2, 3, 4, 5).double()}, "convert one of them"),
        ({"target": torch.rand(2, 3, 4, 5, device="meta")}, "move one of them"),
        ({"mask": torch.rand(2, 3, 4, 5)}, r"mask must be \(2, 1, 4, 5\)"),
        ({"mask": torch.ones(2, 1, 4, 5, dtype=torch.uint8)}, "divide by 255"),
        ({"dim": 1}, "at least 2"),
        ({"dim": 33.0}, "dim must be an integer"),
    ],
)
def test_wrong_arguments(change, words):
    source, target, mask = pixels(2, 4, 5)
    with pytest.raises(ValueError, match=words):
        tridistribute.accumulate(**({"source": source, "target": target, "mask": mask} | change))


@pytest.mark.parametrize("wrong", [torch.rand(1, 3, 4, 4, 4), torch.rand(4, 4, 4, 4), torch.ones(1, 4, 4, 4, 4).int()])
def test_wrong_volumes(wrong):
    with pytest.raises(ValueError, match="volume must be"):
        tridistribute.normalize(wrong)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_source_must_be_finite(backend, value):
    source, target, mask = pixels(1, 4, 5)
    source[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match="source holds NaN or infinity"):
        tridistribute.build_lut(source, target, mask)


def test_backend_names_what_runs():
    assert tridistribute.backend(torch.rand(1, dtype=torch.float64)) == "torch"
    lut_cases.needs_kernel()
    assert tridistribute.backend(torch.rand(1)) == "cpp"
