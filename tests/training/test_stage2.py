import json

import pytest
import recorded_cases
import torch
from hypothesis import given
from hypothesis import strategies as st
from stage2_sets import SIDE, arguments, make_set

from co2net.cli.train_refinement import main
from co2net.data import read_frame_list
from co2net.data.stored_results import write_lut, write_origin
from co2net.models.registry import create_backbone, create_model
from co2net.provenance import state_sha256
from co2net.training.clip_samples import Frames, SampleOrder, Stage2Batch, join
from co2net.training.frozen_part import prepare, prepare_all
from co2net.training.refinement import refine, refinement_loss
from co2net.training.refinement_config import Stage2Config
from co2net.training.schedule import stage2_factor
from co2net.training.task import Shares, epochs_of
from co2net.weight_files import read_metadata, save_weights

CPU = torch.device("cpu")


@pytest.fixture
def run(root, backbone, tmp_path, capsys):
    """Run the command in this process; returns its exit code, stdout and stderr."""

    def call(*more, folder="run"):
        code = main([*arguments(root, tmp_path / folder, "--backbone", str(backbone)), *map(str, more)])
        return code, *capsys.readouterr()

    return call


def losses(folder):
    return (folder / "logs.txt").read_text().splitlines()


def test_the_recorded_steps():
    case = recorded_cases.load_case("co2net_train")
    model = create_model(backbone="issam", use_feature=True)
    incompatible = model.load_state_dict(case.state, strict=False)
    assert not incompatible.unexpected_keys
    batch = Stage2Batch(
        case.inputs["image"],
        case.inputs["mask"],
        case.inputs["target"],
        stored_lut=case.inputs["stored_lut_output"],
        stored_map=case.inputs["stored_lut_map"],
    )
    config = Stage2Config()
    settings = case.settings["optimizer"]
    optimizer = torch.optim.AdamW(
        model.refine_network.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
    )
    model.train()
    measured = []
    for step in range(case.settings["steps"]):
        loss = refinement_loss(model, prepare(model, batch), config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        measured.append(float(loss.detach()))
        if step == 0:
            gradients = {name: parameter.grad.clone() for name, parameter in model.refine_network.named_parameters()}
    torch.testing.assert_close(torch.tensor(measured), case.outputs["loss"].float(), rtol=0, atol=case.tolerance)
    case.check("grad1_to_rgb_weight", gradients["to_rgb.weight"])
    case.check("grad1_conv_attention_weight", gradients["conv_attention.weight"])
    case.check("grad1_refine_block_0_weight_sum", gradients["refine_block.0.weight"].sum(dim=(2, 3)))
    trained = model.refine_network.state_dict()
    for name in ("to_rgb.weight", "conv_attention.weight", "refine_block.4.running_var"):
        expected = case.outputs[name.replace(".", "_")]
        torch.testing.assert_close(trained[name], expected, rtol=0, atol=case.tolerance)
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


def small(**changes) -> Stage2Config:
    return Stage2Config(**({"previous": 2, "future": 2, "size": SIDE, "batch_size": 3, "epochs": 2} | changes))


@pytest.fixture
def entries(root):
    with pytest.warns(UserWarning, match="without 20 frames"):
        return read_frame_list(root / "clips_train.txt", root)


@pytest.mark.parametrize("mapping", ["paper", "smooth"])
def test_prepared_frames_are_those_of_the_model(entries, backbone, mapping):
    torch.manual_seed(1)
    model = create_model(use_feature=True, mapping=mapping)
    model.backbone.load_state_dict(create_backbone("issam", weights=backbone).state_dict())
    frames = Frames(entries, small(), None)
    kept = prepare_all(model, frames, "fp32", CPU)
    joined = prepare(model, join([frames.read(0), frames.read(3), frames.read(7)]))
    for row, index in enumerate((0, 3, 7)):
        batch = frames.read(index)
        repeats = batch.neighbor_counts.long()
        assert repeats.sum() == 4
        neighbors = batch.neighbor_images.repeat_interleave(repeats, dim=0)[None]
        masks = batch.neighbor_masks.repeat_interleave(repeats, dim=0)[None]
        with torch.no_grad():
            expected = model(batch.image, batch.mask, neighbors, masks)
        once, alone = kept[entries[index]], prepare(model, batch)
        assert all(torch.equal(getattr(once, name), getattr(alone, name)) for name in vars(alone))
        torch.testing.assert_close(alone.lut, expected.lut, atol=2e-6, rtol=0)
        torch.testing.assert_close(alone.unseen, expected.unseen)
        with torch.no_grad():
            final = refine(model, alone)
        torch.testing.assert_close(final, expected.image, atol=1e-5, rtol=0)
        torch.testing.assert_close(joined.lut[row : row + 1], alone.lut, atol=1e-5, rtol=0)


def test_without_neighbors_the_backbone_stands_in(entries):
    model = create_model(use_feature=False)
    frames = Frames(entries, small(previous=0, future=0), None)
    batch = frames.read(2)
    prepared = prepare(model, batch)
    expected = model(batch.image, batch.mask)
    assert torch.equal(prepared.lut, expected.lut) and prepared.features is None
    torch.testing.assert_close(refine(model, prepared), expected.image)


def test_schedules_of_stage_2():
    factors = [stage2_factor("epochs", step, 10, 120) for step in (0, 1049, 1050, 1149, 1150)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    factors = [stage2_factor("steps", step, 10, 120) for step in (0, 104, 105, 114, 115, 1199)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert stage2_factor("cosine", 12, 10, 120) == pytest.approx(1)
    assert stage2_factor("cosine", 1200, 10, 120) == pytest.approx(0)


@given(
    frames=st.integers(1, 40),
    batch=st.integers(1, 16),
    processes=st.integers(1, 5),
    first=st.integers(0, 10),
    data=st.data(),
)
def test_every_frame_is_seen_once_per_epoch_whoever_reads(frames, batch, processes, first, data):
    config = small(batch_size=batch, epochs=3)
    total = -(-frames // batch) * 3
    first = min(first, total)

    def numbers(step):
        return epochs_of(frames, batch, step)

    shares = [Shares(numbers, first, total, rank, processes) for rank in range(processes)]
    seen = [number for step in range(first, total) for share in shares for number in share.of(step)]
    whole = [number for step in range(first, total) for number in numbers(step)]
    assert sorted(seen) == whole == list(range(3 * frames))[len(range(3 * frames)) - len(whole) :]
    order = SampleOrder(frames, config)
    epoch = data.draw(st.integers(0, 2))
    assert sorted(order.frame(epoch * frames + i) for i in range(frames)) == list(range(frames))
    assert all(len(numbers) >= 1 for share in shares for numbers in share)


def test_views_hold_foreground_and_depend_on_the_number_only():
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 20:26, 20:26] = 1
    order, again = (SampleOrder(9, small(crop=16, flip=True)) for _ in range(2))
    views = [order.view(number, mask) for number in range(60)]
    assert views == [again.view(number, mask) for number in range(60)]
    inside = [mask[0, v.top : v.top + 16, v.left : v.left + 16].mean() > 0.01 for v in views]
    assert sum(inside) > 50 and 10 < sum(view.flip for view in views) < 50


def test_the_quick_recipe_starts_as_the_color_mapping(run, tmp_path):
    code, out, err = run("--recipe", "quick", "--use_feature", "--epochs", "1", "--learning_rate", "1e-12")
    assert code == 0 and "Warning" not in err and "held-out frames" in out
    scores = read_metadata(tmp_path / "run" / "best.safetensors")
    assert float(scores["validation_fmse_final"]) == pytest.approx(float(scores["validation_fmse_lut"]), rel=0.02)


def test_training_lowers_the_loss_and_leaves_official_weights(run, root, tmp_path):
    code, out, _ = run("--use_feature", "--learning_rate", "1e-2", "--epochs", "6")
    assert code == 0 and "best.safetensors: epoch" in out and "waiting for data" in out
    folder = tmp_path / "run"
    lines = [line.split("\t") for line in losses(folder)]
    assert lines[0][:3] == ["train", "epoch 0:", "1"] and lines[4][:3] == ["val", "epoch 0:", "1"]
    assert [line[:3] for line in lines if line[2] == "final loss"] == [
        ["val", f"epoch {e}:", "final loss"] for e in range(6)
    ]
    final = [float(line[3]) for line in lines if line[2] == "final loss"]
    assert final[-1] < 0.5 * final[0]
    assert sorted(path.name for path in folder.glob("*.pth")) == sorted(
        [*(f"{epoch}.pth" for epoch in range(1, 7)), "last_checkpoint.pth", "training_state.pth"]
    )
    state = torch.load(folder / "last_checkpoint.pth", weights_only=True)
    assert len(state) == 131 and state.keys() == create_model().state_dict().keys()
    last, sixth = create_model(weights=folder / "last_checkpoint.pth"), create_model(weights=folder / "6.pth")
    assert all(torch.equal(a, b) for a, b in zip(last.state_dict().values(), sixth.state_dict().values(), strict=True))
    facts = read_metadata(folder / "best.safetensors")
    wanted = {
        "backbone": "issam",
        "use_feature": "true",
        "refinement": "true",
        "training_size": "32",
        "mapping": "paper",
    }
    assert wanted.items() <= facts.items()
    best = create_model(weights=folder / "best.safetensors")
    assert best.training_size == 32 and best.use_feature
    assert json.loads((folder / "config.json").read_text())["batch_size"] == 3
    assert (folder / "validation.png").read_bytes()[:4] == b"\x89PNG"
    assert list((folder / "tensorboard").iterdir())


def test_keeping_results_or_making_them_again_is_the_same(run, tmp_path):
    for keep, folder in ((0, "again"), (4, "kept")):
        assert run("--keep_gib", keep, "--recipe", "quick", "--crop", "16", "--use_feature", folder=folder)[0] == 0
    assert losses(tmp_path / "kept") == losses(tmp_path / "again")


def test_stored_results_of_the_color_mapping(run, entries, backbone, tmp_path):
    """Training from stored results equals training from neighbors."""
    model = create_model(refinement=False, weights=backbone)
    frames = Frames(entries, small(), None)
    for entry, prepared in prepare_all(model, frames, "fp32", CPU).items():
        write_lut(tmp_path / "lut", tmp_path / "map", entry, prepared.lut[0], prepared.unseen[0])
    folders = ("--lut_output_dir", tmp_path / "lut", "--lut_map_dir", tmp_path / "map")
    code, _, err = run(*folders, folder="stored")
    assert code == 0 and "lut holds no made_by.json" in err
    assert run("--previous_num", 2, "--future_num", 2, folder="neighbors")[0] == 0
    values = [[float(line.split("\t")[3]) for line in losses(tmp_path / name)] for name in ("stored", "neighbors")]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    code, _, err = run(*folders, "--size", "16", folder="size")
    assert code == 2 and "is 32x32 pixels, the frames are 16x16" in err
    origin = {"backbone": state_sha256(model.backbone.state_dict()), "mapping": "paper", "size": 32}
    write_origin(tmp_path / "lut", origin)
    code, _, err = run(*folders, folder="with a note")
    assert code == 0 and "made_by" not in err
    for other in ({"backbone": "0" * 64}, {"mapping": "smooth"}, {"size": 64}):
        write_origin(tmp_path / "lut", origin | other)
        code, _, err = run(*folders, folder="other")
        assert code == 2 and f"were made otherwise: {next(iter(other))} was" in err and "make them again" in err
    write_origin(tmp_path / "lut", origin)
    (tmp_path / "map" / "bbb_object_0_00010.npy").unlink()
    code, _, err = run(*folders, folder="missing")
    assert code == 2 and "lacks the stored results of 1 of 10 frames, first bbb_object_0_00010.npy" in err
    assert "docs/evaluation.md" in err and not (tmp_path / "missing").exists()


def test_from_a_full_model_without_a_backbone_file(root, run, tmp_path):
    assert run("--use_feature", "--epochs", 1)[0] == 0
    given = tmp_path / "run" / "1.pth"
    assert main([*arguments(root, tmp_path / "next", "--checkpoint", str(given)), "--epochs", "1"]) == 0
    assert main([*arguments(root, tmp_path / "none"), "--epochs", "1"]) == 2


@pytest.mark.slow
def test_rain_backbone(root, tmp_path):
    path = tmp_path / "rain.safetensors"
    network = create_backbone("rain", ngf=8)
    save_weights(path, network.state_dict(), {})
    command = arguments(root, tmp_path / "run", "--backbone", str(path), "--backbone_type", "rain", "--use_feature")
    # 32 pixels are too few for RainNet's eight halvings.
    few = ["--size", "256", "--epochs", "1", "--train_list", str(root / "clips_test.txt"), "--val_list", ""]
    assert main([*command, *few]) == 0
    assert read_metadata(tmp_path / "run" / "best.safetensors")["backbone"] == "rain"


def test_bf16_and_the_minimum_area(run):
    assert run("--precision", "bf16", "--epochs", 1, folder="bf16")[0] == 0
    assert run("--minimum_area", 0, "--epochs", 1, folder="area")[0] == 0


def test_flags_of_the_original(run):
    code, _, err = run("--normalize_inside", "--config-path", "x.yml", "--eval-prefix", "p", "--epochs", 1)
    assert code == 0 and "--config-path is ignored" in err and "--eval-prefix is ignored" in err
    assert "note: " in err and "2 clip(s) without 20 frames" in err and "Warning" not in err


ERRORS = {
    "half of the stored": (("--lut_map_dir", "x"), "belong together"),
    "no stored folder": (("--lut_map_dir", "x", "--lut_output_dir", "x"), "cannot list the folder"),
    "outside": (("--no-normalize_inside",), "mixes spaces"),
    "gpu and device": (("--gpu", "0"), "both choose the device"),
    "list": (("--train_list", "nowhere.txt"), "nowhere.txt"),
    "backbone": (("--backbone", "nothing.pth"), "nothing.pth does not exist"),
    "other backbone": (("--backbone_type", "rain"), "looks like iSSAM"),
    "epochs": (("--epochs", "0"), "--epochs must be 1 or more"),
    "rate": (("--learning_rate", "0"), "--learning_rate must be above 0"),
    "held back": (("--held_back", "1"), "--held_back"),
    "neighbors": (("--previous_num", "-1"), "--previous_num must be 0 or more"),
    "crop": (("--crop", "64"), "--crop 64 is larger"),
    "fp16": (("--precision", "fp16"), "needs a CUDA GPU"),
}


@pytest.mark.parametrize("more, sentence", ERRORS.values(), ids=ERRORS)
def test_bad_input_is_one_sentence(run, tmp_path, more, sentence):
    code, _, err = run(*more)
    assert code == 2 and sentence in err and err.count("co2net: ") == 1 and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_several_gpus_are_not_named_one_by_one(root, backbone, tmp_path, capsys):
    command = arguments(root, tmp_path / "run", "--backbone", str(backbone), "--gpu", "0,1")
    command = [word for word in command if word not in ("--device", "cpu")]
    assert main(command) == 2 and "for several see torchrun" in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--keep_gib", "0"), ("--keep_gib", "0", "--workers", "1"), ()])
def test_a_damaged_picture_is_named(backbone, tmp_path, capsys, more):
    root = make_set(tmp_path / "set")
    broken = root / "real_videos" / "aaa" / "00010.png"
    broken.write_bytes(broken.read_bytes()[:60])
    code = main(arguments(root, tmp_path / "run", "--backbone", str(backbone), *more))
    err = capsys.readouterr().err
    assert code == 2 and str(broken) in err and err.count("co2net:") == 1 and "Traceback" not in err
    broken.unlink()
    assert main(arguments(root, tmp_path / "other", "--backbone", str(backbone))) == 2
    assert "lacks frame 00010" in capsys.readouterr().err


def test_a_diverged_run_stops_and_keeps_the_last_good_checkpoint(run, tmp_path):
    code, _, err = run("--learning_rate", "1e30", "--checkpoint_every", "1")
    assert code == 1 and "the training diverged" in err and "Traceback" not in err
    checkpoint = tmp_path / "run" / "last_checkpoint.pth"
    assert not checkpoint.exists() or all(
        t.isfinite().all() for t in torch.load(checkpoint, weights_only=True).values()
    )
