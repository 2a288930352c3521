"""How well a LUT describes what the backbone did: the paper's evaluation of the color mapping alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import trilinear
from co2net.errors import InputError
from co2net.models.co2net import CO2Net


@dataclass
class MappingStatistics:
    """One value per item.

    Attributes:
        mapping_error: ``(B,)``, squared error per foreground pixel between the neighbors read through the LUT and
            the neighbors after the backbone, 8-bit units, averaged over the three channels. ``nan`` where all
            neighbor masks are empty.
        invalid: ``(B,)``, fraction of the frame that the LUT says nothing about, in [0, 1]. The original reports
            three times this number (it counts three equal channels).
    """

    mapping_error: Tensor
    invalid: Tensor


@torch.no_grad()
def mapping_statistics(
    model: CO2Net, image: Tensor, mask: Tensor, neighbor_images: Tensor, neighbor_masks: Tensor
) -> MappingStatistics:
    """Mapping error and share of unseen pixels, as the paper's LUT-only evaluation measures them.

    Args:
        model: its backbone and color mapping are measured; a refinement plays no part.
        image: composite ``(B, 3, H, W)`` in [0, 1].
        mask: ``(B, 1, H, W)`` in [0, 1].
        neighbor_images: ``(B, N, 3, H, W)`` in [0, 1], N at least 1.
        neighbor_masks: ``(B, N, 1, H, W)``.

    Raises:
        InputError: without neighbors.
        ShapeError: if shapes do not fit.
    """
    volume = model.neighbor_volume(image, neighbor_images, neighbor_masks)
    if volume is None:
        raise InputError("the mapping error needs at least one neighbor frame")
    lut, count = model.color_mapping(volume)
    unseen = trilinear.unseen_map(count, image, rule=model.unseen_rule) * mask
    error = torch.zeros(len(image), device=image.device, dtype=torch.float64)
    for x, m in zip(neighbor_images.unbind(1), neighbor_masks.unbind(1), strict=True):
        y = model.run_backbone(x, m).image
        u = trilinear.unseen_map(count, x, rule=model.unseen_rule) * m
        p = (1 - u) * trilinear.apply_lut(lut, x, count) + u * y
        p = p * m + x * (1 - m)
        difference = (p * 255).clamp(0, 255) - (y * 255).clamp(0, 255)
        error += difference.double().square().sum(dim=(1, 2, 3))
    return MappingStatistics(
        mapping_error=(error / (3 * neighbor_masks.double().sum(dim=(1, 2, 3, 4)))).to(image.dtype),
        invalid=unseen.mean(dim=(1, 2, 3)),
    )
