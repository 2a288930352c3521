"""Painting a frame with a complete LUT: integers in, integers out, only where the mask is."""

from __future__ import annotations

import numpy as np
from torch import Tensor

import trilinear
from co2net.devices import upload
from co2net.pipeline.frames import Picture, as_tensor, frame_to_tensor, put_back

Window = tuple[slice, slice]


def paint(frame: Picture, lut: Tensor, mask: Tensor, strength: float, window: Window) -> Picture:
    """A copy of `frame`, same kind, with the LUT's colors blended in by the mask; own bits where the mask is 0.

    Args:
        frame: ``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1].
        lut: ``(1, 3, D, D, D)``, on the device that computes.
        mask: ``(1, 1, H, W)`` in [0, 1].
        strength: 0 to 1.
        window: rows and columns that hold the mask.
    """
    picture = as_tensor(frame)
    if picture.is_floating_point():
        image = frame_to_tensor(frame[:, window[0], window[1]], lut.device)
        part = upload(mask[..., window[0], window[1]], lut.device)
        colors = image + strength * part * (trilinear.apply_lut(lut, image) - image)
        return put_back(frame, window, colors, part)
    if lut.device == picture.device:
        painted = trilinear.apply_lut_frame(lut, picture, mask[0, 0].to(lut.device), strength, window)
        return painted.numpy() if isinstance(frame, np.ndarray) else painted
    # Only the window travels, in the frame's own integers.
    alpha = upload(mask[0, 0][window], lut.device)
    part = trilinear.apply_lut_frame(lut, upload(picture[window], lut.device), alpha, strength).to(picture.device)
    if isinstance(frame, np.ndarray):
        out = frame.copy()
        out[window] = part.numpy()
        return out
    painted = picture.clone()
    painted[window] = part
    return painted
