"""The CUDA kernels of both packages on a real GPU: against the definition, and what PyTorch may do with them.

Skipped without a GPU; with CO2NET_EXPECT_CUDA=1 (`make gpu-check`) that is a failure.
"""

import cuda_cases
import pytest
import torch

import tridistribute
import trilinear
from tridistribute import ops as writing
from tridistribute import reference as tridistribute_reference
from trilinear import _cuda, ops, reference

pytestmark = pytest.mark.needs_cuda
SHAPES = [(2, 1, 1, 1), (3, 2, 5, 7), (16, 3, 33, 65), (33, 2, 40, 129), (33, 5, 130, 300)]


@pytest.fixture(autouse=True)
def kernels_are_there():
    image = torch.rand(1, 3, 2, 2, device="cuda")
    assert trilinear.backend(image) == tridistribute.backend(image) == "cuda", "the warning says why"


def random_lut(dim, batch, filled, seed=1):
    generator = torch.Generator().manual_seed(seed)
    lut = torch.rand((batch, 3, dim, dim, dim), generator=generator)
    count = (
        None if filled is None else (torch.rand((batch, dim, dim, dim), generator=generator) < filled).float().cuda()
    )
    return lut.cuda(), count


def pixels(source, seed=1):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(source.shape, generator=generator) * 1.4 - 0.2
    mask = torch.rand((source.shape[0], 1, *source.shape[2:]), generator=generator)
    return source.cuda(), target.cuda(), mask.cuda()


def poison(shape):
    """Leave NaN in memory that PyTorch gives out next."""
    for _ in range(3):
        torch.full(shape, float("nan"), device="cuda")


def check_reading(lut, image, count):
    poison(image.shape)
    flow = torch.randn_like(image)
    torch.testing.assert_close(
        trilinear.apply_lut(lut, image, count), reference.apply_lut(lut, image, count), atol=1e-6, rtol=0
    )
    actual = ops.apply_lut_backward(flow, lut, image, count, True, True)
    wanted = reference.apply_lut_backward(flow, lut, image, count, True, True)
    atol = 2e-6 * max(1.0, wanted[0].abs().max().item())
    torch.testing.assert_close(actual[0], wanted[0], atol=atol, rtol=0)
    torch.testing.assert_close(actual[1], wanted[1], atol=1e-5, rtol=1e-5)
    if count is not None:
        for rule in ("zero_weight", "all_empty"):
            wanted_map = reference.unseen_map(count, image, rule == "all_empty")
            torch.testing.assert_close(trilinear.unseen_map(count, image, rule), wanted_map, rtol=0, atol=0)


def check_writing(source, target, mask, dim):
    poison((source.shape[0], 4, dim, dim, dim))
    wanted = tridistribute_reference.accumulate(source, target, mask, dim)
    torch.testing.assert_close(tridistribute.accumulate(source, target, mask, dim), wanted, atol=2e-6, rtol=1e-6)
    flow = torch.randn_like(wanted)
    for mine, theirs in zip(writing.accumulate_backward(flow, source, target, mask, True, True),
                            tridistribute_reference.accumulate_backward(flow, source, target, mask, True, True),
                            strict=True):  # fmt: skip
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("filled", [None, 0.5, 0.02, 0.0])
@pytest.mark.parametrize(("dim", "batch", "height", "width"), SHAPES)
def test_reading_equals_definition(dim, batch, height, width, filled):
    lut, count = random_lut(dim, batch, filled)
    check_reading(lut, cuda_cases.hard_images(dim, batch, height, width)["random"].cuda(), count)


@pytest.mark.parametrize(("dim", "batch", "height", "width"), SHAPES)
def test_writing_equals_definition(dim, batch, height, width):
    check_writing(*pixels(cuda_cases.hard_images(dim, batch, height, width)["random"]), dim)


@pytest.mark.parametrize("dim", [2, 17, 33])
@pytest.mark.parametrize("name", cuda_cases.HARD)
def test_hard_images(name, dim):
    image = cuda_cases.hard_images(dim, 2, 70, 90)[name]
    lut, count = random_lut(dim, 2, 0.7)
    check_reading(lut, image.cuda(), None if name == "cell borders" else count)
    check_writing(*pixels(image), dim)


def test_on_the_cpu_and_on_the_gpu_the_same_picture():
    image = cuda_cases.hard_images(33, 2, 70, 90)["eight bit"]
    source, target, mask = pixels(image)
    lut, count = tridistribute.build_lut(source, target, mask)
    there = trilinear.apply_lut(lut, source, count)
    here_lut, here_count = tridistribute.build_lut(source.cpu(), target.cpu(), mask.cpu())
    here = trilinear.apply_lut(here_lut, source.cpu(), here_count)
    # Where a channel is 255 the near corners weigh 3e-5, and a cell may hold nothing else.
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=0)


def test_a_batch_of_4k_frames():
    """More than 2**31 numbers: their addresses need 64 bits."""
    batch, height, width = 90, 2160, 3840
    if torch.cuda.mem_get_info()[0] < 3 * 4 * 3 * batch * height * width:
        pytest.skip("needs 27 GB of GPU memory")
    lut, count = random_lut(33, batch, None)[0], torch.ones(batch, 33, 33, 33, device="cuda")
    image = torch.rand(batch, 3, height, width, device="cuda")
    output = trilinear.apply_lut(lut, image, count)
    last = reference.apply_lut(lut[-1:], image[-1:, :, -64:], count[-1:])
    torch.testing.assert_close(output[-1:, :, -64:], last, atol=1e-6, rtol=0)
    del output
    volume = tridistribute.accumulate(image, image, torch.ones_like(image[:, :1]))
    total = volume[:, 3].double().sum((1, 2, 3))
    torch.testing.assert_close(total, torch.full_like(total, height * width), rtol=1e-6, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_colors_that_are_not_finite(value):
    lut, count = random_lut(9, 1, 1.0)
    image = torch.rand(1, 3, 8, 9, device="cuda")
    image[0, 1, 3, 4] = value
    output = trilinear.apply_lut(lut, image, count)
    assert output[0, :, 3, 4].isnan().all() and output.isnan().sum() == 3
    assert trilinear.unseen_map(count, image)[0, 0, 3, 4].isnan()
    volume = tridistribute.accumulate(image, torch.rand_like(image), torch.ones_like(image[:, :1]), 9)
    torch.testing.assert_close(volume[0, 3].sum().item(), 71.0, rtol=1e-5, atol=0)


def everything(lut, image, count, target, mask):
    output = torch.lerp(trilinear.apply_lut(lut, image, count), image, trilinear.unseen_map(count, image))
    volume = tridistribute.accumulate(image, target, mask, 9)
    return [output, volume, *torch.autograd.grad(output.sum() + volume.square().sum(), (lut, image))]


def arguments(seed=0):
    lut, count = random_lut(9, 2, 0.7, seed)
    image, target, mask = pixels(cuda_cases.hard_images(9, 2, 33, 40)["eight bit"], seed)
    return lut.requires_grad_(), image.requires_grad_(), count, target, mask


def assert_same(actual, wanted):
    for mine, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_graphs_capture_the_kernels():
    given, other = arguments(), arguments(1)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        everything(*given)  # loads the kernels, and PyTorch's own
    torch.cuda.current_stream().wait_stream(side)
    wanted = everything(*other)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = everything(*given)
    with torch.no_grad():
        for mine, theirs in zip(given, other, strict=True):
            mine.copy_(theirs)
    graph.replay()
    graph.replay()  # sums start from zero each time
    assert_same(captured, wanted)


def test_runs_on_the_callers_stream():
    given = arguments()
    wanted = everything(*given)
    image = given[1].detach()
    late = torch.zeros_like(image)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)  # a tenth of a second: a kernel on another stream would read zeros
        late.copy_(image)
        actual = everything(given[0], late.requires_grad_(), *given[2:])
    torch.cuda.current_stream().wait_stream(stream)
    assert_same(actual, wanted)


def test_nothing_waits_for_the_gpu():
    given = arguments()
    everything(*given)
    torch.cuda.set_sync_debug_mode("error")
    try:
        everything(*given)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_opcheck():
    lut, image, count, target, mask = arguments()
    torch.library.opcheck(ops.apply_lut, (lut, image, count))
    torch.library.opcheck(ops.apply_lut, (lut, image, None))
    torch.library.opcheck(ops.unseen_map, (count, image.detach(), False))
    torch.library.opcheck(writing.accumulate, (image, target, mask, 9))
    flow = torch.rand_like(image)
    detached = lut.detach(), image.detach()
    torch.library.opcheck(ops.apply_lut_backward, (flow, *detached, count, False, True))
    volume = torch.rand(2, 4, 9, 9, 9, device="cuda")
    torch.library.opcheck(writing.accumulate_backward, (volume, detached[1], target, mask, True, True))


def test_compiles():
    given = arguments()
    compiled = torch.compile(lambda *a: trilinear.apply_lut(*a), fullgraph=True, backend="aot_eager")
    assert_same([compiled(*given[:3])], [trilinear.apply_lut(*given[:3])])


def test_the_same_bits_where_pytorch_is_asked_for_them():
    lut, _ = random_lut(9, 1, None)
    source, target, mask = pixels(cuda_cases.hard_images(9, 1, 200, 200)["eight bit"])
    torch.use_deterministic_algorithms(True)
    try:
        volumes = [tridistribute.accumulate(source, target, mask, 9) for _ in range(3)]
        grads = [ops.apply_lut_backward(target, lut, source, None, True, False)[0] for _ in range(3)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(first, other) for first, *others in (volumes, grads) for other in others)


def test_damaged_machine_code_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CO2NET_CACHE", str(tmp_path))
    device = torch.device("cuda", torch.cuda.current_device())
    _cuda.Module("trilinear", device)
    (path,) = (tmp_path / "kernels").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    _cuda.Module("trilinear", device)
    assert path.stat().st_size > 1000
