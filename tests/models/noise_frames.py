"""Frames of noise with a foreground, for networks that look at any."""

import torch
from torch import Tensor


def frames(count: int = 2, size: tuple[int, int] = (40, 48), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images ``(count, 3, *size)`` in [0, 1], and masks ``(count, 1, *size)`` of one rectangle."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, *size, generator=generator)
    mask = torch.zeros(count, 1, *size)
    mask[..., 10:30, 8:30] = 1
    return image, mask
