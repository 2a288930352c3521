"""CPNet on strokes: what each variant wants to be given, and how large."""

from __future__ import annotations

from torch import Tensor

from co2net.colorization.cpnet import CPNet
from co2net.colorization.spread import spread


def hints(network: CPNet, luma: Tensor, ab: Tensor, known: Tensor) -> Tensor:
    """The second argument of `network`: strokes as they are, or a whole frame guessed from them.

    Args:
        network: "CPNet_plain" corrects the guess of the way without weights, the others see the strokes alone.
        luma: ``(B, 1, H, W)`` in [0, 1].
        ab: strokes, ``(B, 2, H, W)`` in [0, 1].
        known: where they are, ``(B, 1, H, W)`` of 0 and 1.

    Returns:
        ``(B, 2, H, W)`` in [0, 1].
    """
    return ab if network.semantic else spread((luma[:, 0] * 255).round(), ab, known)
