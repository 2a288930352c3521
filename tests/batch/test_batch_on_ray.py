"""The same on a Ray cluster of this machine: killed workers and a killed run lose nothing, results are equal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import worker_jobs
from shot_clips import make_shots, models

from co2net.video import open_video
from co2net.workers import try_jobs

pytest.importorskip("ray", reason="needs pip install 'co2net[ray]'")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


PORTS = ("metrics-export", "dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _given_path() -> list[str]:
    """Where extras may lie that are not installed in the environment itself."""
    return [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of this machine with two workers, ended with its whole process group."""
    port = _free_port()
    folder = tmp_path_factory.mktemp("ray")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "batch"), *_given_path()]),
        "CO2NET_MODELS": str(models(folder / "models")),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": f"127.0.0.1:{port}",
    }
    short = tempfile.mkdtemp(prefix="ray-")  # a socket's name must be short
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", port, "--num-cpus", 2]
    start += [
        "--include-dashboard",
        "false",
        "--object-store-memory",
        80_000_000,
        "--temp-dir",
        short,
        # Of known ports nobody has to wait for files that say them, which a busy machine makes too late.
        *(word for name in PORTS for word in (f"--{name}-port", _free_port())),
    ]
    with (folder / "log").open("w") as log:
        ray = subprocess.Popen(list(map(str, start)), env=environment, stdout=log, stderr=log, start_new_session=True)
    for _ in range(120):
        if "Ray runtime started" in (folder / "log").read_text():
            break
        time.sleep(0.5)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(ray.pid, signal.SIGKILL)
        pytest.skip(f"no Ray cluster could be started: {(folder / 'log').read_text()[-500:]}")
    yield environment
    os.killpg(ray.pid, signal.SIGTERM)
    try:
        ray.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(ray.pid, signal.SIGKILL)


def command(table, output, environment, *more):
    words = [sys.executable, "-m", "co2net", "batch", str(table), "-o", str(output), "-q", *more]
    return subprocess.Popen(words, env=environment, cwd=output.parent, stderr=subprocess.PIPE, text=True)


def pictures(folder):
    """Decoded: a Matroska file has a random number of its own."""
    found = {}
    for path in sorted(folder.glob("*.mkv")):
        with open_video(path) as reader:
            found[path.name] = b"".join(frame.image.tobytes() for frame in reader)
    return found


def test_a_killed_worker_costs_one_try(cluster, tmp_path, monkeypatch):
    import ray

    monkeypatch.setenv("RAY_ADDRESS", cluster["RAY_ADDRESS"])
    marks = [tmp_path / f"{n}" for n in range(4)]
    for mark in marks[1:]:
        mark.touch()
    try:
        ended = sorted(try_jobs(worker_jobs.killed_once, marks, on="ray"), key=lambda o: o.index)
        bad = list(try_jobs(worker_jobs.job, [13, 7], on="ray", tries=2))
    finally:
        ray.shutdown()
    assert [o.result for o in ended] == [mark.name for mark in marks] and ended[0].tries == 2
    assert {type(o.error).__name__: o.tries for o in bad} == {"InputError": 1, "RuntimeError": 2}


def test_a_killed_run_loses_nothing_and_results_are_those_of_one_machine(cluster, tmp_path):
    table = make_shots(tmp_path / "in", 30, damaged=(3,))
    run = command(table, tmp_path / "ray", cluster, "--on", "ray")
    records = tmp_path / "ray" / "shots"
    while run.poll() is None and not (records.is_dir() and len(list(records.glob("*.json"))) >= 3):
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    done = {
        p.name: p.stat().st_mtime_ns for p in records.glob("*.json") if json.loads(p.read_text())["state"] == "done"
    }
    assert 2 <= len(done) < 29
    again = command(table, tmp_path / "ray", cluster, "--on", "ray")
    assert "1 shot could not be done: s003" in again.communicate()[1] and again.returncode == 2
    assert all((records / name).stat().st_mtime_ns == when for name, when in done.items())
    here = command(table, tmp_path / "here", cluster, "--workers", "1")
    here.communicate()
    assert len(pictures(tmp_path / "ray")) == 29 and pictures(tmp_path / "ray") == pictures(tmp_path / "here")


def test_without_a_cluster_one_sentence_says_so(tmp_path):
    table = make_shots(tmp_path / "in", 1)
    environment = os.environ | {"RAY_ADDRESS": "127.0.0.1:9", "CO2NET_MODELS": str(models(tmp_path / "models"))}
    run = command(table, tmp_path / "out", environment, "--on", "ray")
    told = run.communicate()[1]
    assert run.returncode == 2 and "no Ray cluster was reached" in told.splitlines()[-1]
