"""Small backbones and clips for tests of the pipeline: ``from pipeline import stubs``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from co2net.models.backbones.base import Backbone
from co2net.models.co2net import CO2Net


class Tiny(Backbone):
    """Two convolutions with random weights; looks at the mask and at neighboring pixels, as real networks do."""

    parts = ("first", "second")
    feature_channels = 8

    def __init__(self, training_size: int = 256) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
        self.training_size = training_size
        self.calls: list[tuple[int, ...]] = []

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append(tuple(image.shape))
        features = torch.tanh(self.first(torch.cat([image, mask], dim=1)))
        return image + self.second(features), features


class Known(Backbone):
    """A backbone that changes colors in a known way: `change` maps ``(B, 3, H, W)`` in [0, 1]. Has no parameters."""

    parts = ("none",)
    feature_channels = 1

    def __init__(self, change: Callable[[Tensor], Tensor], training_size: int = 64) -> None:
        super().__init__()
        self.change, self.training_size = change, training_size

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.normalize(self.change(self.denormalize(image))), image[:, :1]


def warm(picture: Tensor) -> Tensor:
    """A plain affine change of color that stays within [0, 1]."""
    gain = torch.tensor([0.8, 0.7, 0.6]).view(1, 3, 1, 1)
    shift = torch.tensor([0.15, 0.1, 0.05]).view(1, 3, 1, 1)
    return picture * gain + shift


def model_of(backbone: Backbone, **settings) -> CO2Net:
    return CO2Net(backbone, **{"refinement": False, **settings}).eval()


def moving_clip(count: int, height: int = 24, width: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames ``(T, H, W, 3)`` and soft masks ``(T, H, W)``, uint8: a noisy texture, and a disc that wanders over it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    frames, masks = [], []
    for number in range(count):
        waves = [np.sin((x + 2 * number) / (3.0 + c)) + np.cos((y - number) / (4.0 - c)) for c in range(3)]
        picture = 0.5 + 0.2 * np.stack(waves, axis=-1) + 0.05 * random.standard_normal((height, width, 3))
        frames.append(np.rint(picture.clip(0, 1) * 255))
        distance = np.hypot(x - width * (0.35 + 0.02 * number), y - height / 2)
        masks.append(np.rint(((min(height, width) / 3 - distance) / 4 + 0.5).clip(0, 1) * 255))
    return np.array(frames, np.uint8), np.array(masks, np.uint8)


def as_tensors(frames: np.ndarray, masks: np.ndarray) -> tuple[Tensor, Tensor]:
    """``(T, 3, H, W)`` and ``(T, 1, H, W)``, float in [0, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(masks)[:, None].float() / 255
