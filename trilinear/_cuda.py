"""Compiling, keeping, loading and launching the CUDA kernels of both packages. No nvcc, no CUDA toolkit.

At first use on a GPU the ``.cu`` file is compiled with NVRTC for that GPU, in about a second, and kept in
``kernels/`` of the user's cache (``CO2NET_CACHE``, else ``$XDG_CACHE_HOME/co2net``), named by a hash of sources,
options, NVRTC version and architecture. Kernels run on the caller's current stream and never wait for it; nothing is
allocated but PyTorch tensors, so calls can be captured into CUDA graphs (after one call that loads the kernels).
If anything fails to load, one warning says why and the definitions in PyTorch run. ``CO2NET_NATIVE=0`` chooses them
without a warning.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from trilinear import _build, _nvrtc
from trilinear.reference import EXTENT

BLOCK = 256
"""Threads per block; ``kBlock`` of ``csrc/color_grid.cuh``."""
SOURCES = {
    "trilinear": _build.ROOT / "trilinear" / "csrc" / "apply_lut.cu",
    "tridistribute": _build.ROOT / "tridistribute" / "csrc" / "accumulate.cu",
}
Argument = Tensor | int | float | None

DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
_MOST_BLOCKS = 65535  # of a grid's second axis; kernels walk over larger batches
_TILE = 32  # pixels that a warp takes at a time when it sums
_modules: dict[tuple[str, int], Module | None] = {}
_lock = threading.Lock()


# ---- used by trilinear/cuda.py and tridistribute/cuda.py ----


def takes(tensor: Tensor, package: str) -> bool:
    """Say whether the CUDA kernels of `package` run for images like `tensor`."""
    return tensor.device.type == "cuda" and tensor.dtype == torch.float32 and module(package, tensor.device) is not None


def launch(package: str, kernel: str, like: Tensor, grid: tuple[int, int], *arguments: Argument) -> None:
    """Start a kernel on the current stream of `like`'s device, and return at once.

    Tensors, which must be contiguous, and ``None`` become pointers, integers ``long long``, floats ``double``.

    Raises:
        RuntimeError: the kernels are not loaded, or the driver refuses.
    """
    loaded = module(package, like.device)
    if loaded is None:
        raise RuntimeError(f"the CUDA kernels of {package} are not loaded")
    with torch.cuda.device(like.device):
        loaded.launch(kernel, grid, parameters(arguments), torch.cuda.current_stream().cuda_stream)


def grid_over(groups: int, batch: int) -> tuple[int, int]:
    """Return a grid with one thread per group of pixels (or cells) of an item."""
    return -(-groups // BLOCK), min(batch, _MOST_BLOCKS)


def grid_for_sums(pixels: int, batch: int, like: Tensor) -> tuple[int, int]:
    """Return a grid whose warps fill the GPU and sum at least four tiles each: every warp ends with its additions."""
    warps = -(-pixels // (4 * _TILE))
    enough = -(-8 * processors(like.device) // batch)
    return max(1, min(-(-warps * _TILE // BLOCK), enough)), min(batch, _MOST_BLOCKS)


def by_four(pixels: int, *images: Tensor) -> bool:
    """Say whether four pixels may be read or written at a time."""
    return pixels % 4 == 0 and all(image.data_ptr() % 16 == 0 for image in images)


def pack_cells(package: str, planes: Tensor, count: Tensor | None) -> Tensor:
    """Turn a LUT ``(B, 3 or 4, D, D, D)`` into cells ``(B, D³, 4)``; see ``csrc/color_grid.cuh``."""
    batch, channels, cells = planes.shape[0], planes.shape[1], planes.shape[-1] ** 3
    packed = planes.new_empty((batch, cells, 4))
    launch(package, "pack_cells", planes, grid_over(cells, batch), planes, count, packed, batch, cells, channels)
    return packed


def unpack_sums(package: str, sums: Tensor, count: Tensor | None, planes: Tensor) -> None:
    """Write float64 sums ``(B, D³, 4)`` to `planes` ``(B, 3 or 4, D, D, D)``, 0 in the empty cells of `count`."""
    batch, channels, cells = planes.shape[0], planes.shape[1], planes.shape[-1] ** 3
    launch(package, "unpack_sums", planes, grid_over(cells, batch), sums, count, planes, batch, cells, channels)


def scale(dim: int) -> float:
    """Return 1 / h, cells per color unit."""
    return (dim - 1) / EXTENT


def processors(device: torch.device) -> int:
    """Return the number of the GPU's multiprocessors."""
    return torch.cuda.get_device_properties(device).multi_processor_count


def parameters(arguments: tuple[Argument, ...]) -> ctypes.Array[ctypes.c_void_p]:
    """Return pointers to the arguments as a kernel takes them; the result keeps the arguments alive."""
    values = [
        ctypes.c_void_p(a.data_ptr() if isinstance(a, Tensor) else a)
        if a is None or isinstance(a, Tensor)
        else ctypes.c_double(a)
        if isinstance(a, float)
        else ctypes.c_int64(a)
        for a in arguments
    ]
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    pointers.values = values  # type: ignore[attr-defined]
    return pointers


# ---- compiling and keeping ----


def cached_path(package: str, compiler: _nvrtc.Compiler, target: str) -> Path:
    """Return where a compiled file is kept; the name changes with everything that decides its content."""
    digest = hashlib.sha256(repr((compiler.version, _nvrtc.compile_options(target))).encode())
    for text in (SOURCES[package].read_text(encoding="utf-8"), *_nvrtc.headers_of(_build.HEADERS).values()):
        digest.update(text.encode())
    return _build.cache_folder() / "kernels" / f"{package}-{target}-{digest.hexdigest()[:32]}.bin"


def compiled(package: str, compiler: _nvrtc.Compiler, target: str) -> bytes:
    """Return the machine code (or PTX) of a package's kernels, from the cache if it is there and whole.

    Raises:
        RuntimeError: the source does not compile.
    """
    path = cached_path(package, compiler, target)
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    checksum, code = content[:32], content[32:]
    if code and hashlib.sha256(code).digest() == checksum:
        return code
    source = SOURCES[package]
    code = compiler.compile(source.read_text(encoding="utf-8"), source.name, _nvrtc.headers_of(_build.HEADERS), target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            written = Path(folder) / path.name
            written.write_bytes(hashlib.sha256(code).digest() + code)
            written.replace(path)
    except OSError:
        pass  # a home that cannot be written: compiled anew in every process
    return code


# ---- loading and launching ----


class Module:
    """The kernels of a package on one GPU."""

    def __init__(self, package: str, device: torch.device) -> None:
        """Compile or read them, and hand them to the driver; OSError or RuntimeError if that fails."""
        self._driver = ctypes.CDLL(DRIVER)
        self._functions: dict[str, ctypes.c_void_p] = {}
        self._module, self._context = ctypes.c_void_p(), ctypes.c_void_p()
        compiler = _nvrtc.find()
        code = compiled(package, compiler, compiler.target(torch.cuda.get_device_capability(device)))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), ctypes.c_int(device.index))
        with torch.cuda.device(device), _uncaptured(self._driver):
            self._make_current()
            self._call("cuModuleLoadData", ctypes.byref(self._module), ctypes.c_char_p(code))

    def launch(self, kernel: str, grid: tuple[int, int], pointers: ctypes.Array[ctypes.c_void_p], stream: int) -> None:
        """Start a kernel of this module; its device is PyTorch's current one."""
        self._make_current()
        if kernel not in self._functions:
            function = ctypes.c_void_p()
            self._call("cuModuleGetFunction", ctypes.byref(function), self._module, kernel.encode())
            self._functions[kernel] = function
        self._call(
            "cuLaunchKernel", self._functions[kernel],
            *map(ctypes.c_uint, (*grid, 1, BLOCK, 1, 1, 0)), ctypes.c_void_p(stream), pointers, None,
        )  # fmt: skip

    def _make_current(self) -> None:
        """Give this thread the context that PyTorch uses; threads that autograd starts may not have it yet."""
        context = ctypes.c_void_p()
        self._call("cuCtxGetCurrent", ctypes.byref(context))
        if context.value != self._context.value:
            self._call("cuCtxSetCurrent", self._context)

    def _call(self, function: str, *arguments: object) -> None:
        status = self._driver[function](*arguments)
        if status != 0:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(ctypes.c_int(status), ctypes.byref(text))
            raise RuntimeError(f"{function} failed: {(text.value or b'').decode() or status}")


def module(package: str, device: torch.device) -> Module | None:
    """Return the kernels of a package on a GPU; ``None`` if there are none, found out once per process."""
    key = (package, device.index if device.index is not None else torch.cuda.current_device())
    if key not in _modules:
        with _lock:
            if key not in _modules:
                _modules[key] = None if os.environ.get("CO2NET_NATIVE") == "0" else _find(*key)
    return _modules[key]


def _find(package: str, index: int) -> Module | None:
    try:
        if torch.version.cuda is None:  # such devices of AMD are called cuda too
            raise RuntimeError("this PyTorch is not built for CUDA")
        return Module(package, torch.device("cuda", index))
    except (OSError, RuntimeError) as error:
        if None not in _modules.values():  # warned already, for the other package
            warnings.warn(
                f"no CUDA kernels for {package}, so its PyTorch definition runs on the GPU: same results, slower. "
                "Mend: pip install nvidia-cuda-nvrtc (for CUDA 12: nvidia-cuda-nvrtc-cu12). CO2NET_NATIVE=0 silences "
                f"this. Cause: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
        return None


@contextmanager
def _uncaptured(driver: ctypes.CDLL) -> Iterator[None]:
    """Let a module be loaded while a graph is captured, which otherwise forbids it; see the driver's manual."""
    mode = ctypes.c_int(2)  # CU_STREAM_CAPTURE_MODE_RELAXED
    driver.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
    try:
        yield
    finally:
        driver.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
