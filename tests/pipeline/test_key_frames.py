"""Key frames: which frames the backbone sees, and what stands for the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pipeline import stubs

from co2net.color_mapping.clip_window import neighbor_weights
from co2net.errors import InputError
from co2net.models.backbones.lutnet import LUTNet
from co2net.models.co2net import CO2Net
from co2net.pipeline import FrameStream, harmonize_frames, stream
from co2net.pipeline.key_frames import MOST_APART, spread


def passes(frames, masks, model=None, **settings):
    """Numbers of the frames that the backbone saw, and all results."""
    stream = FrameStream(model or stubs.model_of(stubs.Known(stubs.warm), mapping="smooth"), 3, 3, **settings)
    seen, results = [], []
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        before = stream.passes
        results += [result for _, result in stream.push(frame, mask)]
        seen += [number] * (stream.passes - before)
    return seen, results + [result for _, result in stream.finish()]


def still(count, mask_value=255):
    frames, masks = stubs.moving_clip(1)
    return np.repeat(frames, count, 0), np.repeat((masks > 128) * np.uint8(mask_value), count, 0)


@pytest.mark.parametrize(("every", "wanted"), [(1, list(range(9))), (3, [0, 3, 6]), (50, [0]), (None, list(range(9)))])
def test_every_kth_frame_is_seen(every, wanted):
    assert passes(*still(9), key_frames=every)[0] == wanted


def test_numbers_of_a_sequence_decide():
    frames, masks = still(9)
    stream = FrameStream(stubs.model_of(stubs.Known(stubs.warm), mapping="smooth"), 3, 3, key_frames=4)
    stream.number_of = lambda tag: tag
    seen = []
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True), start=1002):
        before = stream.passes
        list(stream.push(frame, mask, number))
        seen += [number] * (stream.passes - before)
    assert seen == [1002, 1004, 1008]


def test_auto_looks_where_colors_change_and_now_and_then():
    frames, masks = still(20)
    assert passes(frames, masks, key_frames="auto")[0] == [0, MOST_APART, 2 * MOST_APART]
    frames = frames.copy()
    frames[5:] = frames[5:] // 2 + 100  # everything else stays as it is
    assert passes(frames, masks, key_frames="auto", cuts=False)[0] == [0, 5, MOST_APART, 2 * MOST_APART]


def test_a_cut_always_gets_a_key_frame():
    rng = np.random.default_rng(0)
    scenes = [np.kron(rng.integers(0, 256, (6, 8, 3), np.uint8), np.ones((4, 4, 1), np.uint8)) for _ in range(2)]
    noise = rng.integers(0, 4, (10, 24, 32, 3), np.uint8)
    frames = np.array([scenes[number >= 6] // 2 for number in range(10)]) + noise
    assert passes(frames, still(10)[1], key_frames=8)[0] == [0, 6, 8]


def test_a_foreground_that_tells_nothing_is_painted_itself():
    frames, masks = still(8)
    masks[[2, 3]] = 100  # everywhere below one half
    seen, results = passes(frames, masks, key_frames=4)
    assert seen == [0, 2, 3, 4]
    assert all((result != frame).any() for result, frame in zip(results, frames, strict=True))


def test_frames_without_foreground_wait_and_stay():
    frames, masks = still(9)
    masks[[0, 1, 5]] = 0
    seen, results = passes(frames, masks, key_frames=3)
    assert seen == [2, 3, 6]  # the first with a foreground of each three
    assert all(np.array_equal(results[number], frames[number]) for number in (0, 1, 5))


@pytest.mark.parametrize("window", [(0, 0), (1, 0), (0, 2), (8, 8)], ids=str)
@pytest.mark.parametrize("every", [2, 5, "auto"])
def test_a_still_clip_looks_as_with_every_frame(every, window):
    # The mapping of every frame is the same, so nothing may depend on which were seen.
    frames, masks = still(7)
    model = stubs.model_of(stubs.Tiny(16), mapping="smooth")
    wanted = list(harmonize_frames(frames, masks, model, 8, 8))
    for result, expected in zip(harmonize_frames(frames, masks, model, *window, key_frames=every), wanted, strict=True):
        assert np.abs(result.astype(int) - expected).max() <= 1
        assert np.array_equal(result[masks[0] == 0], frames[0][masks[0] == 0])


def test_kinds_of_frames_agree():
    frames, masks = stubs.moving_clip(6)
    images, alphas = stubs.as_tensors(frames, masks)
    model = stubs.model_of(stubs.Tiny(16), mapping="smooth")
    integers = np.array(list(harmonize_frames(frames, masks, model, 2, 2, key_frames=3)))
    floats = torch.stack(list(harmonize_frames(images, alphas, model, 2, 2, key_frames=3)))
    assert (torch.from_numpy(integers).permute(0, 3, 1, 2) / 255 - floats).abs().max() < 1 / 255


def test_predicted_mappings_are_interpolated_between_key_frames():
    torch.manual_seed(0)
    network = LUTNet(width=4, hidden=16, points=5, bins=6)
    torch.nn.init.normal_(network.members[0].affine.weight, std=0.1)
    model = CO2Net(network, refinement=False, mapping="predicted").eval()
    frames, masks = stubs.moving_clip(5)
    images, alphas = stubs.as_tensors(frames, masks)
    stream = FrameStream(model, 0, 0, key_frames=4, cuts=False)
    # Nothing follows within a window of 0 + 0, so each frame reads the last key frame's LUT.
    results = [r for image, alpha in zip(images, alphas, strict=True) for _, r in stream.push(image, alpha)]
    alone = list(harmonize_frames(images[:1], alphas[:1], model, 0, 0))
    assert stream.passes == 2 and torch.equal(results[0], alone[0])


@given(
    st.integers(1, 30),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sets(st.integers(0, 29)),
    st.sets(st.integers(0, 29)),
)
def test_weights_are_kept_and_linear_changes_too(count, previous, future, keys, empty):
    keys = sorted({0, *(key for key in keys - empty if key < count)})
    between = {number for number in range(count) if number not in keys and number not in empty}
    for number in range(count):
        weights = neighbor_weights(number, count - 1, previous, future)
        found = spread(weights, keys, between)
        told = {n: w for n, w in weights.items() if n in between or n in keys}
        assert sum(found.values()) == pytest.approx(sum(told.values()))
        if all(n <= keys[-1] for n in told):  # a value that rises evenly has the same weighted sum
            linear = sum(n * w for n, w in told.items())
            assert sum(key * w for key, w in found.items()) == pytest.approx(linear)


@pytest.mark.parametrize("every", [0, -1, 2.5, "sometimes", True])
def test_wrong_settings_are_told(every):
    with pytest.raises(InputError, match='key_frames must be "auto" or a whole number'):
        harmonize_frames([], [], stubs.model_of(stubs.Tiny(), mapping="smooth"), key_frames=every)


def test_the_papers_mapping_has_no_key_frames():
    with pytest.raises(InputError, match="complete color mapping"):
        harmonize_frames([], [], stubs.model_of(stubs.Tiny()), key_frames=4)


def test_nothing_is_refined_between_or_on_key_frames():
    model = stubs.model_of(stubs.Tiny(), mapping="smooth", refinement=True)
    stream = FrameStream(model, key_frames=2)
    assert stream.skips_refinement and not stream.model.refinement and model.refinement
    assert not FrameStream(model).skips_refinement


def test_between_fixed_key_frames_a_prediction_asks_for_nothing(monkeypatch):
    shrunk, shrink = [], stream.shrunk_for
    monkeypatch.setattr(stream, "shrunk_for", lambda *given: shrunk.append(1) or shrink(*given))
    model = CO2Net(LUTNet(width=4, hidden=16, points=5, bins=6), refinement=False, mapping="predicted").eval()
    frames, masks = still(9)
    seen, results = passes(frames, masks, model, key_frames=4)
    assert seen == [0, 4, 8] and len(shrunk) == 3 and len(results) == 9
    assert passes(frames, masks, model, key_frames=4, strength="auto")[0] == seen
    assert len(shrunk) == 3 + 9  # how strong the change of each frame is, its own colors tell


def test_without_strength_no_network_runs():
    frames, masks = still(9)
    model = CO2Net(LUTNet(width=4, hidden=16, points=5, bins=6), refinement=False, mapping="predicted").eval()
    seen, results = passes(frames, masks, model, strength=0)
    assert seen == [] and all(np.array_equal(a, b) for a, b in zip(results, frames, strict=True))
