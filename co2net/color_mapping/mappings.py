"""The color mappings: what a frame tells about one, and which LUT a window of frames makes of it.

What a frame tells is a *volume* ``(B, 4, D, D, D)``: for every cell of a grid of colors a weighted sum of colors (3)
and the sum of weights (1). Volumes of several frames add up, so a window costs one backbone pass per frame
(:mod:`co2net.color_mapping.clip_window`).

Another mapping is one class and one line of :data:`MAPPINGS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor

import tridistribute
from co2net.checks import check_choice
from co2net.color_mapping.completion import complete, identity_lut
from co2net.errors import InputError

SMALLEST_EXPECTED_ERROR = 1e-3  # expected squared error; below it no frame is trusted more than others
CLIP_POINTS = 33  # per axis of the LUT of a whole clip


class BackboneResult(Protocol):
    """What a mapping looks at of a frame after the backbone (:class:`co2net.models.backbones.base.BackboneOutput`)."""

    image: Tensor
    lut: Tensor | None
    expected_error: Tensor | None


class ColorMapping(ABC):
    """How frames become a LUT. Holds no state: one object serves any number of models.

    Class attributes:
        name: how users and weight files call it.
        has_holes: whether colors that no neighbor shows stay unknown, so that the backbone must take over there.
        needs_prediction: whether only a backbone that predicts a LUT will do.
        counts_the_frame: whether a frame's own volume belongs to its window.
        description: a sentence for reports.
    """

    name: ClassVar[str]
    has_holes: ClassVar[bool] = False
    needs_prediction: ClassVar[bool] = False
    counts_the_frame: ClassVar[bool] = False
    description: ClassVar[str]

    @abstractmethod
    def volume(self, image: Tensor, mask: Tensor, out: BackboneResult) -> Tensor:
        """What one frame tells.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1].
            mask: ``(B, 1, H, W)``; pixels above 0.5 take part.
            out: the same frame after the backbone.

        Returns:
            ``(B, 4, D, D, D)``.
        """

    def weights(self, neighbors: Mapping[int, int], number: int) -> dict[int, int]:
        """How often the volume of each frame counts for frame `number`; `neighbors` are the paper's counts."""
        return dict(neighbors)

    def tells(self, mask: Tensor) -> bool:
        """Whether a frame with this mask ``(1, 1, h, w)``, which is not empty, tells anything."""
        return bool((mask > 0.5).any())

    @abstractmethod
    def lut(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a (summed) volume into ``lut (B, 3, D, D, D)`` and ``count (B, D, D, D)``, 0 = says nothing there.

        A mapping without holes gives one count for all cells of an item: 0 where no pixel was seen at all. Its LUT is
        then the identity, which is no answer: the backbone must take over, as in the holes of the paper's.
        """

    def clip_volume(self, small: Tensor, mask: Tensor, change: Tensor, strength: float, lut: Tensor | None) -> Tensor:
        """What a harmonized frame adds to the one LUT of a whole clip; the sum goes into :meth:`clip_lut`.

        Args:
            small: the frame at the working size, ``(1, 3, h, w)`` in [0, 1].
            mask: ``(1, 1, h, w)`` in [0, 1].
            change: what harmonizing fully adds to `small`, ``(1, 3, h, w)``.
            strength: how much of it is wanted.
            lut: the LUT of the frame's window; None where there was none.
        """
        return tridistribute.accumulate(small, change * (strength / mask.clamp(min=0.5)), mask)

    def clip_lut(self, volume: Tensor) -> Tensor:
        """The one LUT ``(1, 3, D, D, D)`` of a whole clip, complete whatever the mapping."""
        return complete(volume)

    def __repr__(self) -> str:
        return f"<color mapping {self.name}>"


class Paper(ColorMapping):
    """The published one: the mean color per cell, and holes where the neighbors show no color."""

    name, has_holes = "paper", True
    description = "The paper's sparse LUT: the mean color per cell."

    def volume(self, image: Tensor, mask: Tensor, out: BackboneResult) -> Tensor:
        """Sums of the harmonized colors (the paper's method)."""
        return tridistribute.accumulate(image, out.image, mask)

    def lut(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """The means; each cell has its own count."""
        return tridistribute.normalize(volume)


class Smooth(ColorMapping):
    """Completed and smoothed (:mod:`co2net.color_mapping.completion`), from what the backbone adds to the composite."""

    name = "smooth"
    description = "Smooth and complete: the LUT is fitted to all neighbors' corrections (our own form)."

    def volume(self, image: Tensor, mask: Tensor, out: BackboneResult) -> Tensor:
        """Sums of corrections, which vary slowly with color."""
        # At a soft edge `out.image` is blended with the composite already. The LUT's result is blended once more when
        # it is used, so the LUT must hold the whole correction.
        return tridistribute.accumulate(image, (out.image - image) / mask.clamp(min=0.5), mask)

    def lut(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """The completed LUT."""
        return complete(volume), _anything_seen(volume)


class Predicted(ColorMapping):
    """The mean of the LUTs that the backbone predicts from the window's frames, the surer the more.

    A volume holds a frame's correction (LUT minus identity) times its weight in every cell, and the weight: one over
    the squared error that is expected of the prediction, or one where the backbone says nothing about that.
    """

    name, needs_prediction, counts_the_frame = "predicted", True, True
    description = "Predicted: the mean of the LUTs that the backbone predicts from the window's frames (our own form)."

    def volume(self, image: Tensor, mask: Tensor, out: BackboneResult) -> Tensor:
        """The weighted correction; zero for a frame without a foreground, which has nothing to say."""
        if out.lut is None:
            raise InputError('mapping "predicted" needs a backbone that predicts a LUT')
        there = (mask > 0).flatten(1).any(dim=1).to(out.lut.dtype).view(-1, 1, 1, 1, 1)
        return prediction_volume(out.lut, out.expected_error) * there

    def weights(self, neighbors: Mapping[int, int], number: int) -> dict[int, int]:
        """Every frame of the window once, the frame itself among them.

        What a backbone painted says little about colors it did not see; a prediction from the frame itself is the best.
        """
        return {**dict.fromkeys(neighbors, 1), number: 1}

    def tells(self, mask: Tensor) -> bool:
        """A prediction looks at soft masks too."""
        return True

    def lut(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted mean."""
        return mean_prediction(volume), _anything_seen(volume)

    def clip_volume(self, small: Tensor, mask: Tensor, change: Tensor, strength: float, lut: Tensor | None) -> Tensor:
        """The window's whole correction, not only that of the colors which occur."""
        if lut is None:
            return super().clip_volume(small, mask, change, strength, lut)
        correction = (lut - identity_lut(lut.shape[-1], small)) * strength
        return torch.cat([correction, torch.ones_like(correction[:, :1])], dim=1)

    def clip_lut(self, volume: Tensor) -> Tensor:
        """The mean of all frames' LUTs, on a finer grid."""
        return refine_grid(mean_prediction(volume), CLIP_POINTS)


MAPPINGS: dict[str, ColorMapping] = {mapping.name: mapping for mapping in (Paper(), Smooth(), Predicted())}
"""Every mapping by its name; the first is the paper's."""


def color_mapping(mapping: str | ColorMapping) -> ColorMapping:
    """The mapping of that name; an object stays what it is.

    Raises:
        InputError: no mapping has that name.
    """
    if isinstance(mapping, ColorMapping):
        return mapping
    check_choice("mapping", mapping, MAPPINGS)
    return MAPPINGS[mapping]


def prediction_volume(lut: Tensor, expected_error: Tensor | None = None) -> Tensor:
    """A frame's contribution to the mean, weighted by one over the squared error that is expected of it.

    Args:
        lut: ``(B, 3, D, D, D)`` output colors.
        expected_error: ``(B,)`` squared error, [0, 1] space; None: all are trusted alike.

    Returns:
        ``(B, 4, D, D, D)``: weighted correction (3) and weight (1).
    """
    if expected_error is None:
        expected_error = lut.new_zeros(len(lut))
    weight = (SMALLEST_EXPECTED_ERROR / expected_error.clamp(min=SMALLEST_EXPECTED_ERROR)).view(-1, 1, 1, 1, 1)
    correction = lut - identity_lut(lut.shape[-1], lut)
    return torch.cat([correction * weight, weight.expand_as(lut[:, :1])], dim=1)


def mean_prediction(volume: Tensor) -> Tensor:
    """The LUT ``(B, 3, D, D, D)`` of a sum of volumes; the identity where no frame says anything."""
    return identity_lut(volume.shape[-1], volume) + volume[:, :3] / volume[:, 3:].clamp(min=1e-12)


def refine_grid(lut: Tensor, points: int) -> Tensor:
    """The same mapping on a finer grid ``(B, 3, points, points, points)``; exact where the grid is a multiple."""
    return torch.nn.functional.interpolate(lut, (points,) * 3, mode="trilinear", align_corners=True)


def _anything_seen(volume: Tensor) -> Tensor:
    """1 for every cell of an item that saw any pixel, 0 for an item that saw none: ``(B, D, D, D)``."""
    weights = volume[:, 3]
    seen = (weights > 0).flatten(1).any(dim=1)[:, None, None, None]
    return seen.to(volume.dtype).expand_as(weights)
