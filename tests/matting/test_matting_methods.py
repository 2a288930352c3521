"""The matting methods of ``co2net evaluate``, and the demo."""

import json

import numpy as np
import pytest
import torch
from test_propagation import clip, iou

import co2net.matting.methods  # noqa: F401  # registers them
from co2net.cli import main
from co2net.errors import InputError
from co2net.evaluation.methods import METHODS, choose
from co2net.matting import create_network


@pytest.mark.parametrize(("key", "least"), [("carried", 0.75), ("flow", 0.3), ("moving", 0.5)])
def test_methods_follow_the_subject(key, least):
    frames, masks = clip(8)
    create = METHODS[key].create
    assert create is not None and METHODS[key].task == "matting"
    run = create(None, torch.device("cpu"))
    levels = [(255 * mask).astype(np.uint8) for mask in masks]
    found = [np.asarray(mask, np.float32) / 255 for mask in run(frames, levels)]
    assert len(found) == 8 and found[0].shape == (64, 96)
    assert iou(found, masks)[5] > least


def test_a_moving_network_is_scored_by_its_file(tmp_path):
    create = METHODS["moving_network"].create
    assert create is not None
    with pytest.raises(InputError, match="give `weights`"):
        create(None, torch.device("cpu"))
    torch.save(create_network().state_dict(), tmp_path / "moving.pth")
    frames, masks = clip(3)
    found = list(create(str(tmp_path / "moving.pth"), torch.device("cpu"))(frames, masks))
    assert [np.shape(mask) for mask in found] == [(64, 96)] * 3
    assert "moving_network" not in choose("matting", None)


def test_results_are_of_the_kind_that_came_in():
    frames, masks = clip(3)
    floats = [torch.from_numpy(frame).permute(2, 0, 1).float() / 255 for frame in frames]
    create = METHODS["carried"].create
    assert create is not None
    found = list(create(None, torch.device("cpu"))(floats, [torch.from_numpy(mask)[None] for mask in masks]))
    assert found[1].shape == (1, 64, 96) and found[1].dtype == torch.float32


@pytest.mark.slow
def test_demo_makes_a_plate_and_keys_it(tmp_path, capsys):
    assert main(["demo", "--matte", "-o", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert "keyed plate" in said and "cutout.mov" in said
    rows = json.loads((tmp_path / "demo" / "report.json").read_text())["masks"]
    assert rows[0]["mad"] < 0.02 and rows[0]["iou"] > 0.9 and rows[1]["iou"] > 0.7
