"""The metrics against recorded values of the published evaluation, and against what each formula must do."""

import math

import fixtures
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from co2net import metrics
from co2net.errors import ShapeError
from co2net.metrics.ssim import _PAPER, similarity_map

PAIR = [metrics.mse, metrics.psnr, metrics.psnr_paper, metrics.ssim]
MASKED = [metrics.fmse, metrics.fmse_masked, metrics.fmse_paper, metrics.fpsnr, metrics.fssim, metrics.fssim_paper]


@pytest.fixture(scope="module")
def hyoutube():
    case, wanted = fixtures.load("hyoutube_metrics")
    given = fixtures.inputs(case)
    target = np.round(given["smooth"] * 255) / 255
    e = given["ellipse"]
    mask = (e + np.roll(e, 1, 3) + np.roll(e, 1, 2) + np.roll(e, (1, 1), (2, 3))) / 4
    noise = given["noise"] - 0.5
    tint = 0.3 * (given["tint"] - case["settings"]["shift"])
    image = target + np.where(mask > 0, tint + 0.04 * noise, 0.01 * noise)
    tensors = [torch.from_numpy(np.asarray(x, np.float32)) for x in (image, target, mask)]
    return tensors, wanted, case["tolerance"]


@pytest.fixture(scope="module")
def co2net_case():
    case, wanted = fixtures.load("co2net_metrics")
    given = fixtures.inputs(case)
    mask, target, noise = wanted["given_mask"], given["target"], given["noise"]
    image = target + np.where(mask > 0, 0.08, 0.004).astype(np.float32) * (noise - 0.5)
    return [torch.from_numpy(np.asarray(x, np.float32)) for x in (image, target, mask)], wanted, case["tolerance"]


_PUBLISHED = {
    "mse": metrics.mse,
    "fmse": metrics.fmse_paper,
    "psnr": metrics.psnr_paper,
    "fssim": metrics.fssim_paper,
    "psnr_255": metrics.psnr,
}
RECORDED = {
    "hyoutube": _PUBLISHED
    | {
        "fmse_soft": metrics.fmse,
        "fssim_standard": metrics.fssim,
        "fmse_masked": metrics.fmse_masked,
        "fpsnr": metrics.fpsnr,
    },
    "co2net_case": _PUBLISHED | {"fssim_255": metrics.fssim},
}


@pytest.mark.parametrize(("case", "name"), [(case, name) for case, names in RECORDED.items() for name in names])
def test_recorded_values(request, case, name):
    (image, target, mask), wanted, tolerance = request.getfixturevalue(case)
    function = RECORDED[case][name]
    arguments = (image, target, mask) if function in MASKED else (image, target)
    # fMSE is in the hundreds: its stored float32 value alone is exact to 3e-5.
    np.testing.assert_allclose(function(*arguments), wanted[name], rtol=0, atol=tolerance)


def test_paper_similarity_of_the_whole_frame(hyoutube):
    (image, target, _), wanted, tolerance = hyoutube
    value = similarity_map((255 * image).clamp(0, 255), (255 * target).clamp(0, 255), *_PAPER).mean(dim=(1, 2, 3))
    np.testing.assert_allclose(value, wanted["ssim"], rtol=0, atol=tolerance)


def test_ssim_matches_scikit_image(hyoutube):
    (image, target, _), _, _ = hyoutube
    image = image.clamp(0, 1)
    ours = similarity_map(255 * image.double(), 255 * target.double(), (0.01 * 255) ** 2, (0.03 * 255) ** 2)
    for i in range(len(image)):
        _, theirs = structural_similarity(
            255 * image[i].double().numpy(), 255 * target[i].double().numpy(), channel_axis=0, data_range=255,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
        )  # fmt: skip
        # Away from the border: theirs reflects, ours pads with zeros.
        np.testing.assert_allclose(ours[i, :, 8:-8, 8:-8], theirs[:, 8:-8, 8:-8], atol=1e-9)


def random_case(size=(3, 3, 20, 24)):
    image, target = torch.rand(size), torch.rand(size)
    return image, target, torch.rand(size[0], 1, *size[2:])


@pytest.mark.parametrize("function", PAIR + MASKED)
def test_each_image_is_scored_on_its_own(function):
    image, target, mask = random_case()
    arguments = (image, target, mask) if function in MASKED else (image, target)
    if function is metrics.fmse_paper:
        arguments[2][:, :, :4] = 1
    together = function(*arguments)
    alone = torch.cat([function(*(x[i : i + 1] for x in arguments)) for i in range(3)])
    assert together.shape == (3,) and together.dtype == torch.float64
    torch.testing.assert_close(together, alone)
    assert function(*(x[:0] for x in arguments)).shape == (0,)


def test_equal_images():
    image, _, mask = random_case()
    mask[:, :, 0] = 1
    assert (metrics.mse(image, image) == 0).all()
    assert (metrics.fmse(image, image, mask) == 0).all()
    assert (metrics.fmse_paper(image, image, mask) == 0).all()
    assert (metrics.psnr(image, image) == math.inf).all()
    assert (metrics.psnr_paper(image, image) == math.inf).all()
    for value in (
        metrics.ssim(image, image),
        metrics.fssim(image, image, mask),
        metrics.fssim_paper(image, image, mask),
    ):
        torch.testing.assert_close(value, torch.ones_like(value), atol=1e-4, rtol=0)


def test_known_values():
    image, target = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.5)
    image[..., :2] += 10 / 255  # error of 10 levels in the left half
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    torch.testing.assert_close(metrics.mse(image, target).item(), 50.0, rtol=1e-5, atol=0)
    torch.testing.assert_close(metrics.fmse(image, target, mask).item(), 100.0, rtol=1e-5, atol=0)
    torch.testing.assert_close(metrics.fmse(image, target, 0.3 * mask).item(), 100.0, rtol=1e-5, atol=0)
    torch.testing.assert_close(metrics.fmse_paper(image, target, mask).item(), 100.0, rtol=1e-5, atol=0)
    torch.testing.assert_close(metrics.psnr(image, target).item(), 10 * math.log10(65025 / 50), rtol=1e-6, atol=0)
    torch.testing.assert_close(metrics.psnr_paper(image, target).item(), 10 * math.log10(100 / 50), rtol=1e-5, atol=0)


def test_values_are_clamped_not_rounded():
    target = torch.zeros(1, 3, 2, 2)
    assert metrics.mse(target - 1, target).item() == 0
    assert metrics.mse(target + 2, target).item() == 65025
    torch.testing.assert_close(metrics.mse(target + 0.4 / 255, target).item(), 0.16, rtol=1e-5, atol=0)


@pytest.mark.parametrize("function", MASKED)
def test_empty_mask_is_nan(function):
    image, target, mask = random_case()
    mask[:] = 1
    mask[1] = 0
    assert function(image, target, mask).isnan().tolist() == [False, True, False]


def test_paper_fmse_needs_a_fully_covered_pixel():
    image, target, _ = random_case()
    mask = torch.full((3, 1, 20, 24), 0.999)
    assert metrics.fmse_paper(image, target, mask).isnan().all()
    assert metrics.fmse(image, target, mask).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types(dtype):
    image, target, mask = random_case()
    mask[:, :, 0] = 1
    for function in PAIR:
        wanted = function(image.to(dtype).float(), target.to(dtype).float())
        torch.testing.assert_close(function(image.to(dtype), target.to(dtype)), wanted, rtol=1e-5, atol=1e-6)
    for function in MASKED:
        assert function(image.to(dtype), target.to(dtype), mask.to(dtype)).isfinite().all()


@pytest.mark.parametrize("function", PAIR)
def test_pair_errors(function):
    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(ShapeError, match="must be \\(B, 3, H, W\\)"):
        function(image[0], image)
    with pytest.raises(ShapeError, match="one shape"):
        function(image, image[..., :4])
    with pytest.raises(ShapeError, match="divide 8-bit values by 255"):
        function((255 * image).byte(), image)
    with pytest.raises(ShapeError, match="must be a torch tensor, got ndarray"):
        function(image.numpy(), image)
    with pytest.raises(ShapeError, match="at least one pixel"):
        function(image[..., :0], image[..., :0])


@pytest.mark.parametrize("function", MASKED)
def test_mask_errors(function):
    image = torch.rand(2, 3, 8, 8)
    with pytest.raises(ShapeError, match="mask must be"):
        function(image, image, torch.ones(2, 3, 8, 8))
    with pytest.raises(ShapeError, match="mask must be"):
        function(image, image, torch.ones(1, 1, 8, 8))
    with pytest.raises(ShapeError, match="float tensor"):
        function(image, image, torch.ones(2, 1, 8, 8, dtype=torch.uint8))
