"""Evaluating a data set: numbers, stored results, resuming, killed runs, bad files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from evaluation.small_data_set import write_data_set
from PIL import Image

from co2net import create_model, data, metrics
from co2net.data.clips import read_frame
from co2net.data.stored_results import NAME, read_lut, read_origin, read_stored_image, stored_path
from co2net.errors import InputError, OutputError
from co2net.evaluation.evaluate import Run, clips_of, collect_records, evaluate
from co2net.evaluation.methods import OF_MODEL
from co2net.evaluation.results import make_results
from co2net.evaluation.settings import EvaluationSettings
from co2net.processes import Processes
from co2net.provenance import state_sha256

SIZE = 32


@pytest.fixture
def root(tmp_path):
    return write_data_set(tmp_path / "data", clips=2, frames=3)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(7)
    return create_model(refinement=False)


def entries_of(root):
    return data.read_frame_list(root / "test_frames.txt", root)


def run(root, model, output=None, overwrite=False, on_progress=None, weights="abc", **settings):
    chosen = EvaluationSettings(
        **({"size": SIZE, "previous": 1, "future": 1, "workers": 2, "methods": OF_MODEL} | settings)
    )
    conditions = chosen.conditions(model, {"model": weights}, "data")
    clips = clips_of(entries_of(root))
    return evaluate(
        model, clips, chosen, conditions=conditions, output=output, overwrite=overwrite, on_progress=on_progress
    )


def results_of(done, methods=OF_MODEL):
    return make_results(done.records, methods=methods, title="", protocol={}, settings={}, environment={}, weights=[])


@torch.no_grad()
def test_means_over_frames_are_those_of_the_papers_way(root, model):
    done = run(root, model)
    expected = []
    for clip in clips_of(entries_of(root)):
        for entry in clip.entries:
            frame = read_frame(entry, SIZE)
            near = [read_frame(n, SIZE) for n in clip.neighbors(entry, 1, 1)]
            images, masks = torch.stack([n.composite for n in near]), torch.stack([n.mask for n in near])
            image, mask = frame.composite[None], frame.mask[None]
            result = model(image, mask, images[None], masks[None])
            expected.append(float(metrics.fmse(result.image, frame.real[None], mask)))
    summary = results_of(done)["summary"]
    assert summary["final"]["fmse"]["mean"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert summary["final"]["fmse"]["frames"] == 6 and done.passes == done.computed == 6
    assert summary["lut"] == summary["final"]


def test_stored_results_are_what_training_reads(root, model, tmp_path):
    folders = {name: tmp_path / name for name in ("lut_output", "lut_map", "store_result", "store_backbone")}
    run(root, model, metrics=False, **folders)
    entry = entries_of(root)[4]
    frame = read_frame(entry, SIZE)
    lut, unseen = read_lut(folders["lut_output"], folders["lut_map"], entry)
    assert (
        entry.result_name == "vid1_object_0_00005" and lut.shape == (3, SIZE, SIZE) and unseen.shape == (1, SIZE, SIZE)
    )
    stored = model.from_stored(frame.composite[None], frame.mask[None], lut[None], unseen[None])
    backbone, result = (read_stored_image(folders[name], entry) for name in ("store_backbone", "store_result"))
    torch.testing.assert_close(stored.backbone[0], backbone, atol=1e-6, rtol=0)
    torch.testing.assert_close(result, lut, atol=0, rtol=0)  # without refinement, the mapping is the result
    assert np.load(stored_path(folders["store_result"], entry)).shape == (1, 3, SIZE, SIZE)


def test_stored_color_mappings_say_what_made_them(root, model, tmp_path):
    folders = {name: tmp_path / name for name in ("lut_output", "lut_map")}
    run(root, model, metrics=False, **folders)
    origin = read_origin(tmp_path / "lut_output")
    assert origin == {
        "backbone": state_sha256(model.backbone.state_dict()), "mapping": "paper", "size": SIZE, "previous": 1,
        "future": 1, "step": 5, "unseen_rule": "zero_weight", "precision": "fp32",
    }  # fmt: skip
    before = {path.name: path.read_bytes() for path in (tmp_path / "lut_output").iterdir()}
    run(root, model, metrics=False, **folders)
    assert {path.name: path.read_bytes() for path in (tmp_path / "lut_output").iterdir()} == before
    with pytest.raises(InputError, match=r"lut_output holds .* made otherwise: size was 32, is 40; .*`over"):
        run(root, model, metrics=False, size=40, **folders)
    run(root, model, metrics=False, size=40, overwrite=True, **folders)
    assert read_origin(tmp_path / "lut_output") == origin | {"size": 40}
    (tmp_path / "lut_output" / NAME).unlink()
    with pytest.raises(InputError, match=r"holds results without made_by\.json"):
        run(root, model, metrics=False, size=40, **folders)
    (tmp_path / "lut_output" / NAME).write_text("[]")
    with pytest.raises(InputError, match="is not the note of what made the stored results"):
        run(root, model, metrics=False, size=40, **folders)


def test_a_killed_overwrite_leaves_no_old_result_below_the_new_note(root, model, tmp_path):
    folders = {name: tmp_path / name for name in ("lut_output", "lut_map")}
    run(root, model, metrics=False, **folders)
    with pytest.raises(Stop):
        run(root, model, metrics=False, size=40, overwrite=True, on_progress=stop_at(2), **folders)
    shapes = [np.load(path).shape for path in (tmp_path / "lut_output").glob("*.npy")]
    assert len(shapes) < 6 and set(shapes) <= {(3, 40, 40)}


def test_storing_needs_no_real_frames(root, model, tmp_path):
    for path in (root / "real_videos").rglob("*.png"):
        path.unlink()
    clips = clips_of(data.read_frame_list(root / "test_frames.txt", root, check_files=False))
    settings = EvaluationSettings(size=SIZE, metrics=False, store_result=tmp_path / "out")
    evaluate(model, clips, settings, conditions={})
    assert len(list((tmp_path / "out").glob("*.npy"))) == 6
    with pytest.raises(InputError, match=r"real_videos.vid0.00000\.png"):
        evaluate(model, clips, EvaluationSettings(size=SIZE), conditions={})


def test_finished_clips_are_not_computed_again(root, model, tmp_path):
    first = run(root, model, tmp_path / "out")
    again = run(root, model, tmp_path / "out")
    assert (first.computed, again.computed, again.passes) == (6, 0, 0)
    assert results_of(again)["summary"] == results_of(first)["summary"]
    assert run(root, model, tmp_path / "out", overwrite=True).computed == 6


class Stop(Exception):
    pass


def stop_at(frames):
    def progress(done, total):
        assert total == 6
        if done == frames:
            raise Stop

    return progress


def test_an_interrupted_evaluation_goes_on(root, model, tmp_path):
    whole = run(root, model)
    with pytest.raises(Stop):
        run(root, model, tmp_path / "out", on_progress=stop_at(4))
    assert [p.name for p in (tmp_path / "out" / "clips").iterdir()] == ["vid0_object_0.json"]
    rest = run(root, model, tmp_path / "out")
    assert rest.computed == 3
    assert results_of(rest)["clips"] == results_of(whole)["clips"]


def test_other_conditions_are_refused(root, model, tmp_path):
    run(root, model, tmp_path / "out")
    with pytest.raises(InputError, match=r"vid0_object_0\.json was made under.*size was 32, is 40.*`overwrite`"):
        run(root, model, tmp_path / "out", size=40)
    with pytest.raises(InputError, match=r"weights was model abc, is model xyz"):
        run(root, model, tmp_path / "out", weights="xyz")
    text = (root / "test_frames.txt").read_text().splitlines()
    (root / "test_frames.txt").write_text("\n".join(text[:2] + text[3:]))
    with pytest.raises(InputError, match="names 2 frames of the clip, other than the 3 recorded"):
        run(root, model, tmp_path / "out")


def test_processes_share_the_clips(root, model, tmp_path):
    settings = EvaluationSettings(size=SIZE, previous=1, future=1, methods=OF_MODEL)
    clips, conditions = clips_of(entries_of(root)), settings.conditions(model, {"model": "abc"}, "data")
    alone = evaluate(model, clips, settings, conditions=conditions, output=tmp_path / "one")
    processes = [Processes(torch.device("cpu"), rank, 2) for rank in range(2)]
    own = [
        evaluate(model, part.share(clips), settings, conditions=conditions, output=tmp_path / "two")
        for part in processes
    ]
    assert [[record["clip"] for record in done.records] for done in own] == [["vid0/object_0"], ["vid1/object_0"]]
    collected = collect_records(tmp_path / "two", clips, processes[0], own[0], conditions)
    assert collected == [own[0].records[0], own[1].records[0] | {"conditions": conditions}]
    both = results_of(Run(collect_records(tmp_path / "two", clips, processes[0], own[0], conditions), 0, 0, 0, 0))
    assert both["summary"] == results_of(alone)["summary"]
    (tmp_path / "two" / "clips" / "vid1_object_0.json").unlink()
    with pytest.raises(InputError, match="2 processes must share one output folder"):
        collect_records(tmp_path / "two", clips, processes[0], own[0], conditions)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "co2net-evaluation-clip"}', '{"frames": 3}', "\0"])
def test_what_is_no_record_is_named(root, model, tmp_path, text):
    (tmp_path / "out" / "clips").mkdir(parents=True)
    (tmp_path / "out" / "clips" / "vid1_object_0.json").write_text(text)
    with pytest.raises(InputError, match=r"vid1_object_0\.json is not the record of a clip; delete it"):
        run(root, model, tmp_path / "out")


def test_results_asked_for_later_or_lost_are_made(root, model, tmp_path):
    run(root, model, tmp_path / "out")
    asked = {"store_result": tmp_path / "npy"}
    assert run(root, model, tmp_path / "out", **asked).computed == 6
    assert run(root, model, tmp_path / "out", **asked).computed == 0
    (tmp_path / "npy" / "vid1_object_0_00000.npy").unlink()
    assert run(root, model, tmp_path / "out", **asked).computed == 3


def test_pictures_of_worst_and_best_frames(root, model, tmp_path):
    done = run(root, model, tmp_path / "out")
    results = results_of(done)
    assert len(results["pictures"]) == 4
    for clip, record in zip(results["clips"], done.records, strict=True):
        errors = {frame["name"]: frame["scores"]["final"]["fmse"] for frame in clip["frames"]}
        assert record["pictures"] == [max(errors, key=errors.__getitem__), min(errors, key=errors.__getitem__)]
    for picture in results["pictures"]:
        folder = tmp_path / "out" / picture["folder"]
        names = {path.stem for path in folder.iterdir()}
        assert names == {"composite", "mask", "backbone", "lut", "final", "truth"}
        entry = next(e for e in entries_of(root) if e.result_name == picture["name"])
        shown = np.array(Image.open(folder / "composite.png"))
        assert np.array_equal(shown, data.resize_image(data.read_image(entry.composite), (SIZE, SIZE)))
    bare = run(root, model, tmp_path / "bare", pictures=False)
    assert not any(record["pictures"] for record in bare.records) and not (tmp_path / "bare" / "pictures").exists()


def test_frames_without_foreground_are_counted_not_lost(tmp_path, model):
    root = write_data_set(tmp_path / "data", clips=1, frames=3, empty=(5,))
    results = results_of(run(root, model, tmp_path / "out"))
    assert results["summary"]["final"]["fmse"]["skipped"] == 1 and results["summary"]["final"]["mse"]["frames"] == 3
    assert [frame["foreground"] == 0 for frame in results["clips"][0]["frames"]] == [False, True, False]
    json.dumps(results, allow_nan=False)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_unreadable_pictures_are_named(root, model, tmp_path, damage, workers):
    path = root / "synthetic_composite_videos" / "vid1" / "object_0" / "00005.png"
    clips = clips_of(entries_of(root))
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "cut" else b"no picture")
    settings = EvaluationSettings(size=SIZE, workers=workers)
    with pytest.raises(InputError, match=r"vid1.object_0.00005\.png"):
        evaluate(model, clips, settings, conditions={}, output=tmp_path / "out")
    assert [p.name for p in (tmp_path / "out" / "clips").iterdir()] == ["vid0_object_0.json"]


def test_a_full_disk_is_one_sentence(root, model, tmp_path, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*\.npy: No space left on device"):
        run(root, model, tmp_path / "out", store_result=tmp_path / "npy")
    assert not list((tmp_path / "out").rglob("*.json")) and not list((tmp_path / "npy").iterdir())


def test_a_file_in_place_of_a_folder(root, model, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder .*taken"):
        run(root, model, metrics=False, store_result=tmp_path / "taken")


def test_results_that_are_not_finite_are_refused(root):
    torch.manual_seed(7)
    broken = create_model(refinement=False)
    with torch.no_grad():
        broken.backbone.get_parameter("decoder.to_rgb.bias").fill_(torch.nan)
    with pytest.raises(InputError, match=r"result for .*00000\.png holds NaN or infinity; the weights diverged"):
        run(root, broken)


def test_killed_runs_leave_nothing_half_written(root, model, tmp_path):
    code = f"""
        import os, signal, sys, torch
        sys.path[:0] = {sys.path!r}
        from evaluation.test_evaluate_data_set import run
        from co2net import create_model
        from pathlib import Path
        torch.set_num_threads(1)
        torch.manual_seed(7)
        model = create_model(refinement=False)
        kill = lambda done, total: done == 5 and os.kill(os.getpid(), signal.SIGKILL)
        run(Path({str(root)!r}), model, Path("out"), on_progress=kill, store_result=Path("npy"))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [p.name for p in (tmp_path / "out" / "clips").glob("*.json")] == ["vid0_object_0.json"]
    for path in (tmp_path / "npy").glob("*.npy"):
        assert np.load(path).shape == (1, 3, SIZE, SIZE)
    assert len(list((tmp_path / "npy").glob("vid0_*.npy"))) == 3  # complete before the record
    whole = run(root, model, tmp_path / "whole", store_result=tmp_path / "npy")
    (tmp_path / "here").mkdir()
    rest = run(root, model, tmp_path / "out")
    assert rest.computed == 3 and results_of(rest)["clips"] == results_of(whole)["clips"]


def test_clips_with_one_name_are_refused(root):
    entries = entries_of(root)
    elsewhere = [data.Sample(*(path.parents[0] / ".." / path.parent.name / path.name for path in e)) for e in entries]
    with pytest.raises(InputError, match="would have the same names"):
        clips_of([*entries, *elsewhere])
    assert len(clips_of(entries, limit=1)) == 1
    with pytest.raises(InputError, match="at least 1, got 0"):
        clips_of(entries, limit=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lut_output": "x"}, "folder of the LUT map is missing"),
        ({"lut_map": "x"}, "folder of the LUT output is missing"),
        ({"store_result": "x", "store_backbone": "y/../x"}, "have the same folder"),
        ({"metrics": False}, "nothing to do"),
        ({"lut_map": "x", "lut_output": "y", "previous": 0, "future": 0}, "without neighbor frames"),
        ({"size": 4}, "`size` must be at least 8"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"precision": "int8"}, "`precision` int8: must be one of"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    from pathlib import Path

    folders = ("lut_output", "lut_map", "store_result", "store_backbone")
    with pytest.raises(InputError, match=message):
        EvaluationSettings(**{k: Path(v) if k in folders else v for k, v in settings.items()})
