"""A grade after the harmonization: a LUT over the whole picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import trilinear
from co2net.color_mapping.cube import load_cube
from co2net.files import PathLike
from co2net.pipeline.job import JobStream
from co2net.video import Frame


class LookStream:
    """A stream whose results are graded; see :mod:`co2net.pipeline.job` for streams.

    Args:
        stream: gives the results to grade; its tags are ``(frame, mask)``, as in every job.
        look: a ``.cube`` file, 3D or 1D, for display-coded colors.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, stream: JobStream, look: PathLike) -> None:
        self._stream, self._lut = stream, load_cube(look, curves=True)

    def push(self, frame: Any, mask: Any, tag: Any) -> Iterator[tuple[Any, Any]]:
        """Take one frame; yields what is complete now. The whole picture changes, so tags come without their mask."""
        yield from self._graded(self._stream.push(frame, mask, tag))

    def finish(self) -> Iterator[tuple[Any, Any]]:
        """Yield the rest."""
        yield from self._graded(self._stream.finish())

    def _graded(self, found: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        for (frame, mask), result in found:
            yield (frame, None), self._grade(frame, mask, result)

    def _grade(self, frame: Frame, mask: np.ndarray | None, result: np.ndarray) -> np.ndarray:
        values = result.astype(np.float32) / (1 if result.dtype.kind == "f" else frame.peak)
        if mask is not None:
            values = np.where((mask != 0)[..., None], values, frame.image.astype(np.float32) / frame.peak)
        image = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None].clamp(0, 1)
        graded = trilinear.apply_lut(self._lut[None] if self._lut.ndim == 4 else self._lut, image)[0]
        return np.ascontiguousarray(graded.clamp(0, 1).permute(1, 2, 0).numpy())


def resampled(lut: Tensor, size: int) -> Tensor:
    """A LUT ``(1, 3, D, D, D)`` on a grid of `size` points per axis, read between its own."""
    if lut.shape[-1] == size:
        return lut
    axis = torch.linspace(0, 1, size)
    blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
    grid = torch.stack([red, green, blue]).reshape(1, 3, size * size, size)
    return trilinear.apply_lut(lut, grid).reshape(1, 3, size, size, size)
