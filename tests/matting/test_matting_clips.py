"""Training on folders of clips and photographs, and the measuring commands."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_keying import subject
from test_propagation import clip

from co2net import matting, metrics
from co2net.cli import main
from co2net.cli.train_matting import train_main
from co2net.errors import InputError
from co2net.matting.carry import PLANES
from co2net.matting.fusion import create_fusion, load_fuse
from co2net.matting.fusion_samples import CROP, Walks, damaged
from co2net.matting.fusion_training import FusionRecipe, TrainFusion
from co2net.matting.measure_keying import measure_keying
from co2net.matting.moving import NetworkStream
from co2net.matting.moving_network import load_moving
from co2net.matting.training_samples import MovingPhoto, find_clips
from co2net.weight_files import read_metadata, read_weights


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips ``<clip>/frames`` and ``masks``, and a folder of two photographs with masks."""
    root = tmp_path_factory.mktemp("data")
    for name in ("ant", "bee", "cat"):
        frames, masks = clip(5, seed=ord(name[0]))
        for kind in ("frames", "masks"):
            (root / "clips" / name / kind).mkdir(parents=True)
        for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
            Image.fromarray(frame).save(root / "clips" / name / "frames" / f"{number:05d}.png")
            Image.fromarray((255 * mask).astype(np.uint8)).save(root / "clips" / name / "masks" / f"{number:05d}.png")
    for kind in ("images", "masks"):
        (root / "photos" / kind).mkdir(parents=True)
    for number in range(3):
        colors, alpha = subject((60, 90), number)
        Image.fromarray((255 * colors).astype(np.uint8)).save(root / "photos" / "images" / f"p{number}.png")
        Image.fromarray((255 * (alpha > 0.5)).astype(np.uint8)).save(root / "photos" / "masks" / f"p{number}.png")
    return root


def words(clips, *more):
    return ["--clips", str(clips / "clips"), "--without", "cat", "--photos", str(clips / "photos"), "-q", *more]


def test_moving_network_learns_from_clips_and_tells_how(clips, tmp_path):
    settings = ["--lines", "32", "--wf", "2", "-b", "4", "-e", "1", "--motion", "against_camera", "--batch-norm"]
    assert train_main(words(clips, *settings, "--averaging", "0.9", "-o", str(tmp_path))) == 0
    told = read_metadata(tmp_path / "matting.safetensors")
    assert (told["motion"], told["lines"], told["flow_order"]) == ("against_camera", "32", "current_previous")
    moving = load_moving(tmp_path / "matting.safetensors")
    assert moving.settings.lines == 32 and moving.settings.motion == "against_camera"
    frames, _ = clip(3)
    found, moves = moving.probability(frames[0], frames[1])
    assert found.shape == (32, 48) and moves
    with torch.no_grad():
        moving.network.state_dict()["unet.last.bias"].add_(
            9
        )  # whatever it learned in a step: now it sees a subject everywhere
    made = [mask for frame in frames for _, mask in NetworkStream(moving).push(frame, None, None)]
    assert made[1].shape == (64, 96) and made[1].min() > 0.9


def test_every_pass_leaves_its_checkpoint(clips, tmp_path):
    """Validations do not divide passes evenly: the file comes with the first one after the pass."""
    settings = ["--dataset", str(tmp_path / "data"), "--wf", "1", "--depth", "1", "-e", "3", "-v", "0", "-q"]
    from co2net.matting.published_data import make_dummy

    make_dummy(tmp_path / "data", clips=1, frames=25, size=(16, 16))
    assert train_main([*settings, "-o", str(tmp_path / "run")]) == 0
    assert sorted(p.name for p in (tmp_path / "run").glob("CP_*")) == [f"CP_epoch{n}.pth" for n in (1, 2, 3)]


def test_photographs_move(clips):
    colors, alpha = subject((64, 96))
    photo = MovingPhoto((255 * colors).astype(np.uint8), (alpha > 0.5).astype(np.float32), np.random.default_rng(3))
    assert np.array_equal(photo.at(0)[1], alpha > 0.5)
    near, far = (np.abs(photo.at(time)[1] - photo.at(0)[1]).mean() for time in (1, 4))
    assert 0 < near < far


def test_against_the_camera_sees_only_the_subject():
    flow = torch.zeros(1, 2, 64, 96)
    flow[:, 0] = 3  # the camera pans
    flow[:, 1, 20:40, 30:60] = 2
    moving = matting.moving_mask(flow, motion="against_camera")
    assert moving[0, 0, 25:35, 35:55].min() == 1 and moving[0, 0, :15].max() < 0.05
    flow[:, 1] /= 4  # exactly the threshold
    assert moving.shape == (1, 1, 64, 96)
    assert matting.moving_mask(flow, motion="against_camera")[0, 0, 30, 45] == pytest.approx(0.5, abs=0.1)


def test_walks_are_numbered_and_remember_the_truth(clips):
    frames = find_clips([clips / "clips"])
    walks = [Walks(frames, (), 1).samples(number) for number in range(4)]
    again = Walks(frames, (), 1).samples(2)
    assert np.array_equal(walks[2], again)
    joined = np.concatenate(walks)
    assert joined.shape[1:] == (len(PLANES) + 1, CROP, CROP) and joined.dtype == np.float16
    assert {*np.unique(joined[:, -1])} == {0, 1}
    assert ((joined[:, 0] > 0) == (joined[:, -1] > 0)).mean() > 0.9  # the witnesses' sum is mostly right


def test_damages_are_damages():
    mask = np.zeros((60, 80), np.float32)
    mask[20:40, 20:60] = 1
    late = np.roll(mask, 5, axis=1)
    made = [damaged(mask, late, np.random.default_rng(seed)) for seed in range(12)]
    assert all(m.shape == mask.shape and 0 <= m.min() and m.max() <= 1 for m in made)
    assert sum(not np.array_equal(m, mask) for m in made) >= 11


def test_fusion_is_trained_and_helps_itself(clips, tmp_path, capsys):
    settings = ["--propagation", "--walks", "2", "--steps", "1", "-b", "1", "-v", "40"]
    assert train_main(words(clips, *settings, "-o", str(tmp_path / "one"))) == 0
    first = tmp_path / "one" / "matting.safetensors"
    fuse = load_fuse(first)
    assert fuse(np.zeros((len(PLANES), 20, 30), np.float32)).shape == (20, 30)
    samples = sorted((tmp_path / "one").glob("samples_*/*.npy"))
    stamps = [path.stat().st_mtime_ns for path in samples]
    assert train_main(words(clips, *settings, "-o", str(tmp_path / "one"))) == 0  # finished: left as it is
    assert [path.stat().st_mtime_ns for path in samples] == stamps
    half = [*settings, "--share", "0.5", "-f", str(first), "-o", str(tmp_path / "two")]
    assert train_main(words(clips, *half)) == 0
    assert not torch.equal(*(read_weights(p).state["unet.last.weight"] for p in (first, tmp_path / "two" / first.name)))
    assert train_main(["--propagation", "-o", str(tmp_path / "x")]) == 2
    assert "name folders of clips" in capsys.readouterr().err


def test_what_is_kept_is_a_share_of_the_logit(clips, tmp_path):
    network = create_fusion()
    walks = Walks(find_clips([clips / "clips"]), (), 0)
    TrainFusion(network, walks, None, FusionRecipe(share=0.5), {}).finish(SimpleNamespace(folder=tmp_path))  # type: ignore[arg-type]
    planes = torch.rand(1, len(PLANES), 32, 32)
    kept = create_fusion(tmp_path / "matting.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(kept(planes), 0.5 * network(planes))
    with pytest.raises(InputError, match="share"):
        TrainFusion(network, walks, None, FusionRecipe(share=0), {})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--clips", "{root}/photos"], "holds no clips"),
        (["--clips", "{root}/clips", "--without", "dog"], "there is no clip dog"),
        (["--clips", "{root}/clips", "--without", "ant,bee,cat"], "is left"),
        (["--without", "ant"], "go with"),
        (["--clips", "{root}/none"], "none"),
        (["--clips", "{root}/clips", "--averaging", "1"], "averaging"),
    ],
)
def test_bad_clips_are_said(clips, tmp_path, capsys, more, message):
    assert train_main([word.format(root=clips) for word in more] + ["-o", str(tmp_path / "run"), "-q"]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_masks_are_measured(clips, tmp_path, capsys):
    scores = tmp_path / "scores.json"
    base = ["measure", "--task", "matting", "--clips", str(clips / "clips"), "--names", "ant,bee", "-q"]
    assert main([*base, "--methods", "flow,grabcut,carried_plain,carried_ends", "--output", str(scores)]) == 0
    said = capsys.readouterr().out
    rows = [row for row in said.splitlines() if row.startswith(("| carried", "| flow"))]
    assert len(rows) == 4 and "2 clips, 3 frames" in said
    found = json.loads(scores.read_text())["masks"]
    assert len(found) == 8
    by_method = {key: np.mean([s["iou"] for s in found if s["method"] == key]) for key in {s["method"] for s in found}}
    assert by_method["carried_plain"] > 0.8 and by_method["carried_ends"] > 0.8
    ends = next(s for s in found if s["method"] == "carried_ends")
    assert ends["each"][0] == ends["each"][-1] == 1 and np.mean(ends["each"][1:-1]) == pytest.approx(ends["iou"])
    assert main([*base, "--frames", "2"]) == 2
    assert main(["measure", "--task", "matting"]) == 2
    assert main([*base, "--methods", "magic"]) == 2


def test_keying_is_measured(clips, capsys):
    assert main(["measure", "--task", "keying", "--photos", str(clips / "photos"), "--count", "1", "-q"]) == 0
    said = capsys.readouterr().out
    assert "| green | 40 % | 8 |" in said and "| all |" in said
    scores, _ = measure_keying([clips / "photos"], count=2, screens=["green"], unevens=[0.2], grains=[4])
    assert len(scores) == 2 and all(score.mad < 0.02 and score.spill < 3 for score in scores)
    with pytest.raises(InputError, match="`count`"):
        measure_keying([clips / "photos"], count=0)


def test_edges_that_boil_jump_farther():
    mask = torch.zeros(3, 1, 40, 60)
    mask[:, :, 10:30, 10:40] = 1
    assert metrics.edge_jump(mask).tolist() == [0, 0]
    moved = torch.stack([mask[0], mask[0].roll(4, -1), mask[0]])
    assert 1 < metrics.edge_jump(moved)[0] < 4
    assert torch.isnan(metrics.edge_jump(torch.cat([mask[:1], torch.zeros(1, 1, 40, 60)])))[0]
