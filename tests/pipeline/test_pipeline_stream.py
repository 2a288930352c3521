"""The stream against the paper's computation, which gathers all neighbors anew for every frame."""

from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest
import torch
from pipeline import stubs

import co2net
import trilinear
from co2net.data import neighbor_numbers
from co2net.errors import InputError, ShapeError
from co2net.pipeline import FrameStream, harmonize_frames

# Both sides sum the same pixels, in another order; the volumes are float32 sums over up to 17 frames.
TOLERANCE = 2e-5


def paper(model, images, masks, previous, future):
    """Each frame with its neighbors, `model(image, mask, neighbors...)`, clamped as an output is."""
    results = []
    for frame in range(len(images)):
        numbers = neighbor_numbers(frame, range(len(images)), previous, future, step=1)
        with torch.no_grad():
            result = model(images[frame, None], masks[frame, None], images[numbers][None], masks[numbers][None])
        results.append(torch.where(masks[frame] > 0, result.image[0], images[frame]).clamp(0, 1))
    return torch.stack(results)


def stream(model, images, masks, previous, future, **settings):
    return torch.stack(list(harmonize_frames(images, masks, model, previous, future, **settings)))


@pytest.mark.parametrize("window", [(0, 0), (1, 0), (0, 2), (2, 1), (8, 8)], ids=str)
@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("mapping", ["paper", "smooth"])
@pytest.mark.parametrize("refinement", [True, False])
def test_equals_the_batch_computation(window, count, mapping, refinement):
    model = stubs.model_of(stubs.Tiny(), mapping=mapping, refinement=refinement)
    images, masks = stubs.as_tensors(*stubs.moving_clip(count))
    expected = paper(model, images, masks, *window)
    torch.testing.assert_close(stream(model, images, masks, *window), expected, rtol=0, atol=TOLERANCE)
    assert (expected - images).abs().max() > 0.01, "the stub must change something, or the test says nothing"


@pytest.mark.parametrize("mapping", ["paper", "smooth"])
@pytest.mark.parametrize("refinement", [True, False])
@pytest.mark.parametrize("window", [(1, 0), (0, 1), (2, 2)], ids=str)
def test_frames_with_an_empty_mask_inside_the_clip(mapping, refinement, window):
    # With (1, 0) a frame's only neighbor is empty: the mapping knows nothing and the backbone takes over.
    model = stubs.model_of(stubs.Tiny(), mapping=mapping, refinement=refinement)
    images, masks = stubs.as_tensors(*stubs.moving_clip(7))
    masks[[0, 2, 3]] = 0
    results = stream(model, images, masks, *window)
    torch.testing.assert_close(results, paper(model, images, masks, *window), rtol=0, atol=TOLERANCE)
    assert torch.equal(results[[0, 2, 3]], images[[0, 2, 3]])


def test_masks_below_one_half_give_the_mapping_nothing():
    model = stubs.model_of(stubs.Tiny())
    images, masks = stubs.as_tensors(*stubs.moving_clip(4))
    masks *= 0.4
    torch.testing.assert_close(
        stream(model, images, masks, 2, 1), paper(model, images, masks, 2, 1), rtol=0, atol=TOLERANCE
    )


def test_equals_the_batch_computation_with_the_real_network():
    torch.manual_seed(1)
    model = co2net.create_model("co2net")
    images, masks = stubs.as_tensors(*stubs.moving_clip(4))
    torch.testing.assert_close(
        stream(model, images, masks, 2, 1), paper(model, images, masks, 2, 1), rtol=0, atol=TOLERANCE
    )


def kinds():
    frames, masks = stubs.moving_clip(3)
    images, tensors = stubs.as_tensors(frames, masks)
    return {
        "uint8 numpy": (frames, masks),
        "uint8 tensor": (torch.from_numpy(frames), torch.from_numpy(masks)),
        "uint16 numpy": (frames.astype(np.uint16) * 257, masks.astype(np.uint16) * 257),
        "uint16 tensor": (torch.from_numpy(frames.astype(np.uint16) * 257), torch.from_numpy(masks)),
        "float32 tensor": (images, tensors),
        "float64 tensor": (images.double(), tensors),
        "float16 tensor": (images.half(), tensors[:, 0]),
        "float32 numpy": (images.numpy(), tensors.numpy()),
        "float64 numpy": (images.double().numpy(), masks > 128),
        "fortran order": (np.asfortranarray(frames), np.asfortranarray(masks)),
        "bool mask": (frames, masks > 128),
    }


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("training_size", [256, 16], ids=["working size", "full size"])
def test_out_comes_what_went_in(kind, training_size):
    model = stubs.model_of(stubs.Tiny(training_size), mapping="smooth")
    frames, masks = kinds()[kind]
    before = [frame.copy() if isinstance(frame, np.ndarray) else frame.clone() for frame in frames]
    results = list(harmonize_frames(frames, masks, model, 1, 1))
    assert len(results) == 3
    reference, masks8 = stubs.moving_clip(3)
    if "bool" in kind or kind == "float64 numpy":
        masks8 = (masks8 > 128).astype(np.uint8) * 255
    wanted = np.array(list(harmonize_frames(reference, masks8, model, 1, 1)), np.float64) / 255
    for frame, untouched, result, mask, expected in zip(frames, before, results, masks8, wanted, strict=True):
        assert type(result) is type(frame) and result.dtype == frame.dtype and result.shape == frame.shape
        values, entered = np.asarray(result), np.asarray(untouched)
        assert np.array_equal(np.asarray(frame), entered), "the frame that came in was changed"
        if values.dtype.kind == "f":
            values, entered = values.transpose(1, 2, 0), entered.transpose(1, 2, 0)
        assert np.array_equal(values[mask == 0], entered[mask == 0])
        scale = {"u1": 255, "u2": 65535}.get(values.dtype.str[1:], 1)
        assert np.abs(values.astype(np.float64) / scale - expected).max() < 1 / 255, (
            "half a level of 8 bits, and 16 bits"
        )


@pytest.mark.parametrize("training_size", [256, 16], ids=["working size", "full size"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_the_mask_every_bit_stays(training_size, dtype):
    model = stubs.model_of(stubs.Tiny(training_size))
    images, masks = stubs.as_tensors(*stubs.moving_clip(3))
    images = images.to(dtype) + 1e-12
    images[:, :, 12, ::3] = 1.25  # out of range, and in the window that the mask spans: not ours to clamp
    masks[:, :, 12, ::3] = 0
    for result, image, mask in zip(harmonize_frames(images, masks, model), images, masks, strict=True):
        assert torch.equal(result[:, mask[0] == 0], image[:, mask[0] == 0])
        assert result[:, mask[0] > 0].amax() <= 1


@pytest.mark.parametrize("training_size", [256, 16], ids=["working size", "full size"])
def test_strength(training_size):
    model = stubs.model_of(stubs.Tiny(training_size), refinement=True)
    frames, masks = stubs.moving_clip(4)
    images, _ = stubs.as_tensors(frames, masks)
    images = images * 0.6 + 0.2  # no result leaves [0, 1], so that nothing is clamped
    nothing, half, full = (
        torch.stack(list(harmonize_frames(images, masks, model, 1, 1, strength=s))) for s in (0.0, 0.5, 1.0)
    )
    assert torch.equal(nothing, images)
    torch.testing.assert_close(half, (images + full) / 2, rtol=0, atol=1e-6)
    assert (full - images).abs().max() > 0.05


def test_each_frame_goes_through_the_backbone_once():
    backbone = stubs.Tiny()
    frames, masks = stubs.moving_clip(6)
    masks[4] = 0
    list(harmonize_frames(frames, masks, stubs.model_of(backbone), 8, 8))
    assert backbone.calls == [(1, 3, 24, 32)] * 5, "one pass per frame, none where the mask is empty"


@pytest.mark.parametrize("future", [0, 1, 3])
def test_results_lag_by_the_following_neighbors_and_inputs_are_read_as_needed(future):
    taken = {"frames": 0, "masks": 0}

    def counted(name, items):
        for item in items:
            taken[name] += 1
            yield item

    frames, masks = stubs.moving_clip(7)
    results = harmonize_frames(
        counted("frames", frames), counted("masks", masks), stubs.model_of(stubs.Tiny()), 2, future
    )
    assert taken == {"frames": 0, "masks": 0}
    for number, _ in enumerate(results):
        needed = min(number + future + 1, 7)
        assert taken == {"frames": needed, "masks": needed}


def test_an_endless_clip_can_be_stopped_at_any_frame():
    frames, masks = stubs.moving_clip(1)
    results = harmonize_frames(itertools.repeat(frames[0]), itertools.repeat(masks[0]), stubs.model_of(stubs.Tiny()))
    assert len(list(itertools.islice(results, 3))) == 3
    results.close()


def test_tags_come_back_with_their_frames():
    stream = FrameStream(stubs.model_of(stubs.Tiny()), 1, 2)
    seen = []
    for number, (frame, mask) in enumerate(zip(*stubs.moving_clip(5), strict=True)):
        seen += [[tag for tag, _ in stream.push(frame, mask, f"frame {number}")]]
    seen += [[tag for tag, _ in stream.finish()]]
    assert seen == [[], [], ["frame 0"], ["frame 1"], ["frame 2"], ["frame 3", "frame 4"]]
    assert stream.harmonized == 5 and not stream.covers_everything


def test_what_is_held_does_not_grow_with_the_clip():
    model = stubs.model_of(stubs.Tiny())
    volumes: list[weakref.ref] = []
    inputs: list[weakref.ref] = []
    most = {"volumes": 0, "frames": 0}
    plain = model.frame_volume

    def watched(image, mask, harmonized):
        volume = plain(image, mask, harmonized)
        volumes.append(weakref.ref(volume))
        return volume

    model.frame_volume = watched

    def source():
        picture, mask = stubs.moving_clip(1)
        for _ in range(60):
            frame = torch.from_numpy(picture[0].copy())
            inputs.append(weakref.ref(frame))
            yield frame, torch.from_numpy(mask[0])

    stream = FrameStream(model, previous=3, future=2)
    for frame, mask in source():
        for _ in stream.push(frame, mask):
            pass
        most["volumes"] = max(most["volumes"], sum(ref() is not None for ref in volumes))
        most["frames"] = max(most["frames"], sum(ref() is not None for ref in inputs))
    assert len(volumes) == len(inputs) == 60
    assert most["volumes"] <= 3 + 2 + 1
    assert most["frames"] <= 2 + 1


def test_frames_and_masks_of_different_number():
    frames, masks = stubs.moving_clip(4)
    model = stubs.model_of(stubs.Tiny())
    with pytest.raises(InputError, match="fewer masks than frames"):
        list(harmonize_frames(frames, masks[:3], model))
    with pytest.raises(InputError, match="fewer frames than masks"):
        list(harmonize_frames(frames[:3], masks, model))


def test_no_frames_give_no_frames():
    assert list(harmonize_frames([], [], stubs.model_of(stubs.Tiny()))) == []


@pytest.mark.parametrize(
    ("frame", "mask", "sentence"),
    [
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9), np.uint8), r"the mask is \(8, 9\), its frame \(8, 8\)"),
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), r"a frame must be .* got \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.uint8), r"got \(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32), r"\(3, H, W\).* got \(8, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), np.zeros((8, 8), np.uint8), "int64"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.int32), r"a mask must be .* got torch\.int32"),
        ([[0]], np.zeros((8, 8), np.uint8), "numpy array or a tensor, got list"),
    ],
)
def test_wrong_frames_and_masks_are_told(frame, mask, sentence):
    with pytest.raises(ShapeError, match=sentence):
        list(harmonize_frames([frame], [mask], stubs.model_of(stubs.Tiny())))


def test_the_size_may_not_change_within_a_clip():
    model = stubs.model_of(stubs.Tiny())
    frames = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)]
    masks = [np.zeros((8, 8), np.uint8), np.zeros((8, 10), np.uint8)]
    with pytest.raises(ShapeError, match=r"frame 1 is \(8, 10\), the frames before it \(8, 8\)"):
        list(harmonize_frames(frames, masks, model))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"previous": -1}, "previous and future .* cannot be negative"),
        ({"future": -2}, "cannot be negative"),
        ({"strength": 1.51}, '`strength` must be "auto" or between 0 and 1.5'),
        ({"strength": float("nan")}, "`strength` must be"),
    ],
)
def test_settings_are_checked_when_asked_for_not_at_the_first_frame(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        harmonize_frames([], [], stubs.model_of(stubs.Tiny()), **settings)


def test_the_lut_of_the_clip_describes_what_was_done():
    stream = FrameStream(stubs.model_of(stubs.Known(stubs.warm), mapping="smooth"), 1, 1)
    stream.collect_lut = True
    frames, masks = stubs.moving_clip(4)
    for frame, mask in zip(frames, masks, strict=True):
        for _ in stream.push(frame, mask):
            pass
    list(stream.finish())
    colors = torch.from_numpy(frames[masks == 255]).T[None, :, None].float() / 255
    read = trilinear.apply_lut(stream.clip_lut(), colors)
    torch.testing.assert_close(read, stubs.warm(colors), rtol=0, atol=0.02)


def test_at_strength_zero_the_lut_changes_nothing():
    stream = FrameStream(stubs.model_of(stubs.Tiny()), 1, 1, strength=0)
    stream.collect_lut = True
    frames, masks = stubs.moving_clip(3)
    results = [r for f, m in zip(frames, masks, strict=True) for _, r in stream.push(f, m)]
    results += [r for _, r in stream.finish()]
    assert np.array_equal(np.array(results), frames)
    colors = torch.rand(1, 3, 20, 20)
    torch.testing.assert_close(trilinear.apply_lut(stream.clip_lut(), colors), colors, rtol=0, atol=1e-5)
