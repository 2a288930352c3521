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


class WindowError:
    """How far neighbors read through a LUT are from what the backbone made of them.

    Squared error per foreground pixel, 8-bit levels, averaged over channels.

    Args:
        model: its rule for unseen colors counts.
        lut: ``(B, 3, D, D, D)``.
        count: ``(B, D, D, D)``.
    """

    def __init__(self, model: CO2Net, lut: Tensor, count: Tensor) -> None:
        self._model, self._lut, self._count = model, lut, count
        exact = torch.float32 if lut.device.type == "mps" else torch.float64  # MPS has no float64
        self._error = torch.zeros(len(lut), dtype=exact, device=lut.device)
        self._area = torch.zeros_like(self._error)

    def add(self, image: Tensor, mask: Tensor, harmonized: Tensor, times: int = 1) -> None:
        """Take a neighbor in.

        Args:
            image: its composite ``(B, 3, H, W)`` in [0, 1].
            mask: ``(B, 1, H, W)`` in [0, 1].
            harmonized: what the backbone made of it, as `image`.
            times: how often it counts.
        """
        unseen = trilinear.unseen_map(self._count, image, rule=self._model.unseen_rule) * mask
        read = (1 - unseen) * trilinear.apply_lut(self._lut, image, self._count) + unseen * harmonized
        read = read * mask + image * (1 - mask)
        difference = (read * 255).clamp(0, 255) - (harmonized * 255).clamp(0, 255)
        self._error += times * difference.to(self._error.dtype).square().sum(dim=(1, 2, 3))
        self._area += times * mask.sum(dim=(1, 2, 3), dtype=self._area.dtype)

    def mean(self) -> Tensor:
        """Of all that was added, ``(B,)``; ``nan`` where all masks are empty."""
        return self._error / (3 * self._area)


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
    volume = model.window_volume(image, neighbor_images, neighbor_masks)
    if volume is None:
        raise InputError("the mapping error needs at least one neighbor frame")
    lut, count = model.color_mapping(volume)
    unseen = trilinear.unseen_map(count, image, rule=model.unseen_rule) * mask
    error = WindowError(model, lut, count)
    for x, m in zip(neighbor_images.unbind(1), neighbor_masks.unbind(1), strict=True):
        error.add(x, m, model.run_backbone(x, m).image)
    return MappingStatistics(mapping_error=error.mean().to(image.dtype), invalid=unseen.mean(dim=(1, 2, 3)))
