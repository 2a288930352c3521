"""Loads PyTorch, which takes longer than harmonizing a short clip, as quickly as it can be loaded."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from co2net.threads import wait_passively


def load_torch() -> None:
    """Import PyTorch and what reads videos, for a verb that computes; does nothing where it is there already.

    For the command's own process only: what is imported until then is never collected as garbage.
    """
    wait_passively()
    if "torch" in sys.modules:
        return
    # A thread links PyTorch's library, outside Python's lock, while Python imports the rest.
    threading.Thread(target=_link_torch, daemon=True).start()
    # PyTorch makes a million objects that stay. To look through them for garbage again and again, and once more when
    # the process ends, takes half as long as to import it.
    gc.disable()
    try:
        for name in ("co2net.video", "torch"):  # what does without PyTorch first, while the thread links it
            import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _link_torch() -> None:
    """Load PyTorch's largest library; where that fails, importing PyTorch does it, or says why not."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None or sys.platform != "linux":
        return
    try:
        ctypes.CDLL(str(Path(spec.origin).parent / "lib" / "libtorch_cpu.so"))
    except OSError:
        return
