"""Colors of a frame guessed from its strokes: regression over place, luma and texture.

A Gaussian process through the strokes' colors. Where strokes are few and far apart it guesses better than spreading
them, which in turn knows the edges; :func:`co2net.colorization.spread.spread` takes the mean of both.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.colorization.lab import NEUTRAL

# How far the influence of a stroke reaches: share of the frame's diagonal; codes of luma, of its mean over 3 pixels,
# of its deviation there.
PLACE, LUMA, MEAN, TEXTURE = 0.18, 75.0, 75.0, 30.0
NOISE = 0.3  # of a stroke's color against the spread of colors
MOST = 400  # strokes; more are thinned
_CELL = 12  # pixels: a long stroke counts once per cell


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
    cells = (rows // _CELL) * luma8.shape[1] + columns // _CELL
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
    guess = _kernel(flat, support) @ weights + torch.from_numpy(middle).float()
    return guess.T.reshape(1, 2, *luma8.shape).to(ab)


def _features(luma: np.ndarray) -> np.ndarray:
    height, width = luma.shape
    mean = cv2.GaussianBlur(luma, (0, 0), 3)
    deviation = np.sqrt(np.maximum(cv2.GaussianBlur(luma * luma, (0, 0), 3) - mean * mean, 0))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    reach = PLACE * float(np.hypot(height, width))
    return np.stack([x / reach, y / reach, luma / LUMA, mean / MEAN, deviation / TEXTURE], axis=-1)


def _means(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    sums = np.zeros((owner.max() + 1, values.shape[1]))
    np.add.at(sums, owner, values)
    return sums / np.bincount(owner)[:, None]


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return torch.exp(-0.5 * torch.cdist(a, b).square())
