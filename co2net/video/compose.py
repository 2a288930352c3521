"""Lay a foreground over a background, frame by frame: mask · foreground + (1 - mask) · background."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from co2net.errors import InputError
from co2net.video.lazy_colors import ComposedColors, Patch
from co2net.video.masks import MaskReader, Retime, alpha_mask, open_mask
from co2net.video.metadata import Closing, Frame
from co2net.video.pairing import pair
from co2net.video.pictures import PictureReader
from co2net.video.reader import VideoReader, open_video


def open_composed(
    foreground: str | os.PathLike[str],
    background: str | os.PathLike[str],
    mask: str | os.PathLike[str] | None = None,
    retime: Retime = "error",
) -> ComposedReader:
    """Open a composite that does not exist as a file yet. Colors are mixed as stored (display-coded, straight alpha).

    Args:
        foreground: Clip, or one still picture that holds for every frame; of the background's size.
        background: Clip; gives times, sound and tags, and stays untouched where the mask is 0.
        mask: Anything :func:`~co2net.video.masks.open_mask` reads; None for the foreground's alpha channel.
        retime: How a mask of another frame rate is paired.

    Returns:
        A context manager with ``.info`` (the background's); iterating yields ``(frame, mask)`` pairs.

    Raises:
        InputError: another size or length, another frame rate, or no mask and no alpha channel.
    """
    back = open_video(background)
    opened: list[VideoReader | PictureReader | MaskReader] = [back]
    try:
        front = open_video(foreground, frame_rate=back.info.frame_rate)
        opened.append(front)
        masks = None
        if mask is not None:
            masks = open_mask(mask, like=back.info, retime=retime)
            opened.append(masks)
        return ComposedReader(front, back, masks)
    except BaseException:
        for reader in opened:
            reader.close()
        raise


class ComposedReader(Closing):
    """A foreground over a background; made by :func:`open_composed`."""

    def __init__(
        self, foreground: VideoReader | PictureReader, background: VideoReader | PictureReader, masks: MaskReader | None
    ) -> None:
        self._foreground, self._background, self._masks = foreground, background, masks
        front, back = foreground.info, background.info
        if (front.width, front.height) != (back.width, back.height):
            raise InputError(
                f"{front.path} is {front.width}x{front.height} and {back.path} is {back.width}x{back.height}; "
                "foreground and background must be of one size"
            )
        if masks is None and not front.has_alpha:
            raise InputError(f"{front.path}: no alpha channel ({front.pixel_format}); give its mask with `mask`")
        rates = front.frame_rate, back.frame_rate
        if front.kind == "video" and rates[0] and rates[1] and abs(float(rates[0] / rates[1]) - 1) > 0.005:
            raise InputError(
                f"{front.path} has {float(rates[0]):.6g} frames/s and {back.path} has {float(rates[1]):.6g}; "
                "convert one of them"
            )
        ours, theirs = front.frame_count, back.frame_count
        if front.kind != "image" and ours and theirs and ours != theirs:
            goes_on = f"ends after {ours} frames, {back.path} goes on (to {theirs})"
            longer = f"has more frames than the {theirs} of {back.path}: {ours}"
            raise InputError(f"{front.path} {goes_on if ours < theirs else longer}; cut them to one length")
        sources = (*back.sources, *front.sources, *((masks.path,) if masks is not None else ()))
        self.info = replace(back, sources=sources)
        self.notes: list[str] = masks.notes if masks is not None else []

    def close(self) -> None:
        """Close all sources."""
        for reader in (self._foreground, self._background, self._masks):
            if reader is not None:
                reader.close()

    def __iter__(self) -> Iterator[tuple[Frame, np.ndarray]]:
        """Yield ``(frame, mask)``; ``frame.image`` is the composite, of the background's type.

        Raises:
            InputError: foreground, background and mask are not of one length.
        """
        background = iter(self._background)
        pairs = pair(background, self._masks) if self._masks is not None else ((frame, None) for frame in background)
        foreground = iter(self._foreground)
        still = next(foreground) if self._foreground.info.kind == "image" else None
        count = 0
        for back, mask in pairs:
            front = still if still is not None else next(foreground, None)
            if front is None:
                raise InputError(
                    f"{self._foreground.info.path} ends after {count} frames, {self.info.path} goes on; "
                    "cut them to one length"
                )
            if mask is None:
                mask = alpha_mask(front)
            _lay_over(front, back, mask)
            yield back, mask
            count += 1
        if still is None and next(foreground, None) is not None:
            raise InputError(
                f"{self._foreground.info.path} has more frames than the {count} of {self.info.path}; "
                "cut them to one length"
            )


def _lay_over(front: Frame, back: Frame, mask: np.ndarray) -> None:
    """Make `back` the composite, in its own type; exactly the background where the mask is 0."""
    scale = back.peak / front.peak
    if back.colors is None:
        back.stored_image = back.image
        back.image = _mix(front.image, back.image, mask, scale)
        return
    left, top, width, height = cv2.boundingRect(cv2.compare(mask, 0, cv2.CMP_GT))  # type: ignore[call-overload]
    if width:
        box = back.colors.aligned((slice(top, top + height), slice(left, left + width)))
        before = back.colors[box]
        above = front.image[box] if front.colors is None else front.colors[box]
        back.colors = ComposedColors(back.colors, Patch(box, before, _mix(above, before, mask[box], scale)))


def _mix(front: np.ndarray, back: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    weight = mask[..., None]
    mixed = weight * (front.astype(np.float32) * scale) + (1 - weight) * back.astype(np.float32)
    return cv2.add(mixed, 0.0, dtype=cv2.CV_8U if back.dtype == np.uint8 else cv2.CV_16U).astype(back.dtype)  # type: ignore[call-overload]
