"""The folders that a data set is written into: whole clips appear in one step, nothing of others is touched."""

from __future__ import annotations

import filecmp
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from co2net.dataset_building.records import make_folder
from co2net.errors import InputError, OutputError
from co2net.files import write_beside


def encode(image: np.ndarray, quality: int | None) -> bytes:
    """A picture ``(H, W, 3)`` or ``(H, W)`` uint8 as JPEG of `quality` (4:2:0 chroma, as the data set), or as PNG."""
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(image).save(buffer, "PNG", compress_level=4)
    else:
        Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder to fill, which becomes `folder` when the block ends well and is deleted otherwise.

    A folder that was there before is replaced. What a killed run left is cleared away first.

    Raises:
        OutputError: not possible.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        make_folder(part)
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_new(path: Path, content: bytes) -> None:
    """Write into a folder that nobody sees yet.

    Raises:
        OutputError: no space, no permission.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def place_file(source: Path | bytes, target: Path) -> None:
    """Bring a file into the output: a hard link where the disk allows it, else a copy; the same file may be there.

    Args:
        source: a file, or its content.
        target: where to.

    Raises:
        InputError: another file of that name is there.
        OutputError: it cannot be written.
    """
    if target.exists():
        same = (
            target.read_bytes() == source
            if isinstance(source, bytes)
            else os.path.samefile(source, target) or filecmp.cmp(source, target, shallow=False)
        )
        if not same:
            raise InputError(f"{target} is already there and another picture; give an empty folder with --output")
        return
    if isinstance(source, bytes):
        return write_beside(target, source)
    try:
        os.link(os.path.realpath(source), target)
    except FileExistsError:  # another worker was faster
        place_file(source, target)
    except OSError:  # another disk, or one without links
        try:
            content = source.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {source}: {error.strerror or error}") from error
        write_beside(target, content)
