"""PWC-Net: features, warped by the field of the coarser level, compared, field refined.

Sun et al., "PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume", CVPR 2018, section 3.
Module names are those of the official weights as converted to PyTorch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.errors import WeightsError
from co2net.flow.correlation import correlation
from co2net.flow.frames import check_pair
from co2net.flow.warp_variants import WarpVariant, check_variant, warp_variant
from co2net.weight_files import load_whole, read_weights

UNIT = 20.0  # pixels of the network's input; fields inside are in this unit
MULTIPLE = 64  # of both sides; the coarsest features are that much smaller
SLOPE = 0.1  # of every leaky ReLU
NUMBERS = ("One", "Two", "Thr", "Fou", "Fiv", "Six")  # how the official names count
FEATURES = (16, 32, 64, 96, 128, 196)  # channels of the stages, each half the size of the one before
DENSE = (128, 128, 96, 64, 32)  # channels that the convolutions of a decoder add
VOLUME = 81  # displacements of the cost volume


def _conv(channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride, padding=dilation, dilation=dilation)
    return [convolution, nn.LeakyReLU(SLOPE, inplace=True)]


class Extractor(nn.Module):
    """Features of one frame at 1/2, 1/4, ... 1/64 of its size."""

    def __init__(self) -> None:
        super().__init__()
        for number, channels_in, channels in zip(NUMBERS, (3, *FEATURES), FEATURES, strict=False):
            layers = [*_conv(channels_in, channels, stride=2), *_conv(channels, channels), *_conv(channels, channels)]
            self.add_module(f"module{number}", nn.Sequential(*layers))

    def forward(self, frame: Tensor) -> list[Tensor]:
        """All six, the finest first."""
        features = []
        for number in NUMBERS:
            frame = self.get_submodule(f"module{number}")(frame)
            features.append(frame)
        return features


class DecoderLevel(nn.Module):
    """The field at one level.

    Args:
        level: 2 to 6; features are ``1 / 2**level`` of the input's size.
        coarser: channels of the features of the level above; None at the coarsest.
    """

    def __init__(self, level: int, coarser: int | None) -> None:
        super().__init__()
        self.scale = UNIT / 2**level  # pixels of this level's features per unit of the field
        channels = VOLUME
        if coarser is not None:
            self.moduleUpflow = nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1)
            self.moduleUpfeat = nn.ConvTranspose2d(coarser, 2, 4, stride=2, padding=1)
            channels += FEATURES[level - 1] + 4
        for number, added in zip(NUMBERS, DENSE, strict=False):
            self.add_module(f"module{number}", nn.Sequential(*_conv(channels, added)))
            channels += added
        self.moduleSix = nn.Sequential(nn.Conv2d(channels, 2, 3, padding=1))
        self.channels = channels

    def forward(
        self, first: Tensor, second: Tensor, coarser: tuple[Tensor, Tensor] | None, variant: WarpVariant
    ) -> tuple[Tensor, Tensor]:
        """Field ``(B, 2, h, w)`` and features, given those of the coarser level."""
        if coarser is None:
            x = _matches(first, second)
        else:
            field, features = self.moduleUpflow(coarser[0]), self.moduleUpfeat(coarser[1])
            moved = warp_variant(second, self.scale * field, variant)
            x = torch.cat([_matches(first, moved), first, field, features], 1)
        for number in NUMBERS[: len(DENSE)]:
            x = torch.cat([self.get_submodule(f"module{number}")(x), x], 1)  # what is new goes in front
        return self.moduleSix(x), x


class Refiner(nn.Module):
    """Corrects the finest field with a wide view: convolutions of growing dilation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths, dilations = (channels, 128, 128, 128, 96, 64, 32), (1, 2, 4, 8, 16, 1)
        for channels_in, channels_out, dilation in zip(widths, widths[1:], dilations, strict=False):
            layers += _conv(channels_in, channels_out, dilation=dilation)
        self.moduleMain = nn.Sequential(*layers, nn.Conv2d(widths[-1], 2, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """What to add to the field."""
        return self.moduleMain(features)


class PWCNet(nn.Module):
    """PWC-Net, 9 374 274 parameters.

    Args:
        warp: how features are moved inside, see :func:`~co2net.flow.warp_variant`. ``exact``; for numbers comparable
            with published systems the variant of the system.
    """

    def __init__(self, warp: WarpVariant = "exact") -> None:
        super().__init__()
        check_variant(warp)
        self.warp: WarpVariant = warp
        self.moduleExtractor = Extractor()
        channels = None
        for level in range(6, 1, -1):
            decoder = DecoderLevel(level, channels)
            self.add_module(f"module{NUMBERS[level - 1]}", decoder)
            channels = decoder.channels
        assert channels is not None  # noqa: S101  (for the type checker: the loop has run)
        self.moduleRefiner = Refiner(channels)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The network alone: frames ``(B, 3, H, W)`` in [0, 1], **BGR**, sides multiples of 64.

        Returns:
            ``(B, 2, H/4, W/4)`` in units of 20 pixels of the input. Differentiable.
        """
        features1, features2 = self.moduleExtractor(first), self.moduleExtractor(second)
        found: tuple[Tensor, Tensor] | None = None
        for level in range(6, 1, -1):
            decoder = self.get_submodule(f"module{NUMBERS[level - 1]}")
            found = decoder(features1.pop(), features2.pop(), found, self.warp)
        assert found is not None  # noqa: S101  (for the type checker: the loop has run)
        return found[0] + self.moduleRefiner(found[1])

    def estimate(self, first: Tensor, second: Tensor) -> Tensor:
        """The field for frames of any size: resized to multiples of 64 and back.

        Args:
            first: ``(B, 3, H, W)`` float in [0, 1], **BGR**, the order of the official weights. See :meth:`field`.
            second: as `first`.

        Returns:
            ``(B, 2, H, W)``, pixels, channel 0 = x. Differentiable.

        Raises:
            ShapeError: the frames do not fit.
        """
        check_pair(first, second)
        height, width = first.shape[2:]
        padded = [-(-side // MULTIPLE) * MULTIPLE for side in (height, width)]
        raw = self(*(_resize(frame, padded) for frame in (first, second)))
        field = UNIT * _resize(raw, [height, width])
        return field * field.new_tensor([width / padded[1], height / padded[0]])[:, None, None]

    def field(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """As :meth:`estimate`, for RGB frames."""
        return self.estimate(frame1.flip(1), frame2.flip(1))


def load_pwcnet(weights: str | os.PathLike[str], warp: WarpVariant = "exact") -> PWCNet:
    """PWC-Net with the values of a file, whichever of the two official spellings it uses.

    Raises:
        InputError: there is no such variant of the warp.
        WeightsError: the file cannot be read or does not fit.
    """
    network = PWCNet(warp)
    state = read_weights(weights).state
    official = official_names(state)
    if len(official) < len(state):
        raise WeightsError(f"{os.fspath(weights)} holds an entry twice, as module... and as net...; remove one of them")
    load_whole(network, official, weights, "PWC-Net")
    return network


def official_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The newer spelling ``netX`` of the official names as the older ``moduleX``."""
    return {re.sub(r"(^|\.)net(?=[A-Z])", r"\1module", name): tensor for name, tensor in state.items()}


def _matches(first: Tensor, second: Tensor) -> Tensor:
    return F.leaky_relu(correlation(first, second, reach=4), SLOPE, inplace=True)


def _resize(x: Tensor, size: list[int]) -> Tensor:
    if list(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
