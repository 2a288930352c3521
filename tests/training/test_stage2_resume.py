"""Runs that were cut off, in every way there is, and went on."""

import contextlib
import resource
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from stage2_sets import arguments, environment

from co2net.cli.train_refinement import main
from co2net.training import checkpoint, loop, refinement
from co2net.training.refinement import RefinementTask

# A process that is killed in the middle of its seventh step: 4 steps are an epoch, checkpoints lie at 3, 4 and 6.
KILLED = """
import os, signal, sys
from co2net.cli.train_refinement import main
from co2net.training.refinement import RefinementTask
steps, whole = [], RefinementTask.learn
def until(*given):
    steps.append(1)
    values = whole(*given)
    if len(steps) == {step}:
        os.kill(os.getpid(), signal.{signal})
    return values
RefinementTask.learn = until
sys.exit(main({command!r}))
"""


@pytest.fixture(scope="module")
def command(root, backbone, tmp_path_factory):
    """Makes the command line of a run in a folder."""
    place = tmp_path_factory.mktemp("runs")

    def make(folder, *more):
        return arguments(root, place / folder, "--backbone", str(backbone), "--recipe", "quick", *BATCHES, *more)

    make.place = place  # type: ignore[attr-defined]
    return make


WORKERS = ("--keep_gib", "0", "--workers", "2")
BATCHES = ("--no-freeze_batch_norm", "--crop", "16", "--use_feature")  # everything that has a state takes part


@pytest.fixture(scope="module")
def unbroken(command):
    assert main(command("unbroken")) == 0
    return command.place / "unbroken"


def assert_same(folder, unbroken):
    assert (folder / "logs.txt").read_text() == (unbroken / "logs.txt").read_text()
    names = ["1.pth", "2.pth", "3.pth", "4.pth", "last_checkpoint.pth"]
    for name in names:
        one, other = (torch.load(place / name, weights_only=True) for place in (folder, unbroken))
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), name
    one, other = (load_file(place / "best.safetensors") for place in (folder, unbroken))
    assert all(torch.equal(one[key], other[key]) for key in other)
    assert not list(folder.glob(".*.part"))


@pytest.mark.parametrize("more", [(), pytest.param(WORKERS, marks=pytest.mark.slow)], ids=["in_memory", "workers"])
def test_killed_in_the_middle_of_an_epoch(command, unbroken, more):
    folder = command.place / f"killed{len(more)}"
    line = command(folder.name, *more)
    code = KILLED.format(step=7, signal="SIGKILL", command=line)
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    state = torch.load(folder / "training_state.pth", weights_only=True)
    assert state["progress"]["step"] == 6
    assert len((folder / "logs.txt").read_text().splitlines()) < len((unbroken / "logs.txt").read_text().splitlines())
    assert main(line) == 0
    assert_same(folder, unbroken)


@pytest.mark.parametrize("name, code", [("SIGINT", 130), pytest.param("SIGTERM", 143, marks=pytest.mark.slow)])
def test_interrupted(command, unbroken, name, code):
    folder = command.place / name
    line = command(name)
    program = KILLED.format(step=6, signal=name, command=line)
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.returncode == code and "interrupted" in done.stderr and "Traceback" not in done.stderr
    assert torch.load(folder / "training_state.pth", weights_only=True)["progress"]["step"] == 6
    assert main(line) == 0
    assert_same(folder, unbroken)


@pytest.mark.parametrize("cut", [4, 5, 6, *(pytest.param(cut, marks=pytest.mark.slow) for cut in (3, 7, 8, 9))])
def test_killed_between_two_files(command, unbroken, monkeypatch, cut):
    """The n-th file is never written: state, weights and numbered file of different steps must not be mixed."""
    line, written, write = command(f"between{cut}"), [], checkpoint.write_state

    class Killed(BaseException):
        pass

    def until(path, state):
        written.append(path)
        if len(written) == cut:
            raise Killed
        write(path, state)

    monkeypatch.setattr(loop, "write_state", until)
    monkeypatch.setattr(refinement, "write_state", until)
    with contextlib.suppress(Killed):
        main(line)
    assert len(written) == cut
    monkeypatch.undo()
    assert main(line) == 0
    assert_same(command.place / f"between{cut}", unbroken)


def test_a_finished_run_is_not_trained_again(command, unbroken, capsys, monkeypatch):
    def fail(*_given, **_named):
        raise AssertionError("trained")

    monkeypatch.setattr(RefinementTask, "learn", fail)
    monkeypatch.setattr(RefinementTask, "prepare", fail)
    before = {path: path.stat().st_mtime_ns for path in unbroken.glob("*.*") if path.suffix in (".pth", ".safetensors")}
    assert main(command("unbroken")) == 0
    out = capsys.readouterr().out
    assert "finished run of 16 steps; it is left as it is" in out and "best.safetensors: epoch" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_run_is_refused(command, unbroken, root, tmp_path, capsys):
    changed = (
        "--learning_rate",
        "1e-2",
        "--seed",
        "3",
        "--mapping",
        "smooth",
        "--train_list",
        str(root / "clips_test.txt"),
    )
    assert main(command("unbroken", *changed)) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ("learning_rate", "seed", "mapping", "train_list")) and "epochs" not in err
    (tmp_path / "stage1").mkdir()
    (tmp_path / "stage1" / "last_checkpoint.pth").write_bytes(b"of stage 1")
    assert main(command("x", "--exp_name", str(tmp_path / "stage1"))) == 2
    assert "of another training" in capsys.readouterr().err
    (tmp_path / "stage1" / "training_state.pth").write_bytes(b"broken")
    assert main(command("x", "--exp_name", str(tmp_path / "stage1"))) == 2
    assert "cannot be resumed from" in capsys.readouterr().err
    assert (tmp_path / "stage1" / "last_checkpoint.pth").read_bytes() == b"of stage 1"


def test_settings_that_change_nothing_may_change(command, unbroken):
    assert main(command("unbroken", "--workers", "1", "--log_every", "7", "--checkpoint_every", "9")) == 0


def test_a_full_disk_leaves_the_previous_checkpoint(command, unbroken, capsys, monkeypatch):
    """From the sixth step on no file may grow over 100 kB, as on a full disk."""
    line, folder, steps = command("full"), command.place / "full", []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def until(*given):
        steps.append(1)
        if len(steps) == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        return learn(*given)

    learn = RefinementTask.learn
    monkeypatch.setattr(RefinementTask, "learn", until)
    try:
        code = main(line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    err = capsys.readouterr().err
    assert code == 2 and "training_state.pth: File too large; make room" in err and "Traceback" not in err
    assert torch.load(folder / "training_state.pth", weights_only=True)["progress"]["step"] == 4
    monkeypatch.undo()
    assert main(line) == 0
    assert_same(folder, unbroken)


def test_a_folder_that_cannot_be_made(command, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command("x", "--exp_name", str(tmp_path / "file" / "run"))) == 2
    assert "cannot make the folder" in capsys.readouterr().err
