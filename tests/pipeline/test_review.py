"""What a review keeps of a clip, and when it asks for a look."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pipeline import stubs
from video import clips

import co2net
from co2net.pipeline.review import MOST, WIDTH, Look, Review, color_shares
from co2net.video import Frame

SIZE = (64, 48)


def reviewed(tmp_path, frames, change=stubs.warm, **settings):
    clips.make_video(tmp_path / "in.mkv", frames, SIZE, codec="ffv1", pixel_format="yuv420p")
    count = frames if isinstance(frames, int) else len(frames)
    clips.make_folder(tmp_path / "mask", [clips.disc(*SIZE)] * count)
    review = Review()
    model = stubs.model_of(stubs.Known(change), mapping="smooth")
    for name in ("plain.mkv", "seen.mkv"):
        seen = {"review": review} if name == "seen.mkv" else {}
        co2net.harmonize_video(tmp_path / "in.mkv", tmp_path / "mask", tmp_path / name, model, 2, 2, **settings, **seen)
    assert clips.planes(tmp_path / "plain.mkv")[0][0].tolist() == clips.planes(tmp_path / "seen.mkv")[0][0].tolist()
    return review


def test_it_keeps_few_frames_evenly_and_changes_nothing(tmp_path):
    review = reviewed(tmp_path, [clips.picture(*SIZE, n // 8) for n in range(37)])
    numbers = [sample.number for sample in review.samples]
    assert len(numbers) <= MOST and numbers == list(range(0, 37, numbers[1]))
    assert len(review.looks) == 37 and review.samples[0].before.shape == (48, 64, 3)
    source = next(iter(clips.planes(tmp_path / "in.mkv")))[0]
    assert abs(review.samples[0].before.mean() - source.mean()) < 30
    assert review.change is not None and review.change > 5
    assert review.expected_error is None and review.concerns() == []


def test_a_shot_that_does_not_change_wants_a_look(tmp_path):
    review = reviewed(tmp_path, 3, lambda image: image)
    assert [text.split(":")[0] for text in review.concerns()] == ["nothing changed"]


def test_with_a_look_the_change_is_the_harmonization_alone(tmp_path):
    identity = "LUT_3D_SIZE 2\n" + "".join(f"{1 - r} {1 - g} {1 - b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (tmp_path / "look.cube").write_text(identity)
    review = reviewed(tmp_path, 3, lambda image: image, look=tmp_path / "look.cube")
    assert review.change is not None and review.change < 0.5


def test_large_expected_error(tmp_path):
    review = Review()
    shares = color_shares(torch.rand(1, 3, 8, 8))
    review.looks = [Look(n, change=6.0, expected_error=5.0, colors=shares) for n in (0, 8)]
    assert review.concerns() == []
    review.looks = [Look(n, change=6.0, expected_error=9.0, colors=shares) for n in (0, 8)]
    assert "wrong by 9 levels where it changes 6" in review.concerns()[0]


@pytest.mark.parametrize(("known", "found"), [([], [24]), ([20], []), ([40], [24])])
def test_another_scene_without_a_cut(known, found):
    """A dissolve over a second: no step is large, but after it another scene shows. One report, not three."""
    dark, light = (np.eye(216, dtype=np.float32)[n] for n in (0, 215))
    review = Review()
    review.cuts = known
    for number in range(0, 64, 8):
        share = min(max((number - 8) / 24, 0), 1)
        review.looks.append(Look(number, 5.0, 2.0, (1 - share) * dark + share * light))
    assert review.missed_cuts() == found


def test_small_pictures_are_small():
    review = Review()
    review.see(Frame(np.zeros((600, 1000, 3), np.uint8)), None, np.full((600, 1000, 3), 9, np.uint8))
    assert review.samples[0].before.shape == (154, WIDTH, 3) and review.samples[0].change is None
