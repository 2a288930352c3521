"""What LUTNet measures of a frame: a window about the foreground, regions, and color statistics of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

import tridistribute
from co2net.color_spaces import LUMA

REACH = 1 / 16  # of the frame's side: how far "near the mask" goes
SPREAD = 12**0.5  # of the window's half side, in standard deviations of the foreground: twice the side of a full box
QUANTILES = (0.005, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.995)
LEVELS = 48  # that colors are sorted into for their quantiles


def area_average(image: Tensor, mask: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Both with at most `side` rows and columns, by area averaging."""
    shape = min(image.shape[2], side), min(image.shape[3], side)
    if shape == image.shape[2:]:
        return image, mask
    return F.adaptive_avg_pool2d(image, shape), F.adaptive_avg_pool2d(mask, shape)


def look_closer(image: Tensor, mask: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The foreground with its surroundings, about twice as wide and high, at most `side` rows and columns.

    Small foregrounds get more pixels, and what is far away counts less. The window follows from mean and standard
    deviation of the mask, so it moves smoothly over a clip; it is never enlarged: a frame of `side` pixels comes back
    as it is.

    Args:
        image: ``(B, 3, H, W)``.
        mask: ``(B, 1, H, W)`` in [0, 1]; of an empty one, the middle is taken.
        side: of the result.
    """
    if max(image.shape[2:]) <= side:
        return image, mask
    stacked = torch.cat([image, mask], dim=1)
    rows, columns = (_window_weights(mask.sum(dim=(1, axis)), side) for axis in (3, 2))
    seen = rows[:, None] @ stacked @ columns[:, None].transpose(2, 3)
    return seen[:, :3], seen[:, 3:].clamp(0, 1)


def _window_weights(profile: Tensor, side: int) -> Tensor:
    """Area averaging of a window along one axis.

    Args:
        profile: ``(B, N)``, foreground per row or column.
        side: of the result, and the least size of the window.

    Returns:
        ``(B, min(N, side), N)``, rows of sum 1.
    """
    count = profile.shape[1]
    places = torch.arange(count, dtype=profile.dtype, device=profile.device) + 0.5
    total = profile.sum(dim=1).clamp(min=1e-6)
    mean = torch.where(total > 1e-3, profile @ places / total, count / 2)
    deviation = ((profile * (places - mean[:, None]) ** 2).sum(dim=1) / total).sqrt()
    length = (2 * SPREAD * deviation).clamp(min(side, count), count)
    start = torch.minimum((mean - length / 2).clamp(min=0), count - length)
    edges = torch.linspace(0, 1, min(side, count) + 1, dtype=profile.dtype, device=profile.device)
    edges = start[:, None] + length[:, None] * edges
    covered = torch.minimum(edges[:, 1:, None], places + 0.5) - torch.maximum(edges[:, :-1, None], places - 0.5)
    covered = covered.clamp(min=0)
    return covered / covered.sum(dim=2, keepdim=True)


def find_regions(mask: Tensor, near: bool) -> Tensor:
    """``(B, 2 or 3, H, W)`` weights in [0, 1]: foreground, background, background near the mask."""
    if not near:
        return torch.cat([mask, 1 - mask], dim=1)
    rows, columns = (2 * max(1, round(REACH * side)) + 1 for side in mask.shape[2:])
    wide = F.max_pool2d(mask, (rows, 1), 1, (rows // 2, 0))
    wide = F.max_pool2d(wide, (1, columns), 1, (0, columns // 2))
    return torch.cat([mask, 1 - mask, (wide - mask).clamp(min=0)], dim=1)


class Regions:
    """Weights of regions at the sizes of a network's layers, made once for all members.

    Args:
        regions: ``(B, R, H, W)`` in [0, 1].
    """

    def __init__(self, regions: Tensor) -> None:
        self._last = regions
        self._weights: dict[tuple[int, int], Tensor] = {}

    def weights(self, height: int, width: int) -> Tensor:
        """Weights ``(B, R, height * width)``, of sum 1 in each region that is not empty; ask for large sizes first."""
        shape = height, width
        if shape not in self._weights:
            if shape != self._last.shape[2:]:
                self._last = F.adaptive_avg_pool2d(self._last, shape)
            flat = self._last.flatten(2)
            self._weights[shape] = flat / (flat.sum(dim=2, keepdim=True) + 1e-4 * flat.shape[2])
        return self._weights[shape]


def moments(x: Tensor, weights: Tensor) -> Tensor:
    """Mean and standard deviation of every channel in every region: ``(B, R * 2 * C)``."""
    values = x.flatten(2).transpose(1, 2)
    mean = weights @ values
    square = weights @ values**2
    deviation = ((square - mean**2).clamp(min=0) + 1e-4).sqrt()
    return torch.cat([mean, deviation], dim=2).flatten(1)


@torch.no_grad()
def color_statistics(image: Tensor, regions: Tensor, bins: int) -> Tensor:
    """How often colors occur in each region, and what color the dark and the bright parts have.

    Soft histograms of red, green, blue, brightness, saturation and the largest channel, and, by brightness, the mean
    of two color differences and of the saturation: ``(B, R * 9 * bins)``. Both come from volumes of ``tridistribute``,
    whose trilinear weights sum to linear bins along each axis; pixels whose weight in a region is above 0.5 count.
    """
    luma, high, saturation = _properties(image)
    properties = torch.cat([luma, saturation, high], dim=1)
    differences = torch.cat([image[:, :1] - luma, image[:, 2:] - luma, saturation], dim=1)
    found = []
    for region in regions.split(1, dim=1):
        mask = region.contiguous()
        colors = tridistribute.accumulate(image, image, mask, dim=bins)[:, 3]
        volume = tridistribute.accumulate(properties, differences, mask, dim=bins)
        total = colors.sum(dim=(1, 2, 3)).clamp(min=1)[:, None]
        histograms = [
            (lut.sum(dim=axes) / total).sqrt()  # square roots: rare colors (black, white) tell a lot
            for lut in (colors, volume[:, 3])
            for axes in ((1, 2), (1, 3), (2, 3))
        ]
        share = volume[:, 3].sum(dim=(1, 2)) / total
        by_luma = volume[:, :3].sum(dim=(2, 3)) / total[:, None]
        found += [*histograms, (4 * by_luma / (share[:, None] + 0.02)).flatten(1)]
    return torch.cat(found, dim=1)


@torch.no_grad()
def color_quantiles(image: Tensor, regions: Tensor) -> Tensor:
    """Quantiles of red, green, blue, brightness and saturation in each region: ``(B, R * 5 * len(QUANTILES))``.

    They tell what histograms of few bins hide: how black the blacks are and how white the whites.
    """
    luma, _, saturation = _properties(image)
    values = torch.cat([image, luma, saturation], dim=1).flatten(2).clamp(0, 1)
    level = (values * (LEVELS - 1)).round().long()
    wanted = values.new_tensor(QUANTILES).expand(*values.shape[:2], -1).contiguous()
    found = []
    for region in regions.flatten(2).split(1, dim=1):
        count = values.new_zeros(*values.shape[:2], LEVELS).scatter_add_(2, level, region.expand_as(values))
        total = count.sum(dim=2, keepdim=True)
        share = count.cumsum(dim=2) / total.clamp(min=1e-3)
        index = torch.searchsorted(share, wanted).clamp(max=LEVELS - 1)
        before = F.pad(share, (1, 0)).gather(2, index)
        within = ((wanted - before) / (share.gather(2, index) - before).clamp(min=1e-4)).clamp(0, 1)
        found.append(((index - 0.5 + within) / (LEVELS - 1) * (total > 1)).flatten(1))
    return torch.cat(found, dim=1)


def _properties(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness, largest channel and saturation (largest minus smallest), each ``(B, 1, H, W)``."""
    luma = (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    high = image.amax(dim=1, keepdim=True)
    return luma, high, high - image.amin(dim=1, keepdim=True)
