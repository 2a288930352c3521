"""The four kinds of networks that FlowNet2 stacks.

FlowNetC and FlowNetS: Dosovitskiy et al., ICCV 2015, section 3; FlowNetSD and Fusion: Ilg et al., CVPR 2017, section 5.
Frames ``a`` and ``b`` are ``(B, 3, H, W)``, sides multiples of 64 (Fusion: of 4).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.flow.correlation import correlation
from co2net.flow.flownet2_blocks import SLOPE, Decoder, conv

_SKIPS, _DECONVS = (512, 512, 256, 128), (512, 256, 128, 64)  # levels 5, 4, 3, 2


class _Coarse(Decoder):
    """What C, S and SD share: levels 4 to 6 of the encoder, and the decoder."""

    def __init__(self, *, smooth: tuple[int, ...] = (), bias: bool = True) -> None:
        super().__init__(6, 1024, _SKIPS, _DECONVS, smooth=smooth, bias=bias)
        self.conv4, self.conv4_1 = conv(256, 512, stride=2), conv(512, 512)
        self.conv5, self.conv5_1 = conv(512, 512, stride=2), conv(512, 512)
        self.conv6, self.conv6_1 = conv(512, 1024, stride=2), conv(1024, 1024)

    def finish(self, level2: Tensor, level3: Tensor) -> Tensor:
        """From the features at a quarter and an eighth of the size to the field at a quarter."""
        level4 = self.conv4_1(self.conv4(level3))
        level5 = self.conv5_1(self.conv5(level4))
        return self.decode(self.conv6_1(self.conv6(level5)), [level2, level3, level4, level5])


class FlowNetC(_Coarse):
    """Compares the features of both frames explicitly; 39 175 298 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(3, 64, 7, 2), conv(64, 128, 5, 2)
        self.conv3, self.conv_redir = conv(128, 256, 5, 2), conv(256, 32, 1)
        self.conv3_1 = conv(473, 256)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The field at a quarter of the size, in units of 20 pixels."""
        level2 = self.conv2(self.conv1(a))
        first, second = self.conv3(level2), self.conv3(self.conv2(self.conv1(b)))
        matches = F.leaky_relu(correlation(first, second, reach=20, step=2), SLOPE, inplace=True)
        return self.finish(level2, self.conv3_1(torch.cat([self.conv_redir(first), matches], 1)))


class FlowNetS(_Coarse):
    """Refines a field, given frames, field and what it leaves unexplained; 38 695 322 parameters."""

    def __init__(self) -> None:
        super().__init__(bias=False)
        self.conv1, self.conv2 = conv(12, 64, 7, 2), conv(64, 128, 5, 2)
        self.conv3, self.conv3_1 = conv(128, 256, 5, 2), conv(256, 256)

    def forward(self, x: Tensor) -> Tensor:
        """The field at a quarter of the size, in units of 20 pixels, from ``(B, 12, H, W)``."""
        level2 = self.conv2(self.conv1(x))
        return self.finish(level2, self.conv3_1(self.conv3(level2)))


class FlowNetSD(_Coarse):
    """For small displacements; 45 371 666 parameters."""

    def __init__(self) -> None:
        super().__init__(smooth=(512, 256, 128, 64))
        self.conv0 = conv(6, 64)
        self.conv1, self.conv1_1 = conv(64, 64, stride=2), conv(64, 128)
        self.conv2, self.conv2_1 = conv(128, 128, stride=2), conv(128, 128)
        self.conv3, self.conv3_1 = conv(128, 256, stride=2), conv(256, 256)

    def forward(self, x: Tensor) -> Tensor:
        """The field at a quarter of the size, in units of 1/20 pixel, from both frames ``(B, 6, H, W)``."""
        level2 = self.conv2_1(self.conv2(self.conv1_1(self.conv1(self.conv0(x)))))
        return self.finish(level2, self.conv3_1(self.conv3(level2)))


class FlowNetFusion(Decoder):
    """Joins two fields into one at full size; 581 226 parameters."""

    def __init__(self) -> None:
        super().__init__(2, 128, (128, 64), (32, 16), smooth=(32, 16))
        self.conv0 = conv(11, 64)
        self.conv1, self.conv1_1 = conv(64, 64, stride=2), conv(64, 128)
        self.conv2, self.conv2_1 = conv(128, 128, stride=2), conv(128, 128)

    def forward(self, x: Tensor) -> Tensor:
        """The field ``(B, 2, H, W)`` in pixels, from ``(B, 11, H, W)``."""
        level0 = self.conv0(x)
        level1 = self.conv1_1(self.conv1(level0))
        features, skips = self.conv2_1(self.conv2(level1)), [level0, level1]
        del level0, level1  # the list holds them now, and lets go of each when it is used
        return self.decode(features, skips)
