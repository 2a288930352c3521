"""Write a file beside its place and rename it, so that nobody ever finds half of it."""

from __future__ import annotations

import os
from pathlib import Path

from co2net.errors import OutputError


def write_beside(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write `data` (text as UTF-8, line ends as they are) to `path` in one step: all of it, or what was there before.

    Raises:
        OutputError: the folder does not exist, is not writable or is full.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
