"""Building a data set where something is already: what resumes, what stays, and what is refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dataset_building.small_source import frame, mask, run, save, tree

from co2net import data
from co2net.dataset_building import clip_job
from co2net.errors import InputError, OutputError

pytestmark = pytest.mark.filterwarnings("ignore:.*without 20 frames")


def test_a_finished_clip_is_skipped_and_a_damaged_one_made_again(source, tmp_path):
    out = tmp_path / "out"
    run(source, out)
    before = tree(out)
    assert run(source, out)[:2] == (0, 4) and tree(out) == before
    (out / "synthetic_composite_videos/bb/object_0/00010.jpg").unlink()
    assert run(source, out)[:2] == (1, 3) and tree(out) == before


def test_other_settings_need_overwrite(source, tmp_path):
    out = tmp_path / "out"
    run(source, out)
    before = tree(out)
    with pytest.raises(InputError, match=r"object_0 was made otherwise: quality was 75, is 90; use `overwrite`"):
        run(source, out, quality=90)
    with pytest.raises(InputError, match="has the other layout already"):
        run(source, out, layout="description")
    assert tree(out) == before
    assert run(source, out, format="png", overwrite=True).built == 4
    composites = {path.suffix for path in (out / "synthetic_composite_videos").rglob("*.*")}
    assert composites == {".png"} and data.check_pictures(data.read_dataset(out)) == []


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(1, 16))
def test_killed_anywhere_it_goes_on(source, tmp_path, monkeypatch, step):
    """Stop after so many steps of writing, without any clearing up: as a kill does."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(source, whole, clips=["aa"])
    count = 0

    def counted(work):
        def stop_or_work(*arguments, **options):
            nonlocal count
            count += 1
            if count > step:
                raise Killed
            return work(*arguments, **options)

        return stop_or_work

    with monkeypatch.context() as patch:
        for place, name in ((clip_job, "encode_picture"), (clip_job, "place_file"), (os, "replace"), (Path, "replace")):
            patch.setattr(place, name, counted(getattr(place, name)))
        patch.setattr("co2net.files.shutil.rmtree", lambda *_, **__: None)  # no clearing up
        with pytest.raises(Killed):
            run(source, out, clips=["aa"])
    for folder in (out / "synthetic_composite_videos").glob("*/[!.]*"):
        assert len(list(folder.iterdir())) == 3  # whole clips only
    run(source, out, clips=["aa"])
    assert tree(out) == tree(whole)


def test_nothing_of_others_is_touched(source, tmp_path):
    out = tmp_path / "out"
    save(out / "synthetic_composite_videos/bb/object_0/00005.jpg", frame(1))
    with pytest.raises(InputError, match="object_0 is there, but this command did not make it"):
        run(source, out)
    shutil.rmtree(out)
    save(out / "real_videos/bb/00010.png", frame(1))
    with pytest.raises(InputError, match=r"real_videos/bb/00010\.png is already there and another picture"):
        run(source, out, clips=["bb"])
    shutil.rmtree(out)
    save(out / "foreground_mask/bb/object_0/00015.png", mask(9))
    with pytest.raises(InputError, match=r"00015\.png is already there and another picture"):
        run(source, out, clips=["bb"])
    shutil.rmtree(out)
    out.mkdir()
    (out / "train_list.txt").write_text("mine\n")
    with pytest.raises(InputError, match=r"train_list\.txt is there, but this command did not write it"):
        run(source, out, share=0.5)
    assert [path.name for path in out.iterdir()] == ["train_list.txt"]  # said before any work
    assert (out / "train_list.txt").read_text() == "mine\n"


def test_masks_that_were_there_stay(source, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(source / "masks/bb", out / "foreground_mask/bb")
    before = tree(out / "foreground_mask")
    run(source, out, clips=["bb"], step=10)
    run(source, out, clips=["bb"], step=10, quality=90, overwrite=True)
    assert tree(out / "foreground_mask") == before  # frame 10 too, which the clip does not use


def test_a_full_disk(source, tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OutputError, match=r"cannot write .*: No space left"):
        run(source, tmp_path / "out")


@pytest.mark.parametrize("text", ['{"frames": 3}', '{"frames": ["a"], "lut": "x", "own_masks": true}', "[]", "\0"])
def test_a_record_of_another_kind_is_named(source, tmp_path, text):
    out = tmp_path / "out"
    run(source, out, clips=["aa"])
    record, _ = sorted((out / "build_records/aa").iterdir())
    record.write_text(text)
    with pytest.raises(InputError, match=r"\.json is not the record of a clip; delete it to make the clip again"):
        run(source, out, clips=["aa"])


def test_two_runs_do_not_build_in_one_folder(source, tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom co2net.files import only_one\n"
        "with only_one(Path(sys.argv[1]), 'a test'): print('in', flush=True); sys.stdin.read()"
    )
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "in\n"
        with pytest.raises(InputError, match="is at work there in another process; wait for its end"):
            run(source, out, clips=["aa"])
        other.communicate("")
    run(source, out, clips=["aa"])
    assert not (out / ".lock").exists()


@pytest.mark.slow
def test_a_run_that_is_told_to_end_leaves_whole_clips_and_says_nothing(source, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "co2net", "dataset", "build", "--real", str(source / "real")]
    command += ["--masks", str(source / "masks"), "--luts", str(source / "luts"), "--output", str(out)]
    with subprocess.Popen([*command, "--workers", "2", "-q"], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(out.glob("build_records/*/*.json")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
    assert "Traceback" not in error and process.returncode in (0, 143)
