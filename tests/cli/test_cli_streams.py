"""Pipes that close, full disks under stdout, names that the terminal cannot show, terminals that go away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from co2net.cli.errors import Terminated, exit_code
from co2net.errors import InputError

COMMAND = f"{sys.executable} -m co2net models"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.parametrize(("end", "code"), [("> /dev/full", 2), ("| true", 0), ("2>&-", 0)])
def test_no_traceback_for_what_happens_to_the_output(end, code):
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {COMMAND} {end}"], capture_output=True, text=True)
    assert done.returncode == code and done.stderr.count("\n") == (code != 0)


def test_names_that_the_terminal_cannot_show():
    code = "from co2net.cli.errors import exit_code; exit_code(lambda: print('\u00fc\u4f60.mp4'))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout == "\\xfc\\u4f60.mp4\n" and not done.stderr


def test_messages_are_one_short_line(capsys):
    def job():
        raise InputError("a\nb " + "x" * 9000)

    assert exit_code(job) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("co2net: a b xxx") and len(err) < 700


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_end_as_ctrl_c_does(name, capsys):
    if not hasattr(signal, name):
        pytest.skip("no such signal here")
    number = getattr(signal, name)
    inherited = signal.signal(number, signal.SIG_DFL)  # under nohup the tests would inherit that it is ignored
    try:
        assert exit_code(lambda: os.kill(os.getpid(), number)) == 128 + number
        assert "interrupted" in capsys.readouterr().err and signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, inherited)
    assert issubclass(Terminated, KeyboardInterrupt)
