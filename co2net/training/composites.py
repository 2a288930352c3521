"""Composites like those that people make: a scene under some light, and a foreground that was shot under another one.

All samples of a batch are made at once, from photographs and masks alone. A scene may be graded or lit as a whole
(:attr:`CompositeMix.graded`), so that no look is right for its own sake; its foreground then shows one of

* a film LUT or a blend of two (HYouTube's composites are made so),
* exposure, white balance, tone curves, contrast, saturation, mixing of channels in linear light, lifted blacks,
* the color statistics of another photograph's region: Reinhard et al. in lαβ, Monge-Kantorovich in RGB, or its
  histograms (iHarmony4's composites are made so),
* the scene's own colors from before it was graded or lit: what a cut-out from another place is.

Grain, blur and the mask's border differ at random between the parts, so that they tell nothing about the colors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

import trilinear
from co2net.color_mapping.completion import identity_lut
from co2net.color_spaces import LUMA
from co2net.training.color_changes import (
    blend_gain,
    column,
    with_contrast,
    with_lift,
    with_saturation,
)

KNOTS = 6  # of random tone curves
LEVELS = 64  # of histograms
LARGEST_CHANGE = 0.31  # root mean square over the foreground; stronger changes are weakened to it

# Ruderman's lαβ: RGB to LMS, then logarithms, then decorrelated axes.
_LMS = ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))
_AXES = (
    (1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)),
    (1 / math.sqrt(6), 1 / math.sqrt(6), -2 / math.sqrt(6)),
    (1 / math.sqrt(2), -1 / math.sqrt(2), 0.0),
)


@dataclass(frozen=True)
class CompositeMix:
    """Shares of the kinds of composites, 0 to 1.

    Attributes:
        untouched: foregrounds that look right already.
        graded: scenes that are graded or lit as a whole first.
        kept: of the foregrounds of graded scenes, those cut out before the grading.
        lut, adjusted, both: foregrounds changed by a LUT, by adjustments, by both; the others take over the statistics
            of another photograph.
        blended: of the LUTs, those that are blends of two.
        weakened: of the changes, those of 0.15 to 0.6 strength.
        borrowed: foregrounds cut with another photograph's mask.
        disturbed: samples whose grain, sharpness or mask border differ.
    """

    untouched: float = 0.03
    graded: float = 0.5
    kept: float = 0.45
    lut: float = 0.34
    adjusted: float = 0.30
    both: float = 0.12
    blended: float = 0.4
    weakened: float = 0.08
    borrowed: float = 0.25
    disturbed: float = 0.3


@dataclass
class Composites:
    """A batch: pictures ``(B, 3, H, W)`` and the mask ``(B, 1, H, W)`` that a network is given, all in [0, 1]."""

    composite: Tensor
    target: Tensor
    mask: Tensor


class Draws:
    """Random numbers for a batch, all of one generator.

    Args:
        count: samples in the batch.
        generator: source of randomness (CPU).
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """``(B, *shape)`` between `low` and `high`."""
        return torch.rand(self.count, *shape, generator=self.generator) * (high - low) + low

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """``(B, *shape)`` about 0."""
        return torch.randn(self.count, *shape, generator=self.generator) * deviation

    def happens(self, share: float) -> Tensor:
        """``(B,)`` of truth values."""
        return torch.rand(self.count, generator=self.generator) < share

    def index(self, size: int) -> Tensor:
        """``(B,)`` numbers below `size`."""
        return torch.randint(size, (self.count,), generator=self.generator)


def make_composites(
    real: Tensor, masks: Tensor, luts: Tensor, mix: CompositeMix, generator: torch.Generator
) -> Composites:
    """Composites of a batch.

    Args:
        real: photographs ``(B, 3, H, W)`` in [0, 1]; each may lend its statistics to another one.
        masks: ``(B, 1, H, W)`` in [0, 1], of the foregrounds.
        luts: ``(N, 3, D, D, D)`` film LUTs, N at least 1.
        mix: shares of the kinds.
        generator: source of randomness.
    """
    count = len(real)
    draws = Draws(count, generator)
    graded = draws.happens(mix.graded)
    target = _where(graded, real, generator, lambda chosen, few: _grade_scenes(real[chosen], luts, few))
    kept = graded & draws.happens(mix.kept)
    source = torch.where(column(kept), real, target)
    # A foreground that kept its colors while the scene was graded is wrong enough for half of them.
    touched = ~(kept & draws.happens(0.5))
    changed = _change_foregrounds(source, real, masks, luts, mix, touched, draws)
    strength = torch.where(draws.happens(0.5), draws.uniform(0.85, 1.25), torch.ones(count))
    strength = torch.where(draws.happens(mix.weakened), draws.uniform(0.15, 0.6), strength)
    strength = strength.masked_fill(draws.happens(mix.untouched), 0)
    change = changed - target
    size = _masked_mean(change.square().mean(dim=1, keepdim=True), masks).sqrt()[:, 0]
    strength = torch.minimum(strength, LARGEST_CHANGE / size.clamp(min=1e-6))
    changed = (target + column(strength) * change).clamp(0, 1)
    composite = torch.lerp(target, changed, masks)
    composite, mask = _disturb(composite, masks, mix.disturbed, draws)
    return Composites(composite, target, mask)


def _where(
    chosen: Tensor, images: Tensor, generator: torch.Generator, change: Callable[[Tensor, Draws], Tensor]
) -> Tensor:
    """`images`, but the chosen ones as `change(their numbers, draws for them)` makes them."""
    numbers = torch.nonzero(chosen).flatten()
    if len(numbers) == 0:
        return images
    out = images.clone()
    out[numbers] = change(numbers, Draws(len(numbers), generator))
    return out


def _grade_scenes(images: Tensor, luts: Tensor, draws: Draws) -> Tensor:
    kind, generator = draws.uniform(0, 1), draws.generator
    graded = _where(kind < 0.35, images, generator, lambda n, few: _through_luts(images[n], luts, 0.3, few))
    adjusted = (kind >= 0.35) & (kind < 0.7)
    graded = _where(adjusted, graded, generator, lambda n, few: _adjust(images[n], few))
    return _where(kind >= 0.7, graded, generator, lambda n, few: _light(images[n], few)).clamp(0, 1)


def _light(images: Tensor, draws: Draws) -> Tensor:
    """Strongly colored light: warm (sunset, sodium) to cold (shade, dusk), at times any hue, often dim."""
    warm = draws.normal(0.35)
    green = draws.normal(0.10)
    gains = torch.stack([warm, green - 0.1 * warm.abs(), -warm], dim=1)
    gains = torch.where(draws.happens(0.2)[:, None], draws.normal(0.35, 3), gains).exp()
    gains = gains / (gains @ torch.tensor(LUMA))[:, None]
    gains = gains * (draws.normal(0.3) - 0.15).exp()[:, None]
    linear = images**2.2 * column(gains)
    # Dim scenes keep less color, and what is brighter than white rolls off.
    linear = with_saturation(linear, column((draws.normal(0.25) - 0.05).exp())).clamp(min=0)
    shoulder = linear / (1 + (linear / 1.2) ** 4) ** 0.25
    return shoulder ** (1 / 2.2)


def _change_foregrounds(
    source: Tensor, real: Tensor, masks: Tensor, luts: Tensor, mix: CompositeMix, touched: Tensor, draws: Draws
) -> Tensor:
    kind, generator = draws.uniform(0, 1), draws.generator
    first, second, third = mix.lut, mix.lut + mix.adjusted, mix.lut + mix.adjusted + mix.both
    by_lut = touched & ((kind < first) | ((kind >= second) & (kind < third)))
    changed = _where(by_lut, source, generator, lambda n, few: _through_luts(source[n], luts, mix.blended, few))
    adjusted = touched & (kind >= first) & (kind < third)
    changed = _where(adjusted, changed, generator, lambda n, few: _adjust(changed[n], few))
    other = torch.roll(torch.arange(len(real)), 1)
    return _where(
        touched & (kind >= third),
        changed,
        generator,
        lambda n, few: _transfer(source[n], masks[n], real[other[n]], masks[other[n]], few),
    )


def _through_luts(images: Tensor, luts: Tensor, blended: float, draws: Draws) -> Tensor:
    first, second = luts[draws.index(len(luts))], draws.index(len(luts))
    mixed = draws.happens(blended)
    if mixed.any():
        share = draws.uniform(0, 1)[mixed]
        identity = identity_lut(luts.shape[-1], luts)
        blend = torch.lerp(first[mixed], luts[second[mixed]], share.view(-1, 1, 1, 1, 1)) - identity
        first[mixed] = identity + blend_gain(share).view(-1, 1, 1, 1, 1) * blend
    return trilinear.apply_lut(first, images)


def _adjust(images: Tensor, draws: Draws) -> Tensor:
    """What a photo editor offers, each with a chance: exposure, white balance, channels, curves, saturation, blacks."""

    def sometimes(share: float, values: Tensor) -> Tensor:
        return values * draws.happens(share).view(-1, *[1] * (values.ndim - 1))

    gains = sometimes(0.75, draws.normal(0.17, 3)).exp()
    gains = gains / (gains @ torch.tensor(LUMA))[:, None]  # brightness belongs to the exposure
    out = images * column(gains * (2 ** sometimes(0.8, draws.normal(0.48)))[:, None])
    # A shoulder instead of a hard white for half of them, as cameras have it.
    soft = out / (1 + (out / 1.1) ** 6) ** (1 / 6)
    out = torch.where(column(draws.happens(0.5)), soft, out).clamp(0, 1.5)
    mixing = sometimes(0.3, draws.normal(0.06, 3, 3))
    mixing = mixing - mixing.mean(dim=2, keepdim=True) + torch.eye(3)  # gray stays gray
    out = torch.einsum("bij,bjhw->bihw", mixing, out).clamp(min=0)
    out = out ** column(sometimes(0.6, draws.normal(0.30)).exp())
    curve = sometimes(0.4, draws.normal(0.45, 1, KNOTS)) + sometimes(0.3, draws.normal(0.15, 3, KNOTS))
    steps = curve.exp()
    out = _curves(out.clamp(0, 1), F.pad(steps.cumsum(dim=2) / steps.sum(dim=2, keepdim=True), (1, 0)))
    pivot = column(draws.uniform(0.3, 0.6))
    out = with_contrast(out, column(sometimes(0.5, draws.normal(0.25)).exp()), pivot)
    out = with_saturation(out, column(sometimes(0.6, draws.normal(0.35)).exp()))
    return with_lift(out, column(sometimes(0.3, draws.normal(0.06, 3).abs()))).clamp(0, 1)


def _curves(images: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear curves: `values` ``(B, 3, K + 1)`` at equal steps over [0, 1]."""
    place = images.flatten(2) * (values.shape[2] - 1)
    index = place.long().clamp(max=values.shape[2] - 2)
    low, high = values.gather(2, index), values.gather(2, index + 1)
    return torch.lerp(low, high, place - index).view_as(images)


def _transfer(source: Tensor, masks: Tensor, reference: Tensor, region: Tensor, draws: Draws) -> Tensor:
    """The statistics of another photograph's region on each foreground, at 0.4 to 1 of the strength."""
    region = torch.where(column(draws.happens(0.3)), 1 - region, region)
    kind, out = draws.uniform(0, 1), source.clone()
    lab, covariance, histogram = ((kind >= low) & (kind < high) for low, high in ((0, 0.4), (0.4, 0.7), (0.7, 1)))
    for chosen, match in ((lab, _match_spread), (covariance, _match_covariance), (histogram, _match_histograms)):
        if chosen.any():
            out[chosen] = match(source[chosen], masks[chosen], reference[chosen], region[chosen])
    return torch.lerp(source, out.clamp(0, 1), column(draws.uniform(0.5, 1.0)))


def _to_lab(images: Tensor) -> Tensor:
    lms = torch.einsum("ij,bjhw->bihw", images.new_tensor(_LMS), images).clamp(min=0.02).log()
    return torch.einsum("ij,bjhw->bihw", images.new_tensor(_AXES), lms)


def _from_lab(lab: Tensor) -> Tensor:
    lms = torch.einsum("ji,bjhw->bihw", lab.new_tensor(_AXES), lab).clamp(max=0.3).exp()
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(lab.new_tensor(_LMS)), lms)


def _match_spread(source: Tensor, mask: Tensor, reference: Tensor, region: Tensor) -> Tensor:
    source = _to_lab(source)
    mean, deviation = _spread(source, mask)
    wanted, wide = _spread(_to_lab(reference), region)
    ratio = (wide / deviation.clamp(min=1e-3)).clamp(0.4, 2.5)
    return _from_lab((source - column(mean)) * column(ratio) + column(wanted))


def _spread(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    mean = _masked_mean(images, mask)
    return mean, (_masked_mean(images**2, mask) - mean**2).clamp(min=1e-6).sqrt()


def _match_covariance(source: Tensor, mask: Tensor, reference: Tensor, region: Tensor) -> Tensor:
    """The optimal linear transport between two normal distributions (Pitié and Kokaram 2007)."""
    mean, covariance = _covariance(source, mask)
    wanted, wide = _covariance(reference, region)
    root = _power(covariance, 0.5)
    inverse = _power(covariance, -0.5)
    matrix = inverse @ _power(root @ wide @ root, 0.5) @ inverse
    size = torch.linalg.matrix_norm(matrix, 2).clamp(min=2.5)[:, None, None] / 2.5
    return torch.einsum("bij,bjhw->bihw", matrix / size, source - column(mean)) + column(wanted)


def _covariance(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    mean = _masked_mean(images, mask)
    centered = (images - column(mean)).flatten(2)
    weights = mask.flatten(2)
    covariance = (centered * weights) @ centered.transpose(1, 2) / weights.sum(dim=2, keepdim=True).clamp(min=1)
    return mean, covariance + 1e-3 * torch.eye(3)


def _power(matrices: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrices)
    return vectors @ torch.diag_embed(values.clamp(min=1e-6) ** exponent) @ vectors.transpose(1, 2)


def _match_histograms(source: Tensor, mask: Tensor, reference: Tensor, region: Tensor) -> Tensor:
    own, wanted = _shares(source, mask), _shares(reference, region)
    # For every level of the source the reference's level below which there is the same share.
    index = torch.searchsorted(wanted, own).clamp(max=LEVELS - 1)
    below = F.pad(wanted, (1, 0)).gather(2, index)
    within = ((own - below) / (wanted.gather(2, index) - below).clamp(min=1e-4)).clamp(0, 1)
    curve = (index + within) / LEVELS
    curve = F.avg_pool1d(F.pad(curve, (2, 2), mode="replicate"), 5, 1)  # no steps where the source has no color
    return _curves(source.clamp(0, 1), F.pad(curve, (1, 0), mode="replicate"))


def _shares(images: Tensor, mask: Tensor) -> Tensor:
    """Cumulative histograms ``(B, 3, LEVELS)`` inside the mask."""
    level = (images.flatten(2).clamp(0, 1) * (LEVELS - 1)).round().long()
    count = images.new_zeros(*images.shape[:2], LEVELS).scatter_add_(2, level, mask.flatten(2).expand(-1, 3, -1))
    count = count + 1e-3
    return count.cumsum(dim=2) / count.sum(dim=2, keepdim=True)


def _disturb(composite: Tensor, mask: Tensor, share: float, draws: Draws) -> tuple[Tensor, Tensor]:
    chosen = torch.nonzero(draws.happens(share)).flatten()
    if len(chosen) == 0:
        return composite, mask
    few = Draws(len(chosen), draws.generator)
    image, alpha = composite[chosen], mask[chosen]
    part = torch.where(column(few.happens(0.5)), alpha, 1 - alpha)
    blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blurred = torch.lerp(image, blurred, part * column(few.uniform(0, 1)) * column(few.happens(0.5)))
    noise = torch.randn(image.shape, generator=draws.generator)
    noise = torch.lerp(noise, noise.mean(dim=1, keepdim=True), 0.6)
    amount = part * column(few.uniform(0, 0.03) * few.happens(0.6))
    composite, mask = composite.clone(), mask.clone()
    composite[chosen] = (blurred + noise * amount).clamp(0, 1)
    border = few.uniform(0, 1)
    wider = F.max_pool2d(alpha, 3, 1, 1)
    narrower = 1 - F.max_pool2d(1 - alpha, 3, 1, 1)
    narrower = torch.where((narrower.sum(dim=(1, 2, 3)) > 50).view(-1, 1, 1, 1), narrower, alpha)
    alpha = torch.where(column(border < 0.25), wider, torch.where(column(border > 0.75), narrower, alpha))
    mask[chosen] = alpha
    return composite, mask


def _masked_mean(images: Tensor, mask: Tensor) -> Tensor:
    return (images * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp(min=1e-3)
