"""The server as a program meets it: pictures, clips, progress, cancelling, what is refused, who may come in."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from app.conftest import running, wait_until
from video import clips

from co2net.color_mapping.cube import load_cube
from co2net.video import open_video

pytest.importorskip("fastapi", reason="fastapi is not installed; pip install 'co2net[app]'")
pytest.importorskip("httpx", reason="httpx is not installed; pip install 'co2net[test]'")

from co2net.app.jobs import JobQueue, clear_abandoned_folders
from co2net.app.limits import Limits
from co2net.app.server import create_app
from co2net.app.uploads import PICTURES, shown_name
from co2net.video.pictures import PICTURE_ENDINGS

ROOT = Path(__file__).parents[2]
OUTSIDE = clips.disc(96, 64) == 0


def frames_of(data: bytes, folder: Path, name: str = "got.mp4") -> list[np.ndarray]:
    (folder / name).write_bytes(data)
    with open_video(folder / name) as reader:
        return [frame.image for frame in reader]


def test_a_picture_is_answered_at_once(send, server):
    answer = send("harmonize", composite="picture.png", mask="mask.png")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert json.loads(answer.headers["co2net-notes"]) == []
    after = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    before = clips.picture(96, 64)
    assert (after[OUTSIDE] == before[OUTSIDE]).all() and (after != before).any()
    wait_until(lambda: not [path for path in server.jobs.folder.rglob("*") if path.is_file()])


def test_strength_counts(send):
    none, half = (send("harmonize", composite="picture.png", mask="mask.png", strength=s) for s in (0, 0.5))
    before = clips.picture(96, 64)
    assert (cv2.imdecode(np.frombuffer(none.content, np.uint8), 1) == before).all()
    assert (cv2.imdecode(np.frombuffer(half.content, np.uint8), 1) != before).any()


def test_a_clip_becomes_a_job(send, server, ended, tmp_path):
    answer = send("harmonize", composite="clip.mp4", mask="mask.mp4", cube=True, format="mkv")
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    state = ended(answer)
    assert state["state"] == "done" and state["done"] == 6 and sorted(state["results"]) == ["cube", "output"]
    video = server.client.get(state["results"]["output"])
    assert len(frames_of(video.content, tmp_path, "got.mkv")) == 6
    assert 'filename="harmonized.mkv"' in video.headers["content-disposition"]
    (tmp_path / "look.cube").write_bytes(server.client.get(state["results"]["cube"]).content)
    assert load_cube(tmp_path / "look.cube").shape[-1] == 33
    part = server.client.get(state["results"]["output"], headers={"range": "bytes=0-3"})
    assert part.status_code == 206 and part.content == video.content[:4]
    assert server.client.delete(answer.headers["location"]).status_code == 204
    assert server.client.get(answer.headers["location"]).status_code == 404


def test_events_tell_how_it_goes(send, server):
    answer = send("harmonize", composite="clip.mp4", mask="mask.mp4")
    told = []
    with server.client.stream("GET", f"{answer.headers['location']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done" and told[-1]["done"] == told[-1]["total"] == 6
    assert [state["done"] for state in told] == sorted(state["done"] for state in told)


def test_masks_are_made(send, server, ended, tmp_path):
    carried = ended(send("matte", clip="clip.mp4", mask="mask.png", format="mp4"))
    assert carried["state"] == "done", carried
    frames = frames_of(server.client.get(carried["results"]["output"]).content, tmp_path)
    assert len(frames) == 6 and frames[-1][32, 48, 0] > 200 and frames[-1][0, 0, 0] < 30
    both = ended(send("harmonize", composite="clip.mp4", mask="mask.png", carry_mask=True))
    assert both["state"] == "done", both


def test_keyed_plate_over_a_background(server, ended, tmp_path):
    plate = clips.picture(96, 64)
    plate[OUTSIDE] = (30, 180, 40)
    clips.make_video(tmp_path / "plate.mp4", [plate] * 4)
    with (tmp_path / "plate.mp4").open("rb") as clip, (ROOT / "docs" / "demo.png").open("rb") as back:
        files = {"composite": ("plate.mp4", clip), "background": ("street.png", back)}
        answer = server.client.post("/v1/harmonize", files=files, data={"key": "green"})
    state = ended(answer)
    assert state["state"] == "failed" and "street.png: is 9" in state["error"]  # over the limit of pixels
    small = cv2.imencode(".png", clips.picture(48, 32, 9))[1].tobytes()
    files = {"composite": ("plate.mp4", (tmp_path / "plate.mp4").read_bytes()), "background": ("street.png", small)}
    state = ended(server.client.post("/v1/harmonize", files=files, data={"key": "green"}))
    assert state["state"] == "done", state


def test_strokes_color_a_picture(send):
    answer = send("colorize", clip="picture.png", scribbles="strokes.png")
    assert answer.status_code == 200, answer.text
    assert any("no weights were given" in note for note in json.loads(answer.headers["co2net-notes"]))


def test_models_and_health(server):
    models = server.client.get("/v1/models").json()["models"]
    assert [(m["name"], m["default"], m["good_at"]) for m in models] == [("issam", True, "tests")]
    health = server.client.get("/healthz").json()
    assert health["status"] == "ok" and {worker["lane"] for worker in health["workers"]} == {"clips", "quick"}


def test_cancelling(send, server, ended):
    running_one = send("harmonize", composite="long.mp4", mask="mask.png")
    queued = send("harmonize", composite="clip.mp4", mask="mask.mp4")
    place = running_one.headers["location"]
    wait_until(lambda: server.client.get(place).json()["done"] > 0)
    assert server.client.get(queued.headers["location"]).json()["state"] == "queued"
    assert server.client.get(f"{place}/results/output").status_code == 409
    assert server.client.delete(queued.headers["location"]).status_code == 204
    assert ended(queued)["state"] == "cancelled"
    starts = [worker.starts for worker in server.jobs.workers]
    begun = time.monotonic()
    server.client.delete(place)
    state = ended(running_one)
    assert state["state"] == "cancelled" and time.monotonic() - begun < 5 and state["results"] == {}
    assert [worker.starts for worker in server.jobs.workers] == starts, "cancelling must not cost the worker"
    assert ended(send("harmonize", composite="clip.mp4", mask="mask.mp4"))["state"] == "done"


def test_a_full_queue_says_so(send, server):
    places = [send("harmonize", composite="long.mp4", mask="mask.png").headers["location"]]
    wait_until(lambda: server.client.get(places[0]).json()["state"] == "running")
    places += [send("harmonize", composite="clip.mp4", mask="mask.mp4").headers["location"] for _ in range(2)]
    folders = len(list(server.jobs.folder.iterdir()))
    refused = send("harmonize", composite="clip.mp4", mask="mask.mp4")
    assert refused.status_code == 429 and "2 jobs wait already" in refused.json()["error"]
    assert refused.headers["retry-after"] and len(list(server.jobs.folder.iterdir())) == folders
    assert server.client.get(places[2]).json()["position"] == 1
    picture = send("harmonize", composite="picture.png", mask="mask.png")
    assert picture.status_code == 200, "pictures do not wait behind clips"
    for place in reversed(places):
        server.client.delete(place)


def test_a_killed_worker_is_replaced_and_its_job_says_so(send, server, ended):
    job = send("harmonize", composite="long.mp4", mask="mask.png")
    wait_until(lambda: server.client.get(job.headers["location"]).json()["done"] > 0)
    worker = server.jobs.workers[0]
    os.kill(worker.pid, signal.SIGKILL)
    state = ended(job)
    assert state["state"] == "failed" and "it ended by itself" in state["error"] and "a new one" in state["error"]
    assert ended(send("harmonize", composite="clip.mp4", mask="mask.mp4"))["state"] == "done"
    before = worker.starts
    os.kill(worker.pid, signal.SIGKILL)  # idle this time: nobody loses anything
    wait_until(lambda: worker.starts == before + 1 and worker.is_up, 60)
    assert ended(send("harmonize", composite="clip.mp4", mask="mask.mp4"))["state"] == "done"


def test_results_go_after_their_time(app_models, files, tmp_path, monkeypatch):
    monkeypatch.setenv("CO2NET_MODELS", str(app_models))
    app = create_app(Limits(keep_seconds=4.0, job_seconds=2.0), page=False, folder=tmp_path)
    with running(app, tmp_path) as server:
        parts = {"composite": files["picture.png"].open("rb"), "mask": files["mask.png"].open("rb")}
        done = server.client.post("/v1/harmonize", files=parts, data={"answer": "job"}).headers["location"]
        parts = {"composite": files["long.mp4"].open("rb"), "mask": files["mask.png"].open("rb")}
        late = server.client.post("/v1/harmonize", files=parts).headers["location"]
        told = {}

        def has_gone(place):
            answer = server.client.get(place)
            told[place] = [*told.get(place, []), answer.json()]
            return answer.status_code == 404

        wait_until(lambda: has_gone(late), 60)
        wait_until(lambda: has_gone(done), 60)
        assert [state["error"] for state in told[late] if "longer than the 2 seconds" in state["error"]]
        assert "results are kept for 1 minutes" in told[done][-1]["error"]
        wait_until(lambda: not [path for path in server.jobs.folder.rglob("*") if path.is_file()])


def test_who_may_come_in(app_models, tmp_path, monkeypatch):
    monkeypatch.setenv("CO2NET_MODELS", str(app_models))
    token = "a token of tests"  # noqa: S105
    app = create_app(token=token, origins=["https://tools.example.org"], page=False, folder=tmp_path)
    with running(app, tmp_path) as server:
        get = server.client.get
        refused = get("/v1/models")
        assert refused.status_code == 401 and "Bearer" in refused.json()["error"]
        assert get("/v1/models", headers={"authorization": "Bearer wrong"}).status_code == 401
        ours = {"authorization": f"Bearer {token}"}
        assert get("/v1/models", headers=ours).status_code == 200
        form = get("/v1/models", headers={"accept": "text/html"})
        assert form.status_code == 401 and '<label for="token">' in form.text
        assert server.client.post("/login", data={"token": "guess"}).status_code == 401
        entered = server.client.post("/login", data={"token": token})
        cookie = entered.headers["set-cookie"].lower()
        assert entered.status_code == 303 and "httponly" in cookie and "samesite=strict" in cookie
        assert get("/v1/models").status_code == 200  # by the cookie
        foreign = get("/v1/models", headers={**ours, "origin": "http://elsewhere.example"})
        assert foreign.status_code == 403 and "elsewhere.example" in foreign.json()["error"]
        assert get("/v1/models", headers={**ours, "origin": "null"}).status_code == 403
        for origin in ("https://tools.example.org", str(server.url)):
            assert get("/v1/models", headers={**ours, "origin": origin}).status_code == 200
        rebound = get("/v1/models", headers={**ours, "host": "rebound.example"})
        assert rebound.status_code == 403 and "localhost" in rebound.json()["error"]


def samples() -> list[tuple[str, str]]:
    app = create_app(page=False)
    return [
        (f"{method} {path}", sample["source"])
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        for sample in operation["x-codeSamples"]
    ]


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are curl's, which is not here")
@pytest.mark.parametrize("place", ["sample_data"])
def test_examples_of_the_openapi_page_run(place, tmp_path):
    """With the weights and the sample data that ship, in the page's order; deleting comes last."""
    pydantic = pytest.importorskip("pydantic")
    from co2net.app import forms

    shapes = {"/v1/models": forms.Models, "/healthz": forms.Health, "{job}": forms.JobState}
    (tmp_path / "files").mkdir()
    with running(create_app(page=False, folder=tmp_path / "files"), tmp_path / "files") as server:
        (tmp_path / place).symlink_to(ROOT / place)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "PYTHONPATH": str(ROOT), "SERVER": str(server.url), "JOB": ""}
        found = sorted(samples(), key=lambda one: one[0].startswith("delete"))
        assert len(found) == 9
        for name, command in found:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=environment, capture_output=True
            )
            assert done.returncode == 0, (command, done.stderr)
            text = done.stdout.decode()
            if name.startswith("post"):
                state = forms.JobState.model_validate_json(text)
                final = wait_until(lambda: (s := server.jobs.get(state.id)).is_over and s, 120)  # noqa: B023
                assert final.state == "done", (command, final.error)
                if state.kind == "harmonize":
                    environment["JOB"] = state.id
            elif name.endswith("events"):
                data = re.findall(r"^data: (.*)$", text, re.MULTILINE)
                assert forms.JobState.model_validate_json(data[-1]).state == "done"
            elif name.endswith("results/{name}"):
                assert len(frames_of((tmp_path / "harmonized.mp4").read_bytes(), tmp_path)) == 75
            elif name.startswith("get"):
                shape: type[pydantic.BaseModel] = next(s for end, s in shapes.items() if name.endswith(end))
                shape.model_validate_json(text)
        assert environment["JOB"] not in server.jobs._jobs


def test_written_examples_have_the_shape_of_answers():
    from co2net.app.forms import JobState, Refused

    for model in (JobState, Refused):
        for example in model.model_config["json_schema_extra"]["examples"]:  # type: ignore[index,union-attr]
            model.model_validate(example, strict=True)


def test_endings_are_those_of_the_library():
    assert PICTURES == PICTURE_ENDINGS - {".exr", ".dpx"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\clips\\a.mp4", "a.mp4"),
        ("a\x00\x1b[31mb.png", "a[31mb.png"),
        ("", "a file without a name"),
        (None, "a file without a name"),
        ("x" * 300 + ".mp4", "x" * 60 + "....mp4"),
    ],
)
def test_names_are_for_reading_only(given, shown):
    assert shown_name(given) == shown


def test_what_killed_servers_left_is_cleared(tmp_path):
    left = tmp_path / "co2net-app-999999999-x"
    ours = tmp_path / f"co2net-app-{os.getppid()}-x"
    other = tmp_path / "co2net-apple"
    for folder in (left, ours, other):
        folder.mkdir()
        (folder / "file").write_text("")
    clear_abandoned_folders(tmp_path)
    assert not left.exists() and ours.exists() and other.exists()
    queue = JobQueue(folder=tmp_path)
    assert queue.folder.parent == tmp_path and queue.folder.name.startswith(f"co2net-app-{os.getpid()}-")
