"""Exported networks give what PyTorch gives, where neither PyTorch's kernels nor ours are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tridistribute
import trilinear
from co2net.cli import main
from co2net.errors import InputError, OutputError
from co2net.models import export
from co2net.models.registry import create_backbone
from co2net.weight_files import save_weights


@pytest.fixture(scope="module")
def small_lutnet(tmp_path_factory):
    """A weight file of a small LUTNet that changes colors."""
    torch.manual_seed(2)
    network = create_backbone("lutnet", width=4, hidden=8, points=5, bins=4)
    for member in network.members:  # type: ignore[union-attr]
        torch.nn.init.normal_(member.affine.weight, std=0.1)
        torch.nn.init.normal_(member.residual.weight, std=0.1)
        torch.nn.init.normal_(member.doubt.weight, std=0.3)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    facts = {"format": "co2net", "backbone": "lutnet", "refinement": "false", "training_size": "64"}
    save_weights(path, network.state_dict(), {**facts, "mapping": "predicted"})
    return path


def test_reading_and_adding_up_by_gathers_are_the_definitions():
    random = torch.Generator().manual_seed(1)
    lut, image = torch.rand(2, 3, 5, 5, 5, generator=random), torch.rand(2, 3, 9, 11, generator=random)
    image[0, :, 0] = torch.tensor([0.0, 1.0, 0.5])[:, None]
    mask = torch.rand(2, 1, 9, 11, generator=random)
    torch.testing.assert_close(export.read_lut(lut, image), trilinear.apply_lut(lut, image), atol=2e-6, rtol=0)
    wanted = tridistribute.accumulate(image, 1 - image, mask, dim=5)
    torch.testing.assert_close(export.add_up(image, 1 - image, mask, 5), wanted, atol=2e-5, rtol=0)


def test_other_forms_of_a_search_a_solver_and_an_enlargement():
    random = torch.Generator().manual_seed(3)
    rising = torch.rand(2, 5, 12, generator=random).sort(dim=2).values
    wanted = torch.rand(2, 5, 7, generator=random)
    assert torch.equal(export._search(rising, wanted), torch.searchsorted(rising, wanted))
    root = torch.rand(3, 6, 6, generator=random)
    matrix, right = root @ root.transpose(1, 2) + 0.1 * torch.eye(6), torch.rand(3, 6, 2, generator=random)
    torch.testing.assert_close(export._solve(matrix, right), torch.linalg.solve(matrix, right), atol=1e-4, rtol=1e-4)
    volume, usual = torch.rand(2, 3, 4, 4, 4, generator=random), torch.nn.functional.interpolate
    found = export._interpolate(usual)(volume, (9, 9, 9), mode="trilinear", align_corners=True)
    torch.testing.assert_close(found, usual(volume, (9, 9, 9), mode="trilinear", align_corners=True))


@pytest.mark.slow
def test_onnx_of_a_lut_predictor_with_the_lut_applied(small_lutnet, tmp_path, monkeypatch, capsys):
    onnx = pytest.importorskip("onnx", reason="needs pip install 'co2net[onnx]'")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    assert main(["export", "lutnet", "--weights", str(small_lutnet), "--apply", "-o", "net.onnx"]) == 0
    told = capsys.readouterr().out
    assert "in   frame: 1 x 3 x any x any" in told and "out  harmonized" in told
    model = onnx.load("net.onnx")
    onnx.checker.check_model(model)
    assert {node.op_type for node in model.graph.node}.isdisjoint({"GridSample", "Loop", "Scan"})
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["network"] == "lutnet" and facts["size"] == "128" and len(facts["weights"]) == 64

    session = runtime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    network = create_backbone("lutnet", small_lutnet)
    image, mask, frame, frame_mask = export._example(128, True, 11)
    frame, frame_mask = frame[..., :50, :70], frame_mask[..., :50, :70]  # another size than it was written with
    names = ("image", "mask", "frame", "frame_mask")
    given = dict(zip(names, (t.contiguous().numpy() for t in (image, mask, frame, frame_mask)), strict=True))
    harmonized, lut, error = session.run(["harmonized", "lut", "expected_error"], given)
    with torch.no_grad():
        wanted_lut, wanted_error = network.predict(image, mask)  # type: ignore[operator]
        colors = trilinear.apply_lut(wanted_lut, frame.contiguous())
    np.testing.assert_allclose(lut, wanted_lut.numpy(), atol=1e-3)
    np.testing.assert_allclose(error, wanted_error.numpy(), atol=1e-3)
    np.testing.assert_allclose(harmonized, (frame + frame_mask * (colors - frame)).clamp(0, 1).numpy(), atol=1e-3)
    assert np.abs(harmonized - frame.numpy()).max() > 0.02
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("name", export.NETWORKS)
@pytest.mark.parametrize("format", ["onnx", "torch-export"])
def test_the_shipped_networks(name, format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="needs pip install 'co2net[onnx]'")
        pytest.importorskip("onnxscript")
    done = export.export_network(name, tmp_path / f"net{export.ENDINGS[format]}", format=format, apply=name != "issam")
    assert done.path.is_file() and done.difference < export.TOLERANCE


def test_a_program_runs_without_this_package(small_lutnet, tmp_path):
    done = export.export_network("lutnet", tmp_path / "net.pt2", format="torch-export", weights=str(small_lutnet))
    assert done.inputs == {"image": (1, 3, 128, 128), "mask": (1, 1, 128, 128)}
    assert done.outputs == ("lut", "expected_error") and done.difference < 1e-3
    assert "trilinear" not in str(torch.export.load(tmp_path / "net.pt2").graph)


@pytest.mark.slow
def test_what_differs_is_not_kept(small_lutnet, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(OutputError, match="differs from PyTorch"):
        export.export_network("lutnet", tmp_path / "net.pt2", format="torch-export", weights=str(small_lutnet))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rain",), "there are lutnet, tonenet, issam"),
        (("lutnet", "net.pb"), r"ends in \.pt2"),
        (("lutnet", "nowhere/net.pt2"), "the folder does not exist"),
        (("lutnet", None, {"size": 64}), "looks at 128 pixels"),
        (("issam", None, {"size": 63}), "multiples of 8"),
        (("issam", None, {"apply": True}), "predicts no LUT"),
        (("lutnet", None, {"format": "pickle"}), "must be one of onnx, torch-export"),
    ],
)
def test_what_cannot_be_exported(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, output, more = (*arguments, None, {})[:3] if len(arguments) < 3 else arguments
    with pytest.raises(InputError, match=message):
        export.export_network(name, output, **{"format": "torch-export", **(more or {})})
