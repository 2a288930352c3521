"""`co2net evaluate` and `scripts/evaluate_model.py`: options, table, files, bad input, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from evaluation.small_data_set import write_data_set

from co2net import create_model
from co2net.cli.evaluate_model import main as script
from co2net.weight_files import save_weights

FLAGS = ("--gpu --dataset_path --val_list --backbone --backbone_type --checkpoint --previous_num --future_num "
         "--use_feature --normalize_outside --write_lut_output --write_lut_map --write_npy_result --result_npy_dir "
         "--write_npy_backbone --backbone_npy_dir --resize-strategy --use-flip --train_list --config-path "
         "--eval-prefix")  # fmt: skip


@pytest.fixture
def data_set(tmp_path):
    return write_data_set(tmp_path / "data", clips=2, frames=3)


@pytest.fixture(scope="module")
def full_weights(tmp_path_factory):
    """A full checkpoint with refinement, as the official files are: plain PyTorch."""
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("weights") / "full.pth"
    torch.save(create_model().state_dict(), path)
    return path


@pytest.fixture
def call(run_with):
    """Run the script at 32 pixels."""
    return lambda *arguments: run_with(script, "--size", 32, *arguments)


def rows(text, heading):
    """The table below a heading: method to cells."""
    lines = text.split(heading)[1].strip().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    return {row[0]: dict(zip(table[0][1:], row[1:], strict=True)) for row in table[2:]}


def test_help_has_every_option_and_examples(run, call):
    code, out, _ = run("evaluate", "--help")
    assert code == 0 and "examples:" in out
    assert all(
        f"--{option}" in out for option in ("sample", "list", "weights", "lut-only", "mapping", "size", "output")
    )
    code, out, _ = call("--help")
    assert code == 0 and "examples:" in out and all(flag in out for flag in FLAGS.split())


def test_both_conventions_are_printed_and_written(run, data_set):
    code, out, err = run("evaluate", data_set, "--size", 32, "-o", "out", "--previous", 2)
    assert code == 0, err
    paper, standard = rows(out, "to compare with published tables):"), rows(out, "Standard convention:")
    # Without a refinement the color mapping is the final result, and has no second row.
    assert list(paper) == list(standard) == ["composite (input)", "backbone", "final"]
    results = json.loads(open("out/results.json").read())
    for method, title in zip(results["methods"], paper, strict=True):
        means = {metric: found["mean"] for metric, found in results["summary"][method].items()}
        assert paper[title] == {
            "MSE": f"{means['mse']:.2f}", "fMSE": f"{means['fmse_paper']:.2f}",
            "PSNR": f"{means['psnr_paper']:.2f}", "fSSIM": f"{means['fssim_paper']:.4f}",
        }  # fmt: skip
        assert standard[title]["fMSE"] == f"{means['fmse']:.2f}" and standard[title]["SSIM"] == f"{means['ssim']:.4f}"
    assert "data, test: 6 frames of 2 clips" in out and "me (mapping error" in out
    assert "published:" not in out  # two clips are not the test set
    assert "2 before and 8 after" in out and results["settings"]["previous"] == 2
    assert [w["name"] for w in results["weights"]] == ["issam.safetensors"] and len(
        results["weights"][0]["sha256"]
    ) == 64
    assert results["environment"]["device"] == "cpu" and len(results["clips"]) == 2
    assert os.path.getsize("out/report.html") > 1000 and "6 frames computed (6 backbone passes)" in err


def test_the_second_run_computes_nothing(run, data_set):
    first = run("evaluate", data_set, "--size", 32, "-o", "out")
    again = run("evaluate", data_set, "--size", 32, "-o", "out")
    assert first[0] == again[0] == 0 and first[1] == again[1] and "0 frames computed" in again[2]
    code, out, err = run("evaluate", data_set, "--size", 40, "-o", "out")
    assert (code, out) == (2, "") and "size was 32, is 40" in err and err.count("\n") == 1
    assert run("evaluate", data_set, "--size", 40, "-o", "out", "--overwrite")[0] == 0


def test_without_neighbors_the_mapping_has_no_row(run, data_set):
    code, out, _ = run("evaluate", data_set, "--size", 32, "-o", "out", "--previous", 0, "--future", 0)
    assert code == 0 and list(rows(out, "Standard convention:")) == ["composite (input)", "backbone", "final"]


def test_without_the_reports_library_the_results_are_there(run, data_set, monkeypatch):
    monkeypatch.setattr("co2net.evaluation.run.find_spec", lambda name: None)
    code, out, err = run("evaluate", data_set, "--size", 32, "-o", "out")
    assert code == 0 and "out/results.json" in out and "report" not in out and "pip install 'co2net[report]'" in err
    assert not os.path.exists("out/report.html")


def test_sample_is_evaluated_with_the_test_list(run):
    code, out, err = run("evaluate", "--sample", "--size", 16, "--limit-clips", 1, "-o", "out", "--no-pictures")
    assert code == 0, err
    assert "issam.safetensors on sample, test_list.txt: 20 frames of 1 clip\n" in out


def test_shared_color_tables_are_named(run, data_set):
    clips = [("vid0", 1), ("vid1", 2), ("other", 2)]
    text = "\r\n".join(f"synthetic_composite_videos/{video}/object_0 {table}.cube" for video, table in clips)
    (data_set / "LUT_list.txt").write_text(text)
    _, out, _ = run("evaluate", data_set, "--size", 32, "-o", "out")
    assert "2 LUTs made these clips; 1 of them made other clips too (LUT_list.txt)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the folder of a data set, or --sample"),
        (["data", "--sample"], "one of them"),
        (["nowhere"], "folder nowhere does not exist"),
        (["data", "--list", "nix.txt"], "the list nix.txt does not exist, tried: data/nix.txt, nix.txt"),
        (["data/real_videos"], "co2net: data/real_videos"),
        (["data", "--size", "big"], "wanted a number of pixels, or own"),
        (["data", "--weights", "nix"], "nor are shipped weights of that name"),
        (["data", "--device", "tpu"], "--device tpu is unknown"),
        (["data", "--lut-output", "x"], "folder of the LUT map is missing"),
        (["data", "--limit-clips", "0"], "at least 1, got 0"),
        (["data", "--previous", "-1"], "previous must be at least 0"),
        (["data", "--size", "16", "-o", "data/test_frames.txt"], "cannot make the folder"),
    ],
)
def test_bad_input_is_one_sentence(run, data_set, arguments, message):
    code, out, err = run("evaluate", *arguments)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1, err


def test_damaged_picture_is_one_sentence(run, data_set):
    (data_set / "real_videos" / "vid1" / "00010.png").write_bytes(b"\x89PNG")
    code, out, err = run("evaluate", data_set, "--size", 32, "-o", "out")
    assert (code, out) == (2, "") and "vid1/00010.png: not a picture" in err and "Traceback" not in err


def test_script_with_a_checkpoint(call, full_weights):
    write_data_set(full_weights.parent / "data", clips=1, frames=2)
    code, out, err = call(
        "--dataset_path", full_weights.parent / "data", "--val_list", "test_frames.txt", "--use_feature",
        "--checkpoint", full_weights, "--backbone", "unread.pth", "--output", "out",
    )  # fmt: skip
    assert code == 0, err
    assert "1 before and 1 after" in out and "The refinement merges both." in out and "me (mapping" not in out
    assert "--backbone unread.pth is not read" in err
    table = rows(out, "Standard convention:")
    assert table["final"] != table["color mapping"]
    (weights,) = json.loads(open("out/results.json").read())["weights"]
    assert (weights["role"], weights["name"]) == ("checkpoint", "full.pth")


def test_script_without_checkpoint_is_the_papers_lut_only_run(call, data_set, models_folder):
    arguments = ["--dataset_path", data_set, "--val_list", data_set / "test_frames.txt", "--backbone",
                 models_folder / "issam.safetensors"]  # fmt: skip
    code, out, err = call(*arguments)
    assert code == 0, err
    assert "blended by the mask twice as published" in out and "invalid (paper form" in out
    table = rows(out, "Standard convention:")
    assert table["final"] != table["color mapping"]  # soft edges: the second blend shows
    code, out, _ = call(*arguments, "--mapping", "smooth")
    table = rows(out, "Standard convention:")
    assert code == 0 and "twice" not in out and "color mapping" not in table


def test_script_stores_results(call, data_set):
    code, out, err = call(
        "--dataset_path", data_set, "--val_list", "test_frames.txt", "--write_lut_output", "a/lut", "--write_lut_map",
        "a/map", "--write_npy_result", "--result_npy_dir", "a/result", "--write_npy_backbone", "--backbone_npy_dir",
        "a/backbone", "--no_metrics",
    )  # fmt: skip
    assert code == 0, err
    assert "4 x 6 files, 0 MB in all, will be stored" in err and "convention" not in out
    shapes = {kind: np.load(f"a/{kind}/vid1_object_0_00010.npy").shape for kind in ("lut", "map", "result", "backbone")}
    assert shapes == {
        "lut": (3, 32, 32), "map": (3, 32, 32), "result": (1, 3, 32, 32), "backbone": (1, 3, 32, 32)
    }  # fmt: skip


def test_script_says_once_what_it_ignores(call, data_set):
    code, _, err = call(
        "--dataset_path", data_set, "--val_list", "test_frames.txt", "--resize-strategy", "Fixed512", "--use-flip",
        "--train_list", "x", "--config-path", "y", "--eval-prefix", "z",
    )  # fmt: skip
    assert code == 0
    assert "--resize-strategy, --use-flip, --train_list, --config-path, --eval-prefix: ignored" in err
    assert err.count("ignored") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--normalize_outside"], "--normalize_outside is refused"),
        (["--write_npy_result"], "--write_npy_result and --result_npy_dir belong together"),
        (["--backbone_npy_dir", "x"], "--write_npy_backbone and --backbone_npy_dir belong together"),
        (["--gpu", "0", "--device", "cpu"], "both choose the device"),
        (["--gpu", "97"], "co2net: --gpu 97: there is no such GPU here; give --device cpu instead"),
        (["--checkpoint", "nix.pth"], "weight file nix.pth does not exist"),
        (["--backbone", "data/test_frames.txt"], "not a weight file"),
    ],
)
def test_script_refuses(call, data_set, arguments, message):
    code, out, err = call("--dataset_path", data_set, "--val_list", "test_frames.txt", *arguments)
    assert (code, out) == (2, "") and message in err


def test_a_backbone_is_no_checkpoint(call, data_set, models_folder):
    path = models_folder / "issam.safetensors"
    code, _, err = call("--dataset_path", data_set, "--val_list", "test_frames.txt", "--checkpoint", path)
    assert code == 2 and "holds no refinement network: give it as --backbone" in err


def test_weights_that_changed_are_noticed(run, data_set, models_folder, tmp_path):
    run("evaluate", data_set, "--size", 32, "-o", "out")
    torch.manual_seed(9)
    save_weights(tmp_path / "new.safetensors", create_model(refinement=False).state_dict())
    code, _, err = run("evaluate", data_set, "--size", 32, "-o", "out", "--weights", tmp_path / "new.safetensors")
    assert code == 2 and "weights was model " in err


@pytest.mark.slow  # three interpreters that import PyTorch
def test_two_processes_give_the_summary_of_one(run, data_set, tmp_path):
    assert run("evaluate", data_set, "--size", 32, "-o", "one")[0] == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "co2net"]
    both = subprocess.run(
        [*command, "evaluate", "data", "--size", "32", "-o", "two"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert both.returncode == 0, both.stderr
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert one["summary"] == two["summary"] and one["extra"] == two["extra"] and one["clips"] == two["clips"]
    assert one["pictures"] == two["pictures"] and both.stdout.count("Standard convention") == 1
    assert "3 frames computed" in both.stderr  # the first process's half


def test_two_processes_need_a_folder(call, data_set, monkeypatch):
    monkeypatch.setattr("co2net.evaluation.run.process_group", _two_processes)
    code, _, err = call("--dataset_path", data_set, "--val_list", "test_frames.txt")
    assert code == 2 and "several processes need a folder as --output" in err


def _two_processes(device, *, alike):
    from contextlib import nullcontext

    from co2net.processes import Processes

    assert not alike
    return nullcontext(Processes(device, 0, 2))
