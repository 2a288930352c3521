"""What PyTorch may do with the operators, wrong arguments, and life without a kernel."""

import subprocess
import sys
import warnings

import lut_cases
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import trilinear
from trilinear import _build, _native, ops


def inputs(dtype=torch.float32, grad=False):
    lut, image = torch.rand(2, 3, 4, 4, 4, dtype=dtype), torch.rand(2, 3, 5, 6, dtype=dtype)
    count = (torch.rand(2, 4, 4, 4) < 0.6).to(dtype)
    return lut.requires_grad_(grad), image.requires_grad_(grad), count


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(dtype):
    lut, image, count = inputs(dtype, grad=True)
    torch.library.opcheck(ops.apply_lut, (lut, image, count))
    torch.library.opcheck(ops.apply_lut, (lut, image, None))
    lut, image, count = inputs(dtype)
    torch.library.opcheck(ops.apply_lut_backward, (torch.rand_like(image), lut, image, count, True, False))
    torch.library.opcheck(ops.unseen_map, (count, image, False))


def both(lut, image, count):
    output = trilinear.apply_lut(lut, image, count)
    return torch.lerp(output, image, trilinear.unseen_map(count, image, "all_empty"))


def check_compiled(backend):
    lut, image, count = inputs(grad=True)
    compiled = torch.compile(both, fullgraph=True, backend=backend)
    flow = torch.randn_like(image)
    wanted = torch.autograd.grad(both(lut, image, count), (lut, image), flow)
    actual = torch.autograd.grad(compiled(lut, image, count), (lut, image), flow)
    for mine, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_compile():
    check_compiled("aot_eager")  # traces as the default does, without its compiler's seconds


@pytest.mark.slow
def test_compile_with_inductor():
    check_compiled("inductor")


def test_export():
    class Both(torch.nn.Module):
        def forward(self, lut, image, count):
            return both(lut, image, count)

    sizes = {2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    program = torch.export.export(Both(), inputs(), dynamic_shapes=(None, sizes, None))
    lut, image, count = inputs()
    larger = image.repeat(1, 1, 2, 3)
    torch.testing.assert_close(program.module()(lut, larger, count), both(lut, larger, count))


def test_fake_tensors():
    with FakeTensorMode():
        lut, image, count = inputs()
        assert trilinear.apply_lut(lut, image, count).shape == image.shape
        assert trilinear.unseen_map(count, image).shape == (2, 1, 5, 6)


def test_first_calls_import_no_compiler():
    program = """
import sys, torch, trilinear, tridistribute
image = torch.rand(1, 3, 8, 8)
lut, count = tridistribute.build_lut(image, image, image[:, :1], dim=3)
trilinear.unseen_map(count, trilinear.apply_lut(lut, image, count))
trilinear.apply_lut_frame(lut, (image[0].permute(1, 2, 0) * 255).byte().numpy())
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""
    assert run(program).stdout.strip() == "[]"  # they take two seconds


def test_backend_names_what_runs(monkeypatch):
    assert trilinear.backend(torch.rand(1, dtype=torch.float64)) == "torch"
    assert trilinear.backend(torch.rand(1, device="meta")) == "torch"
    lut_cases.needs_kernel()
    assert trilinear.backend(torch.rand(1)) == "cpp"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": torch.rand(3, 5, 6)}, r"image must be \(B, 3, H, W\), got \(3, 5, 6\)"),
        ({"image": torch.rand(2, 4, 5, 6)}, r"image must be \(B, 3, H, W\)"),
        ({"image": torch.zeros(2, 3, 5, 6, dtype=torch.uint8)}, "divide by 255"),
        ({"image": torch.rand(2, 3, 5, 6).half()}, r"float16; call .float\(\)"),
        ({"image": torch.rand(2, 3, 5, 6).double()}, "lut is torch.float32, image is torch.float64"),
        ({"image": torch.rand(1, 3, 5, 6)}, "lut has batch size 2, image has 1"),
        ({"image": torch.rand(2, 3, 5, 6, device="meta")}, "lut is on cpu, image is on meta"),
        ({"lut": torch.rand(2, 3, 4, 4, 5)}, r"lut must be \(B, 3, D, D, D\)"),
        ({"lut": torch.rand(2, 3, 1, 1, 1)}, "D >= 2"),
        ({"lut": torch.rand(())}, "lut must be"),
        ({"count": torch.rand(2, 5, 5, 5)}, "count has D = 5, the lut has D = 4"),
        ({"count": torch.rand(2, 3, 4, 4, 4)}, r"count must be \(B, D, D, D\)"),
        ({"count": torch.rand(3, 4, 4, 4)}, "count has batch size 3, lut has 2"),
    ],
)
def test_wrong_arguments(change, words):
    lut, image, count = inputs()
    with pytest.raises(ValueError, match=words):
        trilinear.apply_lut(**({"lut": lut, "image": image, "count": count} | change))


@pytest.mark.parametrize("backend", lut_cases.BACKENDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_colors_must_be_finite(backend, value, monkeypatch):
    lut_cases.use(backend, monkeypatch)
    lut, image, count = inputs()
    image[1, 2, 4, 5] = value
    for function in (lambda: trilinear.apply_lut(lut, image), lambda: trilinear.unseen_map(count, image)):
        with pytest.raises(ValueError, match="image holds NaN or infinity"):
            function()


def test_huge_finite_colors_are_no_error(monkeypatch):
    lut_cases.use("torch", monkeypatch)
    lut, image, _ = inputs()
    assert trilinear.apply_lut(lut, image * 3e38).isfinite().all()  # their sum is infinite


def test_unknown_rule():
    _, image, count = inputs()
    with pytest.raises(ValueError, match="rule must be"):
        trilinear.unseen_map(count, image, "mostly_empty")


# ---- loading ----


def run(program, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )


USE_BOTH = """
import torch, trilinear, tridistribute, trilinear._native as native
{}
image = torch.rand(1, 3, 4, 4)
for _ in range(2):
    lut, count = tridistribute.build_lut(image, image, image[:, :1] + 1, dim=3)
    trilinear.apply_lut(lut, image, count)
print(trilinear.backend(image), tridistribute.backend(image))
"""


def test_one_warning_without_compiler_and_library(tmp_path):
    hide = "native.prebuilt_paths = lambda package: []"
    done = run(USE_BOTH.format(hide), PATH=str(tmp_path), CXX="", XDG_CACHE_HOME=str(tmp_path), CO2NET_NATIVE="")
    assert done.stdout.split() == ["torch", "torch"]
    assert done.stderr.count("RuntimeWarning") == 1
    assert "no C++ compiler found" in done.stderr and "apt install g++" in done.stderr


def test_variable_chooses_the_definition_silently():
    done = run(USE_BOTH.format(""), CO2NET_NATIVE="0")
    assert done.stdout.split() == ["torch", "torch"] and done.stderr == ""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
def test_kernel_survives_a_fork():
    lut_cases.needs_kernel()
    program = """
import os, torch, trilinear
torch.set_num_threads(2)
lut, image = torch.rand(1, 3, 9, 9, 9), torch.rand(1, 3, 300, 300)
wanted = trilinear.apply_lut(lut, image)
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(trilinear.apply_lut(lut, image), wanted) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(program).stdout.strip() == "0"


def test_stale_library_is_refused_and_replaced(tmp_path, monkeypatch):
    lut_cases.needs_kernel()
    loaded = [path for path in (*_native.prebuilt_paths("trilinear"), _build.cached_path("trilinear")) if path.exists()]
    monkeypatch.setattr(_native, "prebuilt_paths", lambda package: loaded)
    monkeypatch.setattr(_build, "build_id", lambda package: "k0123456789abcdef")
    monkeypatch.setattr(_build, "cached_path", lambda package: tmp_path / "new.so")
    assert _native._find("trilinear") is not None and (tmp_path / "new.so").exists()
    monkeypatch.setattr(_build, "build_id", lambda package: "kfedcba9876543210")
    with pytest.raises(OSError, match="stale"):
        _native._load(tmp_path / "new.so", "trilinear")


def test_a_truncated_library_in_the_cache_is_built_anew(tmp_path, monkeypatch):
    """Loading one would end the process by SIGBUS."""
    lut_cases.needs_kernel()
    monkeypatch.setattr(_native, "prebuilt_paths", lambda package: [])
    monkeypatch.setattr(_build, "cached_path", lambda package: tmp_path / "new.so")
    assert _native._find("trilinear") is not None and _build.intact(tmp_path / "new.so")
    whole = (tmp_path / "new.so").read_bytes()
    (tmp_path / "new.so").unlink()  # the loaded one stays as it is
    (tmp_path / "new.so").write_bytes(whole[: len(whole) // 2])
    assert not _build.intact(tmp_path / "new.so")
    assert _native._find("trilinear") is not None and (tmp_path / "new.so").read_bytes() == whole


def test_broken_compiler_is_reported(tmp_path, monkeypatch):
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho no such header >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.delenv("CO2NET_NATIVE", raising=False)
    monkeypatch.setattr(_native, "prebuilt_paths", lambda package: [])
    monkeypatch.setattr(_build, "cached_path", lambda package: tmp_path / "new.so")
    monkeypatch.setattr(_native, "_libraries", {})
    with pytest.warns(RuntimeWarning, match="no such header"):
        assert _native.library("trilinear") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _native.library("trilinear") is None  # remembered, not tried again
    assert list(tmp_path.iterdir()) == [broken]  # nothing half-written stays
