"""Training on pairs of pictures: a small iHarmony4, the published command, a kill, and going on."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from co2net.cli import train_images
from co2net.data.config_file import find_checkpoint, merged_config, read_sub_sets
from co2net.errors import InputError
from co2net.models.backbones import CDTNet, DucoNet
from co2net.processes import Processes
from co2net.training.image_pairs import HowToSave, PairDataset, PairsConfig, PairsTask, draw_crop, recipe_pairs
from co2net.training.loop import LoopSettings, train

CPU = torch.device("cpu")


def make_sub_set(root: Path, count: int = 4, size: tuple[int, int] = (40, 56), seed: int = 0) -> Path:
    """A sub-set in iHarmony4's layout, of smooth pictures."""
    random = np.random.default_rng(seed)
    for name in ("composite_images", "masks", "real_images"):
        (root / name).mkdir(parents=True)
    names = []
    for number in range(count):
        real = cv2.resize(random.integers(0, 256, (4, 5, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
        mask = np.zeros(size, np.uint8)
        mask[10:30, 12:40] = 255
        composite = np.where(mask[..., None] > 0, real // 2, real)
        cv2.imwrite(str(root / "real_images" / f"a{number}.jpg"), real)
        cv2.imwrite(str(root / "masks" / f"a{number}_1.png"), mask)
        cv2.imwrite(str(root / "composite_images" / f"a{number}_1_10.jpg"), composite)
        names.append(f"a{number}_1_10.jpg")
    for split in ("train", "test"):
        (root / f"{root.name}_{split}.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with config.yml and two sub-sets."""
    for name in ("HCOCO", "HFlickr"):
        make_sub_set(tmp_path / "data" / name, seed=len(name))
    (tmp_path / "config.yml").write_text(
        f"EXPS_PATH: {tmp_path}/exps\nMODELS_PATH: {tmp_path}\nHCOCO_PATH: data/HCOCO\nHFLICKR_PATH: data/HFlickr\n"
        "SUBCONFIGS:\n  CDTNet:\n    IMAGENET_PRETRAINED_MODELS: {}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_configuration_names_the_data(place):
    config = merged_config("models/CDTNet.py")
    found = read_sub_sets(config, "HCOCO, hflickr", "train")
    assert {name: len(entries) for name, entries in found.items()} == {"HCOCO": 4, "hflickr": 4}
    with pytest.raises(InputError, match="no HDAY2NIGHT_PATH; it names HCOCO, HFLICKR"):
        read_sub_sets(config, "HDay2Night", "train")
    (place / "models").mkdir()
    (place / "models" / "DucoNet_256.yml").write_text("HCOCO_PATH: elsewhere\n")
    assert merged_config("models/DucoNet_256.py")["HCOCO_PATH"] == "elsewhere"
    (place / "a_run" / "checkpoints").mkdir(parents=True)
    (place / "a_run" / "checkpoints" / "last_checkpoint.pth").write_bytes(b"x")
    assert find_checkpoint("a_r:last_checkpoint", config).parent.parent.name == "a_run"
    with pytest.raises(InputError, match="do not exist, tried"):
        find_checkpoint("nothing", config)


def test_crops_keep_to_their_bounds():
    random = np.random.default_rng(0)
    for height, width in ((40, 56), (200, 30), (30, 200)):
        for _ in range(50):
            top, bottom, left, right = draw_crop(random, height, width)
            assert 0 <= top < bottom <= height and 0 <= left < right <= width
            assert 0.7 < (right - left) / (bottom - top) < 1.37
    areas = [(b - t) * (right - left) / 2500 for t, b, left, right in (draw_crop(random, 50, 50) for _ in range(200))]
    assert min(areas) > 0.48 and np.mean(areas) < 0.95


def test_samples_are_numbered_and_share_one_view(place):
    entries = read_sub_sets(merged_config("models/DucoNet_256.py"), "HCOCO", "train")["HCOCO"]
    dataset = PairDataset(entries, (32, 24), DucoNet(), seed=3, least_foreground=10)
    first, again = dataset[7], dataset[7]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert {name: (value.shape, value.dtype.name) for name, value in first.items()} == {
        "composite": ((32, 24, 3), "uint8"),
        "real": ((32, 24, 3), "uint8"),
        "lab": ((32, 24, 3), "uint8"),
        "mask": ((32, 24), "float32"),
    }
    from co2net.color_spaces import lab_codes

    for number in range(8):  # Lab of the full-size picture, seen through the same window
        sample = dataset[number]
        difference = np.abs(sample["lab"].astype(int) - lab_codes(sample["composite"]))
        assert np.median(difference) <= 1 and difference.max() < 20
        assert sample["mask"].sum() > 10


def task_of(entries, **changes):
    config = PairsConfig("cdtnet", "paper", {"base_size": 32}, 40, 32, batch=3, epochs=2, **changes)
    network = CDTNet(base_size=32)
    torch.manual_seed(0)
    network.initialize()
    return PairsTask(network, entries, entries[:2], config, HowToSave(show_every=2))


def test_frozen_parts_stay_and_the_rest_learns(place):
    entries = read_sub_sets(merged_config("models/CDTNet.py"), "HCOCO", "train")["HCOCO"]
    task = task_of(entries)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    summary = train(task, LoopSettings(1, quiet=True), place / "run", Processes(CPU))
    after = task.network.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert summary.finished and task.steps == 4 and moved == {"lut", "refine"}
    assert (place / "run" / "checkpoints" / "001.pth").is_file()
    assert (place / "run" / "checkpoints" / "last_checkpoint.pth").is_file()
    assert cv2.imread(str(place / "run/vis/train/000002_reconstruction.jpg")).shape == (40, 5 * 32, 3)
    assert (place / "run" / "cdtnet.safetensors").is_file()


def test_a_stopped_run_ends_as_if_it_had_not_stopped(place):
    entries = read_sub_sets(merged_config("models/CDTNet.py"), "HCOCO", "train")["HCOCO"]
    whole = task_of(entries)
    train(whole, LoopSettings(1, quiet=True), place / "whole", Processes(CPU))
    train(task_of(entries), LoopSettings(1, stop_after=3, quiet=True), place / "parts", Processes(CPU))
    resumed = task_of(entries)
    train(resumed, LoopSettings(1, quiet=True), place / "parts", Processes(CPU))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_rates_follow_batch_and_epoch(place):
    entries = read_sub_sets(merged_config("models/DucoNet_1024.py"), "HCOCO", "train")["HCOCO"]
    config = recipe_pairs("duconet", "1024")
    assert (config.height, config.batch, config.epochs) == (1024, 4, 120)
    task = PairsTask(DucoNet(), entries, [], config)
    assert math.isclose(task.learning_rate, 2.5e-4)
    assert [task.factor(epoch * task.steps_per_epoch) for epoch in (104, 105, 114, 115)] == pytest.approx(
        [1, 0.1, 0.1, 0.01]
    )
    cdtnet = PairsTask(CDTNet(), entries, [], recipe_pairs("cdtnet", "paper"))
    assert [cdtnet.factor(e * cdtnet.steps_per_epoch) for e in (49, 50, 100)] == pytest.approx([1, 0.1, 0.01])
    with pytest.raises(InputError, match="no published recipe 'quick'; it has paper, 1024, 2048"):
        recipe_pairs("cdtnet", "quick")


def test_the_published_commands_run_and_resume(place, capsys):
    small = ["--datasets=HCOCO,HFlickr", "--workers=0", "--epochs=1", "--quiet"]
    sized = ["--hr_h", "32", "--hr_w", "40", "--lr", "32", "--batch_size", "4", "--n_lut", "2"]
    assert train_images.main(["models/CDTNet.py", "--exp_name", "a", *sized, *small]) == 0
    folder = place / "exps" / "CDTNet" / "000_a"
    facts = json.loads((folder / "config.json").read_text())
    assert facts["settings"] == {"base_size": 32, "luts": 2, "simplified": False}
    assert (facts["height"], facts["width"], facts["frozen"]) == (32, 40, ["encoder", "decoder"])
    state = (folder / "training_state.pth").read_bytes()
    again = ["models/CDTNet.py", "--resume-exp", "000", *sized, *small]
    assert train_images.main(again) == 0 and (folder / "training_state.pth").read_bytes() == state
    # A part of the network is a start; what it does not hold is said.
    part = {n: v for n, v in torch.load(folder / "checkpoints/000.pth").items() if n.startswith(("encoder", "decoder"))}
    torch.save(part, place / "issam.pth")
    loud = [word for word in small if word != "--quiet"]
    assert train_images.main(["models/CDTNet.py", "--weights", "issam", "--is_sim", *sized, *loud]) == 0
    assert "issam.pth does not hold lut.LUT0.LUT" in capsys.readouterr().err
    assert (place / "exps" / "CDTNet" / "001").is_dir()


def test_mistakes_are_named(place, capsys):
    assert train_images.main(["models/Unknown.py"]) == 2
    assert "known: CDTNet.py, DucoNet_256.py" in capsys.readouterr().err
    assert train_images.main(["models/CDTNet.py", "--datasets", "HCOCO", "--resume-exp", "004"]) == 2
    assert "there are: none" in capsys.readouterr().err
    assert train_images.main(["models/CDTNet.py", "--datasets", "HCOCO", "--lr", "0.5"]) == 2
    assert "base size" in capsys.readouterr().err


def test_two_processes_train_as_one(place):
    """What ``--gpus=0,1`` does, with two processes on the CPU that talk over gloo."""
    script = Path(__file__).resolve().parents[2] / "scripts" / "train.py"
    words = ["models/CDTNet.py", "--datasets=HCOCO", "--workers=0", "--epochs=1", "--batch-size=2", "--device=cpu"]
    words += ["--hr_h=32", "--hr_w=40", "--lr=32", "--n_lut=2", "--is-sim"]
    for number in (1, 2):
        command = [sys.executable, str(script), *words, f"--ngpus={number}", f"--exp-name=by{number}"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    one, two = (place / "exps" / "CDTNet" / name for name in ("000_by1", "001_by2"))
    logs = [(folder / "logs.txt").read_text() for folder in (one, two)]
    assert [line.split("\t")[:-1] for line in logs[0].splitlines()] == [
        line.split("\t")[:-1] for line in logs[1].splitlines()
    ]
    states = [torch.load(folder / "checkpoints" / "last_checkpoint.pth") for folder in (one, two)]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=2e-3, rtol=2e-3)
    assert len([*(place / "exps" / "CDTNet").iterdir()]) == 2  # the two processes shared one folder


def test_gpus_that_are_not_there_are_said(place, capsys, monkeypatch):
    monkeypatch.setattr(train_images, "_run", lambda *_, **__: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train_images.main(["models/DucoNet_256.py", "--gpus=0,1"]) == 0
    assert "--gpus 0,1: no CUDA here, training on the CPU" in capsys.readouterr().err
    assert train_images.main(["models/DucoNet_256.py", "--gpus=0,x"]) == 2
    assert "x is no number of a GPU" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert train_images.main(["models/DucoNet_256.py", "--gpus=2,3"]) == 2
    assert "--gpus 2,3: only 1 of these GPUs can be used here" in capsys.readouterr().err


def test_two_gpus_start_a_process_each(place, monkeypatch):
    started = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(train_images.subprocess, "call", lambda words: started.append(words) or 0)
    monkeypatch.setenv(train_images.EXPERIMENT, "")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    words = ["models/DucoNet_256.py", "--gpus=0,1", "--exp-name=b", "--datasets=HCOCO"]
    with pytest.raises(SystemExit) as ended:
        train_images.main(words)
    assert ended.value.code == 0 and started[0][-len(words) :] == words and "--nproc-per-node=2" in started[0]
    assert os.environ[train_images.EXPERIMENT].endswith("000_b")
