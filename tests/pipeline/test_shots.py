"""One LUT a shot, in two passes; strength above 1 and by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pipeline import stubs
from torch import Tensor
from video import clips

import trilinear
from co2net import load_cube
from co2net.color_mapping.completion import identity_lut
from co2net.errors import InputError, OutputError
from co2net.models.backbones.base import Backbone, BackboneOutput
from co2net.pipeline import FrameStream, harmonize_frames, harmonize_video
from co2net.video import open_video

SIZE = (48, 32)


class Predictor(Backbone):
    """Predicts a gain that follows the frame's brightest value, and expects `error` of itself."""

    parts, predicts_mapping, paints = ("none",), True, False

    def __init__(self, error: float = 0.0, training_size: int = 16) -> None:
        super().__init__()
        self.error, self.training_size = error, training_size

    def forward(self, image: Tensor, mask: Tensor) -> BackboneOutput:
        gain = 0.5 + 0.5 * image.amax()
        lut = identity_lut(5, image) * gain
        return BackboneOutput(image, image[:, :0], image, lut, torch.full((1,), self.error))


def predictor(error: float = 0.0):
    return stubs.model_of(Predictor(error), mapping="predicted")


def two_shots(count=12, cut=7):
    """Still dark frames, then still bright ones of another picture; every frame of the mask is full on the left."""
    frames = [np.full((*SIZE[::-1], 3), (60 + n, 70, 80), np.uint8) for n in range(cut)]
    frames += [np.full((*SIZE[::-1], 3), (180, 150 + n, 40), np.uint8) for n in range(count - cut)]
    for frame in frames[cut:]:
        frame[::2] = 20  # another picture, not only another brightness
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:, : SIZE[0] // 2] = 255
    return frames, [mask] * count


def write(tmp_path, frames, masks):
    return clips.make_folder(tmp_path / "in", frames), clips.make_folder(tmp_path / "mask", masks)


def pictures(path):
    with open_video(path) as reader:
        return [frame.image for frame in reader]


def test_every_frame_of_a_shot_goes_through_one_lut(tmp_path):
    frames, masks = two_shots()
    inputs = write(tmp_path, frames, masks)
    calls = []
    report = harmonize_video(
        *inputs,
        tmp_path / "out",
        predictor(),
        2,
        2,
        per_shot=True,
        cube_per_shot=tmp_path / "luts",
        on_progress=lambda *call: calls.append(call),
    )
    assert (report.frames, report.harmonized, report.passes) == (12, 12, 12)
    assert calls == [(n, 24) for n in range(1, 25)]
    assert sorted(path.name for path in (tmp_path / "luts").iterdir()) == [
        "shot001_frames000000-000006.cube",
        "shot002_frames000007-000011.cube",
    ]
    luts = [load_cube(path) for path in sorted((tmp_path / "luts").iterdir())]
    assert not torch.allclose(luts[0], luts[1], atol=0.02)
    for number, (before, after) in enumerate(zip(frames, pictures(report.output), strict=True)):
        picture = torch.from_numpy(before.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()
        expected = trilinear.apply_lut(luts[number >= 7], picture)[0].permute(1, 2, 0).numpy() * 255
        half = SIZE[0] // 2
        assert np.abs(after[:, :half] - expected[:, :half]).max() < 1
        assert np.array_equal(after[:, half:], before[:, half:])


def test_a_refined_result_is_held_as_far_as_a_lut_can(tmp_path):
    frames, masks = stubs.moving_clip(5, 32, 48)
    inputs = write(tmp_path, list(frames), list(masks))
    model = stubs.model_of(stubs.Tiny(32), mapping="paper", refinement=True)
    report = harmonize_video(*inputs, tmp_path / "out", model, 1, 1, per_shot=True)
    assert any("one LUT a shot" in note for note in report.notes)
    assert not np.array_equal(pictures(report.output)[2], frames[2])


def test_a_shot_without_a_foreground_stays_and_has_no_lut(tmp_path):
    frames, masks = two_shots()
    masks = masks[:7] + [np.zeros_like(masks[0])] * 5
    inputs = write(tmp_path, frames, masks)
    report = harmonize_video(*inputs, tmp_path / "out", predictor(), per_shot=True, cube_per_shot=tmp_path / "luts")
    assert [path.name for path in (tmp_path / "luts").iterdir()] == ["shot001_frames000000-000006.cube"]
    assert np.array_equal(pictures(report.output)[9], frames[9])


def test_luts_of_shots_without_fixing_them_and_old_ones_go(tmp_path):
    inputs = write(tmp_path, *two_shots())
    (luts := tmp_path / "luts").mkdir()
    (luts / "shot009_frames000100-000200.cube").write_text("older")
    (luts / "mine.cube").write_text("kept")
    harmonize_video(*inputs, tmp_path / "out", predictor(), 1, 1, cube_per_shot=luts)
    assert sorted(path.name for path in luts.iterdir())[0] == "mine.cube" and len(list(luts.iterdir())) == 3


def test_what_cannot_be_written_is_refused_before_the_first_pass(tmp_path):
    inputs = write(tmp_path, *two_shots())
    calls = []
    for output, luts in ((tmp_path / "none" / "out", None), (tmp_path / "out", tmp_path / "in" / "000.png" / "x")):
        with pytest.raises(OutputError):
            harmonize_video(
                *inputs, output, predictor(), per_shot=True, cube_per_shot=luts, on_progress=lambda *c: calls.append(c)
            )
    assert calls == []


@pytest.mark.parametrize("strength", [0.5, 1.5])
def test_a_strength_above_one_exaggerates(strength):
    frames, masks = two_shots(3, 3)
    full = list(harmonize_frames(frames, masks, predictor(), 0, 0))
    some = list(harmonize_frames(frames, masks, predictor(), 0, 0, strength=strength))
    for before, all_of_it, part in zip(frames, full, some, strict=True):
        wanted = before + strength * (all_of_it.astype(float) - before)
        assert np.abs(part - wanted.clip(0, 255)).max() <= 1


def test_with_auto_a_change_no_larger_than_its_expected_error_is_left_out():
    frames, masks = two_shots(3, 3)
    full = list(harmonize_frames(frames, masks, predictor(), 1, 1))
    sure = list(harmonize_frames(frames, masks, predictor(1e-9), 1, 1, strength="auto"))
    unsure = list(harmonize_frames(frames, masks, predictor(1.0), 1, 1, strength="auto"))
    size = float(((full[1].astype(float) - frames[1])[:, : SIZE[0] // 2] ** 2).mean() / 255**2)
    half = list(harmonize_frames(frames, masks, predictor(size / 2), 1, 1, strength="auto"))
    assert np.array_equal(sure[1], full[1]) and np.array_equal(unsure[1], frames[1])
    assert np.abs(half[1] - (frames[1] + (full[1].astype(float) - frames[1]) / 2)).max() <= 1


@pytest.mark.parametrize("strength", [-0.1, 1.6, "much"])
def test_other_strengths_are_refused(strength):
    with pytest.raises(InputError, match="`strength` must be"):
        FrameStream(predictor(), strength=strength)
