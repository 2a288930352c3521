"""The published programs: data, training, prediction, moving masks, extraction."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_keying import plate

from co2net.cli.matting_data import extract_main, masks_main, predict_main
from co2net.cli.train_matting import train_main
from co2net.data.pictures import read_image
from co2net.errors import InputError
from co2net.flow import create_flow
from co2net.matting.published_data import find_frames, make_dummy, previous_of, split_clips
from co2net.matting.training import MattingRecipe, MattingSamples, Plateau, auroc
from co2net.matting.unet import create_network
from co2net.weight_files import read_weights, save_weights


@pytest.fixture
def layout(tmp_path):
    """Clips 1, 2 and 11 with three frames each, masks with another ending, odd names between them."""
    images, masks = tmp_path / "original_training", tmp_path / "ground_truth_training"
    images.mkdir()
    masks.mkdir()
    for clip in (1, 2, 11):
        for number in (1, 2, 10):
            Image.new("RGB", (32, 24), (clip, number, 0)).save(images / f"original{clip}_{number}.jpg")
            Image.new("L", (32, 24), 255).save(masks / f"gt{clip}_{number}.png")
    Image.new("RGB", (32, 24)).save(images / "what[is]this?.jpg")
    return images, masks


def test_frames_are_sorted_by_numbers_and_stay_in_their_clip(layout):
    frames = find_frames(*layout)
    assert [(f.clip, f.number) for f in frames] == [(c, n) for c in (1, 2, 11) for n in (1, 2, 10)]
    assert [(f.clip, f.number) for f in previous_of(frames)][3:6] == [(2, 1), (2, 1), (2, 2)]
    (layout[1] / "gt2_2.png").unlink()
    with pytest.raises(InputError, match=r"original2_2.jpg has no mask gt2_2"):
        find_frames(*layout)
    assert find_frames(*layout, need_masks=False)[4].mask is None


def test_validation_is_of_other_clips(layout):
    frames = find_frames(*layout)
    learned, held = split_clips(frames, 20)
    assert {f.clip for f in held} == {11} and {f.clip for f in learned} == {1, 2}
    one = [f for f in frames if f.clip == 1]
    assert [f.number for f in split_clips(one, 34)[1]] == [10]
    assert split_clips(frames, 0)[1] == []


def test_frames_of_another_size_are_brought_to_the_first_ones(layout):
    frames = find_frames(*layout)
    for path in (frames[1].image, frames[1].mask):
        with Image.open(path) as picture:
            picture.resize((48, 20)).save(path)
    samples = MattingSamples(frames, create_flow("dis"), MattingRecipe())
    height, width = samples.size
    assert samples.picture(1).shape == (height, width, 3)
    assert samples.truth(1).shape == (1, 1, height, width)
    assert samples.planes(1).shape == (1, 4, height, width)


def test_auroc():
    assert auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert auroc(np.full(4, 0.5), np.array([True, False, True, False])) == 0.5
    assert np.isnan(auroc(np.ones(3), np.ones(3, bool)))


def test_the_rate_falls_on_a_plateau():
    plateau = Plateau()
    for score in (0, 0, 0, 0, 0.5, 0.6, 0.6, 0.6, 0.6):
        plateau.note(score)
    assert plateau.factor == pytest.approx(0.1)
    again = Plateau()
    again.load_state_dict(plateau.state_dict())
    assert again.state_dict() == plateau.state_dict()


def test_programs_in_a_row(tmp_path, capsys):
    make_dummy(tmp_path / "dataset", clips=3, frames=3, size=(24, 32))
    data, out = str(tmp_path / "dataset"), tmp_path / "checkpoints"
    words = ["--dataset", data, "-o", str(out), "-e", "1", "--wf", "2", "-q", "-g", "0"]
    assert train_main(words) == 0
    assert "3 testing frames: Dice 0." in capsys.readouterr().out
    assert {*read_weights(out / "CP_epoch1.pth").state} == {*create_network(wf=2).state_dict()}
    results = tmp_path / "results"
    testing = ["-img", f"{data}/original_testing", "-mask", f"{data}/ground_truth_testing", "-o", str(results)]
    assert predict_main(["-m", str(out / "CP_epoch1.pth"), *testing]) == 0
    said = capsys.readouterr().out
    assert said.count("Dice") == 4 and "3 frames" in said
    assert {p.name for p in results.iterdir()} == {
        f"{k}_original3_{n}.png" for k in ("output", "new") for n in (1, 2, 3)
    }
    assert {*np.unique(read_image(results / "output_original3_1.png"))} <= {0, 255}
    assert masks_main(["-d", f"{data}/original_testing", "-o", str(tmp_path / "int"), "-th", "0.5"]) == 0
    assert len(list((tmp_path / "int").glob("intmask_*.png"))) == 3


def test_config_file_counts_less_than_flags(tmp_path):
    make_dummy(tmp_path / "data" / "mine", clips=2, frames=2, size=(24, 24))
    config = tmp_path / "config.py"
    config.write_text(
        f"dataset_path = {str(tmp_path / 'data')!r}\nclass_name = 'mine'\nepochs = 1\nwf = 3\nmotion = 'horizontal'\n"
    )
    assert train_main(["--config", str(config), "--wf", "2", "-o", str(tmp_path / "run"), "-q"]) == 0
    found = read_weights(tmp_path / "run" / "matting.safetensors")
    assert len(found.state["unet.last.bias"]) == 1 and found.state["unet.last.weight"].shape[1] == 4
    assert found.metadata["motion"] == "horizontal"


def test_a_better_start_counts(tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "start.safetensors", create_network(wf=2).state_dict())
    make_dummy(tmp_path / "data", clips=2, frames=2, size=(24, 24))
    words = ["--dataset", str(tmp_path / "data"), "-e", "1", "-l", "1e-9", "-f", str(tmp_path / "start.safetensors")]
    assert train_main([*words, "-o", str(tmp_path / "run"), "-q"]) == 0
    before, after = (read_weights(p).state for p in (tmp_path / "start.safetensors", tmp_path / "run/CP_epoch1.pth"))
    torch.testing.assert_close(before, dict(after), rtol=0, atol=1e-4)


def test_extraction(tmp_path):
    clips = tmp_path / "clips"
    (clips / "1").mkdir(parents=True)
    frames = [plate((50, 150, 40), 0, 0, seed)[0] for seed in range(4)]
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(clips / "1" / f"{number}.png")
    (clips / "1.txt").write_text("2 3\nbox 8 4 96 80\n")
    (tmp_path / "back").mkdir()
    Image.new("RGB", (50, 50), (200, 10, 10)).save(tmp_path / "back" / "b.jpg")
    words = [str(clips), "-o", str(tmp_path / "data"), "--backgrounds", str(tmp_path / "back"), "--num-videos", "1"]
    assert extract_main([*words, "--save-cropped-image-to", str(tmp_path / "cut"), "-q"]) == 0
    found = find_frames(tmp_path / "data/original_training", tmp_path / "data/ground_truth_training")
    assert [f.number for f in found] == [2, 3]
    picture, mask = read_image(found[0].image), read_image(found[0].mask)
    assert picture.shape == (80, 96, 3) and {*np.unique(mask)} == {0, 255}
    assert np.abs(picture[mask[..., 0] == 0].mean(0) - (200, 10, 10)).max() < 4
    assert len(list((tmp_path / "cut").iterdir())) == 2
    assert extract_main([str(clips), "--num-videos", "2", "-o", str(tmp_path / "x")]) == 2


def test_bad_settings_are_said(tmp_path, capsys):
    for words, message in [
        (["--dataset", str(tmp_path / "none")], "is not a folder"),
        (["--dummy", "-s", "0"], "scale"),
        (["--dummy", "-v", "100"], "validation"),
        (["--config", str(tmp_path / "none.py")], "no such file"),
    ]:
        assert train_main([*words, "-o", str(tmp_path / "run"), "-q"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_dummy_data_set_is_learned(tmp_path, capsys):
    assert train_main(["--dummy", "-o", str(tmp_path / "run"), "-q"]) == 0
    said = capsys.readouterr().out
    dice, area = (float(word.rstrip(",\n")) for word in (said.split("Dice ")[1].split()[0], said.split("AUROC ")[1]))
    assert dice >= 0.95 and area >= 0.99
