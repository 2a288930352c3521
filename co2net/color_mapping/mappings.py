"""Color mappings that a backbone predicts, averaged over a window of frames.

A volume holds the correction (LUT minus identity) of each frame times the frame's weight, and the weight, so that
volumes of a window add up like those of ``tridistribute``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.color_mapping.completion import identity_lut

SMALLEST_EXPECTED_ERROR = 1e-3  # squared error; below it no frame is trusted more than others


def prediction_volume(lut: Tensor, expected_error: Tensor | None = None) -> Tensor:
    """A frame's contribution to the mean, weighted by one over the squared error that is expected of it.

    Args:
        lut: ``(B, 3, D, D, D)`` output colors.
        expected_error: ``(B,)`` expected squared error, [0, 1] space; None: all frames are trusted alike.

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
