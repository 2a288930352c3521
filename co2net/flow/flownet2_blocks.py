"""Layers that the parts of FlowNet2 share, named as in official files."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SLOPE = 0.1  # of every leaky ReLU


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size (but for the stride), then leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2), nn.LeakyReLU(SLOPE, inplace=True)
    )


def plain_conv(channels_in: int, channels_out: int) -> nn.Sequential:
    """Convolution without an activation; in a sequence of one for the sake of its name."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1))


def deconv(channels_in: int, channels_out: int) -> nn.Sequential:
    """Twice the size, then leaky ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE, inplace=True)
    )


def predict(channels_in: int) -> nn.Conv2d:
    """A field from features."""
    return nn.Conv2d(channels_in, 2, 3, padding=1)


def upflow(*, bias: bool = True) -> nn.ConvTranspose2d:
    """A field at twice the size, its values as they are learned."""
    return nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1, bias=bias)


def channel_norm(x: Tensor) -> Tensor:
    """Euclidean norm over channels: ``(B, C, H, W)`` to ``(B, 1, H, W)``."""
    # Its gradient is zero where x is, not the infinity of a plain square root.
    return torch.linalg.vector_norm(x, dim=1, keepdim=True)


class Decoder(nn.Module):
    """The way up: at each level a field, joined with the features of that level, until the finest.

    Args:
        level: number of the coarsest features; the size is ``1 / 2**level`` of the frame's.
        skips: channels of the encoder's features at the levels below, the coarser first.
        features: channels at the coarsest level.
        deconvs: channels of the enlarged features, one per level of `skips`.
        smooth: channels of a convolution before each prediction, one per level of `skips`; none without.
        bias: whether fields are enlarged with a bias.
    """

    def __init__(
        self,
        level: int,
        features: int,
        skips: Sequence[int],
        deconvs: Sequence[int],
        *,
        smooth: Sequence[int] = (),
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.level, self.finest, self.smooth = level, level - len(skips), bool(smooth)
        self.add_module(f"predict_flow{level}", predict(features))
        for i, (skip, deconv_channels) in enumerate(zip(skips, deconvs, strict=True)):
            finer = level - 1 - i
            self.add_module(f"deconv{finer}", deconv(features, deconv_channels))
            self.add_module(f"upsampled_flow{finer + 1}_to_{finer}", upflow(bias=bias))
            features = skip + deconv_channels + 2
            if smooth:
                self.add_module(f"inter_conv{finer}", plain_conv(features, smooth[i]))
            self.add_module(f"predict_flow{finer}", predict(smooth[i] if smooth else features))

    def decode(self, features: Tensor, skips: list[Tensor]) -> Tensor:
        """The finest field; takes the skips, the finer first, from the end of the list as it goes, which frees them."""
        field = self.get_submodule(f"predict_flow{self.level}")(features)
        for finer in range(self.level - 1, self.finest - 1, -1):
            up = self.get_submodule(f"deconv{finer}")(features)
            field = self.get_submodule(f"upsampled_flow{finer + 1}_to_{finer}")(field)
            features = torch.cat([skips.pop(), up, field], 1)
            del up
            smoothed = self.get_submodule(f"inter_conv{finer}")(features) if self.smooth else features
            field = self.get_submodule(f"predict_flow{finer}")(smoothed)
        return field
