"""Damaged pictures make C libraries talk; a user sees one sentence of ours."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from co2net import screen
from co2net.errors import InputError
from co2net.evaluation.clips import read_clip
from co2net.training import picture_samples


def damaged(folder, ending):
    """A picture whose pixels are damaged behind a sound header, so that the decoder itself complains."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    path = folder / f"a{ending}"
    if ending == ".exr":
        library = pytest.importorskip("OpenEXR")
        planes = {name: np.random.default_rng(1).random((40, 48), np.float32) for name in "RGB"}
        with library.File({"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}, planes) as file:
            file.write(str(path))
    else:
        Image.fromarray(pixels).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    path.write_bytes(bytes(data[:middle]) if ending == ".exr" else data[:60] + b"\xff" * 40 + data[100:])
    return path


def test_one_sentence_and_nothing_of_the_library(tmp_path):
    names = [damaged(tmp_path, ending).name for ending in (".exr", ".tif")]
    code = "import sys; from co2net.cli import main\n" + "".join(
        f"print(main(['harmonize', '{name}', '--mask', 'm.png', '-o', 'o.png']))\n" for name in names
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "2\n2\n"
    assert [line.split(":")[:2] for line in done.stderr.splitlines()] == [["co2net", f" {name}"] for name in names]


def test_a_clip_to_measure_with_a_damaged_frame(tmp_path, capfd):
    for name in ("frames", "masks"):
        (tmp_path / name).mkdir()
    (tmp_path / "frames" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    with pytest.raises(InputError, match=r"a\.png: not a picture"):
        read_clip(tmp_path)
    with pytest.raises(InputError, match=r"b\.jpg"):
        picture_samples.read_image(tmp_path / "frames" / "b.jpg")
    assert capfd.readouterr() == ("", "")


def test_libraries_are_silent_and_python_is_not(tmp_path):
    code = """
import os, sys
from co2net import screen
from co2net.errors import InputError
from co2net.evaluation.clips import read_clip
from co2net.training import picture_samples
screen.take_over(); screen.take_over()
print("before", file=sys.stderr); os.write(2, b"open\\n")
with screen.silenced():
    with screen.silenced():
        os.write(2, b"library\\n"); print("in C++"); print("ours", file=sys.stderr)
    os.write(2, b"library\\n")
print("out"); os.write(2, b"open again\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "before\nopen\nours\nopen again\n" and done.stdout == "out\n"


def test_nothing_is_closed_in_a_process_that_is_not_ours(monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    assert sys.stderr.fileno() == 2
    with screen.silenced():
        print("theirs", file=sys.stderr, flush=True)
    assert capfd.readouterr().err == "theirs\n"


def test_threads_that_overlap_leave_the_screen_as_it_was(tmp_path):
    code = """
import os, sys, threading
from co2net import screen
from co2net.errors import InputError
from co2net.evaluation.clips import read_clip
from co2net.training import picture_samples
screen.take_over()
def work():
    for _ in range(300):
        with screen.silenced():
            os.write(2, b"x")
def talk():
    for _ in range(50):
        print("talk")
threads = [threading.Thread(target=work) for _ in range(4)] + [threading.Thread(target=talk)]
for t in threads: t.start()
for t in threads: t.join()
os.write(2, b"open\\n"); print("count", len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.splitlines()[0] == "open" and done.stdout == "talk\n" * 50
    assert int(done.stderr.split()[-1]) < 12  # no descriptor is left open
