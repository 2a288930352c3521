"""Several processes under torchrun compute what one does."""

import os
import socket
import subprocess
import sys

import pytest
import torch
import torch.multiprocessing as spawning
from stage2_sets import arguments, environment, make_set, start
from torch import nn

from co2net.cli.train_refinement import main
from co2net.processes import process_group
from co2net.training.batch_norm import GlobalBatchNorm2d, use_global_batch_norm

STOPPED = """
import os, signal, sys
from co2net.cli.train_refinement import main
from co2net.training.refinement import RefinementTask
steps, whole = [], RefinementTask.learn
def until(*given):
    steps.append(1)
    values = whole(*given)
    if len(steps) == 6 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGINT)
    return values
RefinementTask.learn = until
sys.exit(main({command!r}))
"""
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def line(backbone, tmp_path_factory):
    """Makes the command line of a run with batch statistics and batches of 3, the last of 1: one process has none."""
    place = tmp_path_factory.mktemp("processes")
    root = make_set(place / "set")

    def make(folder, *more):
        return arguments(root, place / folder, "--backbone", str(backbone), "--use_feature", *more)

    make.place = place  # type: ignore[attr-defined]
    return make


def finish(process, code=0):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def assert_close(folder, other):
    """Losses and weights equal but for rounding."""
    logs = ((place / "logs.txt").read_text().splitlines() for place in (folder, other))
    for mine, its in zip(*logs, strict=True):
        *words, value = mine.split("\t")
        *expected, number = its.split("\t")
        assert words == expected
        assert float(value) == pytest.approx(float(number), rel=1e-6 if words[0] == "train" else 1e-3), words
    one, two = (torch.load(place / "last_checkpoint.pth", weights_only=True) for place in (folder, other))
    assert one.keys() == two.keys()
    for name in one:
        # Biases before a batch norm have a gradient of zero but for rounding, of which AdamW makes whole steps. Batch
        # statistics take them away again, running means follow late: hence the looser validation above.
        if (
            name in ("refine_network.refine_block.0.bias", "refine_network.refine_block.3.bias")
            or "running_mean" in name
        ):
            continue
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


@pytest.fixture(scope="module")
def one(line):
    assert main(line("one")) == 0
    return line.place / "one"


def test_two_processes_equal_one(line, one):
    out, _ = finish(start(line("two"), launcher=TWO))
    assert out.count("best.safetensors: epoch") == 1  # only the first process speaks
    assert_close(line.place / "two", one)


@pytest.mark.slow
def test_a_run_of_two_goes_on_as_one(line, one, tmp_path):
    """Ctrl-C reaches the second process only, in step 6 of 16; both stop with a checkpoint."""
    command, folder = line("stopped"), line.place / "stopped"
    (tmp_path / "driver.py").write_text(STOPPED.format(command=command))
    run = [sys.executable, *TWO, str(tmp_path / "driver.py")]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "interrupted" in done.stderr, done.stderr
    assert torch.load(folder / "training_state.pth", weights_only=True)["progress"]["step"] == 6
    assert main(command) == 0
    assert_close(folder, one)


@pytest.mark.slow
def test_an_error_of_one_process_ends_all_with_one_sentence(line):
    picture = line.place / "set" / "real_videos" / "bbb" / "00020.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:50])
    try:
        _, err = finish(start(line("error", "--keep_gib", "0"), launcher=TWO), code=1)  # torchrun's own code
    finally:
        picture.write_bytes(whole)
    assert err.count("co2net: cannot read picture") == 1 and "RuntimeError" not in err


def _batch_norm(rank: int, port: int, results) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with process_group(torch.device("cpu")) as processes:
        x, norm, weights = _case()
        share = x[rank :: processes.count].clone().requires_grad_()
        use_global_batch_norm(norm)
        assert isinstance(norm[0], GlobalBatchNorm2d)
        y = norm(share)
        (y * weights[rank::2]).sum().backward()
        results.put(
            (rank, y.detach().tolist(), share.grad.tolist(), norm[0].running_var.tolist(), norm[0].weight.grad.tolist())
        )


def _case():
    torch.manual_seed(0)
    x, weights = torch.randn(5, 3, 4, 4) * 2 + 30, torch.randn(5, 3, 4, 4)
    norm = nn.Sequential(nn.BatchNorm2d(3))
    return x, norm, weights


def test_global_batch_norm_has_the_values_and_gradients_of_one_process():
    x, norm, weights = _case()
    x.requires_grad_()
    y = norm(x)
    (y * weights).sum().backward()
    context = spawning.get_context("spawn")
    results = context.SimpleQueue()
    spawning.spawn(_batch_norm, args=(_free_port(), results), nprocs=2)
    parts = sorted(results.get() for _ in range(2))
    for rank, values_, gradient, variance, _ in parts:
        torch.testing.assert_close(torch.tensor(values_), y.detach()[rank::2], atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.tensor(gradient), x.grad[rank::2], atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.tensor(variance), norm[0].running_var, atol=1e-5, rtol=0)
    total = torch.tensor([part[4] for part in parts]).sum(dim=0)
    torch.testing.assert_close(total, norm[0].weight.grad, atol=1e-4, rtol=0)
    assert GlobalBatchNorm2d(3).state_dict().keys() == nn.BatchNorm2d(3).state_dict().keys()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
