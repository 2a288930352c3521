"""How well a LUT describes what the backbone did, in the paper's evaluation of the color mapping alone."""

from __future__ import annotations

import torch
from torch import Tensor

import trilinear
from co2net.models.co2net import CO2Net


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
