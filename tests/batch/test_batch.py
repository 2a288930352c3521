"""Many shots by the command: all that can be done are done, the others are named; nothing is done twice."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from shot_clips import SIZE, make_shots, models
from video import clips

from co2net.batch import read_shots
from co2net.batch.shots import split
from co2net.cli import main
from co2net.errors import InputError
from co2net.video import open_video


@pytest.fixture(autouse=True)
def _use_models(tmp_path, monkeypatch):
    monkeypatch.setenv("CO2NET_MODELS", str(models(tmp_path / "models")))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)


def images(path):
    with open_video(path) as reader:
        return np.array([frame.image for frame in reader])


def rows(folder):
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_what_can_be_done_is_done_and_the_rest_is_named(tmp_path, capsys):
    table = make_shots(tmp_path / "in", 6, damaged=(1, 3, 4))
    assert main(["batch", str(table), "-o", "out", "--workers", "2"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in ("s001", "s003", "s004", "3 shots could not be done", "results.csv"))
    found = rows(tmp_path / "out")
    assert [row["state"] for row in found] == ["done", "failed", "done", "failed", "failed", "done"]
    assert "s004.mkv" in found[4]["error"] and found[4]["tries"] == "1"
    assert images(tmp_path / "out" / "s000.mkv").shape == (3, SIZE[1], SIZE[0], 3)
    assert not (tmp_path / "out" / "s001.mkv").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 of 6 shots are done" in page and 'src="shots/s000.jpg"' in page

    before = (tmp_path / "out" / "s000.mkv").stat().st_mtime_ns
    make_shots(tmp_path / "mended", 5)
    (tmp_path / "mended" / "s004.mkv").rename(tmp_path / "in" / "s004.mkv")
    assert main(["batch", str(table), "-o", "out", "--workers", "1"]) == 2  # goes on: the mended shot is done, no other
    assert "4 of 6 shots done, 3 of them before" in capsys.readouterr().err
    assert (tmp_path / "out" / "s000.mkv").stat().st_mtime_ns == before


def test_a_shot_is_done_again_where_something_changed(tmp_path, capsys):
    table = make_shots(tmp_path / "in", 2)
    assert main(["batch", str(table), "-o", "out", "--workers", "1"]) == 0
    full = images(tmp_path / "out" / "s000.mkv")
    record = json.loads((tmp_path / "out" / "shots" / "s000.json").read_text())
    assert record["numbers"]["change"] > 1 and record["frames"] == 3
    assert main(["batch", str(table), "-o", "out", "--workers", "1", "--set", "strength=0.5"]) == 0
    assert "of them before" not in capsys.readouterr().err
    half = images(tmp_path / "out" / "s000.mkv").astype(int)
    source = images(tmp_path / "in" / "s000.mkv").astype(int)
    assert 0 < np.abs(half - source).sum() < np.abs(full - source).sum()
    (tmp_path / "out" / "s001.mkv").unlink()
    assert main(["batch", str(table), "-o", "out", "--workers", "1", "--set", "strength=0.5"]) == 0
    assert "2 of 2 shots done, 1 of them before" in capsys.readouterr().err


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    """The run itself is killed, workers with it; the next one finds what was done and gives the same as one run."""
    table = make_shots(tmp_path / "in", 12)
    command = [sys.executable, "-m", "co2net", "batch", str(table), "-o", "out", "--workers", "2", "-q"]
    run = subprocess.Popen(command, start_new_session=True)
    records = tmp_path / "out" / "shots"
    while run.poll() is None and not (records.is_dir() and len(list(records.glob("[!.]*.json"))) >= 2):
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    done = {path.name: path.stat().st_mtime_ns for path in records.glob("[!.]*.json")}
    assert 2 <= len(done) < 12
    for _ in range(100):  # its workers notice
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    assert main(["batch", str(table), "-o", "out", "--workers", "2", "-q"]) == 0
    assert main(["batch", str(table), "-o", "once", "--workers", "1", "-q"]) == 0
    for name, when in done.items():
        assert (records / name).stat().st_mtime_ns == when
    for number in range(12):
        np.testing.assert_array_equal(*(images(tmp_path / f / f"s{number:03}.mkv") for f in ("out", "once")))
    assert not [p for p in (tmp_path / "out").rglob(".*partial*")]


def test_parts_of_a_sequence_join_without_a_seam(tmp_path):
    clips.make_folder(tmp_path / "in", [clips.picture(*SIZE, n) for n in range(40)], "f.{:04d}.png")
    clips.make_folder(tmp_path / "mask", [np.roll(clips.disc(*SIZE), n, 1) for n in range(40)], "m.{:04d}.png")
    (tmp_path / "shots.csv").write_text("name,composite,mask,key-frames\na,in/f.####.png,mask,8\n")
    assert main(["batch", "shots.csv", "-o", "parts", "--split", "16", "--workers", "2", "-q"]) == 0
    assert main(["batch", "shots.csv", "-o", "whole", "--workers", "1", "-q"]) == 0
    assert [row["name"] for row in rows(tmp_path / "parts")] == ["a@1-16", "a@17-32", "a@33-40"]
    parts = images(tmp_path / "parts" / "a")
    assert len(parts) == 40
    np.testing.assert_array_equal(parts, images(tmp_path / "whole" / "a"))


def test_a_folder_of_shots(tmp_path):
    for name in ("b", "a"):
        clips.make_video(tmp_path / "in" / f"{name}.mp4", 2, SIZE) if (tmp_path / "in").is_dir() else None
        (tmp_path / "in").mkdir(exist_ok=True)
        clips.make_video(tmp_path / "in" / f"{name}.mp4", 2, SIZE)
        clips.make_folder(tmp_path / "in" / f"{name}_mask", [clips.disc(*SIZE)] * 2)
    shots = read_shots(tmp_path / "in", tmp_path / "in" / "out")
    assert [shot.name for shot in shots] == ["a", "b"]
    assert shots[0].options["mask"] == str(tmp_path / "in" / "a_mask")
    with pytest.raises(InputError, match="no mask called a in"):
        read_shots(tmp_path / "in", tmp_path / "out", tmp_path / "models")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no shots|first line"),
        ("mask\nx", "`composite` or `foreground`"),
        ("composite,mask\n", "no shots"),
        ("composite,composite\na,b", "two columns are called composite"),
        ("composite,mask\na.mp4,b,c", "line 2: 3 cells for 2"),
        ("composite,mask\n,b", "line 2: neither a composite nor"),
        ("name,composite\nx,a.mp4\nX,b.mp4", "line 3: the shot before it at .*line 2"),
        ("name,composite\n../x,a.mp4", "cannot be a file's name"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "shots.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_shots(tmp_path / "shots.csv", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("composite,strengh\na.mp4,1", "line 2: strengh is no option of a shot"),
        ("composite,strength\na.mp4,much", "line 2: .*much is no strength"),
        ("composite,per_shot\na.mp4,perhaps", "line 2: per_shot is 'perhaps'; write yes or no"),
        ("composite;weights\na.mp4;nothing", "line 2: .*nothing does not exist"),
    ],
)
def test_wrong_options_end_it_before_any_work(tmp_path, capsys, text, message):
    (tmp_path / "shots.csv").write_text(text)
    assert main(["batch", "shots.csv", "-o", "out"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out" / "shots").exists()


def test_tables_of_other_programs(tmp_path):
    (tmp_path / "shots.csv").write_bytes(
        "\ufeffName;Composite;Key-Frames\r\nä b;a/b.mp4;auto\r\n#x;y;\r\n\r\n".encode()
    )
    (shot,) = read_shots(tmp_path / "shots.csv", tmp_path / "out")
    assert shot.name == "ä b" and shot.options == {"composite": str(tmp_path / "a" / "b.mp4"), "key_frames": "auto"}


def test_only_sequences_are_split(tmp_path):
    (tmp_path / "shots.csv").write_text("composite\na.mp4\n")
    (shot,) = read_shots(tmp_path / "shots.csv", tmp_path / "out")
    assert split(shot, 10) == [shot]
    with pytest.raises(InputError, match="at least one frame"):
        split(shot, 0)


@pytest.mark.slow
def test_two_hundred_shots_of_which_three_are_damaged(tmp_path, capsys):
    table = make_shots(tmp_path / "in", 200, damaged=(17, 99, 150))
    assert main(["batch", str(table), "-o", "out", "--workers", "2", "-q"]) == 2
    told = capsys.readouterr().err
    assert "3 shots could not be done: s017, s099, s150" in told
    assert sum(row["state"] == "done" for row in rows(tmp_path / "out")) == 197
    assert len(list((tmp_path / "out").glob("*.mkv"))) == 197
