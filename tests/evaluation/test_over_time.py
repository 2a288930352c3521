"""Measuring an evaluation over time: the pass over a clip, its block of results, options, resuming."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from evaluation.small_data_set import write_clip, write_data_set

from co2net import create_model, data, metrics
from co2net.cli import main
from co2net.data.clips import read_frame
from co2net.errors import InputError
from co2net.evaluation.evaluate import check_times, clips_of, evaluate
from co2net.evaluation.records import record_path
from co2net.evaluation.report.text import summary_text
from co2net.evaluation.results import make_results
from co2net.evaluation.settings import EvaluationSettings
from co2net.evaluation.temporal.clip_pass import TemporalPass
from co2net.evaluation.temporal.pairs import FlowChoice, TimedFrame, score_pair
from co2net.evaluation.temporal.results import clip_values, make_block, measure_title, temporal_block
from co2net.flow import create_flow
from co2net.flow.occlusion import occlusion_mask

SIZE = 32
DIS = FlowChoice()
METHODS = ("composite", "backbone", "lut", "final")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(7)
    return create_model(refinement=False)


@pytest.fixture
def root(tmp_path):
    return write_data_set(tmp_path / "data", clips=2, frames=4)


def run(root, model, output=None, flow: FlowChoice | None = DIS, **changes):
    settings = EvaluationSettings(
        **({"size": SIZE, "previous": 1, "future": 1, "workers": 1, "flow": flow, "methods": METHODS} | changes)
    )
    clips = clips_of(data.read_frame_list(root / "test_frames.txt", root))
    conditions = settings.conditions(model, {"model": "abc"}, "data")
    return evaluate(model, clips, settings, conditions=conditions, output=output)


def block_of(done, step=5):
    return temporal_block(done.records, METHODS, FlowChoice(), SIZE, step)


@torch.no_grad()
def test_composite_and_truth_are_what_the_metrics_say_of_the_whole_clip(root, model):
    block = block_of(run(root, model))
    estimate = create_flow("dis")
    for clip, found in zip(clips_of(data.read_frame_list(root / "test_frames.txt", root)), block["clips"], strict=True):
        frames = [read_frame(entry, SIZE) for entry in clip.entries]
        composite, mask, real = (torch.stack(kind) for kind in zip(*frames, strict=True))
        now, then = slice(0, -1), slice(1, None)
        field, back = estimate(real[then], real[now]), estimate(real[now], real[then])
        pair = (composite[now], composite[then], real[now], real[then], mask[now], field)
        truth = (real[now], real[then], real[now], real[then], mask[now], field)
        visible = 1 - occlusion_mask(field, back)
        seen = metrics.temporal_loss_visible(composite[now], composite[then], mask[now], mask[then], field, visible)
        values = found["values"]
        assert found["numbers"] == [0, 5, 10, 15]
        for method, measure, wanted in (
            ("composite", "tl", metrics.temporal_loss(*pair)),
            ("composite", "tl_weighted", metrics.temporal_loss_weighted(*pair)),
            ("composite", "tl_visible", seen),
            ("truth", "tl", metrics.temporal_loss(*truth)),
        ):
            assert values[method][measure][0] is None
            assert values[method][measure][1:] == pytest.approx(wanted.tolist(), rel=1e-6)
        image, foreground = metrics.brightness_consistency(composite, real, mask)
        rows = values["composite"]
        for measure, wanted, missing in (("rtc", image, 1), ("frtc", foreground, 1), ("flicker", None, 2)):
            there = [value for value in rows[measure] if value is not None]
            assert rows[measure][0] is None and len(there) == 4 - missing
            wanted = metrics.color_flicker(composite, real, mask) if wanted is None else wanted
            assert sum(there) / len(there) == pytest.approx(wanted.item(), rel=1e-6)
        for measure in ("rtc", "frtc", "flicker"):
            assert set(values["truth"][measure]) <= {0.0, None}


def test_means_are_over_pairs_clips_and_frames(root, model):
    block = block_of(run(root, model))
    rows = [clip["values"]["final"] for clip in block["clips"]]
    pairs = [value for row in rows for value in row["tl"][1:]]
    final = block["summary"]["final"]
    assert final["tl"] == {"mean": pytest.approx(sum(pairs) / 6), "count": 6, "skipped": 0}
    clip_means = [sum(row["frtc"][1:]) / 3 for row in rows]
    assert final["frtc"] == {"mean": pytest.approx(sum(clip_means) / 2), "count": 2, "skipped": 0}
    assert final["flicker"]["count"] == 4
    assert block["pairs"] == "6 pairs of listed frames at 32 x 32, 5 frame numbers apart"


def test_records_resume_and_other_flows_are_refused(root, model, tmp_path):
    output = tmp_path / "out"
    first = run(root, model, output)
    path = record_path(output, "vid0/object_0")
    path.unlink()
    again = run(root, model, output)
    assert again.computed == 4 and block_of(again) == block_of(first)
    with pytest.raises(InputError, match="flow was dis, is not recorded"):
        run(root, model, output, flow=None)


def test_old_records_stay_good_without_a_flow(root, model, tmp_path):
    run(root, model, tmp_path / "out", flow=None)
    record = json.loads(record_path(tmp_path / "out", "vid0/object_0").read_text())
    assert "flow" not in record["conditions"] and "temporal" not in record["frames"][0]
    with pytest.raises(InputError, match="flow was not recorded, is dis"):
        run(root, model, tmp_path / "out")


def test_frames_farther_apart_are_no_pair_and_empty_masks_are_counted(tmp_path, model):
    root = tmp_path / "data"
    root.mkdir()
    lines = write_clip(root, [0, 5, 15, 20, 25], empty=(20,))
    (root / "test_frames.txt").write_text("\n".join(lines))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block = block_of(run(root, model))
    (clip,) = block["clips"]
    # 20 has no foreground: its own pair does (the mask of 15 counts), what follows has not.
    assert [value is None for value in clip["values"]["final"]["tl"]] == [True, False, True, False, True]
    assert [value is None for value in clip["values"]["final"]["tl_visible"]] == [True, False, True, True, True]
    assert [value is None for value in clip["values"]["final"]["rtc"]] == [True, False, True, False, False]
    assert all(value is None for value in clip["values"]["final"]["flicker"])
    means = block["summary"]["final"]
    assert (means["tl"]["count"], means["tl"]["skipped"]) == (2, 1)
    assert (means["flicker"]["mean"], means["flicker"]["skipped"]) == (None, 1)


def test_one_tensor_under_two_names_and_a_frame_listed_twice():
    image, mask = torch.rand(3, 20, 20), torch.ones(1, 20, 20)
    over_time = TemporalPass(create_flow("dis"), 5)
    first = over_time.measure(0, "a", {"lut": image, "final": image}, image.clone(), mask)
    assert "tl" not in first["final"] and first["lut"] == first["final"]
    assert "tl" not in over_time.measure(0, "a", {"lut": image, "final": image}, image.clone(), mask)["final"]
    assert over_time.measure(5, "b", {"lut": image, "final": image}, image.clone(), mask)["final"]["tl"] == 0


def test_too_small_and_unequal_frames_end_in_a_sentence():
    def frame(name, size):
        return TimedFrame(
            name, torch.rand(1, 3, size, size), torch.rand(1, 3, size, size), torch.ones(1, 1, size, size)
        )

    with pytest.raises(InputError, match=r"no motion can be found between one and two: .* at least 16"):
        score_pair(frame("one", 8), frame("two", 8), create_flow("dis"))
    with pytest.raises(InputError, match="one is 20x20, two 24x24"):
        score_pair(frame("one", 20), frame("two", 24), create_flow("dis"))


def test_settings_that_cannot_work(root):
    with pytest.raises(InputError, match="without metrics"):
        EvaluationSettings(flow=FlowChoice(), metrics=False, store_result=root)
    clips = clips_of(data.read_frame_list(root / "test_frames.txt", root))
    check_times(clips, EvaluationSettings(flow=FlowChoice()))
    with pytest.raises(InputError, match=r"no two listed frames of a clip are 1 numbers apart; give .* `step`"):
        check_times(clips, EvaluationSettings(flow=FlowChoice(), step=1))
    with pytest.raises(InputError, match="no flow estimator 'slow'"):
        FlowChoice("slow").create()


def test_memory_does_not_grow_with_the_clip():
    over_time = TemporalPass(create_flow("dis"), 1)
    held = []
    for number in range(4):
        over_time.measure(
            number, str(number), {"final": torch.rand(3, 16, 16)}, torch.rand(3, 16, 16), torch.ones(1, 16, 16)
        )
        held.append(sum(t.numel() for t in vars(over_time)["_before"][1].__dict__.values() if torch.is_tensor(t)))
    assert len(set(held)) == 1


def test_the_text_names_the_flow_and_warns(root, model):
    done = run(root, model)
    results = make_results(
        done.records, methods=METHODS, title="t", protocol={}, settings={}, environment={}, weights=[],
        temporal=block_of(done),
    )  # fmt: skip
    assert all("temporal" not in frame for clip in results["clips"] for frame in clip["frames"])
    text = summary_text(results)
    assert "TL (DIS) | TL weighted (DIS) | TL visible (DIS) | R-RTC | fR-RTC | flicker |" in text
    assert "truth (real frames)" in text
    assert "published TL (FlowNet2, 78 pairs; not comparable with the numbers above): iSSAM, per frame 6.48" in text
    assert text.count("published") >= 1 and "TL (FlowNet2) |" not in text


def test_a_block_of_single_pairs_counts_every_entry():
    clips = [
        {"clip": "a/o", "numbers": [0, 40], "values": {"truth": {"tl": [1.0, None]}}},
        {"clip": "b/o", "numbers": [5], "values": {"truth": {"tl": [4.0]}}},
    ]
    block = make_block(clips, ["truth"], ["tl"], FlowChoice(), "3 pairs")
    assert block["summary"]["truth"]["tl"] == {"mean": 2.5, "count": 2, "skipped": 1}


def test_values_of_a_clip_of_one_frame():
    statistics = {"brightness": [1.0, 2.0], "colors": [0.0] * 6}
    frames = [{"number": 3, "temporal": {"truth": statistics}}]
    assert all(row == [None] for row in clip_values(frames, ["truth"], 1)["truth"].values())


def test_the_command_measures_over_time(root, tmp_path, capsys):
    arguments = [
        "evaluate",
        str(root),
        "--size",
        str(SIZE),
        "--previous",
        "1",
        "--future",
        "1",
        "-o",
        str(tmp_path / "o"),
    ]
    assert main([*arguments, "--quiet", "--temporal"]) == 0
    out = capsys.readouterr().out
    assert "6 pairs of listed frames at 32 x 32" in out and "- over time: Each listed frame against the one 5" in out
    results = json.loads((tmp_path / "o" / "results.json").read_text())
    assert results["temporal"]["methods"][-1] == "truth" and "Motion by DIS" in (tmp_path / "o/report.html").read_text()
    for wrong, words in (
        (["--flow", "dis"], "add --temporal"),
        (["--temporal", "--step", "1"], "no two listed frames"),
        (["--temporal", "--no-metrics", "--store-result", str(tmp_path / "npy")], "without metrics"),
        (["--temporal", "--flow", "slow", "--overwrite"], "no flow estimator 'slow'"),
        (["--temporal", "--flow-weights", "w.pth"], "cannot read w.pth"),
    ):
        assert main([*arguments, *wrong]) == 2
        error = capsys.readouterr().err
        assert words in error and len(error.strip().splitlines()) == 1, error


def test_mattes_are_measured_without_motion():
    """dtSSD: only what changes otherwise than the truth counts, and no flow is asked."""

    def no_flow(first, second):
        raise AssertionError("mattes need no motion")

    over_time = TemporalPass(no_flow, 1, "matting")
    truth = [torch.zeros(1, 16, 16), torch.ones(1, 16, 16)]
    still = torch.zeros(1, 16, 16)
    records = []
    for number in (0, 1):
        images = {"still": still.clone(), "follows": truth[number].clone()}
        found = over_time.measure(number, "x", images, truth[number], truth[number])
        records.append({"number": number, "temporal": found})
    assert records[1]["temporal"]["still"]["dt_ssd"] == 1 and records[1]["temporal"]["follows"]["dt_ssd"] == 0
    block = temporal_block([{"clip": "c", "frames": records}], ["still", "follows"], FlowChoice(), None, 1, "matting")
    assert block["measures"] == ["dt_ssd"] and block["summary"]["still"]["dt_ssd"]["mean"] == 1
    assert measure_title("dt_ssd", "dis") == "dtSSD"
