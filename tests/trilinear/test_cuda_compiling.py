"""Every CUDA kernel compiles for every supported GPU on any machine; what is compiled is kept, mended if damaged."""

import contextlib
import ctypes
import os
import subprocess
import types
import warnings
from typing import Any

import cuda_cases
import pytest
import torch

import tridistribute
import trilinear
from trilinear import _build, _cuda, _nvrtc, cuda

PACKAGES = tuple(_cuda.SOURCES)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CO2NET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


class Compiler:
    """Stands for NVRTC where only the cache is looked at."""

    version = (12, 8)

    def __init__(self):
        self.compiled = []

    def target(self, capability):
        return "sm_{}{}".format(*capability)

    def compile(self, source, name, headers, target):
        self.compiled.append((name, target))
        return f"code of {name} for {target}".encode()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("architecture", cuda_cases.ARCHITECTURES)
def test_compiles(package, architecture):
    compiler = cuda_cases.compiler()
    if architecture not in compiler.architectures():
        reason = f"NVRTC {compiler.version} does not know sm_{architecture}"
        pytest.fail(reason) if os.environ.get("CO2NET_EXPECT_NVRTC") == "1" else pytest.skip(reason)
    source = _cuda.SOURCES[package]
    headers = _nvrtc.headers_of(_build.HEADERS)
    target = compiler.target((architecture // 10, architecture % 10))
    code = compiler.compile(source.read_text(), source.name, headers, target)
    assert target == f"sm_{architecture}" and code.startswith(b"\x7fELF")
    names = cuda_cases.kernel_names(package)
    assert len(names) >= 4
    for name in names:
        assert f".text.{name}\0".encode() in code


def test_newer_gpus_get_code_that_their_driver_translates():
    compiler = cuda_cases.compiler()
    newest = compiler.architectures()[-1]
    assert compiler.target((99, 0)) == f"compute_{newest}"
    code = compiler.compile('extern "C" __global__ void nothing() {}', "nothing.cu", {}, f"compute_{newest}")
    assert b".entry nothing" in code
    with pytest.raises(RuntimeError, match=r"no longer compiles for GPUs of compute capability 2\.0"):
        compiler.target((2, 0))


def test_errors_of_the_compiler_are_told():
    compiler = cuda_cases.compiler()
    with pytest.raises(RuntimeError, match=r"wrong\.cu does not compile for sm_80(.|\n)*no_such_thing"):
        compiler.compile("no_such_thing x;", "wrong.cu", {}, "sm_80")


def test_the_launch_code_knows_the_block_size():
    assert f"constexpr int kBlock = {_cuda.BLOCK};" in (_build.HEADERS / "color_grid.cuh").read_text()


# ---- the cache ----


def test_compiled_once_and_named_by_what_it_was_made_from(cache, monkeypatch):
    compiler = Compiler()
    first = _cuda.compiled("trilinear", compiler, "sm_90")
    assert _cuda.compiled("trilinear", compiler, "sm_90") == first and len(compiler.compiled) == 1
    (path,) = cache.iterdir()  # nothing else is left
    assert path.name.startswith("trilinear-sm_90-")

    others = [("tridistribute", "sm_90"), ("trilinear", "sm_80")]
    names = {_cuda.cached_path(package, compiler, target) for package, target in others} | {path}
    monkeypatch.setattr(_nvrtc, "OPTIONS", ("--std=c++20",))
    names.add(_cuda.cached_path("trilinear", compiler, "sm_90"))
    compiler.version = (13, 0)
    names.add(_cuda.cached_path("trilinear", compiler, "sm_90"))
    headers = _nvrtc.headers_of(_build.HEADERS)
    monkeypatch.setattr(_nvrtc, "headers_of", lambda folder: {**headers, "color_grid.cuh": "// changed"})
    names.add(_cuda.cached_path("trilinear", compiler, "sm_90"))
    assert len(names) == 6


@pytest.mark.parametrize("damage", [b"", b"short", "cut", "flipped"])
def test_a_damaged_file_is_compiled_anew(cache, damage):
    compiler = Compiler()
    code = _cuda.compiled("trilinear", compiler, "sm_90")
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-1], "flipped": whole[:40] + b"?" + whole[41:]}.get(damage, damage))
    assert _cuda.compiled("trilinear", compiler, "sm_90") == code and len(compiler.compiled) == 2
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_only_time(cache):
    cache.parent.write_text("a file where the folder should be")
    compiler = Compiler()
    for _ in range(2):
        assert _cuda.compiled("trilinear", compiler, "sm_90").startswith(b"code of apply_lut.cu")
    assert len(compiler.compiled) == 2


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("CO2NET_CACHE", raising=False)
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", str(tmp_path))
    assert _build.cache_folder() == tmp_path / "co2net"
    monkeypatch.setenv("CO2NET_CACHE", str(tmp_path / "here"))
    assert _build.cached_path("trilinear").parent == tmp_path / "here" / "kernels"


# ---- finding NVRTC, and life without ----


def test_the_compiler_of_pytorchs_cuda_version_comes_first(monkeypatch, tmp_path):
    names = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc-672ee683.so.11.2")
    for name in (*names, "libnvrtc-builtins.so.13.0", "libnvrtc.alt.so.12"):
        (tmp_path / name).touch()
    monkeypatch.setattr(_nvrtc, "_installed", lambda: (p for p in tmp_path.iterdir() if p.name in names))
    monkeypatch.setattr(_nvrtc.ctypes.util, "find_library", lambda name: None)
    order = {"11.8": [11, 13, 12], "12.8": [12, 13, 11], None: [13, 12, 11]}
    for version, wanted in order.items():
        monkeypatch.setattr(torch.version, "cuda", version)
        assert [_nvrtc._major(os.path.basename(path)) for path in _nvrtc.candidates()] == wanted
    assert _nvrtc._major("nvrtc64_120_0.dll") == 12 and _nvrtc._major("nvrtc64_130_0.dll") == 13


def test_builtins_are_not_taken_for_the_compiler(monkeypatch, tmp_path):
    (tmp_path / "lib").mkdir()
    for name in ("libnvrtc.so.12", "libnvrtc-builtins.so.12.8", "libnvrtc.alt.so.12", "libnvrtc_static.a"):
        (tmp_path / "lib" / name).touch()
    monkeypatch.setattr(_nvrtc.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(_nvrtc.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    if os.name != "nt":
        assert [p.name for p in _nvrtc._installed() if p.parent.parent == tmp_path] == ["libnvrtc.so.12"]


def test_one_warning_without_kernels(monkeypatch):
    monkeypatch.delenv("CO2NET_NATIVE", raising=False)
    monkeypatch.setattr(_cuda, "_modules", {})
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(_nvrtc, "candidates", list)
    monkeypatch.setattr(_cuda.ctypes, "CDLL", lambda name: object())
    device = torch.device("cuda", 0)
    with pytest.warns(RuntimeWarning, match="no CUDA kernels for trilinear.*NVRTC not found.*nvidia-cuda-nvrtc"):
        assert _cuda.module("trilinear", device) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _cuda.module("trilinear", device) is None  # remembered, not tried again
        assert _cuda.module("tridistribute", device) is None


def test_variable_chooses_the_definition_silently(monkeypatch):
    monkeypatch.setenv("CO2NET_NATIVE", "0")
    monkeypatch.setattr(_cuda, "_modules", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _cuda.module("trilinear", torch.device("cuda", 0)) is None


DRIVER = """
#include <cstring>
// What libcuda does, as far as this project calls it; the last launch is kept.
static void* current = nullptr;
static int contexts_set = 0;
extern "C" {
struct { unsigned sizes[7]; void* stream; long long pointer, integer; double real; char kernel[64]; } last;
int cuDevicePrimaryCtxRetain(void** context, int device) { *context = &current + 1 + device; return 0; }
int cuCtxGetCurrent(void** context) { *context = current; return 0; }
int cuCtxSetCurrent(void* context) { current = context; ++contexts_set; return 0; }
int contexts() { return contexts_set; }
int cuThreadExchangeStreamCaptureMode(int*) { return 0; }
int cuModuleLoadData(void** module, const char* code) {
  *module = &last;
  return std::strncmp(code, "code", 4) ? 200 : 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  if (module != &last || std::strstr(name, "missing")) return 500;
  std::strcpy(last.kernel, name);
  *function = last.kernel;
  return 0;
}
int cuGetErrorString(int status, const char** text) {
  *text = status == 500 ? "named symbol not found" : "other";
  return 0;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** arguments, void** extra) {
  if (function != last.kernel || extra) return 1;
  unsigned sizes[7] = {gx, gy, gz, bx, by, bz, shared};
  std::memcpy(last.sizes, sizes, sizeof sizes);
  last.stream = stream;
  std::memcpy(&last.pointer, arguments[0], 8);
  std::memcpy(&last.integer, arguments[1], 8);
  std::memcpy(&last.real, arguments[2], 8);
  return arguments[3] && *static_cast<void**>(arguments[3]) ? 1 : 0;  // null comes as null
}
}
"""


class Launch(ctypes.Structure):
    """The last launch, as that driver keeps it."""

    _fields_ = (
        ("sizes", ctypes.c_uint * 7), ("stream", ctypes.c_void_p), ("pointer", ctypes.c_int64),
        ("integer", ctypes.c_int64), ("real", ctypes.c_double), ("kernel", ctypes.c_char * 64),
    )  # fmt: skip


def test_what_the_driver_is_told(cache, monkeypatch, tmp_path):
    program = _build.find_compiler()
    if program is None:
        pytest.skip("no C++ compiler on this machine")
    (tmp_path / "driver.cpp").write_text(DRIVER)
    path = tmp_path / "driver.so"
    subprocess.run([program, "-shared", "-fPIC", str(tmp_path / "driver.cpp"), "-o", str(path)], check=True)
    driver = ctypes.CDLL(str(path))
    monkeypatch.setattr(_cuda, "DRIVER", str(path))
    monkeypatch.setattr(_cuda, "_modules", {})
    monkeypatch.setattr(_nvrtc, "find", Compiler)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: types.SimpleNamespace(cuda_stream=0x7F0000001234))
    image = torch.rand(3)
    like: Any = types.SimpleNamespace(device=torch.device("cuda", 1))
    for _ in range(2):
        _cuda.launch("trilinear", "apply_lut", like, (70_000, 3), image, 2**40, 31.5, None)
    last = Launch.in_dll(driver, "last")
    assert list(last.sizes) == [70_000, 3, 1, 256, 1, 1, 0] and last.stream == 0x7F0000001234
    assert (last.pointer, last.integer, last.real) == (image.data_ptr(), 2**40, 31.5)
    assert last.kernel == b"apply_lut" and driver.contexts() == 1
    with pytest.raises(RuntimeError, match="cuModuleGetFunction failed: named symbol not found"):
        _cuda.launch("trilinear", "missing", like, (1, 1), image)


class OnGpu:
    """What takes() looks at, of an image on a GPU."""

    device, dtype = torch.device("cuda", 0), torch.float32


def test_backend_names_the_kernels(monkeypatch):
    image = OnGpu()
    monkeypatch.setattr(_cuda, "module", lambda package, device: object())
    assert trilinear.backend(image) == tridistribute.backend(image) == "cuda"
    torch.use_deterministic_algorithms(True)
    try:
        assert trilinear.backend(image) == "cuda" and tridistribute.backend(image) == "torch"
    finally:
        torch.use_deterministic_algorithms(False)
    image.dtype = torch.float64
    assert trilinear.backend(image) == tridistribute.backend(image) == "torch"
    image.dtype = torch.float32
    monkeypatch.setattr(_cuda, "module", lambda package, device: None)
    assert trilinear.backend(image) == tridistribute.backend(image) == "torch"


def test_operators_run_what_backend_names(monkeypatch):
    """The whole way from the public function, with the kernels on the CPU."""
    cuda_cases.run_on_cpu(monkeypatch)
    lut, image = torch.rand(1, 3, 5, 5, 5), torch.rand(1, 3, 6, 8)
    wanted = trilinear.apply_lut(lut, image)
    monkeypatch.setattr(trilinear.ops, "backend", lambda tensor: "cuda")
    monkeypatch.setattr(tridistribute.ops, "backend", lambda tensor: "cuda")
    calls = []
    real = cuda.apply_lut
    monkeypatch.setattr(cuda, "apply_lut", lambda *a: calls.append("apply_lut") or real(*a))
    torch.testing.assert_close(trilinear.apply_lut(lut.requires_grad_(), image), wanted, atol=1e-6, rtol=0)
    trilinear.apply_lut(lut, image).sum().backward()
    assert calls == ["apply_lut"] * 2
    # Eight weights per pixel and channel add up to 1.
    torch.testing.assert_close(lut.grad.sum().item(), 3 * 48.0, rtol=1e-5, atol=0)
    _, count = tridistribute.build_lut(image, image, image[:, :1] + 1, dim=5)
    torch.testing.assert_close(count.sum().item(), 48.0, rtol=1e-5, atol=0)
    assert not trilinear.unseen_map(count, image).any()
