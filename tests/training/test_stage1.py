import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_sets import make_pictures

from co2net.cli.train_backbone import main
from co2net.color_mapping.completion import identity_lut
from co2net.data import read_dataset
from co2net.errors import InputError
from co2net.models.backbones.base import Backbone
from co2net.models.registry import create_backbone
from co2net.processes import Processes
from co2net.training.backbone import BackboneTask, validate
from co2net.training.backbone_config import Phase, Stage1Config
from co2net.training.loop import LoopSettings, train
from co2net.training.picture_samples import Stage1Dataset, to_batch
from co2net.training.schedule import constant, cosine, milestones
from co2net.training.views import draw_scene_view

CPU = torch.device("cpu")


class Tint(Backbone):
    """Learns one color offset: small enough to train in a test."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = torch.nn.Parameter(torch.zeros(1, 3, 1, 1))

    def network(self, image, mask):
        return image + self.offset, image[:, :0]


@pytest.fixture
def pictures(tmp_path):
    return make_pictures(tmp_path / "data", (60, 48), (30, 24), 14)


def darker() -> torch.Tensor:
    return identity_lut(33, torch.zeros(1)) * 0.8


def config(**changes) -> Stage1Config:
    settings = {
        "phases": [Phase(16, 24, 4), Phase(32, 8, 2)],
        "learning_rate": 0.05,
        "precision": "fp32",
        "validate_every": 5,
    }
    return Stage1Config(backbone="tint", **(settings | changes))


def run(pictures, folder, settings, **options):
    network = Tint()
    examples, held_out = read_dataset(pictures, split="train"), read_dataset(pictures, split="val")
    task = BackboneTask(network, examples, held_out, darker(), darker(), settings)
    summary = train(task, LoopSettings(quiet=True, **options), folder, Processes(CPU))
    return network, summary.progress.last_scores.get("error_share")


@pytest.mark.slow  # the compiler's minute
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_compiled_steps_learn_the_same(pictures, tmp_path):
    plain, compiled = (
        run(pictures, tmp_path / name, config(compiled=name == "compiled"))[0] for name in ("plain", "compiled")
    )
    torch.testing.assert_close(plain.offset, compiled.offset, rtol=1e-4, atol=1e-6)
    assert float(compiled.offset.detach().abs().sum()) > 0


def test_training_reduces_the_error(pictures, tmp_path):
    _, score = run(pictures, tmp_path / "run", config(varied=False, phases=[Phase(16, 400, 4)]))
    assert score < 0.6


def test_a_stopped_run_ends_as_if_it_had_not_stopped(pictures, tmp_path):
    whole, score = run(pictures, tmp_path / "whole", config())
    for stop_after in (2, 7, None):  # within a phase, after the change of resolution, to the end
        stopped, resumed_score = run(pictures, tmp_path / "parts", config(), stop_after=stop_after)
    assert torch.equal(whole.offset, stopped.offset)
    assert score == resumed_score
    assert not list((tmp_path / "parts").glob("*.part*"))


def test_scenes_are_the_same_after_a_stop(pictures, tmp_path):
    settings = {"composites": "scenes", "phases": [Phase(24, 20, 4)]}
    whole, _ = run(pictures, tmp_path / "whole", config(**settings))
    run(pictures, tmp_path / "parts", config(**settings), stop_after=2)
    stopped, _ = run(pictures, tmp_path / "parts", config(**settings))
    torch.testing.assert_close(whole.offset, stopped.offset, rtol=0, atol=0)
    assert whole.offset.abs().max() > 0


def test_scene_views_show_the_foreground_at_half_the_picture_or_more():
    rng = np.random.default_rng(0)
    mask = np.zeros((80, 120), np.uint8)
    mask[10:30, 90:115] = 255
    views = [draw_scene_view(rng, mask) for _ in range(60)]
    assert all(0 <= v.top < v.bottom <= 80 and 0 <= v.left < v.right <= 120 for v in views)
    assert all(v.bottom - v.top >= 40 and v.right - v.left >= 60 for v in views)
    inside = [(mask[v.top : v.bottom, v.left : v.right] > 0).sum() / (mask > 0).sum() for v in views]
    assert np.mean(inside) > 0.8 and sum(v == (0, 80, 0, 120, v.flip, True) for v in views) > 10


def test_other_settings_do_not_resume(pictures, tmp_path):
    run(pictures, tmp_path / "run", config(), stop_after=2)
    with pytest.raises(InputError, match="other settings for learning_rate"):
        run(pictures, tmp_path / "run", config(learning_rate=0.1))


def test_an_interrupted_run_leaves_a_checkpoint(pictures, tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("co2net.training.backbone.validate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "run", config())
    assert torch.load(tmp_path / "run" / "training_state.pth", weights_only=True)["progress"]["step"] == 5


def test_samples_depend_on_their_number_only(pictures):
    train = read_dataset(pictures, split="train")
    first, second = (Stage1Dataset(train, 16, 1, seed=3) for _ in range(2))
    for number in (0, 5, 40):
        a, b = first[number], second[number]
        assert np.array_equal(a.real, b.real) and np.array_equal(a.mask, b.mask) and a.foreground == b.foreground
    epoch = [first[i].foreground for i in range(len(train))]
    assert epoch != [first[i + len(train)].foreground for i in range(len(train))]


def test_composites_differ_inside_the_mask_only(pictures):
    dataset = Stage1Dataset(read_dataset(pictures, split="train"), 16, 1, seed=0, varied=False)
    batch = to_batch([dataset[i] for i in range(4)], darker())
    outside = (batch.mask == 0).expand_as(batch.target)
    assert torch.equal(batch.composite[outside], batch.target[outside])
    torch.testing.assert_close(batch.composite, batch.target * (1 - 0.2 * batch.mask), atol=1e-5, rtol=0)


def test_validation_knows_perfect_and_idle_networks(pictures):
    held_out = read_dataset(pictures, split="val")
    found = validate(Tint().eval(), held_out, darker(), 16, CPU)
    assert found.loss == found.scores["error_share"] == pytest.approx(1, abs=1e-5)
    assert found.scores["untouched_fmse"] == pytest.approx(0, abs=1e-6) and found.pictures.shape[1:] == (3, 16, 48)


def test_schedules():
    assert cosine(0.01) == pytest.approx(1) and cosine(1) == pytest.approx(0) and cosine(0) < 0.02
    assert [milestones(p) for p in (0, 0.8, 0.9, 0.99)] == pytest.approx([1, 1, 0.1, 0.01])


def test_views_can_be_shrunk_by_area_averaging_only(pictures):
    train = read_dataset(pictures, split="train")
    half, only = (Stage1Dataset(train, 16, 1, seed=3, area_only=area_only) for area_only in (False, True))
    same = [np.array_equal(half[i].real, only[i].real) for i in range(20)]
    assert any(same) and not all(same)


def test_the_constant_schedule_warms_up():
    assert constant(0) < 0.02 and constant(0.01) == constant(1) == 1


def test_the_identity_start_nearly_returns_the_input():
    network = create_backbone("issam")
    network.initialize(start_as_identity=True)
    image, mask = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    changed = (network(image, mask).image - image).abs().mean()
    network.initialize()
    assert changed < 0.3 * (network(image, mask).image - image).abs().mean()


def test_index_folder_and_iharmony4_layouts(tmp_path):
    root = tmp_path / "indexed"
    (root / "images").mkdir(parents=True)
    (root / "images" / "a_1.jpg").touch()
    (root / "masks").mkdir()
    for k in range(2):
        (root / "masks" / f"a_1_{k}.png").touch()
    (root / "index.csv").write_text("id,masks,split\na_1,2,train\n")
    (example,) = read_dataset(root, split="train")
    assert [path.name for path in example.masks] == ["a_1_0.png", "a_1_1.png"]
    with pytest.raises(InputError, match="no picture with a mask for the split 'val'"):
        read_dataset(root, split="val")

    root = tmp_path / "iharmony"
    root.mkdir()
    (root / "IHD_train.txt").write_text("HFlickr/composite_images/f_12_1_3.jpg\r\n")
    (example,) = read_dataset(root, split="train", check_files=False)
    assert example.real == root / "HFlickr" / "real_images" / "f_12.jpg"
    assert example.masks == (root / "HFlickr" / "masks" / "f_12_1.png",)

    with pytest.raises(InputError, match=r"no data set that is known here; known are .*HYouTube"):
        read_dataset(tmp_path, split="train")
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_dataset(tmp_path / "nowhere", split="train")


def test_compiling_without_a_compiler_is_one_sentence(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("co2net.training.jobs.find_compiler", lambda: None)
    np.savez(tmp_path / "luts.npz", **{"1": darker()[0].permute(1, 2, 3, 0).numpy()})
    (tmp_path / "split.json").write_text(json.dumps({"train": [1], "test": [1]}))
    arguments = ["--dataset_path", str(pictures), "--luts", str(tmp_path), "--exp_name", str(tmp_path / "run")]
    assert main([*arguments, "--compile"]) == 2
    assert "needs a C++ compiler" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_script_trains_resumes_and_writes_weights(pictures, tmp_path, capsys):
    np.savez(tmp_path / "luts.npz", **{"1": darker()[0].permute(1, 2, 3, 0).numpy()})
    (tmp_path / "split.json").write_text(json.dumps({"train": [1], "test": [1]}))
    arguments = ["--dataset_path", str(pictures), "--luts", str(tmp_path), "--exp_name", str(tmp_path / "run")]
    arguments += ["--phases", "16:4:2", "--device", "cpu", "--precision", "fp32"]
    assert main(arguments) == 0
    assert "held-out pictures" in capsys.readouterr().out
    network = create_backbone("issam", weights=tmp_path / "run" / "issam.safetensors")
    assert network.training_size == 16
    assert main([*arguments, "--seed", "1"]) == 2
    assert "other settings for seed" in capsys.readouterr().err
    assert main([*arguments[:4], "--exp_name", str(tmp_path / "x"), "--phases", "16-4"]) == 2


def test_lists_are_found_below_the_data_set_too():
    root = Path(__file__).parents[2] / "sample_data"
    examples = read_dataset(root, "test_list.txt")
    assert len(examples) == 20 and all(example.composite and example.composite.is_file() for example in examples)
    with pytest.raises(InputError, match="nowhere"):
        read_dataset(root, "nowhere.txt")
