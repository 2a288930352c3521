"""CPNet on strokes: what each variant wants to be given, and how large."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.colorization.cpnet import SIZE_MULTIPLE, CPNet
from co2net.colorization.spread import Paint, spread

CORRECTED_AT = 96  # pixels of the short side at which a guess is corrected: about what the network was trained with


def hints(network: CPNet, luma: Tensor, ab: Tensor, known: Tensor, features: np.ndarray | None = None) -> Tensor:
    """The second argument of `network`: strokes as they are, or a whole frame guessed from them.

    Args:
        network: "CPNet_plain" corrects the guess of the way without weights, the others see the strokes alone.
        luma: ``(B, 1, H, W)`` in [0, 1].
        ab: strokes, ``(B, 2, H, W)`` in [0, 1].
        known: where they are, ``(B, 1, H, W)`` of 0 and 1.
        features: for :func:`~.spread.spread`.

    Returns:
        ``(B, 2, H, W)`` in [0, 1].
    """
    return ab if network.semantic else spread((luma[:, 0] * 255).round(), ab, known, features)


def corrector(network: CPNet) -> Paint:
    """What paints a frame by a "CPNet_plain": the guess is made at the frame's size, its correction at a small one."""
    return partial(_correct, network)


@torch.no_grad()
def _correct(network: CPNet, luma: Tensor, ab: Tensor, known: Tensor, features: np.ndarray | None) -> Tensor:
    guess = hints(network, luma, ab, known, features)
    height, width = luma.shape[-2:]
    scale = min(1.0, CORRECTED_AT / min(height, width))
    size = [max(2 * SIZE_MULTIPLE, round(side * scale / SIZE_MULTIPLE) * SIZE_MULTIPLE) for side in (height, width)]
    small_luma, small_guess = (F.interpolate(x, size, mode="area") for x in (luma, guess))
    correction = network(small_luma, small_guess)[0] - small_guess
    large = F.interpolate(correction, (height, width), mode="bilinear", align_corners=False)
    return (guess + large).clamp(0, 1)
