"""Composing: whose sound, backgrounds of another length or size, kinds of alpha, rates of folders."""

from __future__ import annotations

import numpy as np
import pytest
from video import clips

from co2net.errors import InputError
from co2net.video import Composing, MaskOptions, Part, open_composed, open_video, open_writer

SIZE = (48, 32)
ALPHA = clips.disc(*SIZE)
FRONT = [clips.picture(*SIZE, n + 40) for n in range(4)]
BACK = [clips.picture(*SIZE, n) for n in range(4)]


def foreground(tmp_path, sound=None, count=4, premultiplied=False):
    weight = ALPHA[..., None] / 255 if premultiplied else 1
    images = [np.rint(f * weight).astype(np.uint8) for f in FRONT[:count]]
    kind = {"codec": "qtrle", "pixel_format": "argb", "alphas": [ALPHA] * count}
    return clips.make_video(tmp_path / "front.mov", images, sound=sound, **kind)


def background(tmp_path, sound=None, count=4, images=None):
    images = images or BACK[:count]
    return clips.make_video(tmp_path / "back.mkv", images, codec="ffv1", pixel_format="bgr0", sound=sound)


def compose(front, back, output, composing=None, **settings):
    with open_composed(front, back, composing=composing, **settings) as pairs:
        with open_writer(output, pairs.info) as writer:
            for frame, mask in pairs:
                writer.write(frame, frame.image, mask)
    with open_video(output) as reader:
        return [frame.image for frame in reader], [*pairs.notes, *writer.notes]


def mixed(front, back):
    weight = ALPHA[..., None] / np.float32(255)
    return weight * front + (1 - weight) * back


def tracks(path):
    return len(clips.packets(path))


def test_whose_sound(tmp_path):
    front, silent = foreground(tmp_path, sound="pcm_s16le"), background(tmp_path)
    compose(front, silent, tmp_path / "a.mkv")
    assert clips.packets(tmp_path / "a.mkv")[0][0][1] == clips.packets(front)[0][0][1]
    compose(front, silent, tmp_path / "b.mkv", Composing(sound="none"))
    _, notes = compose(front, silent, tmp_path / "c.mkv", Composing(sound="background"))
    assert tracks(tmp_path / "b.mkv") == tracks(tmp_path / "c.mkv") == 0 and "has no sound" in notes[0]
    heard = background(tmp_path, sound="flac")
    _, notes = compose(front, heard, tmp_path / "d.mkv")
    assert clips.packets(tmp_path / "d.mkv")[0] == clips.packets(heard)[0] and "left out" in notes[0]
    compose(front, heard, tmp_path / "e.mkv", Composing(sound="foreground"))
    assert clips.packets(tmp_path / "e.mkv")[0][0][1] == clips.packets(front)[0][0][1]


def test_a_background_that_is_too_short(tmp_path):
    front, back = foreground(tmp_path), background(tmp_path, count=3)
    with pytest.raises(InputError, match=r"more frames than the 3.*background loop"):
        compose(front, back, tmp_path / "o.mkv")
    found, _ = compose(front, back, tmp_path / "o.mkv", Composing(background_loop=True))
    for number, image in enumerate(found):
        assert np.abs(image - mixed(FRONT[number], BACK[number % 3])).max() <= 0.51
    assert clips.times(tmp_path / "o.mkv") == clips.times(front)


@pytest.mark.parametrize("ending", ["png", "gif", "jpg"])
def test_a_still_background_holds_for_every_frame(tmp_path, ending):
    clips.make_folder(tmp_path, [BACK[0]], f"{{}}.{ending}")
    front = foreground(tmp_path, sound="pcm_s16le")
    found, _ = compose(front, tmp_path / f"1.{ending}", tmp_path / "o.mkv")
    assert len(found) == 4 and tracks(tmp_path / "o.mkv") == 1
    for number, image in enumerate(found):
        assert np.abs(image - mixed(FRONT[number], BACK[0])).mean() < (1 if ending == "png" else 12)


@pytest.mark.parametrize("how", ["cover", "contain", "stretch"])
def test_a_background_of_another_size(tmp_path, how):
    large = [clips.picture(120, 60, n) for n in range(4)]
    front, back = foreground(tmp_path, sound="pcm_s16le"), background(tmp_path, images=large)
    with pytest.raises(InputError, match="cover, contain or stretch"):
        compose(front, back, tmp_path / "o.mkv")
    found, _ = compose(front, back, tmp_path / "o.mkv", Composing(background_fit=how))
    assert found[0].shape == (32, 48, 3)
    inside = ALPHA == 255
    assert np.abs(found[0][inside] - FRONT[0][inside].astype(float)).max() <= 1
    assert (found[0][:3].max() == 0) == (how == "contain")


def test_premultiplied_colors(tmp_path):
    back = background(tmp_path)
    front = foreground(tmp_path, premultiplied=True)
    found, notes = compose(front, back, tmp_path / "o.mkv")
    assert "premultiplied" in notes[0]
    for number, image in enumerate(found):
        assert np.abs(image - mixed(FRONT[number], BACK[number])).max() <= 1.01
    dark, notes = compose(front, back, tmp_path / "o.mkv", Composing(alpha="straight"))
    assert not notes and np.abs(dark[0] - mixed(FRONT[0], BACK[0])).max() > 10
    _, notes = compose(foreground(tmp_path), back, tmp_path / "o.mkv")
    assert not notes


def test_folders_have_the_rate_asked_for(tmp_path):
    front = clips.make_folder(tmp_path / "front", [np.dstack([f, ALPHA]) for f in FRONT], "f_{:02d}.png")
    back = clips.make_folder(tmp_path / "back", BACK, "b_{:02d}.png")
    _, notes = compose(front, back, tmp_path / "o.mkv", frame_rate=24)
    assert not notes
    with open_video(tmp_path / "o.mkv") as reader:
        assert reader.info.frame_rate == 24
    (front / "f_02.png").unlink()
    with pytest.raises(InputError, match="lacks b_02"):
        compose(front, back, tmp_path / "o.mkv", frame_rate=24)


def test_options_of_the_mask_and_parts(tmp_path):
    front = clips.make_folder(tmp_path / "front", [np.dstack([f, ALPHA]) for f in FRONT], "f_{:02d}.png")
    back = clips.make_folder(tmp_path / "back", BACK, "b_{:02d}.png")
    with open_composed(front, back, options=MaskOptions(invert=True), part=Part(2, 3, before=1)) as pairs:
        found = list(pairs)
    assert [frame.is_context for frame, _ in found] == [True, False, False]
    np.testing.assert_allclose(found[0][1], 1 - ALPHA / np.float32(255), atol=1e-6)
    for wrong in ({"sound": "loud"}, {"alpha": "black"}, {"background_fit": "crop"}):
        with pytest.raises(InputError, match="must be one of"):
            Composing(**wrong)
