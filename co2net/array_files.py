"""NumPy's ``.npy`` and ``.npz`` files that may be anybody's: no code, no more memory than the file is large.

NumPy itself believes what a header claims (a terabyte, a negative side) and raises eight kinds of exceptions at damaged
ones. Here the claim is compared with the file before anything is allocated.
"""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from co2net.errors import InputError

MAX_ARCHIVE_BYTES = 1 << 30  # of all arrays in an .npz: 600 LUTs of 65 points
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_KINDS = "biuf"


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an array of numbers; any shape and type of number.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot be read, is damaged, or holds no numbers.
    """
    with _readable(path, ".npy file"), open(path, "rb") as file:
        return _parse(file, os.fstat(file.fileno()).st_size)


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read all arrays of an archive, by name.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot be read, is damaged, holds something else than numbers, or claims more than a gigabyte.
    """
    with _readable(path, ".npz file"), zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if sum(part.file_size for part in parts) > MAX_ARCHIVE_BYTES:
            raise ValueError(f"it claims more than {MAX_ARCHIVE_BYTES >> 20} MiB")
        arrays = {}
        for part in parts:
            with archive.open(part) as file:
                content = file.read(part.file_size + 1)
            arrays[Path(part.filename).stem] = _parse(io.BytesIO(content), len(content))
        return arrays


def _parse(file: BinaryIO, size: int) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"format version {version[0]}.{version[1]} is unknown here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers of Python 2
        shape, in_fortran_order, dtype = _HEADERS[version](file)
    if dtype.kind not in _KINDS:
        raise ValueError(f"it holds {str(dtype)[:40]}, no numbers")
    count, there = math.prod(shape), size - file.tell()
    if count < 0 or count * dtype.itemsize != there:
        raise ValueError(f"its header claims {str(shape)[:60]} of {dtype}, {there} bytes are there")
    array = np.frombuffer(file.read(there), dtype)
    return array.reshape(shape, order="F" if in_fortran_order else "C")


@contextmanager
def _readable(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Whatever a damaged file raises becomes one sentence; a missing one stays :class:`FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except (
        Exception
    ) as error:  # anything: SyntaxError, TokenError, TypeError, BadZipFile, RuntimeError (encrypted), ...
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{path} is no {kind}, or is damaged ({reason})") from error
