import numpy as np
import torch

from co2net.models.backbones.lutnet import LUTNet
from co2net.models.co2net import CO2Net
from co2net.pipeline.cuts import CutDetector
from co2net.pipeline.stream import FrameStream


def shots(seed=0, lengths=(6, 5, 7)):
    """A clip of several slowly moving shots: frames (T, 3, 48, 64), and where they begin."""
    rng = np.random.default_rng(seed)
    frames = []
    for length in lengths:
        scene = torch.from_numpy(rng.random((1, 3, 6, 8), np.float32))
        scene = torch.nn.functional.interpolate(scene, (60, 90), mode="bicubic", align_corners=False).clamp(0, 1)
        frames += [scene[0, :, i : i + 48, 2 * i : 2 * i + 64] for i in range(length)]
    return torch.stack(frames), list(np.cumsum(lengths)[:-1])


def test_finds_the_cuts_and_nothing_else():
    for seed in range(5):
        frames, starts = shots(seed)
        detector = CutDetector()
        assert [i for i, frame in enumerate(frames) if detector.is_cut(frame[None])] == starts


def test_wild_motion_is_no_cut():
    detector = CutDetector()
    assert not any(detector.is_cut(torch.rand(1, 3, 48, 64)) for _ in range(30))


def lut_model():
    torch.manual_seed(0)
    network = LUTNet(width=4, hidden=16, points=5, bins=6)
    for layer in (network.members[0].affine, network.members[0].residual):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return CO2Net(network, refinement=False, mapping="predicted").eval()


def harmonized(model, frames, **options):
    stream = FrameStream(model, 3, 3, **options)
    mask = torch.zeros(1, 48, 64)
    mask[:, 10:40, 10:50] = 1
    out = [result for frame in frames for _, result in stream.push(frame, mask)]
    return torch.stack(out + [result for _, result in stream.finish()]), stream


def test_no_mapping_leaks_over_a_cut():
    model = lut_model()
    frames, starts = shots()
    whole, stream = harmonized(model, frames)
    assert stream.cuts == starts
    parts = [
        harmonized(model, part)[0] for part in (frames[: starts[0]], frames[starts[0] : starts[1]], frames[starts[1] :])
    ]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, harmonized(model, frames, cuts=False)[0])


def test_the_stream_equals_the_batch_computation():
    model = lut_model()
    frames, _ = shots(lengths=(5,))
    mask = torch.zeros(5, 1, 48, 64)
    mask[:, :, 10:40, 10:50] = 1
    whole, _ = harmonized(model, frames)
    for i in range(5):
        others = [j for j in range(max(0, i - 3), min(5, i + 4)) if j != i]
        wanted = model(frames[i : i + 1], mask[:1], frames[None, others], mask[None, others]).image
        torch.testing.assert_close(whole[i], wanted[0].clamp(0, 1), atol=1e-5, rtol=0)


def test_the_lut_of_a_clip_is_the_mean_prediction():
    model = lut_model()
    frames, _ = shots(lengths=(5,))
    stream = FrameStream(model, 8, 8)
    stream.collect_lut = True
    mask = torch.ones(1, 48, 64)
    for frame in frames:
        list(stream.push(frame, mask))
    list(stream.finish())
    lut, _ = model.backbone.predict(frames, mask.expand(5, 1, 48, 64))
    assert stream.clip_lut().shape == (1, 3, 33, 33, 33)
    torch.testing.assert_close(stream.clip_lut()[..., ::8, ::8, ::8], lut.mean(0, keepdim=True), atol=1e-5, rtol=0)
