"""`co2net dataset`: its help, its lines and its exit codes. The work itself is tested beside the library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
SAMPLE = HERE / "sample_data"


def test_help(run):
    for job, words in {
        "check": ("--list", "--split", "iHarmony4"),
        "build": ("--luts-per-clip", "--train-share", "LUT_list.txt", "--workers"),
        "stills": ("--per-picture", "--size", "index.csv"),
    }.items():
        code, out, _ = run("dataset", job, "--help")
        assert code == 0 and "examples:" in out and all(word in out for word in words)


def test_help_is_instant():
    code = (
        "import sys\nfrom co2net.cli import main\n"
        "try: main(['dataset', 'build', '--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "print([m for m in ('torch', 'numpy', 'cv2', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_check(run, tmp_path):
    listed = str(SAMPLE / "test_list.txt")
    assert run("dataset", "check", str(SAMPLE), "--list", listed) == (
        0, f"{SAMPLE}: 20 frames in 1 folder(s) of composites, no problems\n", "",
    )  # fmt: skip
    root = tmp_path / "set"
    for folder in ("real_videos", "foreground_mask", "synthetic_composite_videos"):
        shutil.copytree(SAMPLE / folder / "3fa1c09aad", root / folder / "3fa1c09aad")
    (root / "foreground_mask/3fa1c09aad/object_0/00005.png").write_bytes(b"")
    (root / "clips.txt").write_text((SAMPLE / "all_list.txt").read_text())
    code, out, err = run("dataset", "check", str(root), "--list", "clips.txt")
    lines = out.splitlines()
    assert code == 2 and len(lines) == 3
    assert "line 1 (clip 1c0ffeec0f/object_0): the real " in lines[0] and "line 2" in lines[1]
    assert lines[2].endswith("00005.png: the file is empty; write it again")
    assert err == f"co2net: {root}: 20 frames in 1 folder(s) of composites, 3 problem(s)\n"


@pytest.fixture
def arguments(tmp_path):
    inputs = ["--real", str(SAMPLE / "real_videos"), "--masks", str(SAMPLE / "foreground_mask")]
    return ["dataset", "build", *inputs, "--luts", str(SAMPLE / "look.cube"), "--output", str(tmp_path / "out")]


def test_build(run, arguments, tmp_path):
    command = [*arguments, "--clip", "3fa1c09aad", "--step", "50"]
    assert run(*command) == (
        0, f"{tmp_path}/out: 1 clip(s) made (2 frames), 0 there before\nlists: all_list.txt, LUT_list.txt\n", "",
    )  # fmt: skip
    assert run(*command)[1].startswith(f"{tmp_path}/out: 0 clip(s) made (0 frames), 1 there before\n")
    code, out, err = run(*command, "--gamma", "1.2")
    assert (code, out) == (2, "") and "use --overwrite" in err and len(err.splitlines()) == 1
    assert run(*command, "--gamma", "1.2", "--overwrite")[0] == 0


def test_stills(run, tmp_path):
    for folder, source in (("images", "real_videos/3fa1c09aad/00000.jpg"), ("masks", None)):
        (tmp_path / folder).mkdir()
        shutil.copy(
            SAMPLE / (source or "foreground_mask/3fa1c09aad/object_0/00000.png"),
            tmp_path / folder / ("x.jpg" if source else "x_0.png"),
        )
    command = ["dataset", "stills", str(tmp_path), "--output", str(tmp_path / "out"), "--frames", "2"]
    assert run(*command) == (0, f"{tmp_path}/out: 1 clip(s) made, 0 there before\n", "")
    code, _, err = run(*command, "--size", "big")
    assert code == 2 and "--size big: give a number of pixels, or keep" in err


def test_the_sample_script(tmp_path):
    command = [sys.executable, str(HERE / "scripts/lut_transfer_sample.py"), "--dataset_path", str(SAMPLE)]
    command += ["--lut", str(SAMPLE / "look.cube"), "--output", str(tmp_path / "out")]
    done = subprocess.run([*command, "--clip", "3fa1c09aad/object_0"], capture_output=True, text=True, timeout=60)
    made = tmp_path / "out/synthetic_composite_videos/3fa1c09aad/object_0"
    assert done.returncode == 0 and done.stdout == f"{made}\n" and len(list(made.iterdir())) == 20
    assert '"gamma": 1.3' in (tmp_path / "out/build.json").read_text()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "holds no video 003234408d" in done.stderr and "Traceback" not in done.stderr
