"""The verbs of training: help that starts fast, the scripts' options, and how bad input ends."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_THE_ORIGINAL = (
    *("--gpu", "--dataset_path", "--train_list", "--val_list", "--backbone", "--backbone_type", "--previous_num"),
    *("--future_num", "--use_feature", "--normalize_inside", "--lut_map_dir", "--lut_output_dir", "--checkpoint"),
    *("--epochs", "--exp_name", "--config-path", "--eval-prefix"),
)


@pytest.mark.parametrize("script", ["my_train.py", "train_backbone.py"])
def test_help_of_the_scripts(script):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, "--help"], capture_output=True, text=True, check=True
    )
    assert f"python scripts/{script} " in done.stdout and "examples:" in done.stdout
    assert script != "my_train.py" or all(flag in done.stdout for flag in OF_THE_ORIGINAL)


def test_every_flag_is_in_the_documentation(run):
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    _, out, _ = run("train", "refinement", "--help")
    flags = {word.strip("[],)`.") for word in out.split() if word.startswith(("--", "[--"))}
    flags -= {"--help", "--no-freeze_batch_norm", "--no-flip", "--logdir", "--nproc-per-node", "--weights"}
    assert len(flags) > 35 and not [flag for flag in flags if f"`{flag}`" not in page and f"`{flag} " not in page]


def test_bad_input(run, models_folder, tmp_path):
    base = ("--dataset_path", ROOT / "sample_data", "--train_list", "test_list.txt", "--exp_name", "run")
    code, _, err = run("train", "refinement", *base)
    assert code == 2 and err.startswith("co2net: --backbone is missing") and err.count("\n") == 1
    code, _, err = run("train", "refinement", *base, "--backbone", models_folder / "issam.safetensors", "--size", "0")
    assert code == 2 and "--size must be 1 or more" in err
    code, _, err = run(
        "train", "backbone", *base, "--val_list", "test_list.txt", "--recipe", "paper", "--phases", "64:100:4"
    )
    assert code == 2 and "phases of its own" in err
    code, _, err = run("train")
    assert code == 2 and "STAGE" in err
    assert not (tmp_path / "run").exists()
