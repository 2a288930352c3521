"""FlowNet2: five networks, each correcting those before it (Ilg et al., CVPR 2017, sections 4 and 5).

The published temporal loss was measured with it. Attributes are named as in the official weight file, which stays its
authors': it is not shipped here.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.flow.flownet2_blocks import channel_norm
from co2net.flow.flownet2_parts import FlowNetC, FlowNetFusion, FlowNetS, FlowNetSD
from co2net.flow.frames import pad_to_multiple
from co2net.flow.warp import warp
from co2net.weight_files import load_whole, read_weights

UNIT = 20.0  # pixels; fields inside are in this unit, that of FlowNetSD in its inverse
MULTIPLE = 64  # of both sides; the coarsest features are that much smaller


class FlowNet2(nn.Module):
    """The whole stack, 162 518 834 parameters (650 MB)."""

    def __init__(self) -> None:
        super().__init__()
        self.flownetc = FlowNetC()
        self.flownets_1 = FlowNetS()
        self.flownets_2 = FlowNetS()
        self.flownets_d = FlowNetSD()
        self.flownetfusion = FlowNetFusion()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The field from `first` to `second`.

        Args:
            first: ``(B, 3, H, W)`` RGB, 1 = white, not clamped; H and W multiples of 64.
            second: as `first`.

        Returns:
            ``(B, 2, H, W)``, pixels, channel 0 = x. Differentiable.
        """
        mean = ((first + second) / 2).mean((2, 3), keepdim=True)
        a, b = first - mean, second - mean
        field = _enlarge(UNIT * self.flownetc(a, b), "bilinear")
        field = _enlarge(UNIT * self.flownets_1(_residual_input(a, b, field)), "bilinear")
        large = _enlarge(UNIT * self.flownets_2(_residual_input(a, b, field)), "nearest")
        small = _enlarge(self.flownets_d(torch.cat([a, b], 1)) / UNIT, "nearest")
        rest_small, rest_large = (channel_norm(a - warp(b, found)) for found in (small, large))
        norms = [channel_norm(small), channel_norm(large), rest_small, rest_large]
        return self.flownetfusion(torch.cat([a, small, large, *norms], 1))

    def field(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """As :meth:`forward`, for frames of any size: their borders are repeated up to multiples of 64."""
        height, width = frame1.shape[2:]
        padded = (pad_to_multiple(frame, MULTIPLE) for frame in (frame1, frame2))
        return self(*padded)[:, :, :height, :width]


def load_flownet2(weights: str | os.PathLike[str]) -> FlowNet2:
    """FlowNet2 with the values of a file: the official one, a bare state dict, or safetensors.

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    state = read_weights(weights).state
    network = FlowNet2()
    load_whole(network, state, weights, "FlowNet2")
    return network


def _residual_input(a: Tensor, b: Tensor, field: Tensor) -> Tensor:
    """What a FlowNetS sees: ``(B, 12, H, W)``."""
    moved = warp(b, field)
    return torch.cat([a, b, moved, field / UNIT, channel_norm(a - moved)], 1)


def _enlarge(field: Tensor, mode: str) -> Tensor:
    return F.interpolate(field, scale_factor=4, mode=mode, align_corners=False if mode == "bilinear" else None)
