"""Fifty bad uploads: a sentence each, no file left, and the server goes on."""

from __future__ import annotations

import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from app.conftest import wait_until
from video import clips

pytest.importorskip("fastapi", reason="fastapi is not installed; pip install 'co2net[app]'")

PICTURE = cv2.imencode(".png", clips.picture(96, 64))[1].tobytes()
MASK = cv2.imencode(".png", clips.disc(96, 64))[1].tobytes()
JPEG = cv2.imencode(".jpg", clips.picture(96, 64))[1].tobytes()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header says that size, with next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def gray(width: int, height: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width), np.uint8))[1].tobytes()


def video(folder: Path, frames: int, size: tuple[int, int] = (96, 64)) -> bytes:
    return clips.make_video(folder / "made.mp4", frames, size).read_bytes()


GOOD = {"composite": ("picture.png", PICTURE), "mask": ("mask.png", MASK)}
M3U8 = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:9/x.png"/></svg>'

# name: (files, fields, status, words of the sentence)
PICTURES = {
    "nothing": ({}, {}, 422, "send a `composite`"),
    "no mask": ({"composite": ("a.png", PICTURE)}, {}, 422, "a.png has no alpha channel"),
    "mask alone": ({"mask": ("m.png", MASK)}, {}, 422, "send a `composite`"),
    "empty": ({**GOOD, "composite": ("a.png", b"")}, {}, 422, "a.png: the file is empty"),
    "empty mask file": ({**GOOD, "mask": ("m.png", b"")}, {}, 422, "m.png: the file is empty"),
    "black mask": ({**GOOD, "mask": ("m.png", gray(96, 64))}, {}, 422, "m.png: the mask is empty"),
    "mask of another clip": ({**GOOD, "mask": ("m.png", gray(64, 64))}, {}, 422, "64x64"),
    "cut off": ({**GOOD, "composite": ("a.png", PICTURE[:400])}, {}, 422, "a.png"),
    "cut off jpeg": ({**GOOD, "composite": ("a.jpg", JPEG[:300])}, {}, 422, "a.jpg"),
    "text as picture": ({**GOOD, "composite": ("a.png", b"hello")}, {}, 422, "a.png: not a picture"),
    "text as mask": ({**GOOD, "mask": ("m.png", b"hello")}, {}, 422, "m.png: not a picture"),
    "zeros": ({**GOOD, "composite": ("a.png", bytes(5000))}, {}, 422, "a.png"),
    "video called picture": ({**GOOD, "composite": ("a.png", b"\0\0\0\x20ftypisom" + bytes(99))}, {}, 422, "a.png"),
    "script": ({**GOOD, "composite": ("a.py", b"print()")}, {}, 415, "a.py: videos"),
    "program": ({**GOOD, "composite": ("a.exe", b"MZ")}, {}, 415, "a.exe: videos"),
    "svg": ({**GOOD, "composite": ("a.svg", SVG)}, {}, 415, "a.svg: videos"),
    "svg called png": ({**GOOD, "composite": ("a.png", SVG)}, {}, 422, "a.png: not a picture"),
    "exr": ({**GOOD, "composite": ("a.exr", b"v/1\x01")}, {}, 415, "a.exr: videos"),
    "no ending": ({**GOOD, "composite": ("picture", PICTURE)}, {}, 415, "picture: videos"),
    "dots": ({**GOOD, "composite": ("...", PICTURE)}, {}, 415, "...: videos"),
    "path": ({**GOOD, "composite": ("../../../tmp/evil", PICTURE)}, {}, 415, "evil: videos"),
    "path of windows": ({**GOOD, "composite": ("C:\\evil", PICTURE)}, {}, 415, "evil: videos"),
    "path and no picture": ({**GOOD, "composite": ("../../evil.png", b"x")}, {}, 422, "evil.png: not a picture"),
    "address for a name": ({**GOOD, "composite": ("http://127.0.0.1:9/x", PICTURE)}, {}, 415, "x: videos"),
    "protocol for a name": ({**GOOD, "composite": ("concat:a|b.png", b"x")}, {}, 422, "concat:a|b.png"),
    "percent": ({**GOOD, "composite": ("%04d.png", b"x")}, {}, 422, "%04d.png"),
    "very long name": ({**GOOD, "composite": ("y" * 400 + ".png", b"x")}, {}, 422, "yyy....png: not a picture"),
    "endless name": ({**GOOD, "composite": ("y" * 50_000 + ".png", b"x")}, {}, 400, "cannot be read"),
    "control characters": ({**GOOD, "composite": ("a\x1b[2J.png", b"x")}, {}, 422, "a[2J.png: not a picture"),
    "bomb": ({**GOOD, "composite": ("a.png", png_of(60000, 60000))}, {}, 422, "a.png"),
    "too many pixels": ({**GOOD, "composite": ("a.png", png_of(400, 300))}, {}, 422, "400x300, more than"),
    "too large": ({**GOOD, "composite": ("a.png", bytes(4 << 20))}, {}, 413, "larger than the 3 MiB"),
    "too large together": ({"composite": ("a.png", bytes(2 << 20)), "mask": ("m.png", bytes(2 << 20))}, {}, 413, "3 M"),
    "address for a file": ({"mask": ("m.png", MASK)}, {"composite": "http://127.0.0.1:9/a.png"}, 422, "`composite`"),
    "path for a file": ({"mask": ("m.png", MASK)}, {"composite": "/etc/passwd"}, 422, "`composite`"),
    "unknown field": (GOOD, {"strenght": "1"}, 422, "`strenght` '1': is no field"),
    "strength": (GOOD, {"strength": "7"}, 422, "`strength`"),
    "strength of nan": (GOOD, {"strength": "nan"}, 422, "`strength`"),
    "model": (GOOD, {"model": "../../secret"}, 422, "`model` ../../secret: there are"),
    "format": (GOOD, {"format": "exe"}, 422, "`format`"),
    "quality": (GOOD, {"format": "jpg", "quality": "900"}, 422, "quality"),
    "composite and background": ({**GOOD, "background": ("b.png", PICTURE)}, {}, 422, "not both"),
    "key without background": (GOOD, {"key": "green"}, 422, "`background`"),
}
CLIPS = {
    "text as video": (lambda _: ("a.mp4", b"hello"), "a.mp4: not a video"),
    "cut off video": (lambda folder: ("a.mp4", video(folder, 6)[:900]), "a.mp4"),
    "playlist": (lambda _: ("a.mp4", M3U8), "a.mp4: not a video"),
    "list of files": (lambda _: ("a.avi", CONCAT), "a.avi: not a video"),
    "picture called video": (lambda _: ("a.mp4", PICTURE), "a.mp4"),
    "too many frames": (lambda folder: ("a.mp4", video(folder, 2001, (32, 32))), "2001 frames, more than the 2000"),
    "large frames": (lambda folder: ("a.mp4", video(folder, 2, (640, 360))), "640x360, more than"),
    "other length": (lambda folder: ("a.mp4", video(folder, 9)), "mask.mp4"),
    "other size": (lambda folder: ("a.mp4", video(folder, 6, (64, 64))), "mask.mp4"),
}


@pytest.fixture
def left(server):
    """Names of files that are there but were not before the test."""
    wait_until(lambda: not any(job.state in ("queued", "running") for job in server.jobs._jobs.values()))
    before = set(server.jobs.folder.rglob("*"))
    return lambda: {path for path in server.jobs.folder.rglob("*") if path.is_file()} - before


def says(answer, status: int, words: str):
    assert answer.status_code == status, answer.text
    sentence = answer.json()["error"]
    assert words in sentence and "\n" not in sentence and "Traceback" not in sentence and "/co2net-app-" not in sentence


@pytest.mark.parametrize("name", PICTURES)
def test_bad_picture(name, server, left):
    files, fields, status, words = PICTURES[name]
    says(server.client.post("/v1/harmonize", files=files, data=fields), status, words)
    assert not left()
    assert server.client.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("name", CLIPS)
def test_bad_clip(name, server, ended, files, left, tmp_path):
    make, words = CLIPS[name]
    parts = {"composite": make(tmp_path), "mask": ("mask.mp4", files["mask.mp4"].read_bytes())}
    state = ended(server.client.post("/v1/harmonize", files=parts))
    assert state["state"] == "failed" and words in state["error"], state
    assert "/co2net-app-" not in state["error"] and not left()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"hello", "multipart/form-data", 400),
        (b"hello", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="composite"; filename="a.png"\r\n\r\nabc',
            "multipart/form-data; boundary=x",
            422,
        ),
        (b"{}", "application/json", 422),
        (b"", "", 422),
    ],
)
def test_bad_body(body, kind, status, server, left):
    answer = server.client.post("/v1/harmonize", content=body, headers={"content-type": kind})
    assert answer.status_code in (status, 422) and answer.json()["error"]
    assert not left()


HEAD = (
    b"POST /v1/harmonize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b'Content-Length: 1000000\r\n\r\n--x\r\nContent-Disposition: form-data; name="composite"; filename="a.png"\r\n\r\n'
)


def test_slow_upload_is_told(server, left):
    with socket.create_connection(("127.0.0.1", server.port), 10) as line:
        line.sendall(HEAD + bytes(1000))
        answer = ""
        while not answer.endswith("}") and (more := line.recv(65536)):  # head and body may come apart
            answer += more.decode()
    assert " 408 " in answer.splitlines()[0] and "nothing came for 1 seconds" in answer
    assert not left()


def test_aborted_upload_leaves_nothing(server, left):
    with socket.create_connection(("127.0.0.1", server.port), 10) as line:
        line.sendall(HEAD + bytes(1000))
    assert server.client.get("/healthz").json()["status"] == "ok"
    assert not left()


def test_endless_upload_is_cut(server, left):
    """Without a length in the header the bytes are counted as they come."""

    def endless():
        for _ in range(80):
            yield bytes(64 << 10)

    head = {"content-type": "multipart/form-data; boundary=x"}
    answer = server.client.post("/v1/harmonize", content=endless(), headers=head)
    assert answer.status_code in (400, 413) and answer.json()["error"] and not left()
