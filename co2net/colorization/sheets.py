"""A sheet to look at: a colored clip turned gray, with points of its own colors, and colored again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from co2net.colorization.files import Networks
from co2net.colorization.methods import gray, points_of
from co2net.colorization.stream import ColorizeStream
from co2net.errors import InputError
from co2net.evaluation.sheets import save_sheet, thumbnail
from co2net.pipeline.frames import Picture, as_bytes
from co2net.video import open_video

TITLES = ["gray, points on the first frame", "colored", "real"]


def write_color_sheet(
    clips: list[Path], output: Path, networks: Networks, *, frames: list[int], points: int = 40, width: int = 400
) -> int:
    """A row per clip and frame: gray (with the points on frame 0), colored, real.

    Args:
        clips: colored videos, folders of frames, or pictures.
        output: ``.png`` or ``.jpg``.
        networks: of :func:`~.files.read_networks`; empty: the way without weights.
        frames: numbers to show, from 0; those that a clip does not have are left out.
        points: on the first frame.
        width: of a column in pixels.

    Returns:
        The number of rows.

    Raises:
        InputError: a clip cannot be read, no frame is shown, or a setting is out of range.
        OutputError: the sheet cannot be written.
    """
    if points < 1 or width < 16:
        raise InputError(f"`points` must be 1 or more and `width` 16 or more, got {points} and {width}")
    rows = []
    for clip in clips:
        stream: ColorizeStream | None = None
        shown: dict[int, list[Any]] = {}
        with open_video(clip) as reader:
            for number, frame in zip(range(max(frames) + 1), reader, strict=False):
                real = as_bytes(frame.image)
                bare = left = np.asarray(gray(real))
                if stream is None:
                    strokes = points_of(real, points)
                    stream = ColorizeStream({0: strokes}, networks.cpnet, networks.ssnet, networks.flow or "dis")
                    left = np.where(strokes.any(axis=2, keepdims=True), strokes, bare)
                if number in frames:
                    shown[number] = [left, None, real]
                _fill(shown, stream.push(bare, tag=number))
        if stream is not None:
            _fill(shown, stream.finish())
        rows += [[thumbnail(np.asarray(picture), width) for picture in columns] for columns in shown.values()]
    if not rows:
        raise InputError(f"{clips[0]} has none of the frames {frames}")
    save_sheet(rows, TITLES, output, width)
    return len(rows)


def _fill(shown: dict[int, list[Any]], results: Iterable[tuple[int, Picture]]) -> None:
    for number, colored in results:
        if number in shown:
            shown[number][1] = colored
