"""Colors of a frame guessed from its strokes: regression over place, luma and texture at several scales.

A Gaussian process through the strokes' colors. Where strokes are few and far apart it guesses better than spreading
them along edges; :func:`co2net.colorization.spread.spread` takes both.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.colorization.lab import NEUTRAL

# The luma is seen itself and blurred by these shares of the short side, its deviation at the latter.
SCALES = (0.012, 0.04, 0.12)
# Two rational quadratic kernels: share of the variance, exponent, and what counts as far in x and y (diagonals), in
# luma (codes / 100, at four scales) and in its deviation (codes / 30, at three). Found by gradient descent on the error
# in decibels on 800 training photographs with 40 points each.
KERNELS = (
    (0.766, 0.311, (1.75, 0.385, 1.546, 0.678, 1.708, 1.118, 1.597, 4.551, 2.432)),
    (0.234, 0.660, (0.092, 0.065, 1.478, 0.657, 1.493, 1.165, 2.549, 2.384, 0.951)),
)
NOISE = 0.15  # of a stroke's color against the spread of colors
MOST = 400  # strokes; more are thinned
_CELL = 0.05  # of the short side: a long stroke counts once per cell
_CHUNK = 1 << 14  # pixels at a time


def regress(luma8: Tensor, ab: Tensor, known: Tensor) -> Tensor:
    """Colors for a whole frame.

    Args:
        luma8: ``(H, W)`` codes of L, 0 to 255.
        ab: ``(1, 2, H, W)`` in [0, 1].
        known: ``(1, 1, H, W)``, above 0 where a color is known.

    Returns:
        ``(1, 2, H, W)``, about [0, 1]; neutral where nothing is known.
    """
    rows, columns = np.nonzero(known[0, 0].cpu().numpy() > 0)
    if not len(rows):
        return torch.full_like(ab, NEUTRAL)
    features = _features(luma8.cpu().numpy().astype(np.float32))
    cell = max(1, round(_CELL * min(luma8.shape)))
    cells = (rows // cell) * luma8.shape[1] + columns // cell
    _, owner = np.unique(cells, return_inverse=True)
    points = _means(features[rows, columns], owner)
    colors = _means(ab[0].permute(1, 2, 0).cpu().numpy()[rows, columns], owner)
    if len(points) > MOST:
        chosen = np.linspace(0, len(points) - 1, MOST).astype(int)
        points, colors = points[chosen], colors[chosen]
    middle = colors.mean(axis=0)
    support = torch.from_numpy(points.astype(np.float32))
    kernel = _kernel(support, support).double() + NOISE * torch.eye(len(points), dtype=torch.float64)
    weights = torch.linalg.solve(kernel, torch.from_numpy(colors - middle).double()).float()
    flat = torch.from_numpy(features.reshape(-1, features.shape[-1]))
    guess = (
        torch.cat([_kernel(part, support) @ weights for part in flat.split(_CHUNK)]) + torch.from_numpy(middle).float()
    )
    return guess.T.reshape(1, 2, *luma8.shape).to(ab)


def _features(luma: np.ndarray) -> np.ndarray:
    height, width = luma.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(np.hypot(height, width))
    means, deviations = [luma], []
    for scale in SCALES:
        sigma = scale * min(height, width)
        means.append(cv2.GaussianBlur(luma, (0, 0), sigma))
        variance = cv2.GaussianBlur(luma * luma, (0, 0), sigma) - means[-1] ** 2
        deviations.append(np.sqrt(np.maximum(variance, 0)))
    return np.stack([x, y, *(mean / 100 for mean in means), *(part / 30 for part in deviations)], axis=-1)


def _means(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    sums = np.zeros((owner.max() + 1, values.shape[1]))
    np.add.at(sums, owner, values)
    return sums / np.bincount(owner)[:, None]


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """``(N, F)`` and ``(M, F)`` to ``(N, M)``: how alike, 1 at most."""
    result = torch.zeros(len(a), len(b))
    for share, exponent, lengths in KERNELS:
        scale = 1 / torch.tensor(lengths)
        far = torch.cdist(a * scale, b * scale).square_()
        result += share * far.div_(2 * exponent).log1p_().mul_(-exponent).exp_()
    return result
