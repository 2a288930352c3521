"""CPNet and SSNet as tasks of the one loop: they learn, go on exactly, and leave what can be loaded."""

import numpy as np
import pytest
import torch
from PIL import Image

from co2net import colorization
from co2net.colorization.training import Recipe, TrainCPNet, TrainSSNet
from co2net.colorization.training_samples import Clips, Pictures, Strokes, find_pictures
from co2net.errors import InputError
from co2net.processes import Processes
from co2net.training.loop import LoopSettings, train

SIZE = 32, 48
ALONE = Processes(torch.device("cpu"))


@pytest.fixture
def pictures(tmp_path):
    """Red on the left, blue on the right, by brightness; maps beside them."""
    rng = np.random.default_rng(0)
    for k in range(8):
        level = rng.integers(60, 200, (4, 6)).astype(np.uint8)
        gray = np.asarray(Image.fromarray(level).resize((60, 40), Image.Resampling.BICUBIC))
        rgb = np.stack([gray, gray // 2, gray // 3], axis=2)
        (tmp_path / "pictures" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "maps" / "a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(tmp_path / "pictures" / "a" / f"{k}.png")
        Image.fromarray((gray > 128).astype(np.uint8) * 255).save(tmp_path / "maps" / "a" / f"{k}.jpg")
    return tmp_path


def cpnet_task(folder, epochs=6, variant="CPNet_plain", maps=None):
    torch.manual_seed(0)
    paths = find_pictures(folder / "pictures")
    samples = Pictures(folder / "pictures", maps, SIZE, Strokes(), 0, paths)
    recipe = Recipe(epochs=epochs, batch_size=4, learning_rate=1e-2, decrease_every=4)
    return TrainCPNet(colorization.create_cpnet(variant, 2), samples, samples, recipe)


def test_cpnet_learns_goes_on_exactly_and_can_be_loaded(pictures, tmp_path):
    whole = train(cpnet_task(pictures), LoopSettings(quiet=True), tmp_path / "whole", ALONE)
    assert whole.finished and whole.progress.best < whole.progress.best_scores["gray_l1"]
    for stop in (5, None):
        train(cpnet_task(pictures), LoopSettings(quiet=True, stop_after=stop), tmp_path / "parts", ALONE)
    files = [tmp_path / name / "cpnet.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
    numbered = torch.load(tmp_path / "whole" / "cpnet_epoch6_batchsize4.pth", weights_only=True)
    assert list(numbered) == list(colorization.create_cpnet("CPNet_plain", 2).state_dict())
    assert colorization.create_cpnet("CPNet_plain", weights=files[0]).start_channels == 2


def test_segmentation_maps_count(pictures):
    task = cpnet_task(pictures, variant="CPNet_VGG16_Seg", maps=pictures / "maps")
    task.network.vgg.requires_grad_(False)
    losses = []
    values = task.learn(_batch(task.samples), lambda loss: losses.append(float(loss)) or float(loss))
    assert values["seg"] > 0 and losses[0] == pytest.approx(float(values["l1"] + 0.1 * values["seg"]))
    (pictures / "maps" / "a" / "3.jpg").unlink()
    with pytest.raises(InputError, match=r"3\.png has no map"):
        cpnet_task(pictures, maps=pictures / "maps")


def _batch(samples):
    from co2net.colorization.training_samples import stack

    return stack([samples[0], samples[1]])


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_ssnet_learns_beside_cpnet(pictures, tmp_path, rate):
    frames = sorted((pictures / "pictures" / "a").iterdir())
    torch.manual_seed(0)
    cpnet, ssnet = colorization.create_cpnet("CPNet_plain", 2), colorization.create_ssnet("SSNet_without_long")
    before = {name: tensor.clone() for name, tensor in cpnet.state_dict().items()}
    warn = {name: tensor.clone() for name, tensor in ssnet.warn.state_dict().items()}
    weights = {"l1": 1.0, "seg": 0.1, "sr": 1.0, "tv": 0.1, "short": 0.1, "long": 0.1}
    recipe = Recipe(epochs=1, batch_size=1, learning_rate=1e-3, cpnet_rate=rate, weights=weights)
    clips = Clips([frames, frames[::-1]], SIZE, Strokes(), 0)

    def still(first, second):
        return torch.zeros(len(first), 2, *first.shape[2:])

    task = TrainSSNet(cpnet, ssnet, clips, still, recipe)
    summary = train(task, LoopSettings(quiet=True), tmp_path / "run", ALONE)
    assert summary.finished
    assert {"ssnet_epoch1_bs1.pth", "cpnet_epoch1_bs1.pth"} <= {path.name for path in (tmp_path / "run").iterdir()}
    colorization.create_ssnet("SSNet_without_long", weights=tmp_path / "run" / "ssnet.safetensors")
    moved = any(not torch.equal(before[name], tensor) for name, tensor in cpnet.state_dict().items())
    assert moved == (rate > 0)
    assert all(torch.equal(warn[name], tensor) for name, tensor in ssnet.warn.state_dict().items())


def test_samples_are_functions_of_seed_and_number(pictures):
    paths = find_pictures(pictures / "pictures")
    first, second = (Pictures(pictures / "pictures", None, SIZE, Strokes(1.0), 5, paths) for _ in range(2))
    for n in (0, 3, 11):
        assert torch.equal(first[n].scribble, second[n].scribble) and torch.equal(first[n].ab, second[n].ab)
    assert len({float(first[n].ab.mean()) for n in range(8)}) > 1
    with pytest.raises(InputError, match="7 frames"):
        Clips([paths[:6]], SIZE, Strokes(), 0)
    with pytest.raises(InputError, match="no pictures"):
        find_pictures(pictures / "nothing")
