"""One LUT for a whole shot, in two passes: the first looks, the second applies. Nothing can flicker within a shot."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from co2net.color_mapping.completion import identity_lut
from co2net.color_mapping.cube import save_cube
from co2net.errors import OutputError
from co2net.pipeline.apply_mapping import Foreground, apply_lut
from co2net.pipeline.frames import Picture, Pixels, frame_shape, mask_to_tensor
from co2net.pipeline.stream import FrameStream
from co2net.video.coded_masks import CodedMask
from co2net.video.mask_files import MaskArrays


class ShotStream:
    """The second pass: each frame through its shot's LUT."""

    takes_planes = True
    changes_planes = False

    def __init__(self) -> None:
        self._luts: Mapping[int, Tensor] = {}
        self._strengths: Mapping[int, float] = {}
        self._starts: Sequence[int] = [0]
        self._number = 0
        self._read_mask = MaskArrays()

    def take_over(self, looked: FrameStream) -> None:
        """Take the shots, their LUTs and strengths from a stream that walked the clip with ``collect_shots``."""
        self._luts, self._strengths, self._starts = looked.shot_luts(), looked.shot_strengths(), looked.starts

    @torch.inference_mode()
    def push(self, frame: Pixels, mask: Picture | CodedMask, tag: Any = None) -> Iterator[tuple[Any, Any]]:
        """The frame's result, at once."""
        start = self._starts[bisect_right(self._starts, self._number) - 1]
        self._number += 1
        lut = self._luts.get(start)
        if lut is None:
            yield tag, frame
            return
        read = mask if isinstance(mask, CodedMask) else mask_to_tensor(mask, frame_shape(frame), self._read_mask)
        foreground = Foreground.of(frame, read)
        yield (
            tag,
            frame
            if foreground is None
            else apply_lut(frame, lut, foreground, self._strengths[start], self.changes_planes),
        )

    def finish(self) -> Iterator[tuple[Any, Any]]:
        """Nothing is left."""
        return iter(())


def save_shots(folder: Path, looked: FrameStream, frames: int, video_range: bool = False) -> list[Path]:
    """Write ``shot001_frames000000-000047.cube`` and so on: frames count from 0, shots from 1; older ones go.

    Args:
        folder: where to; made if it is not there.
        looked: a stream that walked the clip with ``collect_shots``.
        frames: number of frames of the clip.
        video_range: the LUTs are for limited-range codes.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    luts, strengths, starts = looked.shot_luts(), looked.shot_strengths(), looked.starts
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror or error})") from error
    written = []
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], frames], strict=True), start=1):
        lut = luts.get(start)
        if lut is None:
            continue
        if strengths[start] != 1:
            identity = identity_lut(lut.shape[-1], lut)
            lut = identity + strengths[start] * (lut - identity)
        name = f"shot{index:03}_frames{start:06}-{end - 1:06}"
        save_cube(lut.cpu(), folder / f"{name}.cube", f"co2net {name}", video_range)
        written.append(folder / f"{name}.cube")
    for old in _shot_files(folder):
        if old not in written:
            old.unlink(missing_ok=True)  # of an earlier run, whose shots lay elsewhere
    return written


def check_shot_folder(folder: Path) -> None:
    """Refuse before the work, not after it.

    Raises:
        OutputError: the folder cannot take the shots' LUTs.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"`cube_per_shot` {folder} is a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise OutputError(f"`cube_per_shot` {folder}: the folder {folder.absolute().parent} does not exist; create it")


def _shot_files(folder: Path) -> Iterable[Path]:
    return [path for path in folder.iterdir() if re.fullmatch(r"shot\d{3,}_frames\d{6,}-\d{6,}\.cube", path.name)]
