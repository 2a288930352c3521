"""Given masks carried through clips whose true masks are known."""

import cv2
import numpy as np
import pytest
import torch

from co2net import matting, metrics
from co2net.errors import InputError
from co2net.matting.propagation import PropagationStream


def clip(count=8, size=(64, 96), step=3, seed=0):
    """A textured disk over a textured, slowly moving background: frames (uint8) and masks."""
    rng = np.random.default_rng(seed)
    height, width = size
    back = cv2.resize(
        rng.uniform(0, 160, (12, 30, 3)).astype(np.float32), (width * 2, height), interpolation=cv2.INTER_CUBIC
    )
    front = cv2.resize(
        rng.uniform(100, 255, (9, 9, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    front[..., 1] *= 0.3
    y, x = np.mgrid[0:height, 0:width]
    frames, masks = [], []
    for t in range(count):
        inside = (x - 30 - step * t) ** 2 + (y - 32 - 0.5 * t) ** 2 < 14**2
        moved = np.roll(front, step * t, axis=1)
        frames.append(np.clip(np.where(inside[..., None], moved, back[:, t : t + width]), 0, 255).astype(np.uint8))
        masks.append(inside.astype(np.float32))
    return frames, masks


def iou(made, true):
    return metrics.iou(torch.from_numpy(np.stack(made))[:, None], torch.from_numpy(np.stack(true))[:, None])


def test_first_mask_is_carried():
    frames, masks = clip()
    made = list(matting.propagate(frames, {0: masks[0]}))
    assert len(made) == len(frames) and made[3].shape == (64, 96) and made[3].dtype == np.float32
    assert np.array_equal(made[0], masks[0])
    assert iou(made, masks).min() > 0.85


def test_kinds_of_frames_and_masks_agree():
    frames, masks = clip(4)
    first = list(matting.propagate(frames, {0: masks[0]}))
    floats = [torch.from_numpy(frame).permute(2, 0, 1).float() / 255 for frame in frames]
    second = list(matting.propagate(iter(floats), {0: (masks[0] * 255).astype(np.uint8)}))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_last_mask_works_backward_and_both_are_better():
    frames, masks = clip(10, step=4)
    backward = list(matting.propagate(frames, {9: masks[9]}))
    assert iou(backward, masks).min() > 0.8
    both = list(matting.propagate(frames, {0: masks[0], 9: masks[9]}))
    forward = list(matting.propagate(frames, {0: masks[0]}))
    assert iou(both, masks).mean() >= iou(forward, masks).mean() - 0.01
    assert np.array_equal(both[9], masks[9])


def test_a_cut_ends_the_masks_with_a_note():
    frames, masks = clip(6)
    other = [255 - frame for frame in frames]
    stream = PropagationStream({0: masks[0]})
    made = [mask for frame in [*frames, *other] for _, mask in stream.push(frame, None, None)]
    made += [mask for _, mask in stream.finish()]
    assert stream.report.cuts == [6]
    assert made[5].any() and not made[6].any()
    assert any("frames 6 to 11 have no given mask in their shot" in note for note in stream.notes)


def test_a_mask_after_the_cut_is_used_on_its_side_only():
    frames, masks = clip(6)
    other = [255 - frame for frame in frames]
    made = list(matting.propagate([*frames, *other], {0: masks[0], 9: masks[3]}))
    assert len(made) == 12
    assert iou(made, [*masks, *masks]).min() > 0.8


def test_confidence_falls_where_the_subject_goes():
    frames, masks = clip(8)
    background = clip(16, seed=0, step=60)[0]
    stream = PropagationStream({0: masks[0]})
    for frame in [*frames, *background[8:]]:
        list(stream.push(frame, None, None))
    list(stream.finish())
    assert stream.report.confidence[0] == 1 and stream.report.confidence[4] > 0.6
    assert stream.report.confidence[15] < stream.report.confidence[4]


def test_tags_come_back_in_order():
    frames, masks = clip(6)
    stream = PropagationStream({2: masks[2], 5: masks[5]})
    tags = [tag for number, frame in enumerate(frames) for tag, _ in stream.push(frame, None, number)]
    assert [*tags, *(tag for tag, _ in stream.finish())] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "is empty: give the mask"),
        ({-1: np.ones((64, 96), np.float32)}, "numbers count from 0"),
        ({0: np.zeros((64, 96), np.float32)}, "frame 0 is empty"),
        ({0: np.ones((32, 96), np.float32)}, "is 96x32, the clip 96x64"),
        ({40: np.ones((64, 96), np.float32)}, "frames 40, the clip has frames 0 to 3"),
    ],
)
def test_bad_masks_are_said(given, message):
    with pytest.raises(InputError, match=message):
        list(matting.propagate(clip(4)[0], given))


def test_held_frames_are_bounded(monkeypatch):
    import co2net.matting.propagation as module

    frames, masks = clip(10)
    monkeypatch.setattr(module, "HELD_BYTES", 3 * frames[0].nbytes)
    stream = PropagationStream({0: masks[0], 9: masks[9]})
    counts = []
    for frame in frames:
        list(stream.push(frame, None, None))
        counts.append(len(stream._held))
    assert max(counts) == 3
