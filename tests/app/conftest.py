"""A real server on the loopback with real workers, small random weights, and small files to send."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from video import clips

from co2net.models.registry import create_backbone
from co2net.weight_files import save_weights

SIZE = (96, 64)
FACTS = {"format": "co2net", "backbone": "issam", "refinement": "false", "training_size": "32", "mapping": "smooth"}


@pytest.fixture(scope="session")
def app_models(tmp_path_factory):
    """Random weights that work at 32 pixels."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(3)
    save_weights(folder / "issam.safetensors", create_backbone("issam").state_dict(), FACTS)
    (folder / "issam.md").write_text("# issam\n\n| good at | tests |\n| not for | anything else |\n")
    return folder


@contextlib.contextmanager
def running(app, folder: Path):
    """Serve an application from a thread; yields how to reach it."""
    httpx = pytest.importorskip("httpx")
    import uvicorn

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        wait_until(lambda: server.started, 60)
        wait_until(lambda: client.get("/healthz").status_code == 200, 120)
        try:
            yield SimpleNamespace(client=client, jobs=app.state.jobs, port=port, folder=folder, url=client.base_url)
        finally:
            server.should_exit = True
            thread.join(30)
    wait_until(lambda: not list(folder.glob("co2net-app-*")))  # the server leaves no files behind


def wait_until(condition, seconds: float = 30.0):
    """Wait until `condition` holds, and return what it said."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.03)
    raise AssertionError("it did not happen in time")


@pytest.fixture(scope="module")
def server(app_models, tmp_path_factory):
    """A server with narrow limits for the tests of a file; the environment it needs must not outlive them."""
    for needed in ("fastapi", "uvicorn", "python_multipart", "httpx"):
        pytest.importorskip(needed, reason=f"{needed} is not installed; pip install 'co2net[app]'")
    from co2net.app.limits import Limits
    from co2net.app.server import create_app

    limits = Limits(upload_bytes=3 << 20, pixels=100_000, frames=2000, queue=2, idle_seconds=1.0)
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CO2NET_MODELS", str(app_models))
        patch.setenv("OMP_NUM_THREADS", "1")
        with running(create_app(limits, page=False, folder=folder), folder) as found:
            yield found


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Small files by name: path."""
    folder = tmp_path_factory.mktemp("files")
    picture = clips.picture(*SIZE)
    cv2.imwrite(str(folder / "picture.png"), picture)
    cv2.imwrite(str(folder / "mask.png"), clips.disc(*SIZE))
    cv2.imwrite(str(folder / "strokes.png"), np.dstack([picture, clips.disc(*SIZE) // 255 * 255]))
    clips.make_video(folder / "clip.mp4", 6, SIZE, sound="aac")
    clips.make_video(folder / "long.mp4", 1500, SIZE)
    clips.make_video(folder / "mask.mp4", [clips.disc(*SIZE)[..., None].repeat(3, axis=2)] * 6)
    clips.make_video(folder / "other.mp4", 4, (64, 64))
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def send(server, files):
    """POST files by name and fields: ``send("harmonize", composite="clip.mp4", strength=1)``."""

    def post(kind: str, **fields):
        parts = {role: (files[name].name, files[name].read_bytes()) for role, name in fields.items() if name in files}
        data = {name: str(value) for name, value in fields.items() if name not in parts}
        return server.client.post(f"/v1/{kind}", files=parts, data=data)

    return post


@pytest.fixture
def ended(server):
    """Wait for the end of a job; returns its state."""

    def wait(answer):
        assert answer.status_code == 202, answer.text
        number = answer.json()["id"]
        return wait_until(lambda: (s := server.client.get(f"/v1/jobs/{number}").json())["state"] in OVER and s, 60)

    return wait


OVER = ("done", "failed", "cancelled")
