"""The long attacks, run by ``make test-all``; a short piece of each always."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def attack(program, folder, *words):
    command = [sys.executable, str(HERE / program), "--folder", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("count", [60, pytest.param(10000, marks=pytest.mark.slow)])
def test_bad_inputs_end_in_a_sentence(tmp_path, count):
    done = attack("bad_inputs.py", tmp_path / "x", "--count", str(count))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count // 6} media" in done.stdout


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
@pytest.mark.parametrize("count", [pytest.param(100, marks=pytest.mark.slow)])
def test_kills_leave_nothing_half_written(tmp_path, count):
    done = attack("kills.py", tmp_path / "x", "--count", str(count))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} ended early or whole" in done.stdout
