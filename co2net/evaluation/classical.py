"""Classical color transfer: what a compositor gets without a network, for comparison.

Both take the background of the same frame as the reference for the foreground.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

MINIMUM_PIXELS = 16  # fewer say nothing about a distribution; the frame stays as it is


def reinhard(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Statistics transfer: mean and standard deviation per channel in CIE Lab.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 2001.

    Args:
        image: ``(H, W, 3)`` float32 RGB in [0, 1].
        mask: ``(H, W)`` in [0, 1]; soft values blend.

    Returns:
        ``(H, W, 3)`` float32 in [0, 1].
    """
    inside, outside = mask > 0.5, mask < 0.5
    if inside.sum() < MINIMUM_PIXELS or outside.sum() < MINIMUM_PIXELS:
        return image
    lab = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2Lab)
    mean_in, std_in = lab[inside].mean(axis=0), lab[inside].std(axis=0)
    mean_out, std_out = lab[outside].mean(axis=0), lab[outside].std(axis=0)
    moved = (lab - mean_in) * (std_out / np.maximum(std_in, 1e-3)) + mean_out
    return _blend(cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_Lab2RGB), image, mask)


def histogram_matching(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gives the foreground the background's histogram, channel by channel; arguments as in :func:`reinhard`."""
    from skimage.exposure import match_histograms

    inside, outside = mask > 0.5, mask < 0.5
    if inside.sum() < MINIMUM_PIXELS or outside.sum() < MINIMUM_PIXELS:
        return image
    # Rows of pixels, so that the library sees two "images" of any outline.
    matched = match_histograms(image[inside][:, None], image[outside][:, None], channel_axis=-1)
    moved = image.copy()
    moved[inside] = matched[:, 0]
    return _blend(moved, image, mask)


CLASSICAL: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Reinhard statistics transfer": reinhard,
    "histogram matching": histogram_matching,
}


def _blend(changed: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    weight = mask[..., None]
    return (np.clip(changed, 0, 1) * weight + image * (1 - weight)).astype(np.float32)
