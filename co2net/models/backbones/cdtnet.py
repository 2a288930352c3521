"""CDTNet: collaborative dual transformations for pictures of high resolution.

Cong et al., "High-Resolution Image Harmonization via Collaborative Dual Transformations", CVPR 2022. Three parts::

    image, mask ─► s x s ─► generator (iSSAM) ─┬─ picture, features ──────┐
         │                                     └─ bottleneck              ▼
         │                                           ▼               refinement ─► result
         └──────────────► weights of n LUTs ─► one LUT ─► colors ─────────┘

The generator works at a small base size s, the LUT and the refinement at the picture's own size. The *simplified*
network leaves decoder and refinement out: its result is the LUT's. Module names follow the keys of the official state
dict. Defects of the published code are mended: batches keep their images apart, the attention's blur is a buffer that
files decide, heights come before widths, and BGR appears nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trilinear
from co2net.checks import check_image, check_mask
from co2net.errors import InputError
from co2net.models.backbones.base import PAPER, Backbone, BackboneOutput, Recipe, register
from co2net.models.backbones.issam import Decoder, Encoder
from co2net.models.backbones.losses import foreground_normalized_loss, scaled_area

POINTS = 33  # per axis of a LUT
REACH = 2  # pixels that the refinement looks around: two 3x3 convolutions
STRIP_PIXELS = 1 << 17  # of the refinement at a time; some 150 MiB
ANY_SIZE = 1 << 20

# Published: three losses over whole pictures, Adam 1e-3, a tenth at epochs 50 and 100; the generator comes from iSSAM
# weights and stays as it is.
RECIPE = replace(PAPER, milestones=(50, 100), least_foreground=1.0, frozen=("encoder", "decoder"))

# Half an hour on one core of a CPU, from iSSAM weights, with a base size of 96: all parts together first, then the
# refinement as it will be used, on pictures twice as large as the generator's.
SHORT = Recipe(
    phases=((96, 12_000, 16), (192, 2_400, 8)),
    settings={"base_size": 96},
    learning_rate=5e-4,
    composites="scenes",
    mix={"borrowed": 0.25},
    area_only=True,
    held_back=0.0,
    averaging=0.99,
    largest_gradient=1.0,
)


@dataclass(kw_only=True)
class CDTNetOutput(BackboneOutput):
    """Result of :class:`CDTNet`; `raw` is the final picture before the mask blends it, in the normalized space.

    Attributes:
        lut_image: what the LUT makes of the frame, ``(B, 3, H, W)`` in [0, 1] space, the input outside the mask.
        base_image: what the generator makes of it, ``(B, 3, s, s)`` in [0, 1] space, whole; None if simplified.
    """

    lut_image: Tensor
    base_image: Tensor | None = None

    # Made at the size of the frame when somebody asks: at 2048 x 2048 they take 512 MiB.
    @property
    def features(self) -> Tensor:
        """The generator's features at the frame's size, ``(B, 32, H, W)``; no channels if simplified."""
        return _resize(self._features, self.image.shape[-2:])

    @features.setter
    def features(self, features: Tensor) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._features = features


class LUT(nn.Module):
    """One learned LUT ``(3, 33, 33, 33)``, indexed [channel, b, g, r]."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.LUT = nn.Parameter(values)


class Classifier(nn.Module):
    """Weights of the LUTs, from means of foreground and background over all positions of the bottleneck."""

    def __init__(self, luts: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(256, 256, 1)
        self.fc = nn.Conv2d(512, luts, 1)

    def forward(self, bottleneck: Tensor, mask: Tensor) -> Tensor:
        small = _resize(mask, bottleneck.shape[-2:])
        z = self.conv(bottleneck)
        means = [(z * region).mean(dim=(2, 3), keepdim=True) for region in (small, 1 - small)]
        return self.fc(torch.cat(means, dim=1)).flatten(1)


class ColorMapping(nn.Module):
    """A weighted sum of LUTs. Reading is linear in the LUT, so one combined LUT and one look-up say it all."""

    def __init__(self, luts: int) -> None:
        super().__init__()
        self.count = luts
        for number in range(luts):
            self.add_module(f"LUT{number}", LUT(torch.zeros(3, POINTS, POINTS, POINTS)))
        self.start_at_identity()
        self.classifier = Classifier(luts)

    def start_at_identity(self) -> None:
        """The first LUT is the identity, the others are 0."""
        grid = torch.arange(POINTS) / (POINTS - 1)
        blue, green, red = torch.meshgrid(grid, grid, grid, indexing="ij")
        for number, lut in enumerate(self.basis()):
            lut.data.copy_(torch.stack([red, green, blue]) if number == 0 else torch.zeros_like(lut))

    def basis(self) -> list[Tensor]:
        """The LUTs."""
        return [self.get_parameter(f"LUT{number}.LUT") for number in range(self.count)]

    def combine(self, weights: Tensor) -> Tensor:
        """One LUT ``(B, 3, 33, 33, 33)`` from weights ``(B, n)``."""
        return torch.einsum("bn,ncijk->bcijk", weights, torch.stack(self.basis()))


class FullRefinement(nn.Module):
    """Fuses both results with the generator's features at the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(nn.Conv2d(39, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ELU(inplace=True)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ELU(inplace=True)),
        )
        self.conv_attention = nn.Conv2d(64, 1, 1)
        self.to_rgb = nn.Conv2d(64, 3, 1)

    def forward(self, base: Tensor, image: Tensor, mask: Tensor, features: Tensor, mapped: Tensor) -> Tensor:
        """All in the normalized space: ``(B, 3, H, W)``; `base` and `features` may be of any size.

        In eval mode it runs in strips that overlap by its reach; the result is that of the whole.
        """
        height, width = image.shape[-2:]
        rows = height if self.training else max(16, STRIP_PIXELS // (width * len(image)))
        strips = []
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            first, last = max(0, top - REACH), min(height, bottom + REACH)
            inside = slice(first, last)
            parts = (
                *(_resize_rows(base, (height, width), inside), mapped[..., inside, :], mask[..., inside, :]),
                _resize_rows(features, (height, width), inside),
            )
            x = self.block(torch.cat(parts, dim=1))[..., top - first : bottom - first, :]
            keep = torch.sigmoid(3 * self.conv_attention(x))
            strips.append(keep * image[..., top:bottom, :] + (1 - keep) * self.to_rgb(x))
        return strips[0] if len(strips) == 1 else torch.cat(strips, dim=2)


@register("cdtnet")
class CDTNet(Backbone):
    """CDTNet; 2 744 400 parameters with four LUTs.

    Args:
        base_size: height and width s at which the generator works, a multiple of 8; None: the size that the weights
            were trained at. 256 and 512 were published.
        luts: number of LUTs.
        simplified: leave decoder and refinement out; the result is the LUT's.
        full_size: frames of a video come at their own size, and are painted there. False: they come at the base size,
            and corrections are enlarged, as for other networks.
    """

    feature_channels = 32
    title = "CDTNet"
    parts = ("encoder", "decoder", "lut", "refine")
    predicts_mapping = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "quick": SHORT,
        "paper": RECIPE,
        "1024": replace(RECIPE, phases=((1024, 0, 4),)),
        "2048": replace(RECIPE, phases=((2048, 0, 2),)),
    }

    def __init__(
        self, base_size: int | None = None, luts: int = 4, *, simplified: bool = False, full_size: bool = True
    ) -> None:
        super().__init__()
        if luts < 1:
            raise InputError(f"luts counts the LUTs of CDTNet, 1 or more; got {luts}")
        if base_size is not None and (base_size < 8 or base_size % 8):
            raise InputError(f"base_size of CDTNet is a multiple of 8, got {base_size}")
        self._base_size, self.full_size = base_size, full_size
        self.encoder, self.decoder = Encoder(), Decoder()
        self.lut, self.refine = ColorMapping(luts), FullRefinement()
        self.paints, self.whole = not simplified, not simplified

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """The number of LUTs."""
        count = sum(name.startswith("lut.LUT") and name.endswith(".LUT") for name in state)
        return {"luts": count} if count else {}

    @property
    def base_size(self) -> int:
        """Height and width at which the generator works."""
        return self._base_size or max(8, self.training_size // 8 * 8)

    def learned_size(self, pictures: int) -> int:
        """See :meth:`Backbone.learned_size`: the base size, however large the pictures were."""
        return self.base_size

    @property
    def frame_size(self) -> int:
        """See :meth:`Backbone.frame_size`."""
        return ANY_SIZE if self.paints and self.full_size else self.base_size

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """See :meth:`Backbone.initialize`; as published, with the first LUT at the identity and the others at 0."""
        super().initialize()
        for convolution in self.refine.modules():
            if isinstance(convolution, nn.Conv2d):
                convolution.weight.data.mul_(math.sqrt(2))
        self.lut.start_at_identity()
        conv, fc = self.lut.classifier.conv, self.lut.classifier.fc
        conv.reset_parameters()  # for its bias
        for layer in (conv, fc):
            nn.init.xavier_normal_(layer.weight)
        assert fc.bias is not None  # noqa: S101
        nn.init.ones_(fc.bias)
        if start_as_identity:
            for layer in (self.decoder.conv_attention, self.refine.conv_attention):
                assert layer.bias is not None  # noqa: S101
                nn.init.ones_(layer.bias)

    def _base(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What the generator sees, ``(B, 4, s, s)``, and the encoder's levels."""
        base = _resize(torch.cat([self.normalize(image), mask], dim=1), (self.base_size, self.base_size))
        return base, self.encoder(base)

    def _decode(self, base: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        return self.decoder(levels, base[:, :3], base[:, 3:])

    def parts_of(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """What happens inside, for study; arguments as of :meth:`forward`.

        Returns:
            ``features (B, 32, s, s)`` and ``bottleneck (B, 256, s/8, s/8)`` of the generator, its ``base_image
            (B, 3, s, s)`` in [0, 1] space, the ``weights (B, n)`` of the LUTs and the combined ``lut
            (B, 3, 33, 33, 33)``.
        """
        check_image(image)
        check_mask(mask, image)
        base, levels = self._base(image, mask)
        painted, features = self._decode(base, levels)
        weights = self.lut.classifier(levels[-1], mask)
        return {
            "features": features,
            "bottleneck": levels[-1],
            "base_image": self.denormalize(painted),
            "weights": weights,
            "lut": self.lut.combine(weights),
        }

    def map_colors(self, bottleneck: Tensor, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The color mapping: ``(lut, lut_image)``, ``(B, 3, 33, 33, 33)`` and ``(B, 3, H, W)`` in [0, 1] space."""
        with torch.autocast(image.device.type, enabled=False):  # colors need float32
            lut = self.lut.combine(self.lut.classifier(bottleneck.float(), mask))
            return lut, mask * trilinear.apply_lut(lut, image) + (1 - mask) * image

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Backbone.network`."""
        out = self.forward(self.denormalize(image), mask)
        return out.raw, out.features

    def forward(self, image: Tensor, mask: Tensor) -> CDTNetOutput:
        """See :meth:`Backbone.forward`; `lut` of the result is the combined LUT, ``(B, 3, 33, 33, 33)``."""
        check_image(image)
        check_mask(mask, image)
        base, levels = self._base(image, mask)
        lut, mapped = self.map_colors(levels[-1], image, mask)
        if not self.paints:
            raw = self.normalize(mapped)
            return CDTNetOutput(image=mapped, features=image[:, :0], raw=raw, lut=lut, lut_image=mapped)
        painted, features = self._decode(base, levels)
        raw = self.refine(painted, self.normalize(image), mask, features, self.normalize(mapped))
        return CDTNetOutput(
            image=self.blend(raw, mask, image),
            features=features,
            raw=raw,
            lut=lut,
            lut_image=mapped,
            base_image=self.denormalize(painted),
        )

    def losses(self, out: BackboneOutput, target: Tensor, mask: Tensor, recipe: Recipe) -> dict[str, Tensor]:
        """See :meth:`Backbone.losses`: one term each for the generator, the LUT and the final picture, in [0, 1] space.

        "paper" takes whole frames, "foreground" what is inside the mask.
        """
        assert isinstance(out, CDTNetOutput)  # noqa: S101  (what `forward` returned)
        inside = recipe.loss == "foreground"

        def loss(picture: Tensor, real: Tensor, where: Tensor) -> Tensor:
            area = scaled_area(real) if inside else 100
            return foreground_normalized_loss(picture.float(), real, where, area, weighted=inside).mean()

        terms = {"lut": loss(out.lut_image, target, mask)}
        if out.base_image is not None:
            size = out.base_image.shape[-2:]
            terms["base"] = loss(out.base_image, _resize(target, size), _resize(mask, size))
            terms["pixel"] = loss(self.denormalize(out.raw.float()), target, mask)
        return terms


def _resize(picture: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear, half-pixel centers, no antialiasing."""
    if picture.shape[-2:] == tuple(size):
        return picture
    return F.interpolate(picture, tuple(size), mode="bilinear", align_corners=False)


def _resize_rows(picture: Tensor, size: tuple[int, int], rows: slice) -> Tensor:
    """Those rows of :func:`_resize`."""
    small, (height, width) = picture.shape[-2], size
    if small == height:
        near = picture[..., rows, :]
    else:
        places = (torch.arange(rows.start, rows.stop, device=picture.device) + 0.5) * (small / height) - 0.5
        places = places.clamp(min=0)
        before = places.long()
        share = (places - before).to(picture.dtype)[:, None]
        after = (before + 1).clamp(max=small - 1)
        near = torch.lerp(picture[..., before, :], picture[..., after, :], share)
    return _resize(near, (near.shape[-2], width))
