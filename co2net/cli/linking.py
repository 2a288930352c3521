"""Links PyTorch's machine code in a thread, while Python imports what does without it."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from co2net.threads import wait_passively


@cache
def link_torch() -> None:
    """Begin to load PyTorch's largest library, once; importing PyTorch waits for it.

    Where that fails, importing PyTorch loads it, or says why not.
    """
    wait_passively()  # the library reads it as it loads
    if sys.platform == "linux" and "torch" not in sys.modules:
        threading.Thread(target=_link, daemon=True).start()


@cache
def torch_folder() -> Path | None:
    """Where PyTorch is installed, without importing it; None where it is not."""
    spec = find_spec("torch")
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent


def _link() -> None:
    folder = torch_folder()
    try:
        link = ctypes.CDLL(None).dlopen  # called as any foreign function: CDLL(path) keeps Python's lock meanwhile
    except (OSError, AttributeError):
        return
    link.argtypes, link.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    if folder is not None:
        link(os.fsencode(folder / "lib" / "libtorch_cpu.so"), os.RTLD_NOW)
