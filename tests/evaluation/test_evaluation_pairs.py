"""Composites whose real picture is known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from video import clips

from co2net.cli import main
from co2net.data import read_dataset
from co2net.errors import InputError
from co2net.evaluation.clips import summarize
from co2net.evaluation.measure import measure_pairs
from co2net.evaluation.methods import PAINTED, baselines, network_methods, picture_methods
from co2net.models.backbones import CDTNet
from co2net.models.co2net import CO2Net

SIZE = (48, 32)


@pytest.fixture
def folder(tmp_path):
    for name, real in (("a0065_1_2", "a0065"), ("f1", "f1")):
        picture, mask = clips.picture(*SIZE, len(name)), clips.disc(*SIZE)
        wrong = np.where(mask[..., None] > 127, picture // 2, picture)
        for part, stem, array in (("composite", name, wrong), ("mask", name, mask), ("real", real, picture)):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / f"{stem}.png"), array[..., ::-1] if array.ndim == 3 else array)
    return tmp_path


def test_real_pictures_are_found_by_iharmony4s_names(folder):
    found = [(sample.composite.stem, sample.real.stem) for sample in read_dataset(folder)]
    assert found == [("a0065_1_2", "a0065"), ("f1", "f1")]
    (folder / "mask" / "f1.png").unlink()
    with pytest.raises(InputError, match=r"mask holds no picture for f1\.png"):
        read_dataset(folder)


def test_an_index_says_which_real_picture_belongs_to_a_composite(folder):
    (folder / "real" / "a0065.png").rename(folder / "real" / "other.png")
    (folder / "index.csv").write_text("name,real\na0065_1_2,other\n", encoding="utf-8")
    assert read_dataset(folder)[0].real.stem == "other"


def test_a_perfect_method_leaves_nothing(folder):
    real = {pair.composite.stem: clips.picture(*SIZE, len(pair.composite.stem)) for pair in read_dataset(folder)}
    pictures = iter(real.values())
    methods = {"composite": baselines()["composite"], "perfect": lambda frames, masks: [next(pictures)]}
    composite, perfect = summarize(measure_pairs(folder, methods))
    assert composite["share"] == 1 and composite["better"] == 0
    assert perfect["share"] == 0 and perfect["better"] == perfect["composites"] == 2


def test_sizes_must_agree(folder):
    cv2.imwrite(str(folder / "mask" / "f1.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match=r"f1\.png is 5x5"):
        measure_pairs(folder, {"composite": baselines()["composite"]})


def test_the_command_measures_pairs(folder, tmp_path, capsys):
    pytest.importorskip("skimage")
    assert main(["measure", "--pairs", str(folder), "--output", str(tmp_path / "scores.json"), "--quiet"]) == 0
    assert "pairs: 2 composites" in capsys.readouterr().out
    assert {"composite", "co2net"} <= {s["method"] for s in json.loads((tmp_path / "scores.json").read_text())["pairs"]}


def test_networks_that_paint_pictures_whole_are_measured_both_ways(folder):
    torch.manual_seed(0)
    network = CDTNet(base_size=16)
    network.initialize()
    model = CO2Net(network, refinement=False, mapping="predicted").eval()
    whole, lut = (
        measure_pairs(folder, {"composite": baselines()["composite"], "one": method})[-1].fmse
        for method in picture_methods(model).values()
    )
    assert whole != lut
    assert [*picture_methods(CO2Net(CDTNet(16, simplified=True), refinement=False, mapping="predicted"))] == ["co2net"]
    assert PAINTED in network_methods(model) and PAINTED not in network_methods(model.for_pictures())


def test_the_command_wants_something_to_measure(capsys):
    assert main(["measure"]) == 2
    assert "--clips or --pairs" in capsys.readouterr().err
