"""Frames larger than the training size: the networks see them small, the result has every detail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pipeline import stubs
from torch.nn import functional as F

from co2net.pipeline import harmonize_frames
from co2net.pipeline.resolution import enlarge, mean_foreground, sample, shrink, working_shape
from co2net.video.coded_masks import CodedMask

HEIGHT, WIDTH, WORKING = 300, 420, 64


def large_clip(count=2):
    """A smooth picture under noise of its own in every frame, all of it within [0.2, 0.8]."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand((1, 3, 6, 8), generator=generator)
    smooth = F.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic", align_corners=False).clamp(0, 1)
    noise = 0.1 * torch.rand((count, 3, HEIGHT, WIDTH), generator=generator)
    return 0.2 + 0.5 * smooth + noise


def disc(soft=True):
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    mask = (100 - np.hypot(y - 140, x - 200)) / 5 + 0.5 if soft else (np.hypot(y - 140, x - 200) < 100) * 1.0
    return torch.from_numpy(mask.clip(0, 1)).float()[None]


def thin():
    """A body with strands of one pixel, of which the small mask shows next to nothing."""
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 200:280, 150:250] = 1
    mask[:, 30:200, 160:250:13] = 1
    mask[:, 100, 250:400] = 0.6
    return mask


def harmonize(model, frames, mask, previous=1, future=0, **settings):
    return torch.stack(list(harmonize_frames(frames, [mask] * len(frames), model, previous, future, **settings)))


@pytest.mark.parametrize("mapping", ["paper", "smooth"])
@pytest.mark.parametrize("mask", [disc(), disc(soft=False), thin()], ids=["soft", "hard", "thin"])
def test_a_backbone_that_changes_nothing_changes_no_detail(mapping, mask):
    model = stubs.model_of(stubs.Known(lambda picture: picture, WORKING), mapping=mapping)
    frames = large_clip()
    # The paper's LUT keeps one mean color per grid point, over the cells around it (1/32 wide); a pixel that reads it
    # may lie at the other end of them.
    tolerance = 1e-5 if mapping == "smooth" else 2 / 32
    torch.testing.assert_close(harmonize(model, frames, mask), frames, rtol=0, atol=tolerance)
    # Without neighbors there is no LUT, and no such error.
    torch.testing.assert_close(harmonize(model, frames, mask, 0, 0), frames, rtol=0, atol=1e-5)


def test_a_backbone_that_changes_nothing_returns_the_very_same_8_bit_frames():
    model = stubs.model_of(stubs.Known(lambda picture: picture, WORKING), mapping="smooth")
    frames = (large_clip() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    for frame, result in zip(frames, harmonize_frames(frames, [disc()[0]] * 2, model, 1, 1), strict=True):
        assert np.array_equal(frame, result)


@pytest.mark.parametrize("mask", [disc(), disc(soft=False), thin()], ids=["soft", "hard", "thin"])
@pytest.mark.parametrize(("mapping", "mean", "worst"), [("paper", 0.012, 0.13), ("smooth", 0.004, 0.05)])
def test_a_global_change_of_color_arrives_at_full_size(mask, mapping, mean, worst):
    # Known answer: the change itself, blended by the full-size mask; at edges and in strands as everywhere else. The
    # paper's LUT learns from blended colors at soft edges, and has nothing for colors that its few pixels miss.
    model = stubs.model_of(stubs.Known(stubs.warm, WORKING), mapping=mapping)
    frames = large_clip()
    expected = mask * stubs.warm(frames) + (1 - mask) * frames
    result = harmonize(model, frames, mask)
    inside = (mask > 0).expand_as(frames)
    error = (result - expected).abs()[inside]
    assert (expected - frames).abs()[inside].mean() > 0.06
    assert error.mean() < mean and error.amax() < worst
    assert torch.equal(result[~inside], frames[~inside])


def test_no_halo_at_mask_edges():
    # The brightness of the background differs widely; a correction that leaked over the edge would show beside it.
    mask = disc(soft=False)
    frames = large_clip() * mask + (1 - mask) * 0.98
    model = stubs.model_of(stubs.Known(stubs.warm, WORKING), mapping="smooth")
    error = (harmonize(model, frames, mask) - (mask * stubs.warm(frames) + (1 - mask) * frames)).abs().amax(1)
    core = 1 - F.max_pool2d(1 - mask, 9, stride=1, padding=4)
    edge = (mask - core)[0] > 0
    assert error[:, edge].mean() < 2 * error[:, core[0] > 0].mean() + 1e-3


@pytest.mark.parametrize("refinement", [True, False])
@pytest.mark.parametrize("window", [(0, 0), (1, 1)], ids=str)
def test_corrections_of_the_working_size_arrive_without_a_lut(refinement, window):
    # A shift by a constant, whatever the color: what the backbone and the refinement add must survive enlarging.
    shift = torch.tensor([0.1, -0.05, 0.03]).view(1, 3, 1, 1)
    model = stubs.model_of(stubs.Known(lambda picture: picture + shift, WORKING), refinement=refinement)
    if refinement:  # one that doubles the backbone's shift, knowing the picture
        model.refine = lambda raw, lut, image, features: 2 * raw - model.backbone.normalize(image)
    frames, mask = large_clip(), thin()
    factor = 2 if refinement else 1
    result = harmonize(model, frames, mask, *window)
    error = (result - (frames + factor * mask * shift)).abs()
    assert error.amax() < (1e-5 if window == (0, 0) else 0.1), "with a LUT, its own error comes on top"
    assert error.mean() < 2e-3


def test_the_backbone_sees_its_training_size():
    backbone = stubs.Tiny(WORKING)
    harmonize(stubs.model_of(backbone, refinement=True), large_clip(), disc())
    assert backbone.calls == [(1, 3, WORKING, WORKING)] * 2


@pytest.mark.parametrize("shape", [(8, 420), (300, 8), (64, 64), (65, 64), (1, 300)])
def test_any_shape_goes_through(shape):
    backbone = stubs.Tiny(WORKING)
    frames = torch.rand(2, 3, *shape)
    mask = torch.zeros(1, *shape)
    mask[:, :, : shape[1] // 2] = 1
    result = harmonize(stubs.model_of(backbone, refinement=True, mapping="smooth"), frames, mask)
    assert result.shape == frames.shape and result.isfinite().all()
    assert backbone.calls[0] == (1, 3, min(shape[0], WORKING), min(shape[1], WORKING))


def test_a_foreground_smaller_than_a_pixel_of_the_working_size_is_harmonized():
    # Two taps per axis step over it; it must not flicker in and out as it moves.
    model = stubs.model_of(stubs.Known(stubs.warm, WORKING))
    frames = large_clip(6)
    masks = torch.zeros(6, 1, HEIGHT, WIDTH)
    for number in range(6):
        masks[number, :, 100 + number, 200 + number : 203 + number] = 1
    result = torch.stack(list(harmonize_frames(frames, masks, model, 1, 1)))
    expected = masks * stubs.warm(frames) + (1 - masks) * frames
    torch.testing.assert_close(result, expected, rtol=0, atol=0.05)


def test_one_pixel_of_foreground():
    model = stubs.model_of(stubs.Known(stubs.warm, WORKING), mapping="smooth")
    frames, mask = large_clip(), torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 299, 419] = 1
    expected = mask * stubs.warm(frames) + (1 - mask) * frames
    torch.testing.assert_close(harmonize(model, frames, mask), expected, rtol=0, atol=0.05)


# The functions themselves.


@pytest.mark.parametrize(
    ("frame", "size", "wanted"),
    [
        ((480, 854), 256, (256, 256)),
        ((100, 854), 256, (100, 256)),
        ((100, 90), 256, (100, 90)),
        ((256, 256), 256, (256, 256)),
    ],
)
def test_working_shape_never_enlarges(frame, size, wanted):
    assert working_shape(*frame, size) == wanted


def test_shrink_is_the_papers_resize():
    picture = torch.rand(1, 3, 50, 70)
    expected = F.interpolate(picture, (20, 30), mode="bilinear", align_corners=False, antialias=False)
    assert torch.equal(shrink(picture, (20, 30)), expected)
    assert shrink(picture, (50, 70)) is picture


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("frame", "small"), [((50, 70), (20, 30)), ((64, 71), (64, 64)), ((24, 32), (24, 32)), ((300, 8), (64, 8))]
)
def test_sampling_integers_is_shrinking_the_picture(dtype, frame, small):
    peak = np.iinfo(dtype).max
    picture = np.random.default_rng(0).integers(0, peak, (*frame, 3), dtype, endpoint=True)
    expected = shrink(torch.from_numpy(picture.astype(np.float32) / peak).permute(2, 0, 1)[None], small)
    for kind in (picture, np.asfortranarray(picture), torch.from_numpy(picture)):
        # PyTorch computes the positions in float32.
        torch.testing.assert_close(sample(kind, small), expected, rtol=0, atol=1e-5)


ALL = (slice(0, 90), slice(0, 110))


def masks_at_working_size():
    full, soft, tiny = torch.ones(1, 1, 21, 32), torch.rand(1, 1, 21, 32), torch.zeros(1, 1, 21, 32)
    tiny[..., 20, 31] = 1
    half = torch.zeros_like(full)
    half[..., :16] = 1
    faint = torch.zeros_like(full)
    faint[..., 3:9, 3:9] = 1e-3
    return {"full": full, "soft": soft, "one pixel": tiny, "half": half, "faint": faint}


@pytest.mark.parametrize("name", masks_at_working_size())
def test_a_constant_correction_stays_constant_whatever_the_mask(name):
    mask = masks_at_working_size()[name]
    constant = torch.tensor([0.2, -0.1, 0.05]).view(1, 3, 1, 1)
    # What stands outside the mask must not matter.
    correction = torch.where(mask > 0, constant, torch.full_like(constant, 50.0)).expand(1, 3, 21, 32)
    result = enlarge(correction, mask, (90, 110), ALL)
    torch.testing.assert_close(result, constant.expand(1, 3, 90, 110), rtol=0, atol=1e-6)


def test_an_empty_mask_carries_nothing():
    assert not enlarge(torch.rand(1, 3, 21, 32), torch.zeros(1, 1, 21, 32), (90, 110), ALL).any()


@pytest.mark.parametrize("name", masks_at_working_size())
@pytest.mark.parametrize(
    "window", [(slice(0, 1), slice(0, 1)), (slice(13, 60), slice(31, 110)), (slice(89, 90), slice(5, 6))]
)
def test_a_window_is_the_crop_of_the_whole(name, window):
    mask, correction = masks_at_working_size()[name], torch.rand(1, 3, 21, 32)
    whole = enlarge(correction, mask, (90, 110), ALL)
    torch.testing.assert_close(enlarge(correction, mask, (90, 110), window), whole[..., window[0], window[1]])


@pytest.mark.parametrize("shape", [(90, 110), (22, 33), (21, 32), (21, 200)])
def test_with_a_full_mask_it_is_plain_interpolation(shape):
    correction = torch.randn(2, 3, 21, 32)
    expected = F.interpolate(correction, shape, mode="bilinear", align_corners=False)
    result = enlarge(correction, torch.ones(2, 1, 21, 32), shape, (slice(0, shape[0]), slice(0, shape[1])))
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-5)  # of positions up to 200


def test_values_stay_between_those_inside_the_mask():
    mask = (torch.rand(1, 1, 21, 32) > 0.7).float()
    correction = torch.where(mask > 0, torch.rand(1, 3, 21, 32), torch.full((), 1e4))
    result = enlarge(correction, mask, (90, 110), ALL)
    assert result.amin() > -1e-4 and result.amax() < 1 + 1e-4


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_mean_colors_of_areas(kind):
    rng = np.random.default_rng(0)
    cells = rng.random((8, 10, 3)).astype(np.float32)
    full = 1 if kind is np.float32 else np.iinfo(kind).max
    frame = (cells.repeat(12, axis=0).repeat(9, axis=1) * full).astype(kind)
    noisy = frame if kind is not np.float32 else frame.transpose(2, 0, 1).copy()
    mask = torch.zeros(1, 1, 96, 90)
    mask[..., :48, :] = 1
    small, small_mask = mean_foreground(noisy, mask, (8, 10))
    # Large integer frames are thinned first, which takes some pixels from the next area.
    difference = (small[0].permute(1, 2, 0) - torch.from_numpy(cells)).abs()
    assert difference.max() < 1e-5 if kind is np.float32 else difference.mean() < 0.08
    assert small_mask[0, 0, :4].min() == 1 and small_mask[0, 0, 4:].max() == 0


def test_thinned_means_are_near_the_whole_ones():
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    mask = torch.ones(1, 1, 480, 640)
    small, _ = mean_foreground(frame, mask, (8, 8))
    assert (small - 0.5).abs().max() < 0.3 and (small - 0.5).abs().mean() < 0.08  # noise of the same mean everywhere


def test_frames_of_the_working_size_stay():
    frame = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    small, mask = mean_foreground(frame, torch.ones(1, 1, 8, 10), (8, 10))
    assert torch.equal((small[0] * 255).round().permute(1, 2, 0).byte(), torch.from_numpy(frame)) and mask.min() == 1


def test_a_foreground_between_the_sampled_pixels_is_seen():
    frame = np.zeros((640, 640, 3), np.uint8)
    mask = torch.zeros(1, 1, 640, 640)
    mask[..., 5, 7] = 1
    assert mean_foreground(frame, mask, (8, 8))[1].max() > 0
    assert mean_foreground(frame, torch.zeros_like(mask), (8, 8))[1].max() == 0


@pytest.mark.parametrize("shape", [(96, 90), (1080, 64), (40, 40)])
def test_a_mask_of_codes_shrinks_to_the_bits_that_its_values_shrink_to(shape):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, shape, np.uint8) * (rng.random(shape) > 0.4).astype(np.uint8)
    frame = rng.integers(0, 256, (*shape, 3), np.uint8)
    mask = CodedMask(codes, np.linspace(0, 1, 256, dtype=np.float32))
    values = torch.from_numpy(np.asarray(mask))[None, None]
    for small in ((8, 10), (40, 40), shape):
        for one, other in zip(mean_foreground(frame, mask, small), mean_foreground(frame, values, small), strict=True):
            assert torch.equal(one, other)
