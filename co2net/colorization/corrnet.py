"""CorrNet: fetches the colors of the clip's first colored frame by correspondence.

The matching network is that of deep exemplar-based video colorization (Zhang et al., CVPR 2019), whose weight files
load into :attr:`CorrNet.vggnet` and :attr:`CorrNet.nonlocal_net`; matched colors are smoothed along the luma's edges.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.color_spaces import lab_codes
from co2net.colorization.lab import centered_lab_to_rgb, lab_to_rgb8
from co2net.colorization.smoother import smooth

TEMPERATURE = 0.01
LAMBDA, SIGMA = 500.0, 4.0
_EPSILON = 2.2e-16
_BGR_MEAN = (0.40760392, 0.45795686, 0.48501961)


class Vgg19(nn.Module):
    """VGG-19's convolutions; gives the activations after the second one of each block."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)), start=1):
            for i in range(1, count + 1):
                self.add_module(f"conv{block}_{i}", nn.Conv2d(channels, width, 3, padding=1))
                channels = width

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """``(B, 3, H, W)`` in [0, 1] to five feature maps: full, 1/2, 1/4, 1/8 and 1/16 of the size."""
        x = (rgb.flip(1) - rgb.new_tensor(_BGR_MEAN).view(1, 3, 1, 1)) * 255
        features = []
        for block, count in enumerate((2, 2, 4, 4, 2), start=1):
            if block > 1:
                x = F.max_pool2d(x, 2)
            for i in range(1, count + 1):
                x = F.relu(self.get_submodule(f"conv{block}_{i}")(x))
                if i == 2:
                    features.append(x)
        return features


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        inner = self.prelu(F.instance_norm(self.conv1(x)))
        return self.prelu(F.instance_norm(self.conv2(inner)) + x)


class Nonlocal(nn.Module):
    """Features for matching, from four of VGG-19's maps."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, 3, stride)
            return [nn.ReflectionPad2d(1), convolution, nn.InstanceNorm2d(outputs), nn.PReLU()]

        def twice() -> nn.Module:
            return nn.Upsample(scale_factor=2, mode="nearest")

        self.layer2_1 = nn.Sequential(*block(128, 128), *block(128, 64, 2))
        self.layer3_1 = nn.Sequential(*block(256, 128), *block(128, 64))
        self.layer4_1 = nn.Sequential(*block(512, 256), *block(256, 64), twice())
        self.layer5_1 = nn.Sequential(*block(512, 256), twice(), *block(256, 64), twice())
        self.layer = nn.Sequential(*(_ResidualBlock(256) for _ in range(3)))
        self.theta, self.phi = nn.Conv2d(256, 256, 1), nn.Conv2d(256, 256, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """VGG-19's five maps to ``(B, 256, H/4, W/4)``, before `theta` or `phi`."""
        branches = (self.layer2_1, self.layer3_1, self.layer4_1, self.layer5_1)
        normalized = [x / (x.norm(dim=1, keepdim=True) + _EPSILON) for x in features[1:]]
        return self.layer(torch.cat([branch(x) for branch, x in zip(branches, normalized, strict=True)], dim=1))


class CorrNet(nn.Module):
    """Colors of a reference frame, moved to where the current frame looks alike."""

    def __init__(self) -> None:
        super().__init__()
        self.vggnet = Vgg19()
        self.nonlocal_net = Nonlocal()

    def reference_features(self, lab: Tensor) -> list[Tensor]:
        """VGG-19's features of a reference in centered Lab ``(B, 3, H, W)``; once per clip."""
        return self.vggnet(centered_lab_to_rgb(lab))

    def match(self, luma: Tensor, lab: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The reference's colors by correspondence.

        Args:
            luma: the current frame's centered L ``(B, 1, H, W)``.
            lab: the reference in centered Lab ``(B, 3, H, W)``.
            features: of :meth:`reference_features`.

        Returns:
            ``(matched, similarity)``: centered Lab ``(B, 3, H, W)``, and the best cosine similarity ``(B, 1, H, W)``.
        """
        gray = ((luma + 50) / 100).expand(-1, 3, -1, -1)
        theta = self.nonlocal_net.theta(self.nonlocal_net(self.vggnet(gray)))
        phi = self.nonlocal_net.phi(self.nonlocal_net(features))
        size = theta.shape[-2:]
        product = torch.einsum("bcm,bcn->bmn", _unit(theta.flatten(2)), _unit(phi.flatten(2)))
        colors = F.avg_pool2d(lab, 4).flatten(2)
        matched = torch.einsum("bmn,bcn->bcm", (product / TEMPERATURE).softmax(dim=2), colors)
        similarity = product.amax(dim=2)[:, None]
        return _four_times(matched.unflatten(2, size)), _four_times(similarity.unflatten(2, size))

    @torch.no_grad()
    def forward(self, luma: Tensor, lab: Tensor, features: list[Tensor]) -> Tensor:
        """As :meth:`match`; the smoothed colors as ab codes / 255 ``(B, 2, H, W)``, any batch, any device."""
        matched, _ = self.match(luma, lab, features)
        smoothed = self.smoothed(luma, matched)
        return torch.cat([_to_codes(x, ab) for x, ab in zip(luma, smoothed, strict=True)])

    @staticmethod
    def smoothed(luma: Tensor, matched: Tensor) -> Tensor:
        """The two color planes of `matched` ``(B, 2, H, W)``, smoothed along the edges of `luma`."""
        guide = ((luma[:, 0] + 50) * 255 / 100).floor()
        return smooth(matched[:, 1:], guide, LAMBDA, SIGMA)


def _unit(x: Tensor) -> Tensor:
    x = x - x.mean(dim=2, keepdim=True)
    return x / (x.norm(dim=1, keepdim=True) + _EPSILON)


def _four_times(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=4, mode="nearest")


def _to_codes(luma: Tensor, ab: Tensor) -> Tensor:
    """Through 8-bit RGB and 8-bit Lab, as the published network was trained: ``(1, 2, H, W)``."""
    lab = torch.cat([luma + 50, ab]).permute(1, 2, 0).cpu().numpy()
    codes = lab_codes(lab_to_rgb8(lab))[..., 1:]
    return torch.from_numpy(np.ascontiguousarray(codes)).permute(2, 0, 1)[None].to(ab) / 255
