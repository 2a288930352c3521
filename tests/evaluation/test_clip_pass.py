"""One pass over a clip gives what the paper's way gives, which runs the backbone on all neighbors of every frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from evaluation.small_data_set import write_clip
from hypothesis import given
from hypothesis import strategies as st
from papers_mapping import mapping_statistics
from recorded_cases import load_case

from co2net import create_model, data
from co2net.data.clips import Clip, FrameTensors, group_clips, read_frame
from co2net.errors import InputError
from co2net.evaluation import clip_pass
from co2net.evaluation.clip_pass import harmonize_clip, plan_clip
from co2net.models.co2net import CO2Net

GAPS = [0, 5, 10, 25, 30, 50]
SIZE = 32


@pytest.fixture
def clip(tmp_path):
    """Six frames with gaps, three of them listed; 10 and 50 are neighbors only, 5 is listed twice."""
    lines = write_clip(tmp_path, GAPS, empty=(30,))
    (tmp_path / "list.txt").write_text("\n".join(lines[i] for i in (0, 1, 1, 3, 4)))
    (made,) = group_clips(data.read_frame_list(tmp_path / "list.txt", tmp_path))
    return made


def network(**settings) -> CO2Net:
    torch.manual_seed(7)
    return create_model(**settings)


def passed(model, clip, previous=3, future=2, **settings):
    plan = plan_clip(clip, previous, future, step=5)
    frames = iter([read_frame(entry, SIZE) for entry in plan.reading])
    batches = list(harmonize_clip(model, plan, frames, **settings))
    assert next(frames, None) is None
    return batches


@torch.no_grad()
def papers_way(model, clip, entry, previous=3, future=2):
    frame = read_frame(entry, SIZE)
    neighbors = [read_frame(neighbor, SIZE, real=False) for neighbor in clip.neighbors(entry, previous, future)]
    images = torch.stack([n.composite for n in neighbors])[None]
    masks = torch.stack([n.mask for n in neighbors])[None]
    return frame, model, (frame.composite[None], frame.mask[None], images, masks)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_feature": False, "unseen_rule": "all_empty"},
        {"mapping": "smooth"},
        {"refinement": False},
        {"refinement": False, "paper_lut_only": True},
        {"refinement": False, "mapping": "smooth"},
    ],
    ids=str,
)
@torch.no_grad()
def test_equals_the_papers_way(clip, settings, batch_size):
    model = network(**settings)
    seen = []
    for batch in passed(model, clip, batch_size=batch_size):
        for i, entry in enumerate(batch.entries):
            frame, _, arguments = papers_way(model, clip, entry)
            expected = model(*arguments)
            assert torch.equal(batch.composite[i], frame.composite) and torch.equal(batch.real[i], frame.real)
            assert 0 < ((frame.mask > 0) & (frame.mask < 1)).sum() or entry.number == 30  # soft edges
            for name in ("image", "backbone", "lut", "unseen"):
                ours, theirs = getattr(batch.result, name)[i], getattr(expected, name)[0]
                # Volumes are added in another order; the last bits of float32 differ.
                torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
            seen.append(entry.number)
    assert seen == [0, 5, 5, 25, 30]


def test_each_frame_goes_through_the_backbone_once(clip):
    model, passes = network(refinement=False), []
    backbone = model.backbone.forward
    model.backbone.forward = lambda image, mask: passes.append(len(image)) or backbone(image, mask)
    passed(model, clip)
    assert passes == [1] * 5  # 0, 5, 10, 25, 30; nothing asks for 50


@torch.no_grad()
def test_without_neighbors_there_is_no_mapping(clip):
    for batch in passed(network(refinement=False), clip, previous=0, future=0):
        assert torch.equal(batch.result.image, batch.result.backbone)


@pytest.mark.parametrize("mapping", ["paper", "smooth"])
def test_mapping_error_is_the_papers(clip, mapping):
    model = network(refinement=False, mapping=mapping)
    for batch in passed(model, clip, measure_mapping=True, batch_size=2):
        assert batch.mapping_error is not None
        for i, entry in enumerate(batch.entries):
            *_, arguments = papers_way(model, clip, entry)
            error, invalid = mapping_statistics(model, *arguments)
            torch.testing.assert_close(batch.mapping_error[i], error[0].double(), rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(batch.result.unseen[i].mean(), invalid[0], rtol=1e-5, atol=1e-7)


def test_only_the_window_is_held(tmp_path, monkeypatch):
    lines = write_clip(tmp_path, [5 * n for n in range(20)])
    (tmp_path / "list.txt").write_text("\n".join(lines))
    (clip,) = group_clips(data.read_frame_list(tmp_path / "list.txt", tmp_path))
    held, drop = [], clip_pass._drop

    def watched(frames, window, *arguments):
        drop(frames, window, *arguments)
        assert window.numbers == sorted(frames)
        held.append(len(frames))
        assert sum(frame.features is not None for frame in frames.values()) <= 2  # those to come

    monkeypatch.setattr(clip_pass, "_drop", watched)
    passed(network(refinement=False), clip, previous=3, future=2)
    assert len(held) == 20 and max(held) <= 3 + 2


def test_half_precision_stays_close(clip):
    exact = passed(network(), clip)
    rough = passed(network(), clip, precision="bf16")
    for a, b in zip(exact, rough, strict=True):
        assert b.result.image.dtype == torch.float32
        difference = (a.result.image - b.result.image).abs().max()
        assert difference < 0.1 and (difference > 0 or not a.mask.any())


def test_frames_of_another_size_are_named(tmp_path):
    lines = write_clip(tmp_path, [0, 5]) + write_clip(tmp_path, [10], size=(16, 16))
    (tmp_path / "list.txt").write_text("\n".join(lines))
    (clip,) = group_clips(data.read_frame_list(tmp_path / "list.txt", tmp_path))
    plan = plan_clip(clip, 1, 1, 5)
    frames = iter([read_frame(entry, None) for entry in plan.reading])
    with pytest.raises(InputError, match=r"00010\.png is 16x16, frames before it 32x24"):
        list(harmonize_clip(network(refinement=False), plan, frames))


@given(
    numbers=st.sets(st.integers(0, 60), min_size=1, max_size=12),
    share=st.randoms(use_true_random=False),
    previous=st.integers(0, 4),
    future=st.integers(0, 4),
    step=st.integers(1, 6),
)
def test_plan_reads_what_counts_and_nothing_else(numbers, share, previous, future, step):
    entry = data.Sample(*(Path(f"{column}/v/o/00000.png") for column in "rmc"))
    listed = sorted(share.sample(sorted(numbers), share.randint(1, len(numbers))))
    clip = Clip(entry.at(number) for number in reversed(listed))
    clip.__dict__["on_disk"] = {number: entry.at(number) for number in numbers}
    plan = plan_clip(clip, previous, future, step)
    assert [frame.entry.number for frame in plan.listed] == listed
    used = {number for frame in plan.listed for number in (*frame.neighbors, frame.entry.number)}
    assert [e.number for e in plan.reading] == sorted(used) == sorted(plan.last_use)
    for place, frame in enumerate(plan.listed):
        assert sum(frame.neighbors.values()) == previous + future
        assert frame.last == max([frame.entry.number, *frame.neighbors])
        assert all(plan.last_use[number] >= place for number in frame.neighbors)
    assert [entry.number for entry, real in plan.reads(real=True) if real] == listed
    assert not any(real for _, real in plan.reads(real=False))


@pytest.mark.parametrize("name", ["co2net_lut_only", "co2net_full_issam_soft"])
def test_recorded_cases_come_out_of_a_pass(name):
    case = load_case(name)
    lut_only = name == "co2net_lut_only"
    settings = {"refinement": False, "paper_lut_only": True} if lut_only else {"use_feature": False}
    model = create_model(**settings)
    model.load_state_dict(case.state, strict=False)
    images, masks = case.inputs["neighbours"], case.inputs["neighbour_masks"]
    previous, future = case.settings["previous_num"], case.settings["future_num"]
    numbers = [15 - 5 * k for k in range(1, previous + 1)] + [15 + 5 * k for k in range(1, future + 1)]
    found: dict[str, list[torch.Tensor]] = {}
    for item in range(len(images)):
        entry = data.Sample(*(Path(f"{column}/v/o/00015.png") for column in "rmc"))
        clip = Clip([entry])
        clip.__dict__["on_disk"] = {number: entry.at(number) for number in (*numbers, 15)}
        tensors = dict(zip(numbers, zip(images[item], masks[item], strict=True), strict=True))
        tensors[15] = case.inputs["image"][item], case.inputs["mask"][item]
        plan = plan_clip(clip, previous, future, 5)
        frames = iter([FrameTensors(*tensors[e.number], torch.empty(3, 0, 0)) for e in plan.reading])
        (batch,) = harmonize_clip(model, plan, frames, batch_size=2, measure_mapping=lut_only)
        outputs = {"images": batch.result.image, "backbone_out": batch.result.backbone}
        if lut_only:
            assert batch.mapping_error is not None
            outputs |= {"stored_lut_output": batch.result.lut, "stored_lut_map": batch.result.unseen}
            outputs |= {"mapping_error_sum": batch.mapping_error, "invalid_sum": 3 * batch.result.unseen.mean()[None]}
        for output, value in outputs.items():
            found.setdefault(output, []).append(value)
    for output, values in found.items():
        check = case.check_sum if output.endswith("_sum") else case.check
        check(output, torch.cat(values).float())
