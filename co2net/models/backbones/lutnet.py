"""LUTNet: predicts the color mapping itself, as a small LUT, instead of painting pixels.

The color error of a composite is mostly one mapping of colors per shot. This network (our own, no paper) looks at a
frame at 64 x 64, a window about the foreground, and compares what is inside the mask with what is around it::

    image, mask ─► color statistics ──────────────┐
                └► convolutions ─► mean and std ──┴─► MLP ─► affine map + LUT residual ─► LUT
                   of every layer, per region               └► doubt: its own expected error

Regions are the foreground, the background and the background near the mask. The LUT starts at the identity, is read
at any resolution, and cannot blur or flicker inside a frame; over a clip the predictions of the window are averaged
(:attr:`Backbone.predicts_mapping`, ``co2net/color_mapping/mappings.py``).

A weight file may hold several networks that were trained apart (*members*); their LUTs are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trilinear
from co2net.checks import check_image, check_mask
from co2net.color_mapping.completion import identity_lut
from co2net.devices import has_bfloat16
from co2net.errors import Co2netError, WeightsError
from co2net.models.backbones.base import Backbone, BackboneOutput, Recipe, register
from co2net.models.backbones.losses import foreground_normalized_loss, roughness, scaled_area
from co2net.models.backbones.region_statistics import (
    QUANTILES,
    Regions,
    area_average,
    color_quantiles,
    color_statistics,
    find_regions,
    look_closer,
    moments,
)
from co2net.weight_files import WeightFile

STRIDES = (2, 2, 2, 1, 2)
BOUND = 0.6  # largest change of a color by the residual, and by the affine map's offset
MIDDLE = 0.45  # a usual gray level
CLOSER = 2  # largest enlargement of the foreground's surroundings
SMALLEST_EXPECTED_ERROR = 1e-4  # squared error, [0, 1] space: 6.5 in 8-bit units

# Some minutes on two cores; longer trainings fit what they know only.
RECIPE = Recipe(
    phases=((64, 48_000, 32),),
    schedule="constant",
    loss="mapping",
    area_only=True,
    mix={"untouched": 0.25, "weakened": 0.28, "distorted": 0.15, "blended": 0.4, "graded": 0.0},
    held_back=0.0,
    smoothness=0.01,
    averaging=0.999,
    largest_gradient=1.0,
)


@register("lutnet")
class LUTNet(Backbone):
    """LUT predictor.

    Args:
        width: channels of the first convolution; the others have two to five times as many.
        hidden: width of the MLP.
        points: grid points per axis of the LUT.
        bins: of the color histograms; 0 leaves the color statistics out.
        near: whether "the background near the mask" is a region of its own.
        members: networks whose predictions are averaged.
        dropout: share of statistics hidden from the MLP in training.
        mirrored: in eval mode, average with the prediction for the mirrored frame (a little better, half as fast).

    The state dict also holds ``caution``, chosen after training on held-out pictures (0 without): in eval mode a
    correction is scaled by ``1 - caution * expected_error / size``, at least 0, where size is its own mean square over
    the foreground. Small corrections that the network doubts are thereby left out, large ones hardly change: most
    footage is nearly right already and must not be harmed.
    """

    caution: Tensor

    title = "LUTNet"
    parts = ("members", "caution")
    prior_name = "caution"
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    training_size = 64
    predicts_mapping = True
    averages_areas = True
    paints = False
    recipes: ClassVar[Mapping[str, Recipe]] = {"mapping": RECIPE, **Backbone.recipes}

    def __init__(
        self,
        width: int = 16,
        hidden: int = 192,
        points: int = 7,
        bins: int = 12,
        *,
        near: bool = True,
        members: int = 1,
        dropout: float = 0.0,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.mirrored, self.bins, self.near = mirrored, bins, near
        self.register_buffer("caution", torch.zeros(()))
        self.members = nn.ModuleList(Member(width, hidden, points, bins, near, dropout) for _ in range(members))

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Everything but `dropout` and `mirrored` follows from the shapes."""
        try:
            first = state["members.0.convolutions.0.weight"]
            hidden = state["members.0.mlp.1.weight"].shape[0]
            residual, layout = state["members.0.residual.weight"], state["members.0.layout"]
        except KeyError:
            return {}
        points = round((residual.shape[0] / 3) ** (1 / 3))
        bins, near = (int(value) for value in layout)
        members = len({name.split(".")[1] for name in state if name.startswith("members.")})
        width = int(first.shape[0])
        return {
            "width": width,
            "hidden": int(hidden),
            "points": points,
            "bins": bins,
            "near": bool(near),
            "members": members,
        }

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """Fresh weights; the LUT starts at the identity in any case."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        for member in self.members:
            assert isinstance(member, Member)  # noqa: S101
            member.start_at_identity()

    @property
    def frame_size(self) -> int:
        """See :attr:`Backbone.frame_size`; larger than what the convolutions see, see :func:`look_closer`."""
        return CLOSER * self.training_size

    def predict(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The color mapping of each frame.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1]. The network sees a window about the foreground
                (:func:`look_closer`), shrunk to :attr:`training_size` by area averaging as in training; frames should
                have at least :attr:`frame_size`.
            mask: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            ``(lut, expected_error)``: ``(B, 3, P, P, P)`` output colors, about [0, 1], not clamped; and ``(B,)``, the
            squared
            error that the network expects of itself, mean over the foreground, [0, 1] space.
        """
        check_image(image)
        check_mask(mask, image)
        if self.training:  # which draws windows of its own
            image, mask = area_average(image, mask, self.training_size)
        else:
            image, mask = look_closer(*area_average(image, mask, self.frame_size), self.training_size)
        count = image.shape[0]
        # What does not depend on weights is computed once, and for a frame and its mirror image alike.
        regions = find_regions(mask, self.near)
        colors = self._color_features(image, regions)
        if self.mirrored and not self.training:
            image, mask, regions = (torch.cat([part, part.flip(3)]) for part in (image, mask, regions))
            colors = torch.cat([colors, colors])
        weights = Regions(regions)
        pixels = torch.cat([image - MIDDLE, mask], dim=1).contiguous(memory_format=torch.channels_last)
        predictions = [member(pixels, weights, colors) for member in self.members]
        lut = torch.stack([lut for lut, _ in predictions]).mean(dim=0)
        expected_error = torch.stack([expected_error for _, expected_error in predictions]).mean(dim=0)
        if len(lut) > count:
            image, mask = image[:count], mask[:count]
            lut, expected_error = (lut[:count] + lut[count:]) / 2, (expected_error[:count] + expected_error[count:]) / 2
        return (lut if self.training else self._hold_back(lut, expected_error, image, mask)), expected_error

    def _color_features(self, image: Tensor, regions: Tensor) -> Tensor:
        found = [regions.mean(dim=(2, 3)), moments(image, Regions(regions).weights(*regions.shape[2:]))]
        if self.bins:
            found += [color_statistics(image, regions, self.bins), color_quantiles(image, regions)]
        return torch.cat(found, dim=1)

    def _hold_back(self, lut: Tensor, expected_error: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        square = ((trilinear.apply_lut(lut, image) - image) ** 2).mean(dim=1, keepdim=True)
        size = (square * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3)).clamp(min=1e-6)
        share = (1 - self.caution * expected_error / size.clamp(min=1e-9)).clamp(min=0).view(-1, 1, 1, 1, 1)
        identity = identity_lut(lut.shape[-1], lut)
        return identity + share * (lut - identity)

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Backbone.network`; there is no feature map."""
        out = self.forward(image, mask)
        return out.raw, out.features

    def forward(self, image: Tensor, mask: Tensor) -> BackboneOutput:
        """See :meth:`Backbone.forward`; fills ``lut`` and ``expected_error`` of the result too."""
        with torch.autocast(
            image.device.type, enabled=False
        ):  # colors need float32; the convolutions choose themselves
            lut, expected_error = self.predict(image, mask)
            raw = trilinear.apply_lut(lut, image)
        return BackboneOutput(
            image=self.blend(raw, mask, image), features=image[:, :0], raw=raw, lut=lut, expected_error=expected_error
        )

    def losses(self, out: BackboneOutput, target: Tensor, mask: Tensor, recipe: Recipe) -> dict[str, Tensor]:
        """See :meth:`Backbone.losses`; "mapping" is :func:`mapping_loss`."""
        if recipe.loss != "mapping":
            return super().losses(out, target, mask, recipe)
        return {"pixel": mapping_loss(out, target, mask, recipe.smoothness)}


def mapping_loss(out: BackboneOutput, target: Tensor, mask: Tensor, smoothness: float) -> Tensor:
    """Error of the foreground, roughness of the LUT, and a term for the expected error.

    The expected error ``v`` learns to be the squared error ``e`` of its own prediction: ``log v + e / v`` is least at
    ``v = e``; the error gets no gradient from it.

    Args:
        out: of the network; ``lut`` and ``expected_error`` are used, ``raw`` is the LUT's output in [0, 1] space.
        target: real frame, [0, 1] space.
        mask: ``(B, 1, H, W)`` in [0, 1].
        smoothness: weight of the mean squared second difference between the LUT's neighboring points.

    Returns:
        Scalar, mean over the batch.

    Raises:
        ShapeError: if shapes do not fit.
        Co2netError: if the network predicts no LUT or expects no error.
    """
    if out.lut is None or out.expected_error is None:
        raise Co2netError("the mapping loss needs a backbone that predicts a LUT and its expected error")
    error = foreground_normalized_loss(out.raw, target, mask, scaled_area(target), weighted=True)
    expected_error = out.expected_error.clamp(min=SMALLEST_EXPECTED_ERROR)
    about_itself = (expected_error.log() + error.detach() / expected_error).mean()
    return error.mean() + smoothness * roughness(out.lut) + 1e-3 * about_itself


def join_members(files: Sequence[WeightFile]) -> dict[str, Tensor]:
    """One state dict with the members of several files.

    Raises:
        WeightsError: if a file is not of this network, or of another layout than the first.
    """
    joined: dict[str, Tensor] = {}
    members, settings = 0, LUTNet.settings_from_state(files[0].state)
    for file in files:
        found = LUTNet.settings_from_state(file.state)
        if not found or {**found, "members": 0} != {**settings, "members": 0}:
            raise WeightsError(f"{file.path} does not hold LUTNet weights of the same layout as {files[0].path}")
        for name, tensor in file.state.items():
            part, _, rest = name.partition(".")
            number, _, entry = rest.partition(".")
            joined[f"members.{members + int(number)}.{entry}" if part == "members" else name] = tensor
        members += found["members"]
    return joined


class Member(nn.Module):
    """One network; arguments as in :class:`LUTNet`."""

    grid: Tensor
    layout: Tensor

    def __init__(self, width: int, hidden: int, points: int, bins: int, near: bool, dropout: float) -> None:
        super().__init__()
        channels = [4, width, 2 * width, 4 * width, 4 * width, 5 * width]
        pairs = list(zip(channels, channels[1:], STRIDES, strict=False))
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, stride, 1, bias=False) for i, o, stride in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in channels[1:])
        regions = 3 if near else 2
        colors = (9 * bins + 5 * len(QUANTILES)) if bins else 0
        statistics = regions * (colors + 2 * 3 + 1 + 2 * sum(channels[1:]))
        self.standardize = nn.BatchNorm1d(statistics)
        self.mlp = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(statistics, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.affine = nn.Linear(hidden, 12)
        self.residual = nn.Linear(hidden, 3 * points**3)
        self.doubt = nn.Linear(hidden, 1)
        self.register_buffer("layout", torch.tensor([bins, int(near)]))  # what shapes do not tell, for loading
        self.register_buffer("grid", identity_lut(points, torch.zeros(1))[0], persistent=False)
        self.start_at_identity()

    def start_at_identity(self) -> None:
        """Zero the last layers, so that the fresh network changes nothing."""
        for layer in (self.affine, self.residual, self.doubt):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, pixels: Tensor, regions: Regions, colors: Tensor) -> tuple[Tensor, Tensor]:
        statistics = self.standardize(torch.cat([colors, *self._layer_moments(pixels, regions)], dim=1))
        hidden = self.mlp(statistics)
        matrix = 0.3 * self.affine(hidden).view(-1, 3, 4)
        grid = self.grid.flatten(1)
        linear = matrix[:, :, :3] @ (grid - MIDDLE) + _bounded(matrix[:, :, 3:])
        residual = _bounded(0.3 * self.residual(hidden)).view(-1, *grid.shape)
        lut = (grid + linear + residual).unflatten(2, self.grid.shape[1:])
        return lut, F.softplus(self.doubt(hidden.detach())[:, 0] - 4)

    def _layer_moments(self, x: Tensor, regions: Regions) -> list[Tensor]:
        # Twice as fast there, and accurate enough for gradients; where it is only imitated, a tenth as fast.
        half = self.training and x.device.type == "cpu" and has_bfloat16()
        found = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            for convolution, norm in zip(self.convolutions, self.norms, strict=True):
                x = F.leaky_relu(norm(convolution(x)), 0.1)
                found.append(moments(x.float(), regions.weights(x.shape[2], x.shape[3])))
        return found


def _bounded(change: Tensor) -> Tensor:
    return BOUND * torch.tanh(change / BOUND)
