"""``co2net matte`` on small files."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from co2net.cli import main
from co2net.video import open_mask, open_video

sys.path.insert(0, str(Path(__file__).parents[1] / "matting"))
from test_keying import plate
from test_propagation import clip


@pytest.fixture
def green(tmp_path):
    """A folder of three frames over a green screen, and the true matte."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for number in range(3):
        frame, _, alpha = plate((50, 150, 40), 0.2, 2, number)
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return folder, alpha


@pytest.fixture
def walk(tmp_path):
    """A folder of frames with a moving subject, its masks, and the first mask as a file."""
    frames, masks = clip(8)
    folder = tmp_path / "walk"
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    Image.fromarray((255 * masks[0]).astype(np.uint8)).save(tmp_path / "first.png")
    return folder, masks, tmp_path / "first.png"


def said(capsys):
    return capsys.readouterr().err


def test_key_makes_a_cut_out_with_alpha(green, tmp_path):
    folder, alpha = green
    for name in ("out.mov", "out.mkv", "out.webm"):
        assert main(["matte", str(folder), "--key", "green", "-o", str(tmp_path / name), "-q"]) == 0
        with open_video(tmp_path / name) as reader:
            assert reader.info.has_alpha
            frames = list(reader)
        assert len(frames) == 3
        found = frames[0].alpha / frames[0].peak
        assert np.abs(found - alpha).mean() < 0.02
    with av.open(str(tmp_path / "out.mov")) as file:
        assert file.streams.video[0].codec_context.name == "prores"


def test_key_as_mask_and_over_a_background(green, tmp_path):
    folder, alpha = green
    assert main(["matte", str(folder), "--key", "auto", "--give", "mask", "-o", str(tmp_path / "m.mkv"), "-q"]) == 0
    with open_video(folder) as reader, open_mask(tmp_path / "m.mkv", like=reader.info, retime="index") as masks:
        assert np.abs(next(iter(masks)) - alpha).mean() < 0.015
    Image.new("RGB", (64, 64), (200, 30, 120)).save(tmp_path / "back.png")
    out = tmp_path / "composed"
    words = ["matte", str(folder), "--key", "green", "--background", str(tmp_path / "back.png"), "-o", str(out), "-q"]
    assert main(words) == 0
    with open_video(out) as reader:
        first = next(iter(reader)).image
    assert np.abs(first[alpha == 0].astype(int) - (200, 30, 120)).max() <= 1


def test_one_mask_is_carried(walk, tmp_path, capsys):
    folder, masks, first = walk
    assert main(["matte", str(folder), "--from", str(first), "-o", str(tmp_path / "mask.mkv")]) == 0
    with open_video(folder) as reader, open_mask(tmp_path / "mask.mkv", like=reader.info, retime="index") as made:
        for found, true in zip(made, masks, strict=True):
            assert ((found > 0.5) & (true > 0.5)).sum() / ((found > 0.5) | (true > 0.5)).sum() > 0.8
    assert "8 frames" in said(capsys)


def test_masks_of_several_frames_by_number(walk, tmp_path):
    folder, masks, _ = walk
    given = tmp_path / "given"
    given.mkdir()
    for number in (2, 6):
        Image.fromarray((255 * masks[number]).astype(np.uint8)).save(given / f"mask_{number:04d}.png")
    assert main(["matte", str(folder), "--from", str(given), "-o", str(tmp_path / "mask.mkv"), "-q"]) == 0
    with open_video(tmp_path / "mask.mkv") as reader:
        found = [frame.image[..., 0] > 127 for frame in reader]
    assert np.array_equal(found[2], masks[2] > 0.5) and found[0].any() and found[7].any()


def test_moving_subject(walk, tmp_path):
    folder, masks, _ = walk
    assert main(["matte", str(folder), "--moving", "-o", str(tmp_path / "mask.mkv"), "-q"]) == 0
    with open_video(tmp_path / "mask.mkv") as reader:
        found = [frame.image[..., 0] > 127 for frame in reader]
    true = masks[4] > 0.5
    assert (found[4] & true).sum() / (found[4] | true).sum() > 0.5


def test_bad_input_is_said(walk, green, tmp_path, capsys):
    folder = walk[0]
    still = tmp_path / "still"
    still.mkdir()
    for number in range(4):
        Image.fromarray(clip(1)[0][0]).save(still / f"{number}.png")
    Image.new("L", (96, 64), 0).save(tmp_path / "empty.png")
    Image.new("RGB", (96, 64), (90, 90, 90)).save(tmp_path / "gray.png")
    Image.new("L", (20, 20), 255).save(tmp_path / "small.png")
    out = ["-o", str(tmp_path / "x.mkv"), "-q"]
    for words, message in [
        ([str(tmp_path / "gray.png"), "--key", "green"], "no screen of the color"),
        ([str(still), "--moving"], "nothing moves by more than 0.5 pixels"),
        ([str(folder), "--from", str(tmp_path / "empty.png")], "is empty: it must be white on the subject"),
        ([str(folder), "--from", str(tmp_path / "small.png")], "20x20"),
        ([str(folder), "--from", str(tmp_path / "none.png")], "no such file"),
        ([str(folder), "--key", "greenish"], "is no color"),
        ([str(folder), "--model", "best"], "--model best: give rembg:NAME"),
        ([str(folder), "--model", str(tmp_path / "rvm.onnx")], "no such file"),
        ([str(green[0]), "--key", "green", "--refine"], "--refine is for hard masks"),
        ([str(folder), "--moving", "--threshold", "nan"], "--threshold must be a number of pixels above 0"),
        ([str(green[0]), "--key", "green", "--weights", "x.pth"], "--weights does nothing without --moving"),
        ([str(green[0]), "--key", "green", "--light-wrap", "0.5"], "without --background"),
        ([str(tmp_path / "gray.png"), "--moving"], "one frame shows no motion"),
    ]:
        assert main(["matte", *words, *out]) == 2
        assert message in said(capsys)
        assert not (tmp_path / "x.mkv").exists()


def test_harmonize_keys_and_composes(green, tmp_path, monkeypatch):
    folder, _ = green
    seen = {}

    def harmonize_video(composite, mask, output, **settings):
        with open_video(settings["foreground"]) as reader:
            seen.update(alpha=reader.info.has_alpha, frames=len(list(reader)), composite=composite, output=output)
        raise KeyboardInterrupt

    monkeypatch.setattr("co2net.pipeline.harmonize.harmonize_video", harmonize_video)
    monkeypatch.setattr("co2net.models.registry.load_model", lambda *words, **more: None)
    Image.new("RGB", (128, 96)).save(tmp_path / "back.png")
    words = ["harmonize", str(folder), "--key", "green", "--background", str(tmp_path / "back.png"), "-q"]
    assert main([*words, "-o", str(tmp_path / "out.mp4")]) == 130
    assert seen == {"alpha": True, "frames": 3, "composite": None, "output": str(tmp_path / "out.mp4")}


def test_harmonize_carries_a_mask(walk, tmp_path, monkeypatch, capsys):
    folder, _, first = walk
    seen = {}

    def harmonize_video(composite, mask, output, **settings):
        with open_video(mask) as reader:
            seen.update(frames=len(list(reader)), composite=composite)
        raise KeyboardInterrupt

    monkeypatch.setattr("co2net.pipeline.harmonize.harmonize_video", harmonize_video)
    monkeypatch.setattr("co2net.models.registry.load_model", lambda *words, **more: None)
    assert main(["harmonize", str(folder), "--mask-from", str(first), "-q"]) == 130
    assert seen == {"frames": 8, "composite": str(folder)}
    capsys.readouterr()
    assert main(["harmonize", str(folder), "--key", "green", "-q"]) == 2
    assert "--key makes a cut-out to be composed: give its --background" in said(capsys)
