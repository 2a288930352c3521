"""Plates whose matte is known: a subject composed over a screen that is lit unevenly, with grain."""

from __future__ import annotations

import numpy as np


def over_screen(
    colors: np.ndarray,
    alpha: np.ndarray,
    screen: tuple[float, float, float],
    uneven: float,
    grain: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A plate.

    Args:
        colors: of the subject: ``(H, W, 3)`` in levels.
        alpha: ``(H, W)`` in [0, 1].
        screen: RGB levels in the middle of the picture.
        uneven: share of the screen's light that differs from side to side, and from top to bottom.
        grain: standard deviation in levels.
        rng: draws the grain.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    height, width = alpha.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 1 + uneven * ((x / width - 0.5) + (y / height - 0.5))
    share = alpha[..., None]
    field = np.clip(np.asarray(screen, np.float32) * light[..., None], 0, 255)
    mixed = share * colors + (1 - share) * field + rng.normal(0, grain, (height, width, 3))
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
