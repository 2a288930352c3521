"""The temporal term, and training with it."""

import json
import os
import shutil
import signal

import fixtures
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from co2net import training
from co2net.cli.train_backbone import main
from co2net.data import read_dataset
from co2net.data.clips import read_frame, with_previous
from co2net.data.samples import Sample
from co2net.errors import InputError, ShapeError
from co2net.flow import create_flow, warp
from co2net.models.backbones.base import Backbone
from co2net.processes import Processes
from co2net.training.adversary import Adversary
from co2net.training.backbone import BackboneTask
from co2net.training.backbone_config import Phase, Stage1Config, stage1_config
from co2net.training.loop import LoopSettings, train
from co2net.training.picture_samples import Stage1Dataset, to_batch
from co2net.training.temporal import TemporalConfig, in_samples, motion, validate_pairs

CPU = torch.device("cpu")
NO_LUTS = torch.zeros(0, 3, 33, 33, 33)


class Gain(Backbone):
    """Learns one factor: the smaller, the less its output changes between frames."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1, 3, 1, 1))

    def network(self, image, mask):
        return image * self.gain, image[:, :0]


def config(temporal: TemporalConfig | None, **changes) -> Stage1Config:
    chosen = {
        "phases": [Phase(16, 16, 4), Phase(32, 8, 2)],
        "learning_rate": 0.02,
        "precision": "fp32",
        "loss": "paper",
    }
    return Stage1Config(backbone="gain", temporal=temporal, **(chosen | changes))


def run(root, folder, chosen, **options):
    network = Gain()
    examples, held_out = (with_previous(read_dataset(root, f"clips_{name}.txt"), 5) for name in ("train", "test"))
    estimate = create_flow("dis") if chosen.temporal else None
    loop = LoopSettings(chosen.log_every, quiet=True, **options)
    task = BackboneTask(network, examples, held_out, NO_LUTS, NO_LUTS, chosen, estimate)
    summary = train(task, loop, folder, Processes(CPU))
    return network, summary.progress.last_scores.get("error_share")


# the term


def recorded():
    case, expected = fixtures.load("huang_loss")
    given_inputs = {name: torch.from_numpy(value) for name, value in fixtures.inputs(case).items()}
    mask = given_inputs["ellipse"].clone()
    mask[1] = 1 - mask[1]
    field = case["settings"]["flow_scale"] * (given_inputs["raw_flow"] - 0.5)
    return case, {name: torch.from_numpy(value) for name, value in expected.items()}, given_inputs, mask, field


def test_recorded_case():
    case, expected, tensors, mask, field = recorded()
    output, previous = (tensors[name].requires_grad_() for name in ("output", "previous_output"))
    target, close = tensors["target"], {"atol": case["tolerance"], "rtol": 0}
    pixel = torch.stack([training.stage1_loss(output[i : i + 1], target[i : i + 1], mask[i : i + 1]) for i in (0, 1)])
    temporal = training.temporal_term(output, previous, field)
    total = training.stage1_loss(output, target, mask) + case["settings"]["temporal_weight"] * temporal
    torch.testing.assert_close(warp(previous, field), expected["warped"], **close)
    torch.testing.assert_close(pixel, expected["pixel"], **close)
    torch.testing.assert_close(temporal[None], expected["temporal"], **close)
    torch.testing.assert_close(total[None], expected["total"], **close)
    gradients = torch.autograd.grad(total, (output, previous))
    for gradient, name in zip(gradients, ("grad_output", "grad_previous_output"), strict=True):
        torch.testing.assert_close(1000 * gradient, expected[name], **close)


def test_gradients_are_those_of_the_value():
    generator = torch.Generator().manual_seed(1)
    output, previous = (torch.randn(2, 3, 5, 6, dtype=torch.float64, generator=generator) for _ in range(2))
    field = 3 * torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=generator)
    inputs = output.requires_grad_(), previous.requires_grad_()
    assert torch.autograd.gradcheck(lambda first, second: training.temporal_term(first, second, field), inputs)


def test_the_field_gets_no_gradient():
    output, previous = (torch.rand(1, 3, 6, 6, requires_grad=True) for _ in range(2))
    field = torch.rand(1, 2, 6, 6, requires_grad=True)
    training.temporal_term(output, previous, field).backward()
    assert field.grad is None and previous.grad is not None


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    scale=st.floats(0, 20),
    factor=st.floats(-3, 3),
)
def test_properties(seed, batch, height, width, scale, factor):
    generator = torch.Generator().manual_seed(seed)
    output, previous = (
        torch.randn(batch, 3, height, width, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    field = scale * torch.randn(batch, 2, height, width, dtype=torch.float64, generator=generator)
    term = training.temporal_term(output, previous, field)
    still = training.temporal_term(output, previous, torch.zeros_like(field))
    torch.testing.assert_close(still, torch.nn.functional.mse_loss(output, previous))
    assert training.temporal_term(warp(previous, field), previous, field) == 0
    torch.testing.assert_close(training.temporal_term(factor * output, factor * previous, field), factor**2 * term)
    torch.testing.assert_close(training.temporal_term(output + factor, previous + factor, field), term)
    each = [training.temporal_term(output[i : i + 1], previous[i : i + 1], field[i : i + 1]) for i in range(batch)]
    torch.testing.assert_close(torch.stack(each).mean(), term)


def test_wrong_shapes_are_named():
    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(ShapeError, match="one shape"):
        training.temporal_term(image, image[..., :7], torch.zeros(1, 2, 8, 8))
    with pytest.raises(ShapeError, match=r"field must be \(1, 2, 8, 8\)"):
        training.temporal_term(image, image, torch.zeros(1, 2, 8, 7))
    with pytest.raises(ShapeError, match="output"):
        training.temporal_term(image[0], image, torch.zeros(1, 2, 8, 8))


# pairs of frames


def previous_of(examples, stem: str) -> Sample:
    (found,) = [e.previous for e in examples if e.composite.stem == stem and "bbb" in e.composite.parts]
    return found


def test_a_frame_comes_with_the_one_before(root):
    examples = with_previous(read_dataset(root, "clips_train.txt"), 5)
    assert len(examples) == 10
    before = previous_of(examples, "00015")
    assert [path.stem for path in before] == ["00010"] * 3 and before.composite.is_file()
    assert previous_of(examples, "00000").composite.stem == "00000"
    assert previous_of(with_previous(read_dataset(root, "clips_train.txt"), 10), "00015").composite.stem == "00005"


def test_frames_that_are_too_far_apart_are_told(root):
    with pytest.raises(InputError, match=r"no frame of .* has another 7 numbers before it .*frame_step"):
        with_previous(read_dataset(root, "clips_train.txt"), 7)


def test_a_predecessor_without_real_frame_is_told_where_it_is_needed(root, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(root, copy)
    frame = "real_videos/bbb/00010.png foreground_mask/bbb/object_0/00010.png "
    (copy / "one.txt").write_text(frame + "synthetic_composite_videos/bbb/object_0/00010.png\n")
    (copy / "real_videos" / "bbb" / "00005.png").unlink()
    with pytest.raises(InputError, match=r"bbb/00005.png does not exist.*`flow_input` composite"):
        with_previous(read_dataset(copy, "one.txt"), 5)
    (example,) = with_previous(read_dataset(copy, "one.txt"), 5, need_real=False)
    assert example.previous is not None and example.previous.composite.stem == "00005"


def test_without_lists_whole_videos_are_held_out(root, tmp_path):
    for column, source in (
        ("real", "real_videos"),
        ("mask", "foreground_mask"),
        ("composite", "synthetic_composite_videos"),
    ):
        for clip in ("aaa", "bbb"):
            below = root / source / clip
            shutil.copytree(below if column == "real" else below / "object_0", tmp_path / column / clip)
    train, held_out = (
        {e.real.parent.name for e in with_previous(read_dataset(tmp_path, split=split), 5)}
        for split in ("train", "val")
    )
    assert len(train) == len(held_out) == 1 and train | held_out == {"aaa", "bbb"}
    for column in ("real", "mask", "composite"):
        shutil.rmtree(tmp_path / column / "bbb")
    with pytest.raises(InputError, match="one video only"):
        with_previous(read_dataset(tmp_path, split="train"), 5)


def samples(root, **changes):
    examples = with_previous(read_dataset(root, "clips_train.txt"), 5)
    chosen = {"varied": False, "flow_input": "real", "estimate": create_flow("dis")} | changes
    return Stage1Dataset(examples, 32, 0, 3, **chosen)


def test_both_frames_of_a_pair_are_cut_alike(root):
    """In these clips what is seen moves, and the mask moves, but both by a few pixels only."""
    dataset = samples(root)
    drawn = [dataset[number] for number in range(40)]
    same = [s for s in drawn if np.array_equal(s.composite, s.previous.composite)]
    # The first of five frames is paired with itself: equal under every crop and flip.
    assert len(same) == 8 and all(np.array_equal(s.mask, s.previous.mask) and not s.previous.field.any() for s in same)
    assert len({s.mask.tobytes() for s in same}) == 8


def test_fields_lead_from_a_frame_to_the_one_before(root):
    """The scene moves by one pixel per frame; crops and flips turn the motion with the picture."""
    dataset = samples(root)
    batch = to_batch([dataset[number] for number in range(20)], NO_LUTS)
    previous = batch.previous
    inner = (..., slice(4, -4), slice(4, -4))  # what enters the picture cannot be explained
    warped = warp(previous.real, previous.field)
    before, after = ((real - batch.target)[inner].abs().mean() for real in (previous.real, warped))
    assert after < 0.4 * before
    assert previous.field[:, 0].mean(dim=(1, 2)).min() < -0.5 and previous.field[:, 0].mean(dim=(1, 2)).max() > 0.5


def test_resizing_as_published(root):
    dataset = samples(root, resize_only=True)
    dataset.size = 20
    numbers = {entry.composite: entry for entry in (Sample(e.real, e.mask, e.composite) for e in dataset.examples)}
    order = np.random.default_rng((3, 1 << 40, 0)).permutation(10)
    for number in range(4):
        example, sample = dataset.examples[order[number]], dataset[number]
        wanted, before = read_frame(numbers[example.composite], 20), read_frame(example.previous, 20)
        assert np.array_equal(sample.composite, wanted.composite.permute(1, 2, 0).numpy())
        assert np.array_equal(sample.mask, wanted.mask[0].numpy())
        assert np.array_equal(sample.previous.composite, before.composite.permute(1, 2, 0).numpy())
        assert set(np.unique(sample.previous.mask)) <= {0.0, 1.0} and not set(np.unique(sample.mask)) <= {0.0, 1.0}


@pytest.mark.parametrize("flow_input", ["real", "composite", "normalized"])
def test_what_the_estimator_sees(root, flow_input):
    seen = []

    def estimate(first, second):
        seen.append((first, second))
        return torch.zeros(len(first), 2, *first.shape[2:])

    temporal = TemporalConfig(flow="raft", flow_input=flow_input)
    assert in_samples(temporal, estimate) is None
    dataset, network = samples(root, flow_input=flow_input, estimate=None), Gain()
    batch = to_batch([dataset[number] for number in range(4)], NO_LUTS)
    motion(batch, temporal, estimate, network)
    wanted = {
        "real": (batch.target, batch.previous.real),
        "composite": (batch.composite, batch.previous.composite),
        "normalized": (
            network.normalize(batch.composite) / 255,
            network.normalize(batch.previous.composite) / 255,
        ),
    }[flow_input]
    assert all(torch.equal(given_frame, frame) for given_frame, frame in zip(seen[0], wanted, strict=True))
    assert (batch.previous.real is not None) == (flow_input == "real")


def test_settings_that_make_no_sense_are_refused():
    for changes in ({"weight": 0.0}, {"weight": float("nan")}, {"flow": "none"}, {"flow_input": "normalized"}):
        with pytest.raises(InputError):
            TemporalConfig(**changes)
    with pytest.raises(InputError, match=r"`flow_input` masks: must be one of"):
        TemporalConfig(flow_input="masks")  # type: ignore[arg-type]


def test_the_published_recipe():
    chosen = stage1_config("issam", "paper", samples=3, temporal=TemporalConfig(flow="flownet2"))
    assert chosen.phases == (Phase(256, 360, 32),) and chosen.temporal is not None and chosen.temporal.resize_only
    assert (chosen.loss, chosen.schedule, chosen.learning_rate, chosen.temporal.weight) == (
        "paper",
        "milestones",
        1e-3,
        0.01,
    )


# training


def test_the_term_is_trained_down(root, tmp_path):
    """With a great weight a network gives up being right for being steady."""
    changes = {"phases": [Phase(32, 120, 4)], "varied": False}
    held_out = with_previous(read_dataset(root, "clips_test.txt"), 5)
    values = []
    for weight in (1e-6, 1e3):
        temporal = TemporalConfig(weight)
        network, _ = run(root, tmp_path / str(weight), config(temporal, **changes))
        values.append(validate_pairs(network, held_out, 32, temporal, create_flow("dis"), CPU))
    assert values[1] < 0.7 * values[0]


def test_a_stopped_run_ends_as_if_it_had_not_stopped(root, tmp_path):
    chosen = config(TemporalConfig(0.5), adversarial_weight=0.1, averaging=0.9)
    whole, score = run(root, tmp_path / "whole", chosen)
    for stop_after in (1, 6, None):  # in a phase, after the change of resolution, to the end
        resumed, resumed_score = run(root, tmp_path / "parts", chosen, stop_after=stop_after)
    assert torch.equal(whole.gain, resumed.gain) and not torch.equal(whole.gain, torch.ones_like(whole.gain))
    assert score == resumed_score
    one, other = (
        torch.load(tmp_path / name / "training_state.pth", weights_only=True)["parts"]["networks.opponent"]
        for name in ("whole", "parts")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_ctrl_c_within_a_step_waits_for_its_end(root, tmp_path, monkeypatch):
    """Batch statistics, weights and opponent change one after the other: a checkpoint must not lie between them."""
    chosen = config(TemporalConfig(0.5), adversarial_weight=0.1)
    whole, _ = run(root, tmp_path / "whole", chosen)
    loss, calls = Adversary.loss, []

    def interrupted(*arguments):
        calls.append(len(calls))
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(*arguments)

    monkeypatch.setattr(Adversary, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(root, tmp_path / "parts", chosen)
    assert torch.load(tmp_path / "parts" / "training_state.pth", weights_only=True)["progress"]["step"] == 3
    resumed, _ = run(root, tmp_path / "parts", chosen)
    assert torch.equal(whole.gain, resumed.gain) and len(calls) == 8


def test_other_flows_and_weights_do_not_resume(root, tmp_path):
    run(root, tmp_path, config(TemporalConfig(0.5)), stop_after=1)
    for temporal in (TemporalConfig(0.4), TemporalConfig(0.5, flow_input="composite"), None):
        with pytest.raises(InputError, match="other settings for temporal"):
            run(root, tmp_path, config(temporal), stop_after=2)
    with pytest.raises(InputError, match="other settings for adversarial_weight"):
        run(root, tmp_path, config(TemporalConfig(0.5), adversarial_weight=0.1))


def test_without_the_term_nothing_changes(root, tmp_path):
    """Pairs are not read, and checkpoints of runs that knew no such settings go on."""
    run(root, tmp_path, config(None), stop_after=2)
    state = torch.load(tmp_path / "training_state.pth", weights_only=True)
    stored = json.loads(state["config"])
    del stored["temporal"], stored["adversarial_weight"]
    torch.save(state | {"config": json.dumps(stored)}, tmp_path / "training_state.pth")
    network, _ = run(root, tmp_path, config(None))
    whole, _ = run(root, tmp_path / "whole", config(None))
    assert torch.equal(network.gain, whole.gain)


def test_scalars_are_logged(root, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(root, tmp_path, config(TemporalConfig(0.5), adversarial_weight=0.1, log_every=2))
    log = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    wanted = {f"train/{name}" for name in ("loss", "pixel", "temporal", "adversarial", "discriminator")}
    assert {*log.Tags()["scalars"]} >= wanted | {"val/temporal", "val/error_share"}
    last = {name: log.Scalars(name)[-1].value for name in wanted}
    total = last["train/pixel"] + 0.5 * last["train/temporal"] + 0.1 * last["train/adversarial"]
    assert last["train/loss"] == pytest.approx(total, rel=1e-4)


def test_the_script(root, tmp_path, capsys):
    base = ["--dataset_path", str(root), "--train_list", "clips_train.txt", "--val_list", "clips_test.txt"]
    base += ["--phases", "16:4:2", "--device", "cpu", "--precision", "fp32", "--exp_name", str(tmp_path / "run")]
    temporal = ["--temporal_weight", "0.01"]
    for more, message in (
        (["--flow", "dis"], "--flow does nothing without --temporal_weight"),
        ([*temporal, "--flow", "raft"], "needs its weights"),
        ([*temporal, "--flow_input", "normalized"], "dis is none"),
        ([*temporal, "--phases", "8:4:2"], "at least 16 pixels"),
        ([*temporal, "--temporal_weight", "-1"], "must be above 0"),
        (["--adversarial_weight", "0"], "--adversarial_weight must be a number above 0"),
    ):
        assert main([*base, *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*base, *temporal, "--adversarial_weight", "0.01"]) == 0
    assert "temporal term" in "".join(capsys.readouterr())
    with safe_open(tmp_path / "run" / "issam.safetensors", "pt") as file:
        assert file.metadata()["temporal_weight"] == "0.01" and file.metadata()["flow"] == "dis"
