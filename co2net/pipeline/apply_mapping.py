"""A color mapping on a full-size frame: only where the mask is, in the frame's own numbers.

A complete LUT makes the result by itself (:func:`apply_lut`). Where the mapping has holes or a refinement follows, what
the networks found at the working size is carried to the frame's size (:func:`apply_merged`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

import trilinear
from co2net.devices import upload
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net, CO2NetResult
from co2net.pipeline.frames import Pixels, as_tensor, cut, frame_shape, frame_to_tensor, put_back
from co2net.pipeline.resolution import enlarge
from co2net.video.color import nonzero
from co2net.video.lazy_colors import Box, LazyColors, Patch


@dataclass
class Foreground:
    """Where the mask of a frame is.

    Attributes:
        box: rows and columns that hold it; whole chroma blocks of a frame of planes.
        mask: ``(1, 1, H, W)`` in [0, 1], of the whole frame; of the box only where the frame is one of planes, whose
            neighbors need not be kept then.
    """

    box: Box
    mask: Tensor

    @classmethod
    def of(cls, frame: Pixels, mask: Tensor) -> Foreground | None:
        """The foreground of a frame with the mask ``(1, 1, H, W)``; None where it has none."""
        box = bounding_box(mask)
        if box is None or not isinstance(frame, LazyColors):
            return None if box is None else cls(box, mask)
        box = frame.aligned(box)
        return cls(box, mask[..., box[0], box[1]].contiguous())

    def inside(self) -> Tensor:
        """The mask inside the box, ``(1, 1, h, w)``."""
        height, width = (part.stop - part.start for part in self.box)
        return self.mask if self.mask.shape[-2:] == (height, width) else self.mask[..., self.box[0], self.box[1]]


def apply_lut(frame: Pixels, lut: Tensor, foreground: Foreground, strength: float) -> Pixels | Patch:
    """A copy of `frame`, same kind, with a complete LUT's colors blended in by the mask; own bits where the mask is 0.

    Args:
        frame: ``(H, W, 3)`` uint8 / uint16, ``(3, H, W)`` float in [0, 1], or planes, of which a patch comes back.
        lut: ``(1, 3, D, D, D)``, on the device that computes.
        foreground: where the mask is.
        strength: how much of the change is made; 1 is all of it.
    """
    box = foreground.box
    if isinstance(frame, LazyColors):
        before = frame[box]
        share = upload(foreground.mask[0, 0], lut.device)
        after = trilinear.apply_lut_frame(lut, upload(torch.from_numpy(before), lut.device), share, strength)
        return Patch(box, before, after.cpu().numpy())
    mask = foreground.mask
    picture = as_tensor(frame)
    if picture.is_floating_point():
        image = frame_to_tensor(cut(frame, box), lut.device)
        part = upload(foreground.inside(), lut.device)
        colors = image + strength * part * (trilinear.apply_lut(lut, image) - image)
        return put_back(frame, box, colors, part)
    if lut.device == picture.device:
        painted = trilinear.apply_lut_frame(lut, picture, mask[0, 0].to(lut.device), strength, box)
        return painted.numpy() if isinstance(frame, np.ndarray) else painted
    # Only the box travels, in the frame's own integers.
    alpha = upload(mask[0, 0][box], lut.device)
    part = trilinear.apply_lut_frame(lut, upload(picture[box], lut.device), alpha, strength).to(picture.device)
    if isinstance(frame, np.ndarray):
        out = frame.copy()
        out[box] = part.numpy()
        return out
    painted = picture.clone()
    painted[box] = part
    return painted


def apply_merged(
    frame: Pixels,
    foreground: Foreground,
    strength: float,
    model: CO2Net,
    small: Tensor,
    small_mask: Tensor,
    out: BackboneOutput,
    mapping: tuple[Tensor, Tensor] | None,
    merged: CO2NetResult,
) -> Pixels | Patch:
    """A copy of `frame`, same kind, with what the model made of it at the working size; own bits where the mask is 0.

    Args:
        frame: as for :func:`apply_lut`.
        foreground: where the mask is.
        strength: how much of the change is made.
        model: whose result it is.
        small: the frame at the working size, ``(1, 3, h, w)``, on the device that computes, as all that follows.
        small_mask: ``(1, 1, h, w)``.
        out: the backbone's result for `small`.
        mapping: ``(lut, count)`` of the frame's window; None without neighbors.
        merged: the model's result for `small`.
    """
    box, shape = foreground.box, frame_shape(frame)
    image = frame_to_tensor(cut(frame, box), small.device)
    part = upload(foreground.inside(), small.device)
    if small.shape[-2:] == shape:
        final = merged.image[..., box[0], box[1]]
        final = image + strength * (final - image) if strength != 1 else final
    else:
        final = _at_full_size(model, small, small_mask, out, mapping, merged.refined, image, shape, box)
        final = image + strength * part * (final - image)
    return put_back(frame, box, final, part)


def _at_full_size(
    model: CO2Net,
    small: Tensor,
    mask: Tensor,
    out: BackboneOutput,
    mapping: tuple[Tensor, Tensor] | None,
    refined: Tensor | None,
    image: Tensor,
    shape: tuple[int, int],
    box: Box,
) -> Tensor:
    """Harmonized colors of the box at the frame's size, not blended by the mask yet.

    The LUT is applied to the full-size colors. Where it says nothing, and where the refinement changed its result, the
    working size's correction is added.
    """
    backbone = model.backbone.denormalize(out.raw)

    def carried(correction: Tensor) -> Tensor:
        return enlarge(correction, mask, shape, box)

    if mapping is None:
        return image + carried((backbone if refined is None else refined) - small)
    lut, count = mapping
    knows_every_color = bool((count > 0).all())  # a completed or predicted one does

    def mapped(picture: Tensor, fallback: Callable[[], Tensor]) -> Tensor:
        if knows_every_color:
            return trilinear.apply_lut(lut, picture)
        colors = trilinear.apply_lut(lut, picture, count)
        unseen = trilinear.unseen_map(count, picture, rule=model.unseen_rule)
        return torch.where(unseen > 0, fallback(), colors) if bool(unseen.any()) else colors

    final = mapped(image, lambda: image + carried(backbone - small))
    if refined is not None:
        final = final + carried(refined - mapped(small, lambda: backbone))
    return final


def bounding_box(mask: Tensor) -> Box | None:
    """Rows and columns that hold the mask ``(1, 1, H, W)``, None if it is empty: nothing outside needs computing."""
    if mask.device.type == "cpu":  # in one pass, without waking other threads
        inside = nonzero(mask[0, 0].numpy())
        left, top, width, height = cv2.boundingRect(inside)
        return (slice(top, top + height), slice(left, left + width)) if width else None
    rows = torch.nonzero(mask[0, 0].amax(dim=1) > 0)
    if len(rows) == 0:
        return None
    columns = torch.nonzero(mask[0, 0].amax(dim=0) > 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
