"""What every backbone shares: its color space, padding to sizes it can take, and its result.

A backbone file holds one network and subclasses :class:`Backbone`; see ``docs/adding_a_backbone.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.checks import check_image, check_mask

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass
class BackboneOutput:
    """Result of one backbone pass.

    Attributes:
        image: harmonized frame ``(B, 3, H, W)`` in [0, 1] space, unclamped; the input where the mask is 0.
        features: feature map ``(B, feature_channels, H, W)`` that the refinement can read.
        raw: the network's own output ``(B, 3, H, W)`` in its normalized space, as the refinement expects it.
        lut: the color mapping ``(B, 3, P, P, P)`` where the network predicts one, None elsewhere.
        doubt: ``(B,)``, the squared error that such a network expects of itself ([0, 1] space, mean over the
            foreground).
    """

    image: Tensor
    features: Tensor
    raw: Tensor
    lut: Tensor | None = None
    expected_error: Tensor | None = None


class Backbone(nn.Module):
    """Per-frame harmonization network; subclasses implement :meth:`network`.

    Class attributes:
        mean, std: statistics of the normalized space, per channel.
        size_multiple: height and width the network takes must be multiples of this.
        feature_channels: channels of the feature map (set by the instance where a setting decides it).
        title: the network's name in messages.
        parts: first components of the state-dict names; weight files are recognized by them.
        predicts_mapping: whether :meth:`forward` fills ``lut`` and ``expected_error``.
    """

    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    size_multiple: ClassVar[int] = 1
    feature_channels: int = 0
    title: ClassVar[str] = ""
    parts: ClassVar[tuple[str, ...]] = ()
    predicts_mapping: ClassVar[bool] = False

    training_size: int = 256  # height and width the weights were trained at

    _mean: Tensor
    _std: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: official state dicts hold no statistics (and ours must load there).
        self.register_buffer("_mean", torch.tensor(self.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(self.std).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Constructor settings under which the network takes `state`; entries may be missing."""
        return {}

    @property
    def frame_size(self) -> int:
        """Largest height and width of a frame that the network makes use of; the pipeline shrinks frames to it."""
        return self.training_size

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The bare network.

        Args:
            image: ``(B, 3, H, W)`` in the normalized space; H and W multiples of :attr:`size_multiple`.
            mask: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            ``(output, features)``: ``(B, 3, H, W)`` in the normalized space and ``(B, feature_channels, H, W)``.
        """
        raise NotImplementedError

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """Fresh weights for training: normal with variance ``2 / (fan_in + fan_out)``, zero biases; buffers stay.

        Args:
            start_as_identity: let the untrained network nearly return its input, if it can. Short trainings need it:
                they otherwise spend their time on learning to copy.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                taps = module.weight[0, 0].numel()
                fan_in, fan_out = module.weight.shape[1] * taps, module.weight.shape[0] * taps
                nn.init.normal_(module.weight, std=math.sqrt(2 / (fan_in + fan_out)))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def normalize(self, image: Tensor) -> Tensor:
        """[0, 1] space to the network's normalized space."""
        return (image - self._mean) / self._std

    def denormalize(self, image: Tensor) -> Tensor:
        """The network's normalized space to [0, 1] space."""
        return image * self._std + self._mean

    def blend(self, raw: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        """De-normalize `raw` inside the mask, keep `image` ([0, 1] space) outside."""
        return self.denormalize(raw) * mask + image * (1 - mask)

    def run(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`network` for any size: pads by repeating the border, crops the results back.

        Same arguments and results as :meth:`network`.
        """
        height, width = image.shape[-2:]
        bottom, right = -height % self.size_multiple, -width % self.size_multiple
        if bottom or right:
            padding = (0, right, 0, bottom)
            image, mask = F.pad(image, padding, mode="replicate"), F.pad(mask, padding, mode="replicate")
        raw, features = self.network(image, mask)
        return raw[..., :height, :width], features[..., :height, :width]

    def forward(self, image: Tensor, mask: Tensor) -> BackboneOutput:
        """Harmonize the foreground of `image`.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1], any size.
            mask: foreground ``(B, 1, H, W)`` in [0, 1], soft or hard.

        Raises:
            ShapeError: if the shapes, types or devices do not fit.
        """
        check_image(image)
        check_mask(mask, image)
        raw, features = self.run(self.normalize(image), mask)
        return BackboneOutput(image=self.blend(raw, mask, image), features=features, raw=raw)
