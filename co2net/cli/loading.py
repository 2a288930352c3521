"""Loads PyTorch, which takes longer than harmonizing a short clip, as quickly as it can be loaded."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from co2net.cli.late import put_off
from co2net.cli.linking import link_torch, torch_folder

_NEEDLESS = (
    *("torch._meta_registrations", "torch.distributed._meta_registrations", "torch.export"),  # compilers' tables
    *("torch.ao", "torch.quantization", "torch.distributions"),
    *("torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable", "torch.nn.quantized"),
)
"""What ``import torch`` brings in and running a network does not touch. Without the tables, tensors of no values (the
device "meta") know fewer operations; nothing in the verbs that load PyTorch here has such tensors."""
_NEEDLESS_ALONE = (
    *("torchgen.model", "torch.utils.data", "torch.optim", "torch.profiler", "torch.masked"),
    "unittest.mock",  # brings asyncio along
)
"""More of them: parts that do not count on each other's having run, so that asking for one runs no other."""
_MEANWHILE = (
    *("dataclasses", "inspect", "logging", "tempfile", "json", "platform", "pickle", "uuid", "unittest", "textwrap"),
    *("importlib.metadata", "importlib.resources", "concurrent.futures.thread", "multiprocessing", "urllib.request"),
)
"""Modules of Python's own that PyTorch imports, or co2net does, nearly all without machine code: while one library is
being linked no other can be."""
_KNOWN = ("2.13.",)
"""Versions of PyTorch that were seen to load without them: in what order it imports its parts is its own affair."""
_DONT_NEED = 4  # MADV_DONTNEED


def load_torch() -> None:
    """Import PyTorch and what reads videos, for a verb that computes; does nothing where it is there already.

    For the command's own process only: what is imported until then is never collected as garbage, and parts of
    PyTorch for other uses are put off.
    """
    link_torch()
    if "torch" in sys.modules:
        return
    # PyTorch makes a million objects that stay. To look through them for garbage again and again, and once more when
    # the process ends, takes half as long as to import it.
    gc.disable()
    try:
        for name in _MEANWHILE:
            with suppress(ImportError):  # then it is not needed
                import_module(name)
        import_module("co2net.video")
        if _version(torch_folder()).startswith(_KNOWN):
            for names in (_NEEDLESS, *((name,) for name in _NEEDLESS_ALONE)):
                put_off(names)
        import_module("torch")
    finally:
        gc.freeze()
        gc.enable()


def give_back_memory() -> None:
    """Give the system what loading took and the work does not need; for the command's own process, on Linux.

    Of PyTorch's machine code most is executed only while it registers its operations. Those pages count as this
    process's memory until somebody lets go of them, and come back, from the file, where they are needed after all.
    """
    folder = torch_folder()
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


def _version(folder: Path | None) -> str:
    """Of PyTorch, without importing it; empty if it does not say."""
    try:
        said = "" if folder is None else (folder / "version.py").read_text()
    except OSError:
        return ""
    found = re.search(r"__version__ = '([^']+)'", said)
    return found[1] if found else ""
