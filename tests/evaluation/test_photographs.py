"""Photographs made wrong: shares, colors that people know, expected errors."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from video import clips

from co2net.cli import main
from co2net.errors import InputError
from co2net.evaluation.calibration import Guess, calibration_table, plot_calibration, rank_correlation
from co2net.evaluation.known_colors import known_color_errors
from co2net.evaluation.photographs import measure_photographs
from co2net.models.backbones import LUTNet
from co2net.models.co2net import CO2Net
from co2net.pipeline.confidence import describe, grade, mean_square

SKIN, SKY = (210, 160, 130), (120, 160, 215)


@pytest.fixture
def photographs(tmp_path):
    root = tmp_path / "photos"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    rows = ["id,masks,split"]
    for number in range(3):
        picture = clips.picture(48, 40, number)
        picture[16:32, 12:28] = SKIN
        cv2.imwrite(str(root / "images" / f"p{number}.png"), picture[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"p{number}_0.png"), clips.disc(48, 40))
        rows.append(f"p{number},1,{'train' if number == 0 else 'val'}")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


def flat(color, size=16):
    return np.full((size, size, 3), color, np.uint8)


def test_the_true_color_has_no_error_and_a_turned_hue_has_its_angle():
    whole = np.full((16, 16), 255, np.uint8)
    [(kind, (hue, chroma))] = known_color_errors(flat(SKIN), flat(SKIN), whole).items()
    assert (kind, hue, chroma) == ("skin", 0.0, 0.0)
    hue, chroma = known_color_errors(flat(SKIN[::-1]), flat(SKIN), whole)["skin"]
    assert hue > 90
    assert list(known_color_errors(flat(0), flat(SKY), whole)) == ["sky"]
    assert known_color_errors(flat(0), flat(SKY), np.zeros_like(whole)) == {}
    assert known_color_errors(flat(0), flat((128, 128, 128)), whole) == {}


def test_words_follow_the_size_of_a_change_and_of_its_expected_error():
    assert grade(20, 5) == "sure"
    assert grade(20, 40) == "unsure"
    assert describe(14.2, 5.0) == "a moderate change (14 of 255 levels), sure"
    assert describe(1.0, None) == "hardly a change (1 of 255 levels)"
    assert mean_square([]) is None
    assert mean_square([3.0, 4.0]) == pytest.approx(12.5**0.5)


def test_calibration_counts_every_guess_once(tmp_path):
    guesses = [Guess(change=20, expected=float(e), error=2.0 * e, before=30) for e in range(1, 31)]
    assert rank_correlation(guesses) == pytest.approx(1)
    table = calibration_table(guesses)
    assert "| 6 | 27.6 | 55.1 |" in table
    assert sum(int(line.split("|")[2]) for line in table.split("left")[1].splitlines()[2:]) == len(guesses)
    plot_calibration(guesses, tmp_path / "plot.png")
    picture = np.asarray(Image.open(tmp_path / "plot.png"))
    assert picture.shape[0] == picture.shape[1]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 4


def test_the_command_measures_validation_photographs_only(photographs, tmp_path, capsys):
    output, plot = tmp_path / "scores.json", tmp_path / "plot.png"
    luts = tmp_path / "luts"
    luts.mkdir()
    from co2net.color_mapping.completion import identity_lut
    from co2net.color_mapping.cube import save_cube

    save_cube(identity_lut(5, torch.zeros(1))[0] ** 1.5, luts / "gamma.cube")
    argv = ["measure", "--task", "photographs", "--photos", str(photographs), "--luts", str(luts)]
    main([*argv, "--weights", "lutnet", "--output", str(output), "--plot", str(plot), "-q"])
    told = capsys.readouterr().out
    assert "2 photographs" in told
    assert "rank correlation" in told
    scores = json.loads(output.read_text())
    assert {s["clip"] for s in scores["composites"]} == {"p1", "p2"}
    assert all(s["fmse"] == 0 for s in scores["right"] if s["method"] == "composite")
    assert len(scores["guesses"]) == 2
    assert plot.is_file()
    assert main([*argv[:-2], "-q"]) == 2
    assert "--luts is missing" in capsys.readouterr().err


def test_folders_without_validation_photographs_are_refused(photographs):
    (photographs / "index.csv").write_text("id,masks,split\np0,1,train\n")
    with pytest.raises(InputError, match="holds no photographs with masks for validation"):
        measure_photographs([photographs], lambda real, masks, _: (real, real), {}, CO2Net(LUTNet()))


def test_a_plot_that_nothing_would_draw_is_refused_before_the_work(photographs, tmp_path, capsys):
    argv = ["measure", "--photos", str(photographs), "--plot", str(tmp_path / "plot.png"), "-q"]
    assert main([*argv, "--task", "keying"]) == 2
    assert "--plot is drawn by the task photographs" in capsys.readouterr().err
    assert main([*argv, "--task", "photographs", "--luts", str(tmp_path), "--weights", "issam"]) == 2
    assert "--plot: this network expects no errors" in capsys.readouterr().err
