"""What C libraries write to the screen by themselves: a user gets our one sentence in its place.

libtiff, OpenEXR and their like print to file descriptor 2 when a file is damaged. The command moves its own
``sys.stderr`` to another descriptor (:func:`take_over`); then :func:`silenced` can close number 2 to a library for a
moment without a line of ours, of another thread's, or of the interpreter's being lost. In somebody else's process,
where number 2 is shared, nothing is closed.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_within: list[int] = []
"""Threads that are inside :func:`silenced`, by their numbers: the first closes, the last opens again."""
_saved = -1


class _Others:
    """stdout without what threads inside :func:`silenced` print: OpenEXR's binding does so from C++.

    It stays: an interpreter whose ``sys.stdout`` is exchanged while another thread prints may crash.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() in _within else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def take_over() -> None:
    """Write what Python prints to stderr through a descriptor of its own, and have OpenCV say nothing."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # read when it is imported, here and in worker processes
    try:
        if sys.stderr.fileno() != 2:
            return
        before = sys.stderr
        before.flush()
        sys.stderr = io.TextIOWrapper(
            os.fdopen(os.dup(2), "wb", buffering=0),
            encoding=before.encoding,
            errors=before.errors,
            line_buffering=True,
            write_through=True,
        )
        if sys.stdout is not None:
            sys.stdout = _Others(sys.stdout)  # type: ignore[assignment]
    except (OSError, ValueError, AttributeError):
        pass  # closed, or not a file: then nobody reads it


@contextmanager
def silenced() -> Iterator[None]:
    """Libraries print nothing while the block runs; Python does on stderr, and other threads do on stdout."""
    global _saved
    if not _is_ours():
        yield
        return
    with _lock:
        if not _within:
            _saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        _within.append(threading.get_ident())
    try:
        yield
    finally:
        with _lock:
            _within.remove(threading.get_ident())
            if not _within:
                os.dup2(_saved, 2)
                os.close(_saved)


def _is_ours() -> bool:
    try:
        return sys.stderr.fileno() != 2
    except (OSError, ValueError, AttributeError):
        return False
