"""Folders of unrelated pictures, and networks that paint pictures of any size whole."""

import numpy as np
import pytest
import torch
from PIL import Image

from co2net.errors import InputError
from co2net.models.backbones import CDTNet
from co2net.models.co2net import CO2Net
from co2net.pipeline.arrays import harmonize_frames
from co2net.pipeline.harmonize import harmonize_video
from co2net.pipeline.images import harmonize_images


def network(**settings):
    torch.manual_seed(0)
    made = CDTNet(base_size=32, **settings).eval()
    made.initialize()
    return made


@pytest.fixture
def folder(tmp_path):
    """Three pictures of different sizes, two with masks."""
    random = np.random.default_rng(0)
    for name in ("in", "masks"):
        (tmp_path / name).mkdir()
    for number, size in enumerate([(40, 50), (33, 61), (90, 30)]):
        picture = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / f"a{number}_1_5.{'jpg' if number == 1 else 'png'}", quality=95)
        mask = np.zeros(size, np.uint8)
        mask[5:25, 5:25] = 255
        if number < 2:
            Image.fromarray(mask).save(tmp_path / "masks" / (f"a{number}_1.png" if number else "a0_1_5.png"))
    return tmp_path


def test_every_picture_gets_a_result_of_its_own(folder):
    model = CO2Net(network(), refinement=False, mapping="predicted").eval()
    seen = []
    report = harmonize_images(
        folder / "in", folder / "masks", folder / "out", model, on_progress=lambda *n: seen.append(n)
    )
    assert [path.name for path in report.written] == ["a0_1_5.png", "a1_1_5.jpg"] and len(report.failed) == 1
    assert "a2_1_5.png: no mask in" in report.failed[0] and "a2_1_5.png or a2_1.png" in report.failed[0]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    before = np.asarray(Image.open(folder / "in" / "a0_1_5.png"))
    after = np.asarray(Image.open(folder / "out" / "a0_1_5.png"))
    changed = (before != after).any(axis=2)
    assert changed[5:25, 5:25].mean() > 0.9 and changed.sum() == changed[5:25, 5:25].sum()
    again = harmonize_images(folder / "in", folder / "masks", folder / "out", model, overwrite=False)
    assert len(again.kept) == 2 and not again.written


def test_the_whole_network_paints_single_pictures(folder):
    whole = network()
    video = CO2Net(whole, refinement=False, mapping="predicted").eval()
    assert not whole.paints and whole.frame_size == 32
    still = video.for_pictures()
    assert still.backbone.paints and still.backbone.frame_size > 4096 and not whole.paints
    image, mask = torch.rand(1, 3, 60, 70), torch.zeros(1, 1, 60, 70)
    mask[..., 10:40, 10:50] = 1
    (result,) = harmonize_frames([image[0]], [mask[0]], model=still, previous=0, future=0)
    with torch.no_grad():
        wanted = still.backbone(image, mask).image
    torch.testing.assert_close(result[None], wanted.clamp(0, 1), rtol=0, atol=1e-5)
    simple = CO2Net(network(simplified=True), refinement=False, mapping="predicted")
    assert simple.for_pictures() is simple


def test_one_picture_is_painted_whole_too(folder):
    model = CO2Net(network(), refinement=False, mapping="predicted").eval()
    picture, mask = folder / "in" / "a0_1_5.png", folder / "masks" / "a0_1_5.png"
    harmonize_video(picture, mask, folder / "one.png", model=model)
    harmonize_images(folder / "in", folder / "masks", folder / "out", model)
    one, many = (np.asarray(Image.open(path)) for path in (folder / "one.png", folder / "out" / "a0_1_5.png"))
    assert np.array_equal(one, many)


def test_the_lut_path_of_a_video_needs_no_painting(folder):
    frames = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), dtype=np.uint8) for n in range(3)]
    masks = [np.pad(np.full((20, 20), 255, np.uint8), ((10, 18), (10, 34)))] * 3
    model = CO2Net(network(), refinement=False, mapping="predicted").eval()
    simple = CO2Net(network(simplified=True), refinement=False, mapping="predicted").eval()
    results = [list(harmonize_frames(frames, masks, model=m, previous=1, future=1)) for m in (model, simple)]
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_mistakes_are_named(folder):
    with pytest.raises(InputError, match=r"`images` .* is not a folder"):
        harmonize_images(folder / "in" / "a0_1_5.png")
    with pytest.raises(InputError, match="choose another one"):
        harmonize_images(folder / "in", folder / "masks", folder / "in")
