"""Other people's networks, stood in for by tiny ones that we make, and refinement."""

import numpy as np
import pytest
import torch
from test_keying import plate
from test_propagation import clip

from co2net.errors import InputError
from co2net.matting.others import open_model
from co2net.matting.propagation import PropagationStream
from co2net.matting.refine import RefinedStream, Refiner, foreground_colors


def run(stream, frames):
    results = [result for frame in frames for _, result in stream.push(frame, None, None)]
    return results + [result for _, result in stream.finish()]


class TinyRVM(torch.nn.Module):
    """The interface of RobustVideoMatting: alpha is the red channel, a state counts the frames."""

    def forward(
        self,
        src: torch.Tensor,
        r1: torch.Tensor | None = None,
        r2: torch.Tensor | None = None,
        r3: torch.Tensor | None = None,
        r4: torch.Tensor | None = None,
        downsample_ratio: float = 1.0,
    ):
        count = torch.zeros(1, 1, 1, 1)
        if r1 is not None:
            count = r1 + 1
        return src, src[:, :1] * 0 + count / 10, count, count, count, count


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_keeps_its_state(tmp_path):
    torch.jit.script(TinyRVM()).save(str(tmp_path / "tiny.torchscript"))
    frames = clip(3)[0]
    results = run(open_model(str(tmp_path / "tiny.torchscript")), frames)
    assert [round(float(alpha.mean()), 3) for _, alpha in results] == [0, 0.1, 0.2]
    assert np.abs(results[0][0] * 255 - frames[0]).max() < 1e-3


def onnx_file(path, inputs, outputs, nodes):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [helper.make_node(kind, given, made, **settings) for kind, given, made, settings in nodes],
        "tiny",
        [value(*item) for item in inputs],
        [value(*item) for item in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))


def test_onnx_of_the_same_interface(tmp_path):
    pytest.importorskip("onnxruntime")
    states = [(f"r{i}i", [1, 1, 1, 1]) for i in range(1, 5)]
    onnx_file(
        tmp_path / "tiny.onnx",
        [("src", [1, 3, "h", "w"]), *states],
        [("fgr", [1, 3, "h", "w"]), ("pha", [1, 1, "h", "w"]), *[(f"r{i}o", [1, 1, 1, 1]) for i in range(1, 5)]],
        [
            ("Identity", ["src"], ["fgr"], {}),
            ("ReduceMax", ["src"], ["pha"], {"axes": [1], "keepdims": 1}),
            *[("Identity", [f"r{i}i"], [f"r{i}o"], {}) for i in range(1, 5)],
        ],
    )
    frames = clip(2)[0]
    results = run(open_model(str(tmp_path / "tiny.onnx")), frames)
    assert np.abs(results[1][1] * 255 - frames[1].max(-1)).max() < 1e-3


@pytest.mark.slow  # importing rembg takes long
def test_rembg_with_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    pytest.importorskip("rembg")
    pytest.importorskip("onnxruntime")
    onnx_file(
        tmp_path / "tiny.onnx",
        [("x", [1, 3, 320, 320])],
        [("y", [1, 1, 320, 320])],
        [("ReduceMax", ["x"], ["y"], {"axes": [1], "keepdims": 1})],
    )
    [mask] = run(open_model(f"rembg:{tmp_path / 'tiny.onnx'}"), clip(1)[0])
    assert mask.shape == (64, 96) and 0 <= mask.min() < mask.max() <= 1


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="give rembg:NAME"):
        open_model("u2net")
    with pytest.raises(InputError, match="no such file; RobustVideoMatting offers"):
        open_model(str(tmp_path / "rvm.torchscript"))
    (tmp_path / "text.pt").write_text("text")
    with pytest.raises(InputError, match="no TorchScript file"):
        open_model(str(tmp_path / "text.pt"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'co2net\[rembg\]'"):
        open_model("rembg:u2net")
    with pytest.raises(InputError, match=r"pip install 'co2net\[matting\]'"):
        Refiner(closed_form=True)


@pytest.mark.parametrize("closed_form", [False, pytest.param(True, marks=pytest.mark.slow)])  # numba compiles
def test_a_hard_mask_becomes_soft_at_its_edge(closed_form):
    if closed_form:
        pytest.importorskip("pymatting")
    frame, _, alpha = plate((50, 150, 40), 0, 1)
    hard = (alpha > 0.5).astype(np.float32)
    refined = Refiner(closed_form, band=0.05).refine(frame, hard)
    assert np.abs(refined - alpha).mean() < np.abs(hard - alpha).mean()
    assert refined[48, 64] == 1 and refined[0, 0] == 0


def test_refined_stream_is_steady():
    frames, masks = clip(5)
    noisy = [
        np.clip(f + np.random.default_rng(i).normal(0, 3, f.shape), 0, 255).astype(np.uint8)
        for i, f in enumerate(frames)
    ]
    results = run(RefinedStream(PropagationStream({0: masks[0]}), Refiner(False)), noisy)
    assert len(results) == 5 and all(r.dtype == np.float32 and 0 <= r.min() <= r.max() <= 1 for r in results)
    assert min((r > 0.5)[m > 0.5].mean() for r, m in zip(results, masks, strict=True)) > 0.85


@pytest.mark.slow  # numba compiles
def test_foreground_colors_lose_the_screen():
    pytest.importorskip("pymatting")
    frame, front, alpha = plate((50, 150, 40), 0, 0)
    edge = (alpha > 0.3) & (alpha < 0.9)
    found = foreground_colors(frame, alpha)
    assert np.abs(found - front)[edge].mean() < np.abs(frame / 255 - front)[edge].mean()
