"""A backbone of one file: it wants edges of the full-size composite, paints pixels and predicts a LUT.

A test makes it available with one line: ``from toy_backbone import Toy``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trilinear
from co2net.models.backbones.base import Backbone, BackboneOutput, Recipe, register
from co2net.models.backbones.losses import foreground_normalized_loss

POINTS = 5


@register("toy")
class Toy(Backbone):
    """One convolution on image, mask and edges; a LUT from the mean color of the background."""

    title = "Toy"
    parts = ("paint", "map")
    feature_channels = 8
    predicts_mapping = True
    planes = ("edges",)
    recipes = {"both": Recipe(phases=((32, 64, 4),), loss="both", varied=False)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.paint = nn.ModuleList([nn.Conv2d(5, 8, 3, padding=1), nn.Conv2d(8, 3, 1)])
        self.map = nn.Linear(3, 3 * POINTS**3)

    def prepare(self, composite: np.ndarray) -> dict[str, np.ndarray]:
        gray = composite.mean(axis=2)
        return {"edges": np.abs(np.diff(gray, axis=1, append=gray[:, -1:])).astype(np.uint8)[..., None]}

    def forward(self, image: Tensor, mask: Tensor, edges: Tensor | None = None) -> BackboneOutput:
        if edges is None:
            edges = F.pad((image[..., 1:] - image[..., :-1]).abs().mean(dim=1, keepdim=True), (0, 1))
        inside = self.normalize(image)
        features = self.paint[0](torch.cat([inside, mask, edges], dim=1)).relu()
        raw = inside + self.paint[1](features)
        background = (image * (1 - mask)).mean(dim=(2, 3))
        lut = self.map(background).view(-1, 3, POINTS, POINTS, POINTS)
        return BackboneOutput(self.blend(raw, mask, image), features, raw, lut)

    def losses(self, out: BackboneOutput, target: Tensor, mask: Tensor, recipe: Recipe) -> dict[str, Tensor]:
        assert out.lut is not None
        read = trilinear.apply_lut(out.lut, target)
        return {
            "pixel": foreground_normalized_loss(out.raw, self.normalize(target), mask).mean(),
            "lut": foreground_normalized_loss(read, target, mask).mean(),
        }
