"""Results on disk, one ``.npy`` per frame, in the names and shapes that the original reads and writes.

==================  =====================  =======================================================================
folder              array, float32         what
==================  =====================  =======================================================================
LUT output          ``(3, H, W)``          ``result.lut``: the color mapping's frame, [0, 1] space, not clamped
LUT map             ``(3, H, W)``          ``result.unseen``, three equal channels
result, backbone    ``(1, 3, H, W)``       ``result.image``, ``result.backbone``, [0, 1] space, not clamped
==================  =====================  =======================================================================

The name is ``<video>_<object>_<frame>.npy`` in every folder (:attr:`Sample.result_name`). What made the first
two is noted beside the LUT outputs (:data:`ORIGIN`): the files say nothing about it, and results of another backbone
train a refinement that fits nothing. Folders of the original have no note.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from co2net.array_files import read_npy
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.files import make_folder, write_beside
from co2net.provenance import NoteKind

Folder = str | os.PathLike[str]
NAME = "made_by.json"
ORIGIN = NoteKind(
    "co2net-stored-lut",
    "the note of what made the stored results",
    "make them again, or delete it if you know that they fit",
)
Origin = dict[str, Any]
"""``backbone`` (SHA-256 of its values), ``mapping``, ``size`` (pixels or "own"), ``previous``, ``future``, ``step``,
``unseen_rule``, ``precision``."""


def write_origin(folder: Folder, origin: Origin) -> None:
    """Note what makes the results of a folder, in one step.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    ORIGIN.write(Path(folder) / NAME, origin)


def read_origin(folder: Folder) -> Origin | None:
    """Read the note; None if the folder has none.

    Raises:
        InputError: the file is no such note.
    """
    return ORIGIN.read(Path(folder) / NAME)


def stored_path(folder: Folder, entry: Sample) -> Path:
    """Where the result of a frame is."""
    return Path(folder) / f"{entry.result_name}.npy"


def write_image(folder: Folder, entry: Sample, image: Tensor) -> None:
    """Store a frame's result ``(3, H, W)`` as ``(1, 3, H, W)``.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    _write(stored_path(folder, entry), image[None])


def write_lut(output_folder: Folder, map_folder: Folder, entry: Sample, lut: Tensor, unseen: Tensor) -> None:
    """Store the color mapping's frame ``(3, H, W)`` and its map ``(1, H, W)``; the map last, so it marks completion.

    Raises:
        OutputError: a folder cannot be made or written.
    """
    _write(stored_path(output_folder, entry), lut)
    _write(stored_path(map_folder, entry), unseen.expand(3, -1, -1))


def read_lut(output_folder: Folder, map_folder: Folder, entry: Sample) -> tuple[Tensor, Tensor]:
    """Read ``(lut, map)``, ``(3, H, W)`` and ``(1, H, W)`` float32, of ours or of the original.

    Raises:
        InputError: a file is missing or holds something else; says how to make it.
    """
    return _read(stored_path(output_folder, entry), 3), _read(stored_path(map_folder, entry), 3)[:1]


def read_stored_image(folder: Folder, entry: Sample) -> Tensor:
    """Read a stored result, ``(3, H, W)`` float32 in [0, 1] space, unclamped.

    Raises:
        InputError: the file is missing or holds something else.
    """
    return _read(stored_path(folder, entry), 4)[0]


def _read(path: Path, dimensions: int) -> Tensor:
    try:
        array = read_npy(path)
    except FileNotFoundError as error:
        raise InputError(
            f"the stored result {path} does not exist; make it by an evaluation that stores its results "
            "(docs/evaluation.md)"
        ) from error
    except InputError as error:
        raise InputError(f"the stored result {error}; delete it and make it again") from error
    if array.ndim != dimensions or array.shape[-3] != 3 or array.dtype.kind != "f" or not array.size:
        raise InputError(f"the stored result {path} has shape {array.shape} and type {array.dtype}: not a stored frame")
    if not np.isfinite(array).all():
        raise InputError(f"the stored result {path} holds NaN or infinity: what made it diverged; make it again")
    return torch.from_numpy(array.astype(np.float32))


def _write(path: Path, values: Tensor) -> None:
    make_folder(path.parent)
    buffer = io.BytesIO()
    np.save(buffer, values.detach().cpu().float().numpy(), allow_pickle=False)
    write_beside(path, buffer.getvalue())
