"""`co2net evaluate-flow`: the temporal loss of stored results, from lists to the report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation.report_example import small_results
from evaluation.small_data_set import write_clip

from co2net import data, flow, metrics
from co2net.cli import main
from co2net.data.clips import read_frame
from co2net.data.stored_results import stored_path, write_image
from co2net.evaluation.published import PUBLISHED_FLOW, PUBLISHED_PAIRS
from co2net.evaluation.report.results import read_results
from co2net.evaluation.temporal.results import as_published, pairs_in_words
from co2net.evaluation.temporal.stored import listed_pairs

SIZE = 24


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Frames 0 and 5 of two clips, the frames after them in a second root, and results of all of them."""
    monkeypatch.chdir(tmp_path)
    task: list[str] = []
    for root, shift in (("now", 0), ("next", 1)):
        for video in ("one", "two"):
            lines = write_clip(tmp_path / root, [shift, 5 + shift], video)
            task += lines[: 2 if video == "one" else 1] if root == "now" else []
        lines = [line for video in ("one", "two") for line in write_clip(tmp_path / root, [shift, 5 + shift], video)]
        name = "test_frames.txt" if root == "now" else "future_list.txt"
        (tmp_path / root / name).write_text("\n".join(lines))
        for entry in data.read_frame_list(tmp_path / root / name, tmp_path / root):
            frame = read_frame(entry, SIZE)
            write_image(tmp_path / f"npy_{root}", entry, 0.5 * (frame.composite + frame.real) * 1.05)
    (tmp_path / "now" / "tl_task.txt").write_text("\n".join(task))  # no line end after the last, as in HYouTube
    return tmp_path


BASE = ("--dataset_path", "now", "--dataset_path_next", "next", "--cur_result", "npy_now", "--next_result", "npy_next")


@pytest.fixture
def call(capsys):
    def run(*arguments):
        capsys.readouterr()
        try:
            code = main(["evaluate-flow", *(str(argument) for argument in (*BASE, *arguments))])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def cells(out, method):
    (line,) = [line for line in out.splitlines() if line.startswith(f"| {method}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_values_are_the_metrics_of_the_stored_files(sets, call):
    code, out, err = call()
    assert code == 0 and not err
    assert "3 pairs of stored results at 24 x 24, frames t and t + 1" in out
    estimate, found = flow.create_flow("dis"), []
    for pair in listed_pairs(Path("now/tl_task.txt"), Path("now"), Path("next")):
        now, then = read_frame(pair.current, SIZE), read_frame(pair.following, SIZE)
        c = torch.from_numpy(np.load(stored_path("npy_now", pair.current)))
        n = torch.from_numpy(np.load(stored_path("npy_next", pair.following)))
        real = now.real[None], then.real[None]
        field = estimate(real[1], real[0])
        found.append([
            metrics.temporal_loss(c, n, *real, now.mask[None], field).item(),
            metrics.temporal_loss(*real, *real, now.mask[None], field).item(),
        ])  # fmt: skip
    assert cells(out, "final")[0] == f"{np.mean(found, axis=0)[0]:.2f}"
    assert cells(out, "truth")[0] == f"{np.mean(found, axis=0)[1]:.2f}"
    assert "composite (input)" in out and "not comparable" in out


def test_help_and_the_flags_of_the_original(call):
    code, out, _ = call("--help")
    assert code == 0 and "examples:" in out
    assert all(flag in out for flag in ("--dataset_path_next", "--cur_result", "--next_result", "--flow", "tl_task"))


def test_runs_gather_in_one_file_and_in_the_report(sets, call):
    small_results(sets / "out")
    assert call("--output", "out")[0] == call("--output", "out", "--method", "backbone")[0] == 0
    (block,) = read_results(sets / "out").over_time
    assert block.methods == ["composite", "backbone", "final", "truth"] and block.flow_label == "DIS"
    assert block.clips[0].numbers == [0, 5] and np.isfinite(block.clips[0].values["final"]["tl"]).all()
    page = (sets / "out" / "report.html").read_text()
    assert "Motion by DIS" in page and "frames t and t + 1" in page
    before = (sets / "out" / "temporal.json").read_text()
    assert call("--output", "out")[0] == 0 and (sets / "out" / "temporal.json").read_text() == before


def test_finished_clips_are_kept_until_a_file_changes(sets, call, monkeypatch):
    assert call("--output", "out")[0] == 0
    estimated = []
    create = flow.create_flow

    def counting(name, weights):
        estimate = create(name, weights)
        return lambda first, second: (estimated.append(1), estimate(first, second))[1]

    monkeypatch.setattr("co2net.evaluation.temporal.pairs.create_flow", counting)
    assert call("--output", "out")[0] == 0 and not estimated
    path = sets / "npy_now" / "two_object_0_00000.npy"
    np.save(path, np.load(path) * 0.9)
    code, out, _ = call("--output", "out")
    assert code == 0 and len(estimated) == 2  # one pair, there and back
    estimated.clear()
    assert call()[1].splitlines()[:8] == out.splitlines()[:8]
    assert len(estimated) == 6


@pytest.mark.parametrize(
    ("break_it", "arguments", "words"),
    [
        ("npy_next/one_object_0_00006.npy", (), "one_object_0_00006.npy does not exist; make it by"),
        ("next/real_videos/one/00006.png", (), "real_videos/one/00006.png does not exist: a pair needs"),
        ("now/tl_task.txt", (), "the list tl_task.txt does not exist"),
        ("now/real_videos/two/00000.png", (), "real_videos/two/00000.png does not exist"),
        (None, ("--dataset_path_next", "nowhere"), "the data set of next frames nowhere does not exist"),
        (None, ("--cur_result", "nowhere"), "nowhere/one_object_0_00000.npy does not exist (nor do 2 others)"),
        (None, ("--flow", "slow"), "no flow estimator 'slow'"),
        (None, ("--flow-weights", "w.pth"), "dis has no weights"),
        (None, ("--step", "0"), "--step must be at least 1"),
        (None, ("--method", "truth"), "cannot be the name of results"),
    ],
)
def test_what_is_missing_is_named_in_one_sentence(sets, call, break_it, arguments, words):
    if break_it:
        (sets / break_it).unlink()
    code, _, err = call(*arguments)
    assert code == 2 and words in err and len(err.strip().splitlines()) == 1, err


def test_a_damaged_result_and_results_of_two_sizes(sets, call):
    path = sets / "npy_next" / "one_object_0_00001.npy"
    path.write_bytes(path.read_bytes()[:200])
    code, _, err = call()
    assert code == 2 and "one_object_0_00001.npy is no .npy file, or is damaged" in err
    np.save(path, np.zeros((1, 3, 20, 24), np.float32))
    code, _, err = call()
    assert code == 2 and "frames of a pair must be of one size" in err


def test_a_result_of_python_objects_is_never_unpickled(sets, call):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(sets / "trapped"),)

    np.save(sets / "npy_now" / "one_object_0_00000.npy", np.array([Trap()]), allow_pickle=True)
    assert call()[0] == 2 and not (sets / "trapped").exists()


def test_the_next_frames_mask_and_composite_may_be_missing(sets, call):
    (sets / "next/foreground_mask/two/object_0/00001.png").unlink()
    (sets / "next/synthetic_composite_videos/two/object_0/00001.png").unlink()
    code, out, _ = call("--output", "out")
    assert code == 0 and "composite" not in out
    assert "left out of TL visible (DIS): 1 without a value" in out
    (block,) = json.loads((sets / "out" / "temporal.json").read_text())["blocks"]
    assert block["summary"]["final"]["tl"]["count"] == 3 and block["summary"]["final"]["tl_visible"]["skipped"] == 1


def test_the_future_list_must_hold_every_next_frame(sets, call):
    assert call("--future_list", "future_list.txt")[0] == 0
    lines = (sets / "next" / "future_list.txt").read_text().splitlines()
    (sets / "next" / "future_list.txt").write_text("\r\n".join(lines[1:]).replace("/", "\\"))
    code, _, err = call("--future_list", "future_list.txt")
    assert code == 2 and "does not list" in err and "00001.png" in err


def test_one_data_set_with_frames_some_numbers_apart(sets, call):
    (sets / "task.txt").write_text((sets / "now" / "tl_task.txt").read_text().splitlines()[0])
    same = ("--dataset_path_next", "now", "--next_result", "npy_now", "--step", "5", "--task_list", "./task.txt")
    code, out, _ = call(*same)
    assert code == 0 and "1 pair of stored results at 24 x 24, frames t and t + 5" in out


def test_damaged_results_over_time_end_the_report_in_a_sentence(sets, call):
    (sets / "out").mkdir()
    (sets / "out" / "temporal.json").write_text("[]")
    code, _, err = call("--output", "out")
    assert code == 2 and "temporal.json is not a file of measures over time; delete it" in err


def test_what_compares_with_the_published_values():
    words = pairs_in_words(PUBLISHED_PAIRS, [(256, 256)], 1)
    assert as_published(PUBLISHED_FLOW, words) and not as_published("dis", words)
    for other in (
        pairs_in_words(PUBLISHED_PAIRS - 1, [(256, 256)], 1),
        pairs_in_words(PUBLISHED_PAIRS, [(256, 256), (64, 64)], 1),
        pairs_in_words(PUBLISHED_PAIRS, [(256, 256)], 5),
    ):
        assert not as_published(PUBLISHED_FLOW, other)
