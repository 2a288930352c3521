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

_lock = threading.Lock()
_within = 0
"""How many threads are inside :func:`silenced`: the first closes, the last opens again."""
_saved: tuple[int, object] = (-1, None)


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
    except (OSError, ValueError, AttributeError):
        pass  # closed, or not a file: then nobody reads it


@contextmanager
def silenced() -> Iterator[None]:
    """While the block runs, libraries print nothing; Python's own words reach stderr, those to stdout are dropped."""
    global _within, _saved
    if not _is_ours():
        yield
        return
    with _lock:
        if not _within:
            saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            _saved, sys.stdout = (saved, sys.stdout), io.StringIO()
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if not _within:
                os.dup2(_saved[0], 2)
                os.close(_saved[0])
                sys.stdout = _saved[1]  # type: ignore[assignment]


def _is_ours() -> bool:
    try:
        return sys.stderr.fileno() != 2
    except (OSError, ValueError, AttributeError):
        return False
