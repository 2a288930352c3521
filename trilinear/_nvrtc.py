"""NVIDIA's run-time compiler, found where PyTorch's CUDA wheels put it, through ctypes.

A dozen functions with a C interface that has not changed since CUDA 11. It compiles on machines without a GPU too.
Imports nothing but PyTorch, and that only to ask which CUDA it was built for.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

# Fused multiply-add stays on: on a GPU the order of sums differs from run to run anyway. No fast-math.
OPTIONS = ("--std=c++17",)


class Compiler:
    """A loaded NVRTC."""

    def __init__(self, path: str) -> None:
        """Load the library at `path`; OSError if it is none."""
        self._library = ctypes.CDLL(path)
        self.path = path
        major, minor = ctypes.c_int(), ctypes.c_int()
        try:
            self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
            self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        except AttributeError:
            raise OSError(f"{path} is not NVRTC") from None
        self.version = (major.value, minor.value)

    def architectures(self) -> list[int]:
        """Return what it compiles for, in ascending order: 75 stands for compute capability 7.5."""
        number = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(number))
        found = (ctypes.c_int * number.value)()
        self._call("nvrtcGetSupportedArchs", found)
        return sorted(found)

    def target(self, capability: tuple[int, int]) -> str:
        """Return the target for a GPU: its own machine code, or what its driver translates for newer GPUs.

        Raises:
            RuntimeError: this compiler knows no GPU as old as that.
        """
        wanted, known = 10 * capability[0] + capability[1], self.architectures()
        if wanted in known:
            return f"sm_{wanted}"
        older = [architecture for architecture in known if architecture < wanted]
        if not older:
            name = ".".join(map(str, self.version))
            raise RuntimeError(f"NVRTC {name} no longer compiles for GPUs of compute capability {wanted / 10}")
        return f"compute_{older[-1]}"

    def compile(self, source: str, name: str, headers: Mapping[str, str], target: str) -> bytes:
        """Compile `source`, called `name` in messages, which may include `headers` by name.

        Returns:
            Machine code (cubin) for a target ``sm_NN``, PTX for ``compute_NN``.

        Raises:
            RuntimeError: the source does not compile; holds the compiler's messages.
        """
        program = ctypes.c_void_p()
        texts = (ctypes.c_char_p * len(headers))(*(text.encode() for text in headers.values()))
        names = (ctypes.c_char_p * len(headers))(*(header.encode() for header in headers))
        self._call(
            "nvrtcCreateProgram", ctypes.byref(program), source.encode(), name.encode(), len(headers), texts, names
        )
        try:
            options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture={target}")]
            status = self._library.nvrtcCompileProgram(
                program, len(options), (ctypes.c_char_p * len(options))(*options)
            )
            if status != 0:
                log = self._output("nvrtcGetProgramLog", program).rstrip(b"\0").decode(errors="replace")
                raise RuntimeError(f"{name} does not compile for {target}: {log.strip()[:2000] or status}")
            return self._output("nvrtcGetCUBIN" if target.startswith("sm_") else "nvrtcGetPTX", program)
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _output(self, function: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"{function}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(function, program, buffer)
        return buffer.raw

    def _call(self, function: str, *arguments: Any) -> None:
        status = self._library[function](*arguments)
        if status != 0:
            raise RuntimeError(f"{function} failed: {self._library.nvrtcGetErrorString(status).decode()}")


def find() -> Compiler:
    """Load NVRTC: of PyTorch's CUDA version if there is one, else the newest found.

    Raises:
        OSError: there is none; the message lists what was tried.
    """
    causes = []
    for path in candidates():
        try:
            return Compiler(path)
        except (OSError, RuntimeError) as error:
            causes.append(str(error))
    tried = "; ".join(causes) or "none in Python's packages, beside PyTorch, or on the system"
    raise OSError(f"NVRTC not found (pip install nvidia-cuda-nvrtc): {tried}")


def candidates() -> list[str]:
    """Return paths and names that may be NVRTC, best first."""
    wanted = (torch.version.cuda or "").split(".")[0]
    found = {str(path): _major(path.name) for path in _installed()}
    system = ctypes.util.find_library("nvrtc")
    if system is not None:
        found.setdefault(system, _major(Path(system).name))
    return sorted(found, key=lambda path: (str(found[path]) != wanted, -found[path], path))


def _installed() -> Iterator[Path]:
    folders = [Path(torch.__file__).parent / "lib", Path(sys.prefix) / "lib", Path(sys.prefix) / "Library" / "bin"]
    spec = importlib.util.find_spec("nvidia")
    for root in map(Path, (spec.submodule_search_locations or ()) if spec is not None else ()):
        folders += [*root.glob("*/lib"), *root.glob("*/bin"), *root.glob("*/bin/*/")]  # cuda_nvrtc (12), cu13 (13)
    if home := os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
        folders += [Path(home) / name for name in ("lib64", "lib", "bin")]
    pattern = "nvrtc64_*_0.dll" if os.name == "nt" else "libnvrtc[.-]*so*"
    for folder in folders:
        yield from (path for path in folder.glob(pattern) if "builtins" not in path.name and ".alt." not in path.name)


def _major(name: str) -> int:
    """Return the CUDA version in a file name: libnvrtc.so.12, libnvrtc-672ee683.so.11.2, nvrtc64_120_0.dll."""
    if match := re.search(r"nvrtc64_(\d+)\d_0|\.so\.(\d+)", name):
        return int(match[1] or match[2])
    return 0


def headers_of(folder: Path) -> dict[str, str]:
    """Return the CUDA headers of a folder by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.cuh"))}


def compile_options(target: str) -> Sequence[str]:
    """Return everything besides the text that decides what :meth:`Compiler.compile` makes."""
    return (*OPTIONS, target)
