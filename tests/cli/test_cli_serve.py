"""``co2net serve``: what it refuses, and that it ends without leaving anything."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

needs_server = [
    pytest.importorskip(name, reason=f"{name} is not installed; pip install 'co2net[app]'")
    for name in ("fastapi", "uvicorn", "python_multipart")
]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets the network in: give a --token"),  # noqa: S104
        (["--host", "::"], "--host :: lets the network in"),
        (["--token", "short"], "--token has 5 characters; give 12 or more, or auto"),
        (["--max-frames", "0"], "--max-frames must be more than 0, got 0"),
        (["--keep", "nan"], "--keep must be more than 0, got nan"),
        (["--device", "abacus"], "--device abacus is unknown"),
    ],
)
def test_refused(run, words, sentence):
    code, out, err = run("serve", "--no-page", *words)
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1


def test_a_taken_port_is_told(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run("serve", "--no-page", "--port", taken.getsockname()[1])
    assert code == 2 and "cannot listen at --host 127.0.0.1, --port" in err and "in use" in err


def test_without_the_extra_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "gradio" else object())
    code, _, err = run("serve")
    assert code == 2 and "needs gradio; pip install 'co2net[app]'" in err


def test_it_ends_when_it_is_asked_to(tmp_path, models_folder):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CO2NET_MODELS": str(models_folder), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "co2net", "serve", "--no-page", "--port", "7899", "--token", "auto"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        try:
            with urllib.request.urlopen("http://127.0.0.1:7899/healthz", timeout=5) as answer:
                if answer.status == 200:
                    break
        except OSError:
            pass
        time.sleep(0.2)
    assert list(tmp_path.glob("co2net-app-*"))
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=60)
    assert server.returncode == 0, err
    assert "at http://127.0.0.1:7899" in err and "token: " in err and "Traceback" not in err
    assert not list(tmp_path.glob("co2net-app-*"))
