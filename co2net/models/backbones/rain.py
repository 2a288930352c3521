"""RainNet: an encoder-decoder whose decoder moves foreground statistics to those of the background.

Ling et al., "Region-aware Adaptive Instance Normalization for Image Harmonization", CVPR 2021,
section 3. Module names follow the keys of the official state dict. Numbered names e0 to e7 and t6 to t0 in comments
count from the frame's size down and up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.models.backbones.base import Backbone, register

EPS = 1e-5


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)


def _deconv(channels_in: int, channels_out: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)


def _statistics(x: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per item and channel, ``(B, C, 1, 1)``, over a soft region ``(B, 1, h, w)``."""
    area = region.sum(dim=(2, 3), keepdim=True) + EPS
    mean = (x * region).sum(dim=(2, 3), keepdim=True) / area
    # The region weighs the deviation before squaring: as published, and different from a weighted variance when soft.
    variance = (region * (x - mean)).square().sum(dim=(2, 3), keepdim=True) / area
    return mean, (variance + EPS).sqrt()


class RAIN(nn.Module):
    """Region-aware adaptive instance normalization: the foreground takes over the background's statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.foreground_gamma = nn.Parameter(torch.zeros(channels))
        self.foreground_beta = nn.Parameter(torch.zeros(channels))
        self.background_gamma = nn.Parameter(torch.zeros(channels))
        self.background_beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        mask = F.interpolate(mask, x.shape[-2:], mode="nearest")
        mean_back, std_back = _statistics(x, 1 - mask)
        mean_fore, std_fore = _statistics(x, mask)
        back = (x - mean_back) / std_back
        fore = (x - mean_fore) / std_fore * std_back + mean_back
        back = back * (1 + self.background_gamma[:, None, None]) + self.background_beta[:, None, None]
        fore = fore * (1 + self.foreground_gamma[:, None, None]) + self.foreground_beta[:, None, None]
        return fore * mask + back * (1 - mask)


class InnermostStep(nn.Module):
    """e6 to t6: down to 1/256 of the resolution and up again, no norm at the bottom."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Index 0 of the original is the activation that the step above has already applied here.
        self.up = nn.Sequential(nn.Identity(), _conv(channels, channels), nn.ReLU(), _deconv(channels, channels))
        self.upnorm = RAIN(channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.cat([x, self.upnorm(self.up(x), mask)], dim=1)


class InnerStep(nn.Module):
    """One level of the recursive middle: e3 to t3, e4 to t4, e5 to t5.

    The input is already activated, and so is the skip connection it becomes (the original activates in place).
    """

    def __init__(self, channels: int, submodule: nn.Module) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Identity(), _conv(channels, channels), nn.InstanceNorm2d(channels))
        self.submodule = submodule
        self.up = nn.Sequential(nn.ReLU(), _deconv(2 * channels, channels))
        self.upnorm = RAIN(channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inner = self.submodule(F.leaky_relu(self.down(x), 0.2), mask)
        return torch.cat([x, self.dropout(self.upnorm(self.up(inner), mask))], dim=1)


def _attention(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Sigmoid())


@register("rain")
class RainNet(Backbone):
    """RainNet with attention in the decoder; 54 759 043 parameters at 64 base channels.

    Args:
        ngf: base channels; the feature map has twice as many. Official files have 64.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    size_multiple = 256
    title = "RainNet"
    parts = (
        *("model_layer0", "model_layer1", "model_layer2", "model_layer3", "unet_block", "model_out"),
        *(f"model_layer{level}{kind}" for level in (11, 12, 13) for kind in ("", "norm", "att")),
    )

    def __init__(self, ngf: int = 64) -> None:
        super().__init__()
        self.feature_channels = 2 * ngf
        self.model_layer0 = _conv(3, ngf)
        for level, channels in ((1, ngf), (2, 2 * ngf), (3, 4 * ngf)):
            down = nn.Sequential(nn.Identity(), _conv(channels, 2 * channels), nn.InstanceNorm2d(2 * channels))
            self.add_module(f"model_layer{level}", down)
        block: nn.Module = InnermostStep(8 * ngf)
        for _ in range(3):
            block = InnerStep(8 * ngf, block)
        self.unet_block = block
        for level, channels in ((11, 4 * ngf), (12, 2 * ngf), (13, ngf)):
            self.add_module(f"model_layer{level}", nn.Sequential(nn.ReLU(), _deconv(4 * channels, channels)))
            self.add_module(f"model_layer{level}norm", RAIN(channels))
            self.add_module(f"model_layer{level}att", _attention(2 * channels))
        self.model_out = nn.Sequential(nn.ReLU(), _deconv(2 * ngf, 3, bias=True), nn.Tanh())

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read `ngf` off the first layer."""
        first = state.get("model_layer0.weight")
        return {} if first is None or first.ndim != 4 else {"ngf": first.shape[0]}

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """See :meth:`Backbone.initialize`; normal with standard deviation 0.02, as published for RainNet.

        `start_as_identity` has no effect: the prediction is a tanh that no choice of weights turns into the input.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, RAIN):
                for vector in module.parameters():
                    nn.init.zeros_(vector)

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Backbone.network`; the output is blended with the input by the mask."""
        skips = [F.leaky_relu(self.model_layer0(image), 0.2)]  # e0, then e1, e2, e3: all activated
        for level in (1, 2, 3):
            skips.append(F.leaky_relu(self.get_submodule(f"model_layer{level}")(skips[-1]), 0.2))
        x = self.unet_block(skips.pop(), mask)  # t3
        for level in (11, 12, 13):  # t2, t1, t0
            up = self.get_submodule(f"model_layer{level}norm")(self.get_submodule(f"model_layer{level}")(x), mask)
            joined = torch.cat([skips.pop(), up], dim=1)
            x = self.get_submodule(f"model_layer{level}att")(joined) * joined
        features = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        predicted = self.model_out(x)
        return predicted * mask + image * (1 - mask), features
