"""Finding, loading and calling the C++ kernels of both packages.

Nothing is loaded before the first use. Tried in order: the library that ``pip install`` built, the library in the
user's cache (``kernels/`` in ``CO2NET_CACHE``, else in ``$XDG_CACHE_HOME/co2net``), compiling it into that cache. If
all fail, one warning tells why and the definitions in PyTorch run from then on. ``CO2NET_NATIVE=0`` chooses them
without a warning. ``CO2NET_INSTRUCTIONS=plain`` or ``avx2`` keeps the kernels from newer instructions than that.
"""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from pathlib import Path

import torch
from torch import Tensor

from trilinear import _build, checks

INSTRUCTIONS = ("plain", "avx2", "avx512")
"""What CO2NET_INSTRUCTIONS may be; "plain" is what every processor of its kind has: SSE2, on 64-bit ARM NEON."""

_libraries: dict[str, ctypes.CDLL | None] = {}
_lock = threading.Lock()


def takes(tensor: Tensor, package: str) -> bool:
    """Say whether the C++ kernel of `package` runs for images like `tensor`."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and library(package) is not None


def library(package: str) -> ctypes.CDLL | None:
    """Return the kernel library of a package; ``None`` if there is none, which is found out once per process."""
    if package not in _libraries:
        with _lock:
            if package not in _libraries:
                _libraries[package] = None if os.environ.get("CO2NET_NATIVE") == "0" else _find(package)
    return _libraries[package]


def call(package: str, function: str, colors: str, *arguments: Tensor | int | None) -> None:
    """Call an entry point with contiguous tensors, ``None`` for null, and sizes; the thread count is added.

    Raises:
        ValueError: the kernel met NaN or infinity in the image argument, which is called `colors`.
        MemoryError: the kernel could not get its working memory.
    """
    values = [
        ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else None if a is None else ctypes.c_int64(a)
        for a in arguments
    ]
    loaded = library(package)
    if loaded is None:
        raise RuntimeError(f"the C++ kernel of {package} is not loaded")
    status = loaded[function](*values, ctypes.c_int64(torch.get_num_threads()))
    if status == 1:
        raise ValueError(checks.nonfinite(colors))
    if status != 0:
        raise MemoryError(f"{package}: not enough memory for the working buffers")


def prebuilt_paths(package: str) -> list[Path]:
    """Return the libraries that an installation left in the package."""
    folder = _build.ROOT / package
    return [path for ending in ("so", "dylib", "pyd") for path in sorted(folder.glob(f"_kernel*.{ending}"))]


def _find(package: str) -> ctypes.CDLL | None:
    causes = []
    for path in prebuilt_paths(package):
        try:
            return _load(path, package)
        except OSError as error:
            causes.append(f"{path}: {error}")
    try:
        path = _build.cached_path(package)
        if path.exists() and _build.intact(path):
            try:
                return _load(path, package)
            except OSError as error:  # made on another machine that shares this home, say: build it anew
                causes.append(f"{path}: {error}")
        _build.compile_kernel(package, path)
        return _load(path, package)
    except (OSError, RuntimeError) as error:
        causes.append(str(error))
    if None in _libraries.values():  # warned already, for the other package
        return None
    warnings.warn(
        f"no C++ kernel for {package}, so its PyTorch definition runs: same results, many times slower. Mend: "
        "install a C++ compiler (Debian: apt install g++) and run again, or reinstall with it (pip install .). "
        "CO2NET_NATIVE=0 silences this. Causes: " + "; ".join(causes),
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _load(path: Path, package: str) -> ctypes.CDLL:
    """Load a library if it was built from the sources beside this file; OSError otherwise."""
    loaded = ctypes.CDLL(str(path))
    try:
        loaded.co2net_build_id.restype = ctypes.c_char_p
        found = loaded.co2net_build_id().decode()
    except AttributeError:
        raise OSError("not a kernel library") from None
    wanted = _build.build_id(package)
    if found != wanted:
        raise OSError(f"stale: built from other sources ({found}, wanted {wanted})")
    chosen = os.environ.get("CO2NET_INSTRUCTIONS")
    if chosen and chosen not in INSTRUCTIONS:
        raise ValueError(f"CO2NET_INSTRUCTIONS must be one of {', '.join(INSTRUCTIONS)}, not {chosen}")
    loaded.co2net_limit_instructions(INSTRUCTIONS.index(chosen or INSTRUCTIONS[-1]))
    return loaded
