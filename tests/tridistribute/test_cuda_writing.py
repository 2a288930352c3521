"""The CUDA kernels that write a LUT and their launch code, run on the CPU by cuda_on_cpu.h."""

import cuda_cases
import pytest
import torch

from tridistribute import cuda, reference
from trilinear import _cuda


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    cuda_cases.run_on_cpu(monkeypatch)
    with cuda_cases.poison():
        yield


def target_and_mask(source, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(source.shape, generator=generator) * 1.4 - 0.2, torch.rand(
        (source.shape[0], 1, *source.shape[2:]), generator=generator
    )


def check(source, target, mask, dim):
    wanted = reference.accumulate(source, target, mask, dim)
    # Weights are products of three rounded numbers; eight pixels are summed in float: worst measured 2e-7.
    torch.testing.assert_close(cuda.accumulate(source, target, mask, dim), wanted, atol=2e-6, rtol=1e-6)
    flow = torch.randn(wanted.shape)
    mine = cuda.accumulate_backward(flow, source, target, mask, True, True)
    theirs = reference.accumulate_backward(flow, source, target, mask, True, True)
    for actual, wanted in zip(mine, theirs, strict=True):
        torch.testing.assert_close(actual, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("dim", "batch", "height", "width"), cuda_cases.SHAPES)
def test_equals_definition(dim, batch, height, width):
    source = cuda_cases.hard_images(dim, batch, height, width)["random"]
    check(source, *target_and_mask(source), dim)


@pytest.mark.parametrize("dim", [2, 17, 33])
@pytest.mark.parametrize("name", cuda_cases.HARD)
def test_hard_images(name, dim):
    source = cuda_cases.hard_images(dim, 2, 17, 20)[name]
    check(source, *target_and_mask(source), dim)


@pytest.mark.parametrize("value", [0.0, 0.5, float("nan")])
def test_nothing_in_the_mask(value):
    source = torch.rand(2, 3, 9, 11)
    mask = torch.full((2, 1, 9, 11), value)
    assert not cuda.accumulate(source, source, mask, 5).any()
    grads = cuda.accumulate_backward(torch.randn(2, 4, 5, 5, 5), source, source, mask, True, True)
    assert not grads[0].any() and not grads[1].any()


def test_targets_outside_the_mask_do_not_matter():
    source = torch.rand(1, 3, 9, 9)
    target, mask = target_and_mask(source)
    broken = torch.where(mask > 0.5, target, float("nan"))
    torch.testing.assert_close(
        cuda.accumulate(source, broken, mask, 5), cuda.accumulate(source, target, mask, 5), rtol=0, atol=0
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_colors_that_are_not_finite_are_left_out(value):
    source, flow = torch.rand(1, 3, 8, 9), torch.randn(1, 4, 5, 5, 5)
    target, mask = target_and_mask(source)
    mask[0, 0, 3, 4] = 1
    broken, without = source.clone(), mask.clone()
    broken[0, 1, 3, 4], without[0, 0, 3, 4] = value, 0
    torch.testing.assert_close(
        cuda.accumulate(broken, target, mask, 5), cuda.accumulate(source, target, without, 5), rtol=0, atol=0
    )
    mine = cuda.accumulate_backward(flow, broken, target, mask, True, True)
    theirs = cuda.accumulate_backward(flow, source, target, without, True, True)
    torch.testing.assert_close(mine[0], theirs[0], rtol=0, atol=0)
    torch.testing.assert_close(mine[1], theirs[1], rtol=0, atol=0)


def test_one_color_needs_one_addition_per_warp_and_corner():
    """What keeps a flat foreground fast: the additions to memory do not grow with the pixels."""
    additions = cuda_cases.emulation("tridistribute")
    source = torch.full((1, 3, 64, 64), 0.3)
    additions.atomic_additions()
    volume = cuda.accumulate(source, source, torch.ones(1, 1, 64, 64), 33)
    warps = _cuda.grid_for_sums(64 * 64, 1, source)[0] * _cuda.BLOCK // 32
    assert additions.atomic_additions() <= 32 * warps < 64 * 64
    torch.testing.assert_close(volume.double()[0, 3].sum().item(), 4096.0, rtol=3e-7, atol=0)


def test_noise_at_a_corner_of_eight_cells_stays_in_the_warps():
    generator = torch.Generator().manual_seed(0)
    source = 8 * 1.000001 / 32 + 0.01 * (torch.rand((1, 3, 64, 64), generator=generator) - 0.5)
    additions = cuda_cases.emulation("tridistribute")
    additions.atomic_additions()
    cuda.accumulate(source, source, torch.ones(1, 1, 64, 64), 33)
    warps = _cuda.grid_for_sums(64 * 64, 1, source)[0] * _cuda.BLOCK // 32
    assert additions.atomic_additions() <= 8 * 32 * warps


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5)])
def test_empty_images(shape):
    source, mask = torch.rand(shape), torch.rand(shape)[:, :1]
    volume = cuda.accumulate(source, source, mask, 4)
    assert volume.shape == (shape[0], 4, 4, 4, 4) and not volume.any()
    grads = cuda.accumulate_backward(torch.rand(shape[0], 4, 4, 4, 4), source, source, mask, True, False)
    assert grads[0].shape == shape and grads[1].numel() == 0


def test_more_items_than_a_grid_holds(monkeypatch):
    monkeypatch.setattr(_cuda, "_MOST_BLOCKS", 2)
    source = torch.rand(5, 3, 9, 8)
    check(source, *target_and_mask(source), 5)
