"""What the results of a job become: the source with other colors, a gray matte, colors with an alpha channel."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from co2net.errors import OutputError
from co2net.video import Frame, VideoInfo, Writer
from co2net.video.codecs import CONTAINERS, Codec, choose_codec
from co2net.video.metadata import LIMITED_RANGE

OutputKind = Literal["color", "colorized", "matte", "alpha"]
"""What a stream's results are, and what is written:

* ``"color"``: ``(H, W, 3)`` of the frame's type, or float32 in [0, 1]. The source's own samples, changed only where the
  mask is not 0 and the colors differ.
* ``"colorized"``: the same, but a gray source becomes a color video.
* ``"matte"``: ``(H, W)``, bool or float in [0, 1] or of the frame's type. A gray video without sound.
* ``"alpha"``: ``(colors, alpha)``, as above. A color video with an alpha channel (straight, not premultiplied).
"""


def output_info(info: VideoInfo, kind: OutputKind, output: str | os.PathLike[str], codec: str | None) -> VideoInfo:
    """What the writer is to know of the source.

    Args:
        info: of the source.
        kind: of output.
        output: where to.
        codec: as asked for; None: the ending's own.

    Raises:
        OutputError: the output has no alpha channel, and this kind needs one.
    """
    ending, deep = Path(output).suffix.lower(), info.bit_depth > 8
    chosen = choose_codec(ending, codec, Path(output).name) if ending in CONTAINERS else None
    if kind == "matte":
        return replace(
            info,
            pixel_format="gray16le" if deep else "gray",
            bit_depth=16 if deep else 8,
            # What plays YUV expects limited range, whatever the tag says; gray files have no range but the full one.
            color_range=LIMITED_RANGE if chosen is not None and not chosen.lossless else 0,
            has_alpha=False,
            has_audio=False,
            with_sound=False,
        )
    if kind == "alpha":
        _check_alpha(output, ending, chosen)
        return replace(
            info,
            pixel_format="rgba64le" if deep else "rgba",
            bit_depth=16 if deep else 8,
            color_range=0,
            has_alpha=True,
        )
    if kind == "colorized" and info.pixel_format.startswith(("gray", "mono", "ya")):
        return replace(info, pixel_format="rgb48le" if deep else "rgb24", color_range=0, has_alpha=False)
    return info


def write_result(writer: Writer, kind: OutputKind) -> Callable[[Frame, Any, np.ndarray | None], None]:
    """The function ``(frame, result, mask)`` that writes one result of that kind."""

    def write_color(frame: Frame, result: np.ndarray, mask: np.ndarray | None) -> None:
        writer.write(frame, result, mask)

    def write_colorized(frame: Frame, result: np.ndarray, mask: np.ndarray | None) -> None:
        writer.write(_without_planes(frame, frame.image, None), result, mask)

    def write_matte(frame: Frame, result: np.ndarray, mask: np.ndarray | None) -> None:
        codes = _codes(result, frame)
        picture = cv2.merge([codes, codes, codes])
        writer.write(_without_planes(frame, picture, None, gray=True), picture)

    def write_alpha(frame: Frame, result: tuple[np.ndarray, np.ndarray], mask: np.ndarray | None) -> None:
        colors, alpha = result
        writer.write(_without_planes(frame, frame.image, _codes(alpha, frame)), colors)

    gray_source = kind == "colorized" and writer.info.pixel_format.startswith("rgb")
    if kind == "colorized":
        return write_colorized if gray_source else write_color
    return {"color": write_color, "matte": write_matte, "alpha": write_alpha}[kind]


def _check_alpha(output: str | os.PathLike[str], ending: str, chosen: Codec | None) -> None:
    if ending in (".jpg", ".jpeg") or (chosen is not None and not chosen.alpha):
        raise OutputError(
            f"{output}: {chosen.title if chosen else 'JPEG'} has no alpha channel; choose .mov (ProRes 4444), .mkv "
            "(FFV1), .webm (VP9), .png or a folder of PNG frames"
        )


def _without_planes(frame: Frame, image: np.ndarray, alpha: np.ndarray | None, gray: bool = False) -> Frame:
    """A frame that is coded anew from its picture, at the same time."""
    keep = {name: value for name, value in frame.keep.items() if name != "gray"} | ({"gray": True} if gray else {})
    return replace(frame, image=image, alpha=alpha, stored=None, stored_image=None, keep=keep)


def _codes(values: np.ndarray, frame: Frame) -> np.ndarray:
    """One channel, bool, float in [0, 1] or codes already, in the type of the frame's picture."""
    values = np.asarray(values)
    if values.dtype == frame.image.dtype:
        return values
    return np.rint(np.clip(values.astype(np.float32), 0, 1) * frame.peak).astype(frame.image.dtype)
