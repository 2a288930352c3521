"""File to file: a gray clip keeps its length and size and gets colors; what is wrong is named."""

import av
import numpy as np
import pytest
import torch
from PIL import Image
from video import clips

from co2net import colorization
from co2net.cli import main
from co2net.colorization.files import read_networks, read_strokes
from co2net.errors import InputError, WeightsError


@pytest.fixture
def folder(tmp_path):
    gray = [np.full((48, 64, 3), 120, np.uint8) for _ in range(4)]
    for k, frame in enumerate(gray):
        frame[10:30, 10 + k : 40 + k] = 60
        (tmp_path / "gray").mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / "gray" / f"{k:03}.png")
    strokes = np.zeros((48, 64, 4), np.uint8)
    strokes[18:22, 20:30] = 200, 60, 40, 255
    strokes[40:44, 4:60] = 40, 90, 200, 255
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    return tmp_path


def test_the_command_colors_a_clip_and_a_still(folder, capsys):
    out = folder / "out.mkv"
    assert main(["colorize", str(folder / "gray"), "--scribbles", str(folder / "strokes.png"), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out) and "no weights were given" in said.err
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 4 and frames[0].shape == (48, 64, 3)
    assert frames[3][20, 30, 0] > frames[3][20, 30, 2] + 20 and frames[3][42, 30, 2] > frames[3][42, 30, 0] + 20
    still = folder / "still.png"
    arguments = [str(folder / "gray" / "000.png"), "--scribbles", str(folder / "strokes.png"), "-o", str(still), "-q"]
    assert main(["colorize", *arguments]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(still).convert("RGB")), frames[0])


def test_strokes_by_number(folder):
    many = folder / "many"
    many.mkdir()
    for name in ("strokes_0012.png", "3.png"):
        (many / name).write_bytes((folder / "strokes.png").read_bytes())
    assert list(read_strokes(many)) == [3, 12] and read_strokes(folder / "strokes.png")[0].shape == (48, 64, 4)
    (many / "b3.png").write_bytes((folder / "strokes.png").read_bytes())
    with pytest.raises(InputError, match="both strokes for frame 3"):
        read_strokes(many)
    (many / "b3.png").unlink()
    (many / "first.png").write_bytes((folder / "strokes.png").read_bytes())
    with pytest.raises(InputError, match="no frame number"):
        read_strokes(many)


@pytest.mark.parametrize(
    ("strokes", "says"), [("missing.png", "missing.png"), ("small.png", "10x8"), ("gray/000.png", "no stroke")]
)
def test_bad_strokes_end_in_one_sentence(folder, capsys, strokes, says):
    Image.fromarray(np.full((8, 10, 3), 9, np.uint8)).save(folder / "small.png")
    arguments = [str(folder / "gray"), "--scribbles", str(folder / strokes), "-o", str(folder / "out.mkv")]
    assert main(["colorize", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said and len(said.splitlines()) == 1 and not (folder / "out.mkv").exists()


def test_sets_of_official_files(tmp_path):
    torch.manual_seed(0)
    with pytest.raises(WeightsError, match=r"cpnet\*\.pth"):
        read_networks(tmp_path)
    network = colorization.create_cpnet("CPNet_plain", 2)
    torch.save(network.state_dict(), tmp_path / "cpnet_epoch20_batchsize32.pth")
    read = read_networks(tmp_path)
    assert read.cpnet is not None and read.cpnet.start_channels == 2 and read.ssnet is None
    assert read_networks(tmp_path / "cpnet_epoch20_batchsize32.pth").cpnet is not None
    (tmp_path / "SSNet").mkdir()
    torch.save({}, tmp_path / "SSNet" / "ssnet_epoch2000_bs8.pth")
    with pytest.raises(WeightsError, match="pwcNet"):
        read_networks(tmp_path)
    torch.save({}, tmp_path / "SSNet" / "ssnet_epoch1000_bs8.pth")
    with pytest.raises(WeightsError, match="2 files"):
        read_networks(tmp_path)


def test_test_strokes(folder, capsys):
    source = folder / "gray" / "000.png"
    assert main(["scribbles", str(source), "-o", str(folder / "made.png"), "--points", "3"]) == 0
    made = np.asarray(Image.open(folder / "made.png"))
    assert capsys.readouterr().out.strip() == str(folder / "made.png")
    assert 16 <= made.any(axis=2).sum() <= 48 and set(np.unique(made)) <= {0, 60, 120}
    assert (
        main(["scribbles", str(folder / "gray"), "-o", str(folder / "many"), "--frames", "0,2", "--mapping", "1"]) == 0
    )
    assert sorted(path.name for path in (folder / "many").iterdir()) == ["0.png", "2.png"]
    assert main(["scribbles", str(folder / "gray"), "-o", str(folder / "many"), "--frames", "9"]) == 2
    assert "has no frame 9" in capsys.readouterr().err
    assert main(["scribbles", str(source), "-o", str(folder / "made.png"), "--frames", "x"]) == 2


def test_what_evaluation_compares():
    from co2net.colorization.methods import gray, points_of
    from co2net.evaluation.methods import METHODS
    from co2net.metrics.registry import METRICS, Comparison

    rng = np.random.default_rng(0)
    frames = [torch.from_numpy(rng.random((3, 32, 48), np.float32)) for _ in range(2)]
    masks = [torch.ones(1, 32, 48)] * 2
    assert (gray(frames[0]).amax(dim=0) - gray(frames[0]).amin(dim=0)).max() < 0.02
    np.testing.assert_array_equal(points_of(frames[0]), points_of(frames[0]))
    compared = {}
    for key in ("gray", "points"):
        results = list(METHODS[key].create(None, torch.device("cpu"))(frames, masks))
        compared[key] = Comparison(torch.stack(results), torch.stack(frames), torch.stack(masks))
    for name in ("ab_psnr", "ab_ssim", "psnr"):
        values = METRICS[name].measure(compared["gray"])
        assert values.shape == (2,) and values.isfinite().all()
    same = Comparison(torch.stack(frames), torch.stack(frames), torch.stack(masks))
    assert METRICS["ab_psnr"].measure(same).isinf().all()


def test_sound_and_length_stay(tmp_path, folder):
    source = tmp_path / "clip.mp4"
    clips.make_video(source, 5, (64, 48))
    assert main(["colorize", str(source), "--scribbles", str(folder / "strokes.png"), "-q"]) == 0
    with av.open(str(source)) as before, av.open(str(tmp_path / "clip.colorized.mp4")) as after:
        assert len(list(before.decode(video=0))) == len(list(after.decode(video=0))) == 5
