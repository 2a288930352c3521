"""The CUDA kernels that read a LUT and their launch code, run on the CPU by cuda_on_cpu.h."""

import cuda_cases
import pytest
import torch

from trilinear import _cuda, cuda, reference


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    cuda_cases.run_on_cpu(monkeypatch)
    with cuda_cases.poison():
        yield


def random_lut(dim, batch, filled, seed=1):
    generator = torch.Generator().manual_seed(seed)
    lut = torch.rand((batch, 3, dim, dim, dim), generator=generator)
    return lut, None if filled is None else (torch.rand((batch, dim, dim, dim), generator=generator) < filled).float()


def check(lut, image, count, flow):
    # Eight rounded products and a quotient, for LUTs in [0, 1]: worst measured 3e-7.
    wanted = reference.apply_lut(lut, image, count)
    torch.testing.assert_close(cuda.apply_lut(lut, image, count), wanted, atol=1e-6, rtol=0)
    grad_lut, grad_image = cuda.apply_lut_backward(flow, lut, image, count, True, True)
    wanted_lut, wanted_image = reference.apply_lut_backward(flow, lut, image, count, True, True)
    # Float products, eight of which are summed in float and the rest in double: worst measured 2e-7 of the largest.
    atol = 2e-6 * max(1.0, wanted_lut.abs().max().item())
    torch.testing.assert_close(grad_lut, wanted_lut, atol=atol, rtol=0)
    torch.testing.assert_close(grad_image, wanted_image, atol=1e-5, rtol=1e-5)
    if count is not None:
        for all_empty in (False, True):
            torch.testing.assert_close(
                cuda.unseen_map(count, image, all_empty), reference.unseen_map(count, image, all_empty), rtol=0, atol=0
            )


@pytest.mark.parametrize("filled", [None, 0.5, 0.02, 0.0])
@pytest.mark.parametrize(("dim", "batch", "height", "width"), cuda_cases.SHAPES)
def test_equals_definition(dim, batch, height, width, filled):
    image = cuda_cases.hard_images(dim, batch, height, width)["random"]
    check(*random_lut(dim, batch, filled)[:1], image, random_lut(dim, batch, filled)[1], torch.randn(image.shape))


@pytest.mark.parametrize("dim", [2, 17, 33])
@pytest.mark.parametrize("name", cuda_cases.HARD)
def test_hard_images(name, dim):
    image = cuda_cases.hard_images(dim, 2, 17, 20)[name]
    lut, count = random_lut(dim, 2, 0.7)
    check(lut, image, None, torch.randn(image.shape))
    # Where a border runs through a LUT with holes, colors within rounding of it see one hole or another.
    if name != "cell borders":
        check(lut, image, count, torch.randn(image.shape))


@pytest.mark.parametrize("dim", [22, 33, 66])  # a rounded position lies past a border at 22, before one at 66
def test_cells_on_both_sides_of_a_border_agree(dim):
    image = cuda_cases.hard_images(dim, 1, 30, 30)["cell borders"]
    lut, count = random_lut(dim, 1, 0.5)
    output, wanted = cuda.apply_lut(lut, image, count), reference.apply_lut(lut, image, count)
    torch.testing.assert_close(output, wanted, atol=1e-6, rtol=0)


def test_only_the_asked_gradients():
    lut, count = random_lut(9, 1, 0.7)
    image, flow = torch.rand(1, 3, 6, 7), torch.randn(1, 3, 6, 7)
    both = cuda.apply_lut_backward(flow, lut, image, count, True, True)
    only_lut, nothing = cuda.apply_lut_backward(flow, lut, image, count, True, False)
    assert torch.equal(only_lut, both[0]) and nothing.numel() == 0
    nothing, only_image = cuda.apply_lut_backward(flow, lut, image, count, False, True)
    assert torch.equal(only_image, both[1]) and nothing.numel() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_color_that_is_not_finite_gives_nan_there_and_only_there(value):
    lut, count = random_lut(9, 2, 1.0)
    image, flow = torch.rand(2, 3, 4, 6), torch.randn(2, 3, 4, 6)
    broken = image.clone()
    broken[1, 2, 3, 1] = value
    where = torch.zeros(2, 1, 4, 6, dtype=torch.bool)
    where[1, 0, 3, 1] = True
    output, wanted = cuda.apply_lut(lut, broken, count), cuda.apply_lut(lut, image, count)
    assert output[where.expand_as(output)].isnan().all()
    torch.testing.assert_close(output[~where.expand_as(output)], wanted[~where.expand_as(output)], rtol=0, atol=0)
    unseen = cuda.unseen_map(count, broken)
    assert unseen[where].isnan().all() and not unseen[~where].any()
    grad_lut, grad_image = cuda.apply_lut_backward(flow, lut, broken, count, True, True)
    wanted_lut, _ = cuda.apply_lut_backward(flow * ~where, lut, image, count, True, True)
    torch.testing.assert_close(grad_lut, wanted_lut, rtol=0, atol=0)
    assert not grad_image[where.expand_as(image)].any()


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5), (1, 3, 4, 0)])
def test_empty_images(shape):
    lut, count = random_lut(3, shape[0], 0.5)
    image = torch.rand(shape)
    assert cuda.apply_lut(lut, image, count).shape == shape
    assert cuda.unseen_map(count, image).shape == (shape[0], 1, *shape[2:])
    grad_lut, grad_image = cuda.apply_lut_backward(image, lut, image, count, True, True)
    assert grad_image.shape == shape and grad_lut.shape == lut.shape and not grad_lut.any()


def test_four_at_a_time_only_where_aligned(monkeypatch):
    launched = []
    launch = _cuda.launch
    monkeypatch.setattr(_cuda, "launch", lambda *arguments: launched.append(arguments[1]) or launch(*arguments))
    lut, count = random_lut(5, 1, 0.7)
    memory = torch.rand(3 * 24 + 1)
    for start, wanted in ((0, ["apply_lut_by_four", "unseen_map_by_four"]), (1, ["apply_lut", "unseen_map"])):
        image = memory[start : start + 72].view(1, 3, 4, 6)
        launched.clear()
        result = cuda.apply_lut(lut, image, count), cuda.unseen_map(count, image)
        assert [name for name in launched if name not in ("pack_cells", "filled_corners")] == wanted
        torch.testing.assert_close(result[0], reference.apply_lut(lut, image, count), atol=1e-6, rtol=0)
        torch.testing.assert_close(result[1], reference.unseen_map(count, image), rtol=0, atol=0)


def test_inputs_in_any_layout():
    lut, count = random_lut(5, 2, 0.7)
    image = torch.rand(2, 3, 4, 6)
    striped = image.to(memory_format=torch.channels_last), count.transpose(1, 3).contiguous().transpose(1, 3)
    torch.testing.assert_close(cuda.apply_lut(lut, *striped), cuda.apply_lut(lut, image, count), rtol=0, atol=0)


def test_more_items_than_a_grid_holds(monkeypatch):
    monkeypatch.setattr(_cuda, "_MOST_BLOCKS", 2)
    lut, count = random_lut(3, 5, 0.7)
    image = torch.rand(5, 3, 4, 5)
    check(lut, image, count, torch.randn(image.shape))
