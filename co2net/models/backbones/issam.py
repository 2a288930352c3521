"""iSSAM, "improved spatial-separated attention module": the backbone of CO2Net.

Sofiiuk et al., "Foreground-aware Semantic Representations for Image Harmonization", WACV 2021 (the iDIH/iSSAM
family). An encoder-decoder on image and mask; its last step treats foreground and background with separate channel
gates. Module names follow the keys of the official state dict, so that released files load unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.models.backbones.base import Backbone, register


class ConvBlock(nn.Module):
    """3x3 convolution, optional batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, norm: bool, bias: bool = True) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias),
            nn.BatchNorm2d(channels_out) if norm else nn.Identity(),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class DoubleConv(nn.Module):
    """Two convolution blocks, the first changes the number of channels."""

    def __init__(self, channels_in: int, channels_out: int, *, norm: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            ConvBlock(channels_in, channels_out, norm=norm), ConvBlock(channels_out, channels_out, norm=norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class EncoderStep(nn.Module):
    """One encoder level (the official keys put the double convolution under the name ``convs``)."""

    def __init__(self, channels_in: int, channels_out: int, *, norm: bool) -> None:
        super().__init__()
        self.convs = DoubleConv(channels_in, channels_out, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class Encoder(nn.Module):
    """Four levels at 1, 1/2, 1/4, 1/8 of the resolution; returns every level's output before pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.block0 = EncoderStep(4, 32, norm=False)
        self.block1 = EncoderStep(32, 64, norm=False)
        self.blocks_connected = nn.ModuleDict(
            {"block2": EncoderStep(64, 128, norm=True), "block3": EncoderStep(128, 256, norm=True)}
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [self.block0(x)]
        for step in (self.block1, *self.blocks_connected.values()):
            levels.append(step(F.max_pool2d(levels[-1], 2)))
        return levels


class ChannelGate(nn.Module):
    """Scales each channel by a weight computed from its global average and maximum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(channels // 16, 8)
        self.attention_transform = nn.Sequential(
            nn.Linear(2 * channels, middle), nn.ReLU(), nn.Linear(middle, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return x * self.attention_transform(pooled)[:, :, None, None]


class MaskBlur(nn.Module):
    """Fixed 7x7 blur of the mask.

    The kernel is a buffer that state dicts carry: released weights were trained with another kernel than the
    Gaussian constructed here, and all their layers are adapted to it.
    """

    weight: Tensor

    def __init__(self, size: int = 7, sigma: float = 1.0) -> None:
        super().__init__()
        offsets = torch.arange(size, dtype=torch.float64) - size // 2
        line = torch.exp(-(offsets**2) / (2 * sigma**2))
        kernel = line[:, None] * line[None, :]
        self.register_buffer("weight", (kernel / kernel.sum()).float().view(1, 1, size, size))

    def forward(self, mask: Tensor) -> Tensor:
        return F.conv2d(mask, self.weight, padding=self.weight.shape[-1] // 2)


class SpatialSeparatedAttention(nn.Module):
    """Gates foreground and background channels apart, then mixes the two by the blurred mask."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.background_gate = ChannelGate(channels)
        self.foreground_gate = ChannelGate(channels)
        self.mix_gate = ChannelGate(channels)
        self.learning_block = nn.Sequential(
            ConvBlock(channels, channels // 2, norm=True, bias=False),
            ConvBlock(channels // 2, channels, norm=True, bias=False),
        )
        self.mask_blurring = MaskBlur()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if mask.shape[-2:] != x.shape[-2:]:
            mask = F.interpolate(mask, x.shape[-2:], mode="bilinear", align_corners=True)
        mask = self.mask_blurring(mask)
        foreground = self.learning_block(self.foreground_gate(x)) + self.mix_gate(x)
        return mask * foreground + (1 - mask) * self.background_gate(x)


class DecoderStep(nn.Module):
    """Upsample by two, join the skip connection, convolve; optionally with attention on the joined tensor."""

    def __init__(self, channels_in: int, channels_out: int, *, attention: bool) -> None:
        super().__init__()
        self.upconv = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            ConvBlock(channels_in, channels_out, norm=False),
        )
        self.attention = SpatialSeparatedAttention(2 * channels_out) if attention else None
        self.convs = DoubleConv(2 * channels_out, channels_out, norm=True)

    def forward(self, x: Tensor, skip: Tensor, mask: Tensor) -> Tensor:
        joined = torch.cat([skip, self.upconv(x)], dim=1)
        if self.attention is not None:
            joined = self.attention(joined, mask)
        return self.convs(joined)


class Decoder(nn.Module):
    """Three steps up; then a blend of the input image and predicted colors (all in the normalized space)."""

    def __init__(self) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList(
            [
                DecoderStep(256, 128, attention=False),
                DecoderStep(128, 64, attention=False),
                DecoderStep(64, 32, attention=True),
            ]
        )
        self.conv_attention = nn.Conv2d(32, 1, 1)
        self.to_rgb = nn.Conv2d(32, 3, 1)

    def forward(self, levels: list[Tensor], image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = levels[-1]
        for step, skip in zip(self.up_blocks, reversed(levels[:-1]), strict=True):
            x = step(x, skip, mask)
        keep = torch.sigmoid(3 * self.conv_attention(x))
        return keep * image + (1 - keep) * self.to_rgb(x), x


@register("issam")
class ISSAM(Backbone):
    """iSSAM with four levels and 32 to 256 channels; 2 185 340 parameters."""

    size_multiple = 8
    feature_channels = 32
    title = "iSSAM"
    parts = ("encoder", "decoder")

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Backbone.network`; the output covers the whole frame, it is not blended by the mask."""
        return self.decoder(self.encoder(torch.cat([image, mask], dim=1)), image, mask)

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """See :meth:`Backbone.initialize`; the identity comes from biasing the blending attention to the input."""
        super().initialize()
        keep = self.decoder.conv_attention.bias
        if start_as_identity and keep is not None:
            nn.init.constant_(keep, 1.0)  # sigmoid(3) = 0.95
