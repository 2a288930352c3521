"""What the CUDA tests of both packages share: the kernels compiled for the CPU, NVRTC, and inputs that are hard."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from lut_cases import colors
from torch import Tensor

from trilinear import _build, _cuda, _nvrtc

SHAPES = [(2, 1, 1, 1), (3, 2, 5, 7), (16, 3, 12, 33), (33, 2, 40, 36), (33, 1, 31, 43)]
"""Dim, batch, height and width."""
ARCHITECTURES = (75, 80, 90, 100)
EMULATION_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-unknown-pragmas")
KERNEL = re.compile(r'extern "C" __global__ void __launch_bounds__\([\w:]+\)\s+(\w+)\(')


def kernel_names(package: str) -> list[str]:
    """All kernels of a package."""
    texts = [_cuda.SOURCES[package].read_text(), *_nvrtc.headers_of(_build.HEADERS).values()]
    return [name for text in texts for name in KERNEL.findall(text)]


def compiler() -> _nvrtc.Compiler:
    """NVRTC; where there is none the test is skipped, or fails if CO2NET_EXPECT_NVRTC=1."""
    try:
        return _nvrtc.find()
    except OSError as error:
        if os.environ.get("CO2NET_EXPECT_NVRTC") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@cache
def emulation(package: str) -> ctypes.CDLL:
    """The kernels of a package compiled for the CPU with cuda_on_cpu.h."""
    program = _build.find_compiler()
    if program is None:
        pytest.skip("no C++ compiler on this machine")
    if not Path("/usr/include/ucontext.h").exists() and shutil.which("cl"):
        pytest.skip("no ucontext.h on this system")
    lines = ['#include "cuda_on_cpu.h"', f'#include "{_cuda.SOURCES[package]}"']
    lines += [f"CO2NET_ON_CPU({name})" for name in kernel_names(package)]
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "kernels.cpp", Path(folder) / f"{package}.so"
        source.write_text("\n".join(lines) + "\n")
        includes = [f"-I{Path(__file__).parent}", f"-I{_build.HEADERS}"]
        command = [program, *EMULATION_FLAGS, *includes, str(source), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return ctypes.CDLL(str(library))


def run_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make trilinear/cuda.py and tridistribute/cuda.py launch the kernels on the CPU; everything else stays."""

    def launch(package: str, kernel: str, like: Tensor, grid: tuple[int, int], *arguments: _cuda.Argument) -> None:
        assert all(a.is_contiguous() for a in arguments if isinstance(a, Tensor))
        function = emulation(package)[f"on_cpu_{kernel}"]
        function.restype = ctypes.c_char_p
        error = function(*map(ctypes.c_uint, (*grid, _cuda.BLOCK)), _cuda.parameters(arguments))
        assert error is None, f"{kernel}: {error.decode()}"

    for package in _cuda.SOURCES:
        emulation(package)
    monkeypatch.setattr(_cuda, "launch", launch)
    monkeypatch.setattr(_cuda, "processors", lambda device: 2)


@contextmanager
def poison() -> Iterator[None]:
    """New tensors hold NaN (or the largest integer), so that what a kernel does not write shows."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory and torch.empty(1).isnan()
    yield
    torch.use_deterministic_algorithms(False)


def hard_images(dim: int, batch: int, height: int, width: int) -> dict[str, Tensor]:
    """Return images ``(B, 3, H, W)`` by what is hard about them."""
    shape = (batch, 3, height, width)
    border = torch.tensor([1.000001 * i / (dim - 1) for i in range(dim)], dtype=torch.float64).float()
    steps = torch.tensor([-3, -2, -1, 0, 1, 2, 3]) * 2.0**-24
    near = (border[:, None] * (1 + steps)).flatten().repeat(-(-batch * 3 * height * width // (7 * dim)))
    values = torch.rand(shape, generator=torch.Generator().manual_seed(3))
    return {
        "random": colors(*shape[:1], *shape[2:]),
        "one color": torch.tensor([0.31, 0.62, 0.93]).view(1, 3, 1, 1).expand(shape).contiguous(),
        "zeros": torch.zeros(shape),
        "ones": torch.ones(shape),
        "cell borders": near[: batch * 3 * height * width].view(shape),
        "eight bit": (values * 255).round() / 255,
    }


HARD = tuple(hard_images(3, 1, 1, 1))
