"""Another method or metric is one entry: table, curves, report and results show it without further change."""

from __future__ import annotations

import csv
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from evaluation import toy_method
from evaluation.small_data_set import write_data_set

import co2net
from co2net import create_model, metrics
from co2net.cli import main
from co2net.data import read_frame_list
from co2net.data.clips import read_frame
from co2net.errors import InputError
from co2net.evaluation import methods
from co2net.evaluation.report.text import summary_text
from co2net.evaluation.results import score_rows
from co2net.evaluation.run import run_evaluation
from co2net.evaluation.settings import EvaluationSettings
from co2net.evaluation.temporal.pairs import FlowChoice
from co2net.metrics import registry
from co2net.models.registry import UsedWeights


@pytest.fixture(autouse=True)
def _registered(registries):
    for entry in (toy_method.METHOD, toy_method.MATTE, toy_method.LOSES):
        methods.register(entry)
    registry.register(toy_method.METRIC)
    registry.PAIR_MEASURES[toy_method.JUMP.key] = toy_method.JUMP


@pytest.fixture
def root(tmp_path):
    return write_data_set(tmp_path / "data", clips=2, frames=5)


def run(root, output=None, model=None, weights=None, **settings):
    chosen = EvaluationSettings(**({"size": 32, "previous": 1, "future": 1, "workers": 1} | settings))
    return run_evaluation(root, root / "test_frames.txt", model, weights, chosen, output=output)


def test_a_toy_method_and_a_toy_metric_are_everywhere(root, tmp_path):
    torch.manual_seed(1)
    model = create_model(refinement=False).eval()
    done = run(
        root, tmp_path / "out", model, UsedWeights("model", "w", "a", "b"),
        methods=("final", "halves", "composite", "reinhard"), flow=FlowChoice(),
    )  # fmt: skip
    assert done.results["methods"] == ["composite", "final", "reinhard", "halves"]
    text = summary_text(done.results)
    assert "| half the light" in text and " Bias " in text
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Half the light" in report and ">Bias" in report and "Reinhard statistics transfer" in report
    assert "Jump (DIS)" in text and "Jump (DIS)" in report
    jump = done.results["temporal"]["summary"]
    assert jump["truth"]["jump"]["mean"] != jump["halves"]["jump"]["mean"] > 0 and jump["halves"]["jump"]["count"] == 8
    data = json.loads(report.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert "Bias" in [metric["label"] for metric in data["metrics"]]
    assert [method["key"] for method in data["methods"]] == done.results["methods"]
    assert (tmp_path / "out" / "report.md").read_text().count("Half the light") >= 2
    # Every frame has the toy's own result, though it comes two frames late.
    for entry in read_frame_list(root / "test_frames.txt", root):
        frame = read_frame(entry, 32)
        wanted = frame.composite * (1 - 0.5 * frame.mask)
        (row,) = [r for r in score_rows(done.results) if (r["name"], r["method"]) == (entry.result_name, "halves")]
        assert row["mse"] == pytest.approx(float(metrics.mse(wanted[None], frame.real[None])), rel=1e-6)
        assert row["bias"] == pytest.approx(float((wanted - frame.real).abs().mean()), rel=1e-5)
    with (tmp_path / "out" / "scores.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 4 * 10 and float(listed[0]["bias"]) == pytest.approx(score_rows(done.results)[0]["bias"])


def test_methods_that_need_no_network_are_evaluated_without_one(root, tmp_path):
    done = run(root, tmp_path / "out", methods=("composite", "histogram"))
    means = {method: done.results["summary"][method]["fmse"]["mean"] for method in done.results["methods"]}
    assert 0 < means["histogram"] != means["composite"] > 0
    assert done.results["weights"] == [] and "mapping" not in done.results["protocol"]
    with pytest.raises(InputError, match="`methods` names results of a network"):
        run(root, methods=("backbone",))


def test_a_guest_task_has_its_own_truth_and_metrics(root, tmp_path):
    done = run(root, tmp_path / "out", task="matting", methods=("guess",))  # other guests may be there
    assert done.results["methods"] == ["guess"] and done.results["task"] == "matting"
    assert {"dice", "iou", "alpha_mad"} <= set(done.results["metrics"]) and "fmse" not in done.results["metrics"]
    entry = read_frame_list(root / "test_frames.txt", root)[3]
    frame = read_frame(entry, 32)
    matte = (frame.real.mean(0) > frame.real.mean()).float()
    (row,) = [row for row in score_rows(done.results) if row["name"] == entry.result_name]
    assert row["dice"] == pytest.approx(float(metrics.dice(matte[None, None], frame.mask[None])))
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Scores:" in summary_text(done.results) and "Brighter half" in report
    assert "Published results" not in report and "Published" not in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ("nothing",)}, "`methods`: nothing is no method of the task harmonization; known: composite"),
        ({"methods": ("guess",)}, "guess is no method of the task harmonization"),
        ({"task": "sewing"}, "`task` sewing: must be one of harmonization, matting, colorization"),
        ({"methods": ("loses",)}, "the method loses gives fewer results than there are frames"),
    ],
)
def test_what_cannot_be_evaluated_is_said(root, settings, message):
    with pytest.raises(InputError, match=message):
        run(root, **settings)


def test_the_command_evaluates_a_guest(root, tmp_path, capsys):
    arguments = ["evaluate", root, "--task", "matting", "--methods", "carried", "--size", "own"]
    arguments += ["-o", tmp_path / "out"]
    assert main([str(argument) for argument in arguments]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("| carried")]
    assert "IoU" in out and "carried on data, test: 10 frames of 2 clips" in out
    summary = json.loads((tmp_path / "out" / "results.json").read_text())["summary"]
    assert 0.5 < summary["carried"]["iou"]["mean"] <= 1 and f"{summary['carried']['iou']['mean']:.4f}" in row


def test_colorizations_are_evaluated_with_points_of_the_first_frame(root, tmp_path):
    from co2net.colorization.methods import gray as take_colors

    arguments = ["evaluate", root, "--task", "colorization", "--size", "own", "-o", tmp_path / "out", "-q"]
    assert main([str(argument) for argument in arguments]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    means = {method: results["summary"][method]["mse"]["mean"] for method in results["methods"]}
    assert list(means) == ["gray", "points"] and 0 < means["points"] != means["gray"]
    entry = read_frame_list(root / "test_frames.txt", root)[0]
    real = read_frame(entry, None).real
    gray = take_colors(real)
    (row,) = [r for r in score_rows(results) if (r["name"], r["method"]) == (entry.result_name, "gray")]
    assert row["mse"] == pytest.approx(float(metrics.mse(gray[None], real[None])), rel=1e-5)


def test_one_call_gives_rows_and_a_frame_of_pandas(root, monkeypatch):
    done = co2net.evaluate(root, "test_frames.txt", methods=["composite", "reinhard"], size=32, limit_clips=1)
    assert len(done.rows) == 2 * 5 and {row["method"] for row in done.rows} == {"composite", "reinhard"}
    assert {"clip", "number", "fmse", "ssim", "bias"} <= set(done.rows[0])
    asked = SimpleNamespace(DataFrame=lambda rows: ("frame", rows))
    monkeypatch.setitem(sys.modules, "pandas", asked)
    assert done.to_pandas() == ("frame", done.rows)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        done.to_pandas()
