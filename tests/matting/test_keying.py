"""Composites over colored screens with a known matte."""

import numpy as np
import pytest
import torch

from co2net import matting
from co2net.errors import InputError
from co2net.matting.keying import KeyingStream
from co2net.matting.screen import Lean, parse_color

SCREENS = [((50, 150, 40), 0.0, 0), ((41, 255, 7), 0.25, 4), ((60, 180, 75), 0.4, 6), ((40, 80, 200), 0.2, 4)]


def subject(size=(96, 128), seed=1):
    """Colors ``(H, W, 3)`` in [0, 1] without strong green or blue, and a soft matte with a glassy part."""
    import cv2

    rng = np.random.default_rng(seed)
    height, width = size
    colors = cv2.resize(rng.uniform(0.1, 0.9, (8, 10, 3)).astype(np.float32), (width, height))
    colors[..., 1] = np.minimum(colors[..., 1], colors[..., 0])
    colors[..., 2] = np.minimum(colors[..., 2], colors[..., 0])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((x - width / 2) / 1.2, y - height / 2)
    alpha = np.clip((32 - distance) / 3, 0, 1)
    return np.clip(colors, 0, 1), alpha.astype(np.float32)


def plate(color, uneven, noise, seed=0):
    """A frame over a screen, its true colors and matte."""
    rng = np.random.default_rng(seed)
    front, alpha = subject()
    height, width = alpha.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 1 + uneven * ((x / width - 0.5) + 0.5 * (y / height - 0.5))
    screen = np.clip(np.asarray(color) / 255 * light[..., None], 0, 1)
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * screen
    frame = np.clip(np.rint(255 * mixed + noise * rng.standard_normal(mixed.shape)), 0, 255).astype(np.uint8)
    return frame, front, alpha


@pytest.mark.parametrize(("color", "uneven", "noise"), SCREENS)
def test_known_matte_comes_back(color, uneven, noise):
    frame, front, alpha = plate(color, uneven, noise)
    [(found, made)] = matting.key_frames_by_color([frame])
    assert made.dtype == found.dtype == np.float32 and made.shape == alpha.shape
    assert np.abs(made - alpha).mean() < 0.012
    assert (made[alpha == 1] > 0.97).mean() > 0.99
    assert (made[alpha == 0] < 0.03).mean() > 0.99
    lean = Lean(color)
    spill = np.maximum(np.maximum(lean(found), 0) - np.maximum(lean(front), 0), 0)
    assert 255 * (spill * alpha).sum() / alpha.sum() < 3


def test_auto_finds_what_is_named():
    frame, _, _ = plate((50, 150, 40), 0.1, 2)
    stream = KeyingStream("auto")
    list(stream.push(frame, None, None))
    assert "the screen was found to be #3" in stream.notes[0]
    by_name = next(matting.key_frames_by_color([frame], "green"))[1]
    by_itself = next(matting.key_frames_by_color([frame], "auto"))[1]
    assert np.abs(by_name - by_itself).mean() < 0.003


def test_noise_does_not_flicker():
    clean = [plate((50, 150, 40), 0.2, 5, seed)[0] for seed in range(4)]
    mattes = [alpha for _, alpha in matting.key_frames_by_color(clean)]
    truth = plate((50, 150, 40), 0, 0)[2]
    change = np.abs(np.diff(np.stack(mattes), axis=0))
    assert change[:, truth == 0].mean() < 0.002 and change[:, truth == 1].mean() < 0.002


def test_spill_is_removed_near_the_edge_only_as_asked():
    frame, _, alpha = plate((50, 150, 40), 0, 0)
    edge = (alpha == 1) & (np.roll(alpha, 3, 1) < 1)
    lit = frame.copy()
    lit[edge, 1] = np.minimum(255, lit[edge].max(-1) + 12)
    kept = next(matting.key_frames_by_color([lit], "green", spill=0))[0]
    removed = next(matting.key_frames_by_color([lit], "green", spill=1))[0]
    lean = Lean((50, 150, 40))
    assert lean(kept)[edge].mean() > lean(removed)[edge].mean() + 0.003
    assert lean(removed)[edge].max() < 0.02


def test_garbage_mask_is_background():
    frame, _, alpha = plate((50, 150, 40), 0, 0)
    garbage = np.ones(alpha.shape, np.float32)
    garbage[:, :64] = 0
    made = next(matting.key_frames_by_color([frame], "green", garbage=garbage))[1]
    assert not made[:, :64].any() and made[:, 64:].any()
    with pytest.raises(InputError, match="garbage mask is 4x4, the clip 128x96"):
        next(matting.key_frames_by_color([frame], "green", garbage=np.ones((4, 4))))


def test_kinds_of_frames_agree():
    frame, _, _ = plate((50, 150, 40), 0, 0)
    as_float = torch.from_numpy(frame).permute(2, 0, 1).float() / 255
    one, two = (next(matting.key_frames_by_color([f], "green"))[1] for f in (frame, as_float))
    assert np.array_equal(one, two)


def test_no_screen_is_said():
    gray = np.full((64, 64, 3), 120, np.uint8)
    with pytest.raises(InputError, match="no screen was found in the first frame"):
        next(matting.key_frames_by_color([gray]))
    with pytest.raises(InputError, match="no screen of the color"):
        next(matting.key_frames_by_color([gray], "green"))
    screen = np.full((64, 64, 3), (50, 150, 40), np.uint8)
    with pytest.raises(InputError, match="screen and nothing else"):
        list(matting.key_frames_by_color([screen, screen], "green"))


def test_a_subject_that_fills_a_later_frame_is_all_foreground():
    frame, _, _ = plate((50, 150, 40), 0, 0)
    stream = KeyingStream("green")
    list(stream.push(frame, None, 0))
    [(_, (_, alpha))] = stream.push(np.full_like(frame, 120), None, 1)
    assert alpha.min() == 1
    assert any("no screen was seen in frames 1" in note for note in stream.notes)


@pytest.mark.parametrize("color", ["mauvish", "1,2", (1, 2), 7, "300,0,0"])
def test_colors_that_are_none(color):
    with pytest.raises(InputError, match="is no color"):
        parse_color(color)
    with pytest.raises(InputError, match="it has no hue"):
        Lean((100, 100, 100))


def test_colors():
    assert parse_color("auto") is None
    assert parse_color("#29ff07") == (41, 255, 7) == parse_color("41,255,7") == parse_color([41, 255, 7])
