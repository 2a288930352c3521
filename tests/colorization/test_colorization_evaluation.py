"""Colored clips and pictures as data sets, the sweep over points, and the scores that only colorization has."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from co2net.cli import main
from co2net.colorization import methods
from co2net.data.datasets import read_dataset
from co2net.errors import InputError
from co2net.evaluation.methods import METHODS, choose
from co2net.metrics import ssim_uniform
from co2net.metrics.registry import PAIR_MEASURES, Pair


@pytest.fixture
def clips(tmp_path):
    """Two colored clips, and a picture beside them."""
    rng = np.random.default_rng(0)
    for clip in ("bear", "dog"):
        coarse = Image.fromarray(rng.integers(40, 250, (6, 9, 3), np.uint8))
        wide = np.asarray(coarse.resize((100, 48), Image.Resampling.BICUBIC))
        (tmp_path / "set" / clip).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(wide[:, 10 - k : 74 - k]).save(tmp_path / "set" / clip / f"{k:05}.png")
    return tmp_path


def evaluate(clips, *arguments):
    out = clips / "out"
    common = ["evaluate", str(clips / "set"), "--task", "colorization", "--size", "own", "-o", str(out), "-q"]
    code = main([*common, *arguments])
    return code, json.loads((out / "results.json").read_text()) if code == 0 else None


def test_a_folder_of_clips_is_a_data_set_and_points_a_sweep(clips, capsys):
    code, results = evaluate(clips, "--points", "0,3-4,40", "--step", "1", "--temporal")
    assert code == 0
    assert results["methods"] == ["gray", "points_0", "points_3", "points_4", "points_40"]
    psnr = {method: results["summary"][method]["psnr"]["mean"] for method in results["methods"]}
    assert psnr["points_40"] > max(psnr["points_3"], psnr["gray"]) + 1
    assert psnr["points_0"] == pytest.approx(psnr["gray"], abs=0.2)  # no point, no color
    over_time = results["temporal"]["summary"]
    assert over_time["gray"]["ab_change"]["mean"] < 0.02 < over_time["truth"]["ab_change"]["mean"]
    ranges = [results["summary"]["points_40"][f"ssim_range{r}"]["mean"] for r in (1, 2)]
    assert ranges[0] < ranges[1] < 1
    report = (clips / "out" / "report.md").read_text()
    assert "40 points" in report and "25.96" in report and "0.9570" in report
    said = capsys.readouterr().out
    assert "range 2, as published" in said and "change of ab (DIS)" in said and "iSSAM" not in said


class Colorful(torch.nn.Module):
    """Takes what has color for foreground."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape == (1, 3, 512, 512)
        return (x.amax(1, keepdim=True) - x.amin(1, keepdim=True) > 0.04).float()


def colorful_onnx(path):
    """:class:`Colorful` as an ONNX file, node by node: the exporter needs one package more than the reader."""
    onnx = pytest.importorskip("onnx", reason="needs pip install 'co2net[onnx]'")
    pytest.importorskip("onnxruntime", reason="needs pip install 'co2net[onnx]'")
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[1], keepdims=1),
        helper.make_node("ReduceMin", ["x"], ["least"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["most", "least"], ["chroma"]),
        helper.make_node("Greater", ["chroma", "edge"], ["colored"]),
        helper.make_node("Cast", ["colored"], ["plane"], to=TensorProto.FLOAT),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 512, 512])]
        for name, channels in (("x", 3), ("plane", 1))
    ]
    edge = helper.make_tensor("edge", TensorProto.FLOAT, [], [0.04])
    model = helper.make_model(
        helper.make_graph(nodes, "colorful", *ends, [edge]), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.save(model, str(path))


@pytest.mark.parametrize("ending", [".pt", ".pt2", ".onnx"])
def test_a_segmenter_is_asked_about_every_method(clips, capsys, ending):
    network = clips / f"net{ending}"
    if ending == ".pt":
        torch.jit.script(Colorful()).save(str(network))
    elif ending == ".onnx":
        colorful_onnx(network)
    else:
        torch.export.save(torch.export.export(Colorful(), (torch.rand(1, 3, 512, 512),)), str(network))
    for path in sorted((clips / "set").rglob("*.png")):
        (clips / "annotations" / path.parent.name).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((48, 64), np.uint8)
        mask[:, : 48 if path.parent.name == "bear" else 64] = 255
        Image.fromarray(mask).save(clips / "annotations" / path.parent.name / path.name)
    asked = ["--points", "0,20", "--segmenter", str(network), "--annotations", str(clips / "annotations")]
    code, results = evaluate(clips, *asked, "--step", "1")
    assert code == 0
    found = results["segmentation"]["methods"]
    assert list(found) == ["gray", "points_0", "points_20", "truth"] and results["segmentation"]["frames"] == 8
    # Nothing in a gray frame is foreground: one matrix over both clips, whose background is an eighth.
    assert found["gray"] == pytest.approx({"miou": 1 / 16, "foreground": 0, "background": 1 / 8})
    assert found["points_20"]["foreground"] > 0.6 < found["truth"]["foreground"]
    assert "confusion" not in results["clips"][0]["frames"][0]
    said = capsys.readouterr().out
    assert f"mIoU of net{ending}" in said and "0.9446" in said
    page = (clips / "out" / "report.html").read_text()
    assert "Segmentation of the results" in page and "HRNetV2" in page and "0.0625" in page
    assert page.count("<polyline") == 4 and "20 points: " in page  # the sweep's curves
    (clips / "annotations" / "dog" / "00003.png").unlink()
    assert evaluate(clips, *asked, "--overwrite")[0] == 2
    assert "dog/00003.png, the annotation of" in capsys.readouterr().err


def test_segmenters_that_cannot_be_asked(clips, capsys):
    (clips / "weights.pth").write_bytes(b"no")
    for arguments, why in (
        (["--segmenter", str(clips / "gone.pt")], "gone.pt"),
        (["--segmenter", str(clips / "weights.pth")], "no TorchScript file"),
        (["--annotations", str(clips)], "name a --segmenter"),
    ):
        assert evaluate(clips, "--methods", "gray", *arguments)[0] == 2
        assert why in capsys.readouterr().err
    torch.jit.script(Colorful()).save(str(clips / "net.pt"))
    assert evaluate(clips, "--methods", "gray", "--segmenter", str(clips / "net.pt"))[0] == 2
    assert "the data set has no masks" in capsys.readouterr().err
    assert main(["evaluate", str(clips / "set"), "--segmenter", str(clips / "net.pt"), "-q"]) == 2
    assert "colorization" in capsys.readouterr().err


def test_pictures_have_points_of_their_own(clips):
    (clips / "set" / "bear").rename(clips / "pictures")
    samples = read_dataset(clips / "pictures")
    assert [sample.picture for sample in samples] == [0, 1, 2, 3]
    (clips / "set" / "dog").rename(clips / "set" / "gone")
    (clips / "pictures").rename(clips / "set" / "again")
    for path in (clips / "set" / "again").iterdir():
        path.rename(clips / "set" / path.name)
    for name in ("again", "gone"):
        for path in (clips / "set" / name).iterdir():
            path.unlink()
        (clips / "set" / name).rmdir()
    code, results = evaluate(clips, "--points", "20")
    assert code == 0
    frames = results["clips"][0]["frames"]
    # Each is colored from its own points: the last one no worse than the first.
    gains = [frame["scores"]["points_20"]["psnr"] - frame["scores"]["gray"]["psnr"] for frame in frames]
    assert len(gains) == 4 and min(gains) > 1


def test_lists_as_published(clips, capsys):
    (clips / "list.txt").write_text("dog/00001.png\ndog/00002.png")
    code, results = evaluate(clips, "--list", str(clips / "list.txt"), "--methods", "gray")
    assert code == 0 and [len(clip["frames"]) for clip in results["clips"]] == [2]
    (clips / "list.txt").write_text("dog/00009.png\n")
    assert evaluate(clips, "--list", str(clips / "list.txt"))[0] == 2
    assert "line 1" in capsys.readouterr().err


@pytest.mark.parametrize("numbers", ["x", "5-3", "", "3,,4", "2000"])
def test_numbers_of_points_that_are_none(numbers):
    with pytest.raises(InputError, match="write numbers"):
        methods.sweep(numbers)


def test_points_are_exact_and_belong_to_the_task(clips, capsys):
    frame = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    for count in (1, 17, 40):
        sparse = methods.random_points(frame, count, np.random.default_rng(0))
        assert sparse.any(axis=2).sum() == count
    assert methods.sweep("2,1-2") == ["points_1", "points_2"] and METHODS["points_1"].title == "1 point"
    assert choose("colorization", None) == ["gray", "points"]  # a sweep does not stay in later evaluations
    assert main(["evaluate", str(clips / "set"), "--points", "4", "-q"]) == 2
    assert "--task colorization" in capsys.readouterr().err


@pytest.mark.parametrize("data_range", [1, 2])
def test_ssim_with_equal_weights_is_the_library_s(data_range):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 256, (2, 20, 33, 3), np.uint8)
    images = [torch.from_numpy(one).permute(2, 0, 1)[None].float() / 255 for one in codes]
    wanted = structural_similarity(codes[0] / 255, codes[1] / 255, channel_axis=2, data_range=data_range)
    assert float(ssim_uniform(*images, data_range)) == pytest.approx(wanted, abs=1e-9)


def test_change_of_colors_follows_the_motion():
    rng = np.random.default_rng(3)
    wide = torch.from_numpy(rng.random((1, 3, 16, 40), np.float32))
    before, after = wide[..., 4:36], wide[..., 2:34]  # two pixels to the right
    flow = torch.zeros(1, 2, 16, 32)
    flow[:, 0] = -2
    still = Pair(before, after, before, after, torch.ones(1, 1, 16, 32), None, flow, -flow)
    change = PAIR_MEASURES["ab_change"].measure
    assert float(change(still)) < 0.01
    assert float(change(Pair(before, before, before, after, still.mask, None, flow, -flow))) > 5
