"""Measuring methods on clips: reading, compositing, scores and their summary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from video import clips

from co2net.cli import main
from co2net.color_mapping.completion import identity_lut
from co2net.data.composites import blend_lut
from co2net.errors import InputError
from co2net.evaluation.clips import Score, motion, read_clip, score, summarize
from co2net.evaluation.methods import BACKBONE, baselines, network_methods
from co2net.models.registry import create_model

SIZE = (48, 32)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    clips.make_folder(tmp_path / "frames", [clips.picture(*SIZE, n) for n in range(3)])
    clips.make_folder(tmp_path / "masks", [clips.disc(*SIZE)] * 3)
    return tmp_path


def test_read_clip(folder):
    frames, masks = read_clip(folder)
    assert len(frames) == len(masks) == 3
    assert all(np.array_equal(frame, clips.picture(*SIZE, n)) for n, frame in enumerate(frames))
    assert all(np.array_equal(mask, clips.disc(*SIZE)) for mask in masks)


def test_read_clip_resized_and_shortened(folder):
    frames, masks = read_clip(folder, size=(16, 20), limit=2)
    assert [frame.shape for frame in frames] == [(16, 20, 3)] * 2
    assert [mask.shape for mask in masks] == [(16, 20)] * 2


def test_read_clip_says_what_is_missing(folder, tmp_path):
    with pytest.raises(InputError, match="nowhere holds no frames/ with pictures"):
        read_clip(tmp_path / "nowhere")
    (folder / "masks" / "002.png").unlink()
    with pytest.raises(InputError, match=r"masks.002\.png: No such file"):
        read_clip(folder)


def test_read_clip_refuses_what_is_no_picture(folder):
    (folder / "frames" / "002.png").write_text("no picture")
    with pytest.raises(InputError, match=r"002\.png: not a picture"):
        read_clip(folder)


def test_read_clip_refuses_a_mask_of_another_size(folder):
    clips.make_folder(folder / "masks", [clips.disc(24, 16)])
    with pytest.raises(InputError, match=r"001\.png is 24x16, its frame 48x32"):
        read_clip(folder)


def test_composites_change_inside_the_mask_only(folder):
    frames, masks = read_clip(folder)
    negative = 1 - identity_lut(33, torch.zeros(1))[0]
    for frame, mask, composite in zip(frames, masks, blend_lut(frames, masks, negative), strict=True):
        assert composite.dtype == np.uint8 and np.array_equal(composite[mask == 0], frame[mask == 0])
        assert np.abs(composite[mask == 255].astype(int) - (255 - frame[mask == 255].astype(int))).max() <= 1
    same = blend_lut(frames, masks, identity_lut(33, torch.zeros(1))[0])
    assert all(np.array_equal(a, b) for a, b in zip(same, frames, strict=True))


def test_scores_of_known_errors(folder):
    frames, masks = read_clip(folder)
    perfect = score("clip", "table", "perfect", lambda composites, masks: frames, frames, masks, frames)
    assert perfect.fmse == 0 and (perfect.clip, perfect.lut, perfect.method) == ("clip", "table", "perfect")
    shifted = [frame + 10 for frame in (frame // 2 for frame in frames)]
    ten = score("clip", "table", "ten", lambda c, m: shifted, frames, masks, [frame // 2 for frame in frames])
    assert ten.fmse == pytest.approx(100, rel=1e-4) and ten.psnr == pytest.approx(28.13, abs=0.01)
    assert ten.seconds_per_frame >= 0


def test_flicker_shows_in_both_measures(folder):
    frames, masks = [clips.picture(*SIZE, 0)] * 4, [clips.disc(*SIZE)] * 4
    fields = motion(frames)
    assert len(fields) == 3 and all(float(field.abs().max()) < 0.1 for field in fields)
    flickering = [np.clip(frame.astype(int) + 12 * (t % 2), 0, 255).astype(np.uint8) for t, frame in enumerate(frames)]
    steady, flicker = (
        score("c", "t", "m", lambda c, m, result=result: result, frames, masks, frames, fields)
        for result in (frames, flickering)
    )
    assert steady.tl < 0.5 < flicker.tl
    assert steady.flicker == 0 and flicker.flicker > 5
    assert np.isnan(score("c", "t", "m", lambda c, m: frames, frames, masks, frames).tl)


def test_network_methods_name_the_refinement_only_where_there_is_one():
    for refinement, names in ((False, [BACKBONE, "co2net"]), (True, [BACKBONE, "color mapping alone", "co2net"])):
        assert list(network_methods(create_model(refinement=refinement))) == names


def test_frames_without_a_foreground_do_not_count(folder):
    frames, masks = read_clip(folder)
    masks[1] = np.zeros_like(masks[1])
    shifted = [frame // 2 + 10 for frame in frames]
    result = score("c", "t", "m", lambda c, m: shifted, frames, masks, [frame // 2 for frame in frames])
    assert result.fmse == pytest.approx(100, rel=1e-4)


def test_baselines_return_a_frame_for_each(folder):
    pytest.importorskip("skimage")
    frames, masks = read_clip(folder)
    assert list(baselines()) == ["composite", "Reinhard statistics transfer", "histogram matching"]
    for method in baselines().values():
        results = list(method(frames, masks))
        assert [(r.shape, r.dtype) for r in results] == [(f.shape, f.dtype) for f in frames]


def test_summary():
    scores = [
        Score("a", "1", "composite", 100.0, 20.0, 6.0, 0.0, 1.0),
        Score("b", "1", "composite", 300.0, 10.0, 2.0, 0.0, 2.0),
        Score("a", "1", "ours", 50.0, 24.0, 5.0, 0.1, 0.5),
        Score("b", "1", "ours", 30.0, 20.0, 2.0, 0.3, 0.7),
    ]
    composite, ours = summarize(scores)
    assert composite == {
        "method": "composite", "fmse": 200.0, "share": 1.0, "mean_share": 1.0, "psnr": 15.0, "tl": 4.0,
        "flicker": 1.5, "worse": 0.0, "seconds_per_frame": 0.0,
        "largest": 300.0, "share_low": 1.0, "share_high": 1.0, "better": 0, "composites": 2,
    }  # fmt: skip
    assert ours == pytest.approx(
        {
            "method": "ours",
            "fmse": 40.0,
            "share": 0.2,
            "mean_share": 0.3,
            "psnr": 22.0,
            "tl": 3.5,
            "flicker": 0.6,
            "worse": 0.0,
            "seconds_per_frame": 0.2,
            "largest": 50.0,
            "share_low": 0.1,  # both draws of clip b
            "share_high": 0.5,
            "better": 2,
            "composites": 2,
        }
    )


def test_intervals_are_over_clips_not_composites():
    """Ten LUTs on one clip are one scene: nothing says how other scenes would do, so draws of it all look alike."""
    scores = [
        Score("a", str(n), name, error, 20.0, 0.0, 0.0)
        for n in range(10)
        for name, error in (("composite", 100.0), ("ours", 10.0 * n))
    ]
    row = summarize(scores)[1]
    assert row["share_low"] == row["share_high"] == pytest.approx(0.45)


def test_composites_that_came_out_worse_are_counted_where_they_were_clearly_wrong():
    before, after = {"a": 99.0, "b": 200.0, "c": 300.0, "d": 400.0}, {"a": 150.0, "b": 201.0, "c": 304.0, "d": 10.0}
    scores = [
        Score(clip, "1", name, error, 20.0, 0.0, 0.0)
        for name, errors in (("composite", before), ("ours", after))
        for clip, error in errors.items()
    ]
    assert [row["worse"] for row in summarize(scores)] == [0.0, pytest.approx(1 / 3)]


def test_some_frames_of_a_clip(folder):
    frames, masks = read_clip(folder)
    some, some_masks = read_clip(folder, limit=2, every=2)
    assert len(frames) >= 3 and len(some) == len(some_masks) == 2
    assert np.array_equal(some[1], frames[2]) and np.array_equal(some_masks[1], masks[2])


def test_summary_of_a_perfect_composite_divides_by_nothing():
    scores = [Score("a", "1", name, 0.0, 60.0, 0.0, 0.0) for name in ("composite", "ours")]
    assert all(np.isfinite([row["share"], row["mean_share"]]).all() for row in summarize(scores))


def test_the_command_prints_flicker_and_what_a_perfect_result_would_get(tmp_path, folder, capsys):
    pytest.importorskip("skimage")
    (tmp_path / "luts").mkdir()
    (tmp_path / "luts" / "look.cube").write_bytes((ROOT / "sample_data" / "look.cube").read_bytes())
    output = tmp_path / "scores.json"
    arguments = ["--clips", folder.parent, "--names", folder.name, "--luts", tmp_path / "luts", "--lut-count", 1]
    arguments += ["--frames", 3, "--sizes", 32, "--output", output, "--key-frames", "auto"]
    assert main(["measure", *(str(argument) for argument in arguments)]) == 0
    out = capsys.readouterr().out
    assert "TL (DIS) | flicker |" in out and "1 clips, 1 composites" in out
    (truth,) = [line for line in out.splitlines() if line.startswith("| truth |")]
    assert truth.split("|")[2].strip() == "0.0" and truth.split("|")[9].strip() == "0.00"
    scores = json.loads(output.read_text())["size 32, all LUTs"]
    assert {"composite", "co2net", "co2net, key frames auto", "truth"} <= {score["method"] for score in scores}
