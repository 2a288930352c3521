"""A color mapping on a full-size frame: only where the mask is, in the frame's own numbers.

A complete LUT makes the result by itself (:func:`apply_lut`). Where the mapping has holes or a refinement follows, what
the networks found at the working size is carried to the frame's size (:func:`apply_merged`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import trilinear
from co2net.devices import upload
from co2net.models.backbones.base import BackboneOutput
from co2net.models.co2net import CO2Net, CO2NetResult
from co2net.pipeline.frames import Pixels, as_tensor, cut, frame_shape, frame_to_tensor, mask_to_tensor, put_back
from co2net.pipeline.resolution import enlarge
from co2net.video import coded_masks
from co2net.video.coded_masks import Box, CodedMask
from co2net.video.lazy_colors import ComposedColors, LayeredColors, LazyColors, Patch, PlanesPatch
from trilinear.planes import Planes, apply_lut_planes, serves


@dataclass
class Foreground:
    """Where the mask of a frame is.

    Attributes:
        box: rows and columns that hold it; whole chroma blocks of a frame of planes.
        mask: ``(1, 1, H, W)`` in [0, 1], of the whole frame; of the box only where the frame is one of planes, whose
            neighbors need not be kept then; it may be codes there.
    """

    box: Box
    mask: Tensor | CodedMask

    @classmethod
    def of(cls, frame: Pixels, mask: Tensor | CodedMask) -> Foreground | None:
        """The foreground of a frame with the mask ``(1, 1, H, W)``; None where it has none."""
        box = mask.box() if isinstance(mask, CodedMask) else bounding_box(mask)
        if box is None:
            return None
        if isinstance(frame, LazyColors):
            box = frame.aligned(box)
            return cls(box, mask[box] if isinstance(mask, CodedMask) else mask[..., box[0], box[1]].contiguous())
        return cls(box, mask_to_tensor(mask, frame_shape(frame)) if isinstance(mask, CodedMask) else mask)

    def inside(self) -> Tensor:
        """The mask inside the box, ``(1, 1, h, w)``."""
        if isinstance(self.mask, CodedMask):
            return torch.from_numpy(np.asarray(self.mask))[None, None]
        height, width = (part.stop - part.start for part in self.box)
        return self.mask if self.mask.shape[-2:] == (height, width) else self.mask[..., self.box[0], self.box[1]]


def apply_lut(
    frame: Pixels, lut: Tensor, foreground: Foreground, strength: float, on_planes: bool = False
) -> Pixels | Patch | PlanesPatch:
    """A copy of `frame`, same kind, with a complete LUT's colors blended in by the mask; own bits where the mask is 0.

    Args:
        frame: ``(H, W, 3)`` uint8 / uint16, ``(3, H, W)`` float in [0, 1], or planes, of which a patch comes back.
        lut: ``(1, 3, D, D, D)``, on the device that computes.
        foreground: where the mask is.
        strength: how much of the change is made; 1 is all of it.
        on_planes: new samples may come back in place of new colors, where the kernel makes them.
    """
    box = foreground.box
    if isinstance(frame, LazyColors) and on_planes:
        planes = _on_planes(frame, lut, foreground, strength)
        if planes is not None:
            return PlanesPatch(box, planes)
    if isinstance(frame, LazyColors):
        before = frame[box]
        share = upload(foreground.inside()[0, 0], lut.device)
        after = trilinear.apply_lut_frame(lut, upload(torch.from_numpy(before), lut.device), share, strength)
        return Patch(box, before, after.cpu().numpy())
    mask, picture = foreground.mask, as_tensor(frame)
    assert isinstance(mask, Tensor)  # noqa: S101  # codes only go with planes
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


def _on_planes(frame: LazyColors, lut: Tensor, foreground: Foreground, strength: float) -> list[np.ndarray] | None:
    """New samples of the foreground's box; None where the kernel does not take the frame."""
    stored, front = Planes(*frame.codes()), None
    if isinstance(frame, ComposedColors):
        if not isinstance(frame, LayeredColors) or frame.box != foreground.box:
            return None
        front = Planes(*frame.front.codes())
    if not serves(lut, stored, *([] if front is None else [front]), box=foreground.box):
        return None
    mask, table = foreground.mask, None
    if isinstance(mask, CodedMask):
        values, table = mask.codes, mask.table
    else:
        values = np.ascontiguousarray(mask[0, 0].numpy())
    return apply_lut_planes(lut, stored, values, strength, foreground.box, table=table, front=front)


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
        return coded_masks.bounding_box(mask[0, 0].numpy())
    rows = torch.nonzero(mask[0, 0].amax(dim=1) > 0)
    if len(rows) == 0:
        return None
    columns = torch.nonzero(mask[0, 0].amax(dim=0) > 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
