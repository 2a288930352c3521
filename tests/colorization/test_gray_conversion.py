"""What made a clip gray is read off strokes in true colors, and stays under new colors."""

import cv2
import numpy as np
import pytest
from PIL import Image

from co2net.colorization import ColorizeStream, colorize_frames
from co2net.colorization.frames import luma_of
from co2net.colorization.gray import LUMAS, GrayConversion
from co2net.colorization.methods import gray, points_of


@pytest.fixture
def picture():
    coarse = np.random.default_rng(0).integers(20, 236, (5, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC))


def made_gray(picture, name):
    if name is None:
        return gray(picture)
    codes = (picture @ LUMAS[name]).round().clip(0, 255).astype(np.uint8)
    return np.repeat(codes[..., None], 3, axis=2)


@pytest.mark.parametrize("name", [None, *LUMAS])
def test_what_the_conversion_kept_stays(picture, name):
    shown, strokes = made_gray(picture, name), points_of(picture)
    stream = ColorizeStream({0: strokes})
    [(_, result)] = [*stream.push(shown), *stream.finish()]
    assert any(f"made gray as {name}" in note for note in stream.notes) == (name is not None)
    again = made_gray(result, name)[..., 0].astype(int)
    assert np.abs(again - shown[..., 0]).mean() < 1
    # Colors of another conversion would be off wherever they are vivid.
    others = [made_gray(result, other)[..., 0].astype(int) for other in (None, *LUMAS) if other != name]
    assert all(np.abs(other - shown[..., 0]).mean() > 1 for other in others)


def test_sixteen_bits_and_arrays_keep_their_luma(picture):
    strokes = {0: points_of(picture)}
    shown = made_gray(picture, "BT.601")
    deep = shown.astype(np.uint16) * 257 + 100
    [result] = colorize_frames([deep], strokes)
    assert result.dtype == np.uint16
    inside = (result > 0).all(axis=2) & (result < 65535).all(axis=2)
    assert np.abs(result @ LUMAS["BT.601"] - deep[..., 0])[inside].max() < 3
    planes = shown.transpose(2, 0, 1).astype(np.float32) / 255
    [result] = colorize_frames([planes], strokes)
    off = np.abs(np.tensordot(LUMAS["BT.601"], result, 1) - planes[0])
    assert np.median(off) < 1e-5


def test_strokes_by_hand_say_nothing(picture):
    strokes = np.zeros_like(picture)
    colors = np.random.default_rng(1).integers(0, 256, (12, 3))
    for k, color in enumerate(colors):
        strokes[4 + 20 * (k // 4) : 12 + 20 * (k // 4), 4 + 24 * (k % 4) : 20 + 24 * (k % 4)] = color
    conversion = GrayConversion()
    conversion.look(strokes, cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[..., 0])
    assert conversion.name is None and conversion.weights is None
    conversion.look(np.zeros_like(strokes), np.zeros(strokes.shape[:2], np.float32))
    assert conversion.name is None


def test_a_shot_keeps_what_its_first_strokes_tell(picture):
    """Else its brightness would jump where later strokes tell better; after a cut they decide."""
    by_hand = np.zeros_like(picture)
    by_hand[8:24, 8:40] = 220, 30, 40
    shown = made_gray(picture, "BT.601")
    lightness = luma_of(shown)
    conversion = GrayConversion()
    conversion.look(by_hand, lightness)
    assert not conversion.overruled
    conversion.look(points_of(picture), lightness)
    assert conversion.name is None and conversion.told == "BT.601" and conversion.overruled
    conversion.next_shot()
    assert conversion.name is None
    conversion.look(points_of(picture), lightness)
    assert conversion.name == "BT.601"


def test_strokes_that_are_overruled_are_named(picture):
    by_hand = np.zeros_like(picture)
    by_hand[8:24, 8:40] = 220, 30, 40
    stream = ColorizeStream({0: by_hand, 1: points_of(picture)})
    for _ in range(2):
        list(stream.push(made_gray(picture, "BT.601")))
    list(stream.finish())
    assert any("later strokes tell another" in note for note in stream.notes)
    assert not any("BT.601" in note for note in stream.notes)
