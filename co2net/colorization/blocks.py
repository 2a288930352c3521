"""Convolution blocks that the colorization networks share; their attribute names are those of the published files."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.errors import InputError

Norm = Literal["none", "in"]
Padding = Literal["zero", "reflect", "replicate"]
_PADDING: dict[str, Literal["zeros", "reflect", "replicate"]] = {
    "zero": "zeros",
    "reflect": "reflect",
    "replicate": "replicate",
}

SLOPE = 0.2  # of the leaky ReLU, in all networks but the flow's
RESIDUAL = 0.1  # share of a residual branch; trained weights know it


class Conv(nn.Module):
    """3 x 3 convolution without bias, instance norm where asked for, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        norm: Norm = "none",
        activation: Literal["lrelu", "tanh", "sigmoid", "none"] = "lrelu",
        padding: Padding = "zero",
    ) -> None:
        super().__init__()
        if norm not in ("none", "in") or padding not in _PADDING:
            raise InputError(f"norm must be none or in, padding zero, reflect or replicate; got {norm!r}, {padding!r}")
        self.conv2d = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False, padding_mode=_PADDING[padding])
        self.norm, self.activation = norm, activation

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        x = self.conv2d(x)
        if self.norm == "in":
            x = F.instance_norm(x, eps=1e-5)
        if self.activation == "lrelu":
            return F.leaky_relu(x, SLOPE)
        return {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "none": nn.Identity()}[self.activation](x)


class Up(nn.Module):
    """Twice the size by repeating pixels, then a convolution."""

    def __init__(self, inputs: int, outputs: int, *, norm: Norm = "none") -> None:
        super().__init__()
        self.conv2d = Conv(inputs, outputs, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, 2H, 2W)``."""
        return self.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"))


class Res(nn.Module):
    """Two convolutions, a tenth of their result added to the input."""

    def __init__(self, channels: int, *, norm: Norm = "none") -> None:
        super().__init__()
        self.conv2d = nn.Sequential(
            Conv(channels, channels, norm=norm), Conv(channels, channels, norm=norm, activation="none")
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same."""
        return x + RESIDUAL * self.conv2d(x)


class Dense(nn.Module):
    """Residual dense block: five convolutions, each of all before it; the last one is activated too."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        for i in range(4):
            self.add_module(f"conv{i + 1}", Conv(channels + i * growth, growth))
        self.conv5 = Conv(channels + 4 * growth, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same."""
        known = [x]
        for i in range(4):
            known.append(self.get_submodule(f"conv{i + 1}")(torch.cat(known, dim=1)))
        return x + RESIDUAL * self.conv5(torch.cat(known, dim=1))
