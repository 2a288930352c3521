"""Loads PyTorch, which takes longer than harmonizing a short clip, as quickly as it can be loaded."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from co2net.cli.late import put_off
from co2net.threads import wait_passively

_NEEDLESS = (
    *("torch._meta_registrations", "torch.distributed._meta_registrations", "torch.export"),  # compilers' tables
    *("torch.ao", "torch.quantization", "torch.distributions"),
    *("torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable", "torch.nn.quantized"),
)
"""What ``import torch`` brings in and running a network does not touch. Without the tables, tensors of no values (the
device "meta") know fewer operations; nothing in the verbs that load PyTorch here has such tensors."""
_KNOWN = ("2.13.",)
"""Versions of PyTorch that were seen to load without them: in what order it imports its parts is its own affair."""
_DONT_NEED = 4  # MADV_DONTNEED


def load_torch() -> None:
    """Import PyTorch and what reads videos, for a verb that computes; does nothing where it is there already.

    For the command's own process only: what is imported until then is never collected as garbage, and parts of
    PyTorch for other uses are put off.
    """
    wait_passively()
    if "torch" in sys.modules:
        return
    folder = _torch_folder()
    # A thread links PyTorch's library, outside Python's lock, while Python imports the rest.
    threading.Thread(target=_link_torch, args=(folder,), daemon=True).start()
    # PyTorch makes a million objects that stay. To look through them for garbage again and again, and once more when
    # the process ends, takes half as long as to import it.
    gc.disable()
    try:
        import_module("co2net.video")  # what does without PyTorch first, while the thread links it
        if _version(folder).startswith(_KNOWN):
            put_off(_NEEDLESS)
        import_module("torch")
    finally:
        gc.freeze()
        gc.enable()


def give_back_memory() -> None:
    """Give the system what loading took and the work does not need; for the command's own process, on Linux.

    Of PyTorch's machine code most is executed only while it registers its operations. Those pages count as this
    process's memory until somebody lets go of them, and come back, from the file, where they are needed after all.
    """
    folder = _torch_folder()
    if sys.platform != "linux" or folder is None or "torch" not in sys.modules:
        return
    try:
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):  # glibc's; after the weights were read and copied
            libc.malloc_trim(0)
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for line in Path("/proc/self/maps").read_text().splitlines():
            place, rights, *_, path = line.split(None, 5)
            # Code only: it is as in the file, while other parts hold what the linker wrote.
            if rights == "r-xp" and path.startswith(f"{folder.parent}/"):
                begin, end = (int(number, 16) for number in place.split("-"))
                libc.madvise(begin, end - begin, _DONT_NEED)
    except (OSError, ValueError, AttributeError):
        return  # no procfs, or another C library: then it stays


def _torch_folder() -> Path | None:
    spec = find_spec("torch")
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent


def _version(folder: Path | None) -> str:
    """Of PyTorch, without importing it; empty if it does not say."""
    try:
        said = "" if folder is None else (folder / "version.py").read_text()
    except OSError:
        return ""
    found = re.search(r"__version__ = '([^']+)'", said)
    return found[1] if found else ""


def _link_torch(folder: Path | None) -> None:
    """Load PyTorch's largest library; where that fails, importing PyTorch does it, or says why not."""
    if folder is None or sys.platform != "linux":
        return
    try:
        ctypes.CDLL(str(folder / "lib" / "libtorch_cpu.so"))
    except OSError:
        return
