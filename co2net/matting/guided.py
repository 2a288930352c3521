"""Guided filter: a smooth map takes the edges of a picture.

He, Sun and Tang, "Guided Image Filtering", ECCV 2010; computed small and applied large as in "Fast Guided Filter",
arXiv:1505.00996.
"""

from __future__ import annotations

import cv2
import numpy as np

RADIUS = 4  # pixels of the small picture
EPSILON = 1e-3  # variance of color, in [0, 1] squared, below which nothing counts as an edge


def guided(
    picture: np.ndarray,
    values: np.ndarray,
    large: np.ndarray | None = None,
    radius: int = RADIUS,
    epsilon: float = EPSILON,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Filter `values` so that in every window it is a linear function of the picture's color.

    Args:
        picture: ``(H, W, 3)`` uint8.
        values: ``(H, W)`` float32.
        large: the same picture at another size, ``(h, w, 3)`` uint8.
        radius: half the window's side, in pixels of `picture`.
        epsilon: see :data:`EPSILON`.

    Returns:
        The filtered values ``(H, W)``, and at the size of `large` ``(h, w)`` (None without it).
    """
    window = 2 * radius + 1, 2 * radius + 1

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, window, borderType=cv2.BORDER_REFLECT)

    colors = picture.astype(np.float32) / 255
    red, green, blue = (np.ascontiguousarray(colors[..., i]) for i in range(3))
    means, mean_value = mean(colors), mean(values)
    mean_red, mean_green, mean_blue = (means[..., i] for i in range(3))
    rr = mean(red * red) - mean_red**2 + epsilon
    rg = mean(red * green) - mean_red * mean_green
    rb = mean(red * blue) - mean_red * mean_blue
    gg = mean(green * green) - mean_green**2 + epsilon
    gb = mean(green * blue) - mean_green * mean_blue
    bb = mean(blue * blue) - mean_blue**2 + epsilon
    vr, vg, vb = (mean(c * values) - means[..., i] * mean_value for i, c in enumerate((red, green, blue)))
    # The inverse of the symmetric 3 x 3 covariance, by its cofactors.
    c_rr, c_rg, c_rb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    slope_r = (c_rr * vr + c_rg * vg + c_rb * vb) / determinant
    slope_g = (c_rg * vr + c_gg * vg + c_gb * vb) / determinant
    slope_b = (c_rb * vr + c_gb * vg + c_bb * vb) / determinant
    offset = mean_value - slope_r * mean_red - slope_g * mean_green - slope_b * mean_blue
    model = mean(np.dstack([slope_r, slope_g, slope_b, offset]))
    small = (model[..., :3] * colors).sum(-1) + model[..., 3]
    if large is None:
        return small, None
    if large.shape == picture.shape:
        return small, small
    spread = cv2.resize(model, large.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return small, _apply(spread, large)


def _apply(model: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """``slope · color + offset`` at every pixel."""
    result = model[..., 3].copy()
    for i in range(3):
        result += model[..., i] * (picture[..., i] * np.float32(1 / 255))
    return result
