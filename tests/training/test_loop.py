"""The loop with a toy task: one file, and everything that the loop promises to every task."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from stage2_sets import environment
from torch import nn
from torch.utils.data import DataLoader

from co2net.cli.errors import exit_code
from co2net.errors import DivergedError, InputError
from co2net.processes import Processes
from co2net.training.checkpoint import read_state, write_state
from co2net.training.loop import LoopSettings, train
from co2net.training.task import Shares, Task, Validation, epochs_of

CPU = torch.device("cpu")
QUIET = LoopSettings(log_every=1, checkpoint_every=3, quiet=True)


class Line(nn.Module):
    """y = a x + b, with a batch norm that makes the steps depend on their batches."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.line = nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(self.norm(x))


class Fit(Task):
    """Fit a line to forty points in ten samples; its opponent, a second network, learns how wrong it is."""

    title, result = "toy", "line.safetensors"

    def __init__(self, rate: float = 0.3, steps: int = 12, **changes) -> None:
        torch.manual_seed(0)
        self.network, self.critic = Line(), nn.Linear(1, 1)
        self.networks = {"line": self.network, "critic": self.critic}
        self.optimizers = {
            "line": torch.optim.Adam(self.network.parameters(), rate),
            "critic": torch.optim.SGD(self.critic.parameters(), 0.01),
        }
        self.plateau = Plateau()
        self.others = {"plateau": self.plateau}
        self.facts, self.steps, self.steps_per_epoch = {"rate": rate, **changes}, steps, 4
        self.points = torch.linspace(-1, 1, 40).view(10, 1, 2, 2)
        self.taught = 0
        for name, value in changes.items():
            setattr(self, name, value)

    def numbers(self, step: int) -> range:
        return epochs_of(10, 3, step)

    def batches(self, shares: Shares, run) -> Iterator[torch.Tensor]:
        yield from run.waiting(DataLoader([self.points[n % 10] for n in range(200)], batch_sampler=shares))

    def factor(self, step: int) -> dict[str, float]:
        return {"line": self.plateau.factor, "critic": 1.0}

    def learn(self, batch, update):
        self.taught += 1
        error = (self.network(batch + 0.01 * torch.rand(())) - (2 * batch + 1)).square()
        loss = update(error.mean(), "line")
        doubt = (self.critic(batch.view(-1, 1)) - error.detach().view(-1, 1)).square().mean()
        return {"loss": loss, "doubt": update(doubt, "critic")}

    def validate(self, run) -> Validation:
        self.network.eval()
        with torch.no_grad():
            error = float((self.network(self.points) - (2 * self.points + 1)).square().mean())
        self.plateau.listen(error)
        return Validation(error, {"error": error}, torch.zeros(1, 3, 4, 4), "nothing", f"error {error:.3f}")

    def weights(self):
        return self.network.state_dict()

    def keep(self, run, *, better: bool) -> None:
        if better:
            save_file(self.network.state_dict(), run.folder / self.result)


class Plateau:
    """A schedule that listens to scores."""

    def __init__(self) -> None:
        self.factor, self.best = 1.0, math.inf

    def listen(self, score: float) -> None:
        self.factor *= 0.5 if score > 0.9 * self.best else 1.0
        self.best = min(self.best, score)

    def state_dict(self):
        return {"factor": self.factor, "best": self.best}

    def load_state_dict(self, state_dict) -> None:
        self.factor, self.best = state_dict["factor"], state_dict["best"]


def go(folder: Path, task: Task | None = None, **changes):
    task = task or Fit()
    settings = LoopSettings(**{"log_every": 1, "checkpoint_every": 3, "quiet": True, **changes})
    return task, train(task, settings, folder, Processes(CPU))


def state(folder: Path) -> dict:
    return torch.load(folder / "training_state.pth", weights_only=True)


def assert_same(one: Path, other: Path) -> None:
    for name in ("last_checkpoint.pth", "logs.txt", "line.safetensors", "validation.png"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert str(state(one)) == str(state(other))


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_run_in_parts_leaves_the_bytes_of_a_whole_one(tmp_path, averaging):
    whole, summary = go(tmp_path / "whole", Fit(averaging=averaging, averaged=["line"]))
    assert summary.finished and summary.progress.step == 12 and summary.progress.best < 1
    for stop in (2, 4, 9, None):
        parts, summary = go(tmp_path / "parts", Fit(averaging=averaging, averaged=["line"]), stop_after=stop)
        assert summary.finished == (stop is None)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), parts.network.parameters(), strict=True))


def test_the_same_training_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        go(tmp_path / name)
    assert_same(tmp_path / "one", tmp_path / "two")
    one, two = ((tmp_path / name / "training_state.pth").read_bytes() for name in ("one", "two"))
    assert one == two


def test_what_a_run_leaves(tmp_path):
    task, summary = go(tmp_path)
    lines = [line.split("\t") for line in (tmp_path / "logs.txt").read_text().splitlines()]
    assert [line[:3] for line in lines[:5]] == [["train", "epoch 0:", str(n)] for n in range(1, 5)] + [
        ["val", "epoch 0:", "final loss"]
    ]
    assert torch.load(tmp_path / "last_checkpoint.pth", weights_only=True).keys() == task.network.state_dict().keys()
    assert load_file(tmp_path / "line.safetensors").keys() == task.network.state_dict().keys()
    assert summary.progress.best_step == 4 and summary.progress.best_scores == {"error": summary.progress.best}
    assert (tmp_path / "config.json").is_file() and (tmp_path / "validation.png").is_file()
    assert not list(tmp_path.glob(".*"))


def test_a_finished_run_is_left_alone(tmp_path):
    go(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.glob("*.*")}
    task, summary = go(tmp_path)
    assert summary.was_finished and not task.taught and summary.progress.best < 1
    same = [path for path in before if path.name != "config.json" and "tfevents" not in path.name]
    assert all((path.stat().st_mtime_ns, path.read_bytes()) == before[path] for path in same)


def test_a_kill_before_the_last_file_is_finished_properly(tmp_path):
    class Late(Fit):
        fails = True

        def keep(self, run, *, better):
            pass

        def finish(self, run):
            if self.fails:
                raise KeyboardInterrupt
            save_file(self.network.state_dict(), run.folder / self.result)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, Late())
    assert not (tmp_path / "line.safetensors").exists()
    Late.fails = False
    task, summary = go(tmp_path, Late())
    assert (tmp_path / "line.safetensors").is_file() and not task.taught and not summary.was_finished
    assert math.isfinite(summary.progress.last_scores["error"])


def test_other_facts_are_refused(tmp_path):
    go(tmp_path, stop_after=2)
    with pytest.raises(InputError, match="other settings for rate"):
        go(tmp_path, Fit(rate=0.2))
    (tmp_path / "training_state.pth").unlink()
    with pytest.raises(InputError, match="of another training"):
        go(tmp_path)


def test_settings_of_earlier_names_are_known(tmp_path):
    write_state(tmp_path / "a.pth", {"config": json.dumps({"caution": 0.15})})
    assert read_state(tmp_path / "a.pth", {"held_back": 0.15}) is not None
    with pytest.raises(InputError, match="other settings for held_back"):
        read_state(tmp_path / "a.pth", {"held_back": 0.1})


@pytest.mark.parametrize("rate", [1e30, 1e20])
def test_it_stops_where_numbers_leave_the_finite(tmp_path, rate, capsys):
    with pytest.raises(DivergedError, match=r"after [1-4] steps"):
        go(tmp_path, Fit(rate), checkpoint_every=1)
    stored = [tensor for part in state(tmp_path)["parts"].values() for tensor in part.values()]
    assert all(tensor.isfinite().all() for tensor in stored if isinstance(tensor, torch.Tensor))
    assert exit_code(lambda: go(tmp_path / "again", Fit(rate))) == 1
    assert capsys.readouterr().err.startswith("co2net: the training diverged: ")


def test_checkpoints_are_never_older_than_five_minutes(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("co2net.training.loop.time.monotonic", lambda: clock[0])

    class Slow(Fit):
        def learn(self, batch, update):
            clock[0] += 160  # seconds
            if self.taught == 3:
                raise RuntimeError("power cut")
            return super().learn(batch, update)

    with pytest.raises(RuntimeError):
        go(tmp_path, Slow(), checkpoint_every=1000)
    assert state(tmp_path)["progress"]["step"] == 2


def test_a_time_limit_ends_with_a_checkpoint(tmp_path):
    task, summary = go(tmp_path, time_limit=1e-9)
    assert not summary.finished and task.taught == 1 and state(tmp_path)["progress"]["step"] == 1


def test_gradients_are_clipped(tmp_path):
    class Seen(Fit):
        def learn(self, batch, update):
            values = super().learn(batch, update)
            self.seen = [parameter.grad.abs().max() for parameter in self.network.parameters()]
            return values

    task, _ = go(tmp_path / "entries", Seen(largest_entry=1e-3), stop_after=1)
    assert max(task.seen) == pytest.approx(1e-3)
    task, _ = go(tmp_path / "norm", Seen(largest_gradient=1e-3), stop_after=1)
    assert 0 < max(task.seen) <= 1e-3


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from test_loop import *
class Waits(Fit):
    def prepare(self, run):
        if {where!r} == "prepare":
            print("here", flush=True); time.sleep(60)
    def learn(self, batch, update):
        values = super().learn(batch, update)
        if {where!r} == "step" and self.taught == 3:
            print("here", flush=True)
            for _ in range({naps}): time.sleep(0.1)
        return values
sys.exit(exit_code(lambda: train(Waits(), LoopSettings(checkpoint_every=100), Path({folder!r}), Processes(CPU))))
"""


def start(folder: Path, where: str, naps: int):
    code = PROGRAM.format(tests=str(Path(__file__).parent), where=where, folder=str(folder), naps=naps)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    return process


def test_ctrl_c_ends_the_preparation_at_once(tmp_path):
    process, began = start(tmp_path, "prepare", 0), time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted" in err and time.monotonic() - began < 5


def test_ctrl_c_waits_for_the_end_of_a_step_and_says_so(tmp_path):
    process = start(tmp_path, "step", 10)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "stopping after this step" in err and "Traceback" not in err
    assert state(tmp_path)["progress"]["step"] == 3


def test_a_second_ctrl_c_waits_for_nothing(tmp_path):
    process, began = start(tmp_path, "step", 600), time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - began < 20
    assert not (tmp_path / "training_state.pth").exists()


def test_a_log_without_a_terminal_gets_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("co2net.training.log._RHYTHM", 0.0)
    go(tmp_path, quiet=False)
    err = capsys.readouterr().err
    assert "toy: step 1 of 12, " in err and "loss " in err and " left" in err and "nan" not in err
    assert "step 4 of 12: error " in err and "\r" not in err


TWO = """
import os, sys
sys.path.insert(0, {tests!r})
from test_loop import *
from co2net.processes import process_group
with process_group(CPU) as processes:
    train(Fit(), QUIET, Path({folder!r}), processes)
"""


@pytest.mark.slow
def test_two_processes_do_what_one_does(tmp_path):
    """Batches of 3, 3, 3 and 1: the second process has nothing in every fourth step."""
    go(tmp_path / "one")
    (tmp_path / "two.py").write_text(TWO.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "two")))
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        [sys.executable, *launcher, str(tmp_path / "two.py")], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / "last_checkpoint.pth", weights_only=True) for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-4, rtol=0)
    logs = ((tmp_path / name / "logs.txt").read_text().split("\n") for name in ("one", "two"))
    for mine, its in zip(*logs, strict=True):
        assert mine.split("\t")[:3] == its.split("\t")[:3]
        if mine:
            assert float(mine.split("\t")[3]) == pytest.approx(float(its.split("\t")[3]), rel=1e-3, abs=1e-2)


def test_more_processes_than_samples_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot share a batch of 3"):
        train(Fit(), QUIET, tmp_path, Processes(CPU, rank=0, count=os.cpu_count() + 4))
