"""DucoNet: harmonization in dual color spaces, RGB and Lab.

Tan et al., "Deep Image Harmonization in Dual Color Spaces", ACM MM 2023. An iSSAM network on RGB; three small encoders
look at the L, a and b planes and give one control code each, and at every decoder step a control module changes the
foreground's features by them::

    image, mask ─► encoder ─────────────► decoder ─► result
    L, mask ─► encoder ─► code w_l ─┐        ▲
    a, mask ─► encoder ─► code w_a ─┼─► control modules
    b, mask ─► encoder ─► code w_b ─┘

The planes are 8-bit OpenCV Lab of the full-size composite (:func:`co2net.color_spaces.lab_codes`), resized with it.
Module names follow the keys of the official state dict. Defects of the published code are mended: Lab is padded,
flipped and resized with the picture and always from RGB, and the attention's blur is a buffer that files decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.checks import check_image, check_mask
from co2net.color_spaces import lab_codes, lab_planes
from co2net.errors import ShapeError
from co2net.models.backbones.base import PAPER, Backbone, BackboneOutput, Recipe, register
from co2net.models.backbones.issam import DecoderStep, Encoder, EncoderStep
from co2net.models.backbones.losses import foreground_normalized_loss

CODE = 256  # values of a control code
PADDED = 32  # sizes that are no multiples of 8 are padded to multiples of this, as published
BLACK = (0, 128, 128)  # Lab codes of black

# Published: the loss below in the normalized space, Adam 1e-3 at a batch of 64, a tenth at epochs 105 and 115.
RECIPE = replace(PAPER, phases=((256, 0, 64),), rate_batch=64, least_foreground=10.0)


@dataclass(kw_only=True)
class DucoNetOutput(BackboneOutput):
    """Result of :class:`DucoNet`.

    Attributes:
        codes: the control codes w_l, w_a, w_b, each ``(B, 256)``.
    """

    codes: tuple[Tensor, Tensor, Tensor]


class PlaneEncoder(Encoder):
    """The encoder for one plane and the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.block0 = EncoderStep(2, 32, norm=False)


class CodeHead(nn.Module):
    """Two linear layers on the average of the last level; the mask plays no part here."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(256, CODE), nn.ReLU(), nn.Linear(CODE, CODE))

    def forward(self, bottleneck: Tensor) -> Tensor:
        return self.net(bottleneck.mean(dim=(2, 3)))


class CodeEncoder(nn.Module):
    """Plane and mask to a control code ``(B, 256)``."""

    def __init__(self) -> None:
        super().__init__()
        self.lab_encoder, self.map2w = PlaneEncoder(), CodeHead()

    def forward(self, plane: Tensor, mask: Tensor) -> Tensor:
        return self.map2w(self.lab_encoder(torch.cat([plane, mask], dim=1))[-1])


class Unscaled(nn.Module):
    """A weight stored with standard deviation 1 and scaled where it is used (equalized learning rate)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))

    def scaled(self) -> Tensor:
        """The weight over the root of its fan-in."""
        return self.weight / math.sqrt(self.weight[0].numel())


class ToStyle(nn.Module):
    """A code to one factor per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = Unscaled(channels, CODE), nn.Parameter(torch.ones(channels))

    def forward(self, code: Tensor) -> Tensor:
        return F.linear(code, self.weight.scaled(), self.bias)


class ModulatedConv(nn.Module):
    """3x3 convolution with kernels ``s_i K[o, i]``, normalized per output channel (StyleGAN2's demodulation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = Unscaled(channels, channels, 3, 3)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        kernel = self.weight.scaled()
        # Scaling inputs and outputs is scaling the kernel, so one convolution serves the whole batch.
        size = torch.einsum("bi,oi->bo", style.square(), kernel.square().sum(dim=(2, 3)))
        x = F.conv2d(x * style[:, :, None, None], kernel, padding=1)
        return x * (size + 1e-8).rsqrt()[:, :, None, None]


class StyleBlock(nn.Module):
    """Modulated convolution, bias, leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_style, self.conv = ToStyle(channels), ModulatedConv(channels)
        # Official files hold the strength of a noise that the network does not have.
        self.scale_noise = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x, self.to_style(code)) + self.bias[:, None, None], 0.2)


class StylePair(nn.Module):
    """Two style blocks in sequence, steered by the same code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.style_block1, self.style_block2 = StyleBlock(channels), StyleBlock(channels)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return self.style_block2(self.style_block1(x, code), code)


class ControlModule(nn.Module):
    """The features under each of the codes, mixed per pixel, inside the foreground only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.l_styleblock, self.a_styleblock = StylePair(channels), StylePair(channels)
        self.b_styleblock = StylePair(channels)
        self.G_weight = nn.Sequential(nn.Conv2d(3 * channels, 32, 1), nn.ReLU(), nn.Conv2d(32, 3, 1))

    def forward(self, x: Tensor, codes: tuple[Tensor, ...], mask: Tensor) -> Tensor:
        blocks = (self.l_styleblock, self.a_styleblock, self.b_styleblock)
        changed = [block(x, code) for block, code in zip(blocks, codes, strict=True)]
        shares = self.G_weight(torch.cat(changed, dim=1)).softmax(dim=1)
        mixed = sum(share * part for share, part in zip(shares.split(1, dim=1), changed, strict=True))
        return (1 - mask) * x + mask * mixed


class ControlledStep(DecoderStep):
    """iSSAM's decoder step, followed by a control module where there is one."""

    def __init__(self, channels_in: int, channels_out: int, *, attention: bool, control: bool) -> None:
        super().__init__(channels_in, channels_out, attention=attention)
        self.control_module = ControlModule(channels_out) if control else None

    def steered(self, x: Tensor, skip: Tensor, mask: Tensor, codes: tuple[Tensor, ...]) -> Tensor:
        """The step under the control of the codes."""
        x = super().forward(x, skip, mask)
        if self.control_module is None:
            return x
        small = mask
        if mask.shape[-2:] != x.shape[-2:]:
            small = F.interpolate(mask, x.shape[-2:], mode="bilinear", align_corners=True)
        return self.control_module(x, codes, small)


class ControlledDecoder(nn.Module):
    """Three steps up; then a blend of the input image and predicted colors (all in the normalized space)."""

    def __init__(self, control_start: int) -> None:
        super().__init__()
        channels = ((256, 128), (128, 64), (64, 32))
        self.up_blocks = nn.ModuleList(
            ControlledStep(*pair, attention=step == 2, control=step >= control_start)
            for step, pair in enumerate(channels)
        )
        self.conv_attention = nn.Conv2d(32, 1, 1)
        self.to_rgb = nn.Conv2d(32, 3, 1)

    def forward(
        self, levels: list[Tensor], image: Tensor, mask: Tensor, codes: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        x = levels[-1]
        for step, skip in zip(self.up_blocks, reversed(levels[:-1]), strict=True):
            assert isinstance(step, ControlledStep)  # noqa: S101  (for the type checker)
            x = step.steered(x, skip, mask, codes)
        keep = torch.sigmoid(3 * self.conv_attention(x))
        return keep * image + (1 - keep) * self.to_rgb(x), x


@register("duconet")
class DucoNet(Backbone):
    """DucoNet; 7 630 487 parameters. DucoNet-256 and DucoNet-1024 are this network with other weights.

    Args:
        control_module_start: first decoder step (0 to 2) that has a control module; -1: all have one, as published.
    """

    size_multiple = 8
    feature_channels = 32
    title = "DucoNet"
    parts = ("encoder", "decoder", "l_encoder", "a_encoder", "b_encoder")
    planes = ("lab",)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        **Backbone.recipes,
        "paper": RECIPE,
        "1024": replace(RECIPE, phases=((1024, 0, 4),)),
    }

    def __init__(self, control_module_start: int = -1) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), ControlledDecoder(control_module_start)
        self.l_encoder, self.a_encoder, self.b_encoder = CodeEncoder(), CodeEncoder(), CodeEncoder()

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Which decoder steps have control modules."""
        there = {int(name.split(".")[2]) for name in state if ".control_module." in name}
        return {"control_module_start": min(there)} if there and min(there) > 0 else {}

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """See :meth:`Backbone.initialize`; the weights of style blocks are standard normal."""
        super().initialize()
        for module in self.modules():
            if isinstance(module, Unscaled):
                nn.init.normal_(module.weight)
            elif isinstance(module, StyleBlock):
                nn.init.ones_(module.to_style.bias)
                nn.init.zeros_(module.bias)
        keep = self.decoder.conv_attention.bias
        if start_as_identity and keep is not None:
            nn.init.ones_(keep)

    def prepare(self, composite: np.ndarray) -> dict[str, np.ndarray]:
        """See :meth:`Backbone.prepare`: the 8-bit Lab codes."""
        return {"lab": lab_codes(composite)}

    def codes_of(self, lab: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The control codes w_l, w_a, w_b, each ``(B, 256)``, of Lab planes ``(B, 3, H, W)`` in [0, 1]."""
        return (
            self.l_encoder(lab[:, :1], mask),
            self.a_encoder(lab[:, 1:2], mask),
            self.b_encoder(lab[:, 2:], mask),
        )

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Backbone.network`; Lab is made of the image."""
        raw, features, _ = self._steered(image, mask, lab_planes(self.denormalize(image)))
        return raw, features

    def _steered(
        self, image: Tensor, mask: Tensor, lab: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        codes = self.codes_of(lab, mask)
        raw, features = self.decoder(self.encoder(torch.cat([image, mask], dim=1)), image, mask, codes)
        return raw, features, codes

    def forward(self, image: Tensor, mask: Tensor, lab: Tensor | None = None) -> DucoNetOutput:
        """See :meth:`Backbone.forward`.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1], any size. Sizes that are no multiples of 8 are padded to
                multiples of 32 by black, as published.
            mask: foreground ``(B, 1, H, W)`` in [0, 1].
            lab: ``(B, 3, H, W)``, 8-bit Lab codes of the composite / 255; None: made of `image`.

        Raises:
            ShapeError: if the shapes, types or devices do not fit.
        """
        check_image(image)
        check_mask(mask, image)
        lab = lab_planes(image) if lab is None else lab
        if lab.shape != image.shape or lab.device != image.device:
            raise ShapeError(
                f"lab must be {tuple(image.shape)} on {image.device} as the image is, got {tuple(lab.shape)} on "
                f"{lab.device}"
            )
        height, width = image.shape[-2:]
        shown, where, planes, top, left = image, mask, lab, 0, 0
        if height % self.size_multiple or width % self.size_multiple:
            down, across = -height % PADDED, -width % PADDED
            top, left = down // 2, across // 2
            padding = (left, across - left, top, down - top)
            shown, where = F.pad(image, padding), F.pad(mask, padding)
            planes = torch.cat([F.pad(lab[:, i : i + 1], padding, value=BLACK[i] / 255) for i in range(3)], dim=1)
        raw, features, codes = self._steered(self.normalize(shown), where, planes)
        raw, features = (x[..., top : top + height, left : left + width] for x in (raw, features))
        return DucoNetOutput(image=self.blend(raw, mask, image), features=features, raw=raw, codes=codes)

    def losses(self, out: BackboneOutput, target: Tensor, mask: Tensor, recipe: Recipe) -> dict[str, Tensor]:
        """See :meth:`Backbone.losses`; "paper": the whole frame in the normalized space, at least 100 pixels."""
        if recipe.loss != "paper":
            return super().losses(out, target, mask, recipe)
        return {"pixel": foreground_normalized_loss(out.raw.float(), self.normalize(target), mask).mean()}
