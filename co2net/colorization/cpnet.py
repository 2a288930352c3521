"""CPNet: colors one frame from its luma and colored strokes; the foreground's segmentation is a side result.

Of SVCNet, "SVCNet: Scribble-based video colorization network with temporal aggregation" (Zhao et al., IEEE TIP 2023).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.colorization.blocks import Conv, Padding, Res, Up
from co2net.errors import InputError, ShapeError

CPNETS = ("CPNet_VGG16_Seg", "CPNet_VGG16", "CPNet_plain")
SIZE_MULTIPLE = 16
_EXTREME = 1e-3  # keeps the logit of codes 0 and 255 finite


class _Vgg16(nn.Module):
    """VGG-16's convolutions up to conv5_3, without their last ReLU, numbered as everywhere."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers[:-1])


class SegmentationDecoder(nn.Module):
    """The foreground's probability from the color decoder's three coarser feature maps."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1_1, self.conv1_2 = Conv(4 * c, 2 * c), Conv(4 * c, c)
        self.conv2_1, self.conv2_2 = Conv(4 * c, c), Conv(c, c)
        self.conv3_1, self.conv3_2 = Conv(3 * c, c), Conv(c, 1, activation="sigmoid")

    def forward(self, d4: Tensor, d3: Tensor, d2: Tensor) -> Tensor:
        """``(B, 4c, H/8, W/8)``, ``(B, 2c, H/4, W/4)``, ``(B, c, H/2, W/2)`` to ``(B, 1, H, W)`` in [0, 1]."""
        middle = self.conv2_1(torch.cat([self.conv1_1(_enlarge(d4, 2)), d3], dim=1))
        parts = [self.conv1_2(_enlarge(d4, 4)), self.conv2_2(_enlarge(middle, 2)), d2]
        return self.conv3_2(_enlarge(self.conv3_1(torch.cat(parts, dim=1)), 2))


class CPNet(nn.Module):
    """Colors a frame.

    The state dict has the published names: VGG-16's tensors stand in it twice, as ``vgg.features.*`` and as
    ``conv*_gray.*``; where a file's differ, the second win.

    Args:
        variant: "CPNet_VGG16_Seg"; "CPNet_VGG16" without segmentation; "CPNet_plain" also without the VGG-16 branch,
            small enough to ship. What the last one is given is not points but a guess for the whole frame
            (:func:`~.spread.spread`); it corrects that, and starts by leaving it as it is.
        start_channels: width of the first layer, published 64.
        padding: of the 3 x 3 convolutions.

    Raises:
        InputError: the variant is unknown.
    """

    title: ClassVar[str] = "CPNet"

    def __init__(
        self, variant: str = "CPNet_VGG16_Seg", start_channels: int = 64, *, padding: Padding = "zero"
    ) -> None:
        super().__init__()
        if variant not in CPNETS:
            raise InputError(f"unknown CPNet {variant!r}; there are: {', '.join(CPNETS)}")
        c, p = start_channels, padding
        semantic = variant != "CPNet_plain"
        if semantic:
            self.vgg = _Vgg16()
            slices = {"1_2": (0, 4), "2_2": (4, 9), "3_3": (9, 16), "4_3": (16, 23), "5_3": (23, 29)}
            for name, (begin, end) in slices.items():
                self.add_module(f"conv{name}_gray", nn.Sequential(*list(self.vgg.features)[begin:end]))
        self.variant, self.start_channels, self.semantic = variant, start_channels, semantic
        self.E1 = nn.Sequential(Conv(3, c, padding=p), Conv(c, c, padding=p))
        for i, (inputs, outputs) in enumerate(((c, 2 * c), (2 * c, 4 * c), (4 * c, 8 * c), (8 * c, 8 * c)), start=2):
            self.add_module(
                f"E{i}", nn.Sequential(Conv(inputs, outputs, 2, padding=p), Conv(outputs, outputs, padding=p))
            )
        self.shortcut1, self.shortcut2 = Conv(c, c, padding=p), Conv(2 * c, 2 * c, padding=p)
        self.shortcut3, self.shortcut4 = Conv(4 * c, 4 * c, padding=p), Conv(8 * c, 8 * c, padding=p)
        self.shortcut5 = Conv(8 * c + (512 if semantic else 0), 8 * c, padding=p)
        for i in range(1, 9):
            self.add_module(f"T{i}", Res(8 * c))
        self.D5_1, self.D4_1, self.D3_1, self.D2_1 = Up(8 * c, 8 * c), Up(4 * c, 4 * c), Up(2 * c, 2 * c), Up(c, c)
        self.D5_2, self.D4_2 = Conv(16 * c, 4 * c, padding=p), Conv(8 * c, 2 * c, padding=p)
        self.D3_2, self.D2_2 = Conv(4 * c, c, padding=p), Conv(2 * c, c, padding=p)
        self.D1 = Conv(c, 2, activation="sigmoid" if semantic else "none", padding=p)
        if not semantic:
            nn.init.zeros_(self.D1.conv2d.weight)
        self.seg_decoder = SegmentationDecoder(c) if variant == "CPNet_VGG16_Seg" else None

    def forward(self, luma: Tensor, scribble: Tensor) -> tuple[Tensor, Tensor | None]:
        """Color a frame.

        Args:
            luma: ``(B, 1, H, W)`` in [0, 1], Lab's L of the 8-bit coding / 255; H and W multiples of 16, at least 32.
            scribble: ``(B, 2, H, W)`` in [0, 1], a and b of the same coding; 128/255 where there is no stroke. For
                "CPNet_plain" a guess for every pixel.

        Returns:
            ``(ab, segmentation)``: ``(B, 2, H, W)`` and ``(B, 1, H, W)``, both in [0, 1]; the second is None for the
            variants without it.

        Raises:
            ShapeError: shapes do not fit.
        """
        height, width = luma.shape[-2:]
        if luma.ndim != 4 or luma.shape[1] != 1 or scribble.shape != (len(luma), 2, height, width):
            raise ShapeError(
                f"luma must be (B, 1, H, W), scribble (B, 2, H, W); got {tuple(luma.shape)}, {tuple(scribble.shape)}"
            )
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE or min(height, width) < 2 * SIZE_MULTIPLE:
            raise ShapeError(f"height and width must be multiples of 16 and at least 32, got {height} and {width}")
        x1 = self.E1(torch.cat([luma, scribble], dim=1))
        x2 = self.get_submodule("E2")(x1)
        x3 = self.get_submodule("E3")(x2)
        x4 = self.get_submodule("E4")(x3)
        d5 = self.get_submodule("E5")(x4)
        if self.semantic:
            seen = luma.expand(-1, 3, -1, -1)  # as it is, without VGG's own mean and deviation: weights know it so
            d5 = torch.cat([d5, self.vgg.features(seen)], dim=1)
        d5 = self.shortcut5(d5)
        for i in range(1, 9):
            d5 = self.get_submodule(f"T{i}")(d5)
        d4 = self.D5_2(torch.cat([self.D5_1(d5), self.shortcut4(x4)], dim=1))
        d3 = self.D4_2(torch.cat([self.D4_1(d4), self.shortcut3(x3)], dim=1))
        d2 = self.D3_2(torch.cat([self.D3_1(d3), self.shortcut2(x2)], dim=1))
        d1 = self.D2_2(torch.cat([self.D2_1(d2), self.shortcut1(x1)], dim=1))
        with torch.autocast(luma.device.type, enabled=False):  # bfloat16 has steps of a whole code there
            color = self.D1(d1.to(self.D1.conv2d.weight))
            if not self.semantic:
                color = torch.sigmoid(color + torch.logit(scribble, _EXTREME))
        return color, None if self.seg_decoder is None else self.seg_decoder(d4, d3, d2)


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
