"""What a pixel of a gray frame looks like, as numbers: place, luma, texture, and what its region is like."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from co2net.colorization.smoother import smooth

GEOMETRY = 9  # features that the regression measures distances in as they are, the first ones
LUMA, SURROUNDINGS = 2, 4  # which of them are the pixel's own luma and its mean around, in codes / 100
SCALES = (0.012, 0.04, 0.12)  # of the short side
REGIONS = ((3e4, 6.0), (300.0, 12.0))  # strength and edge of the smoothers within whose regions means are taken
_TEXTURES = (0.02, 0.06)  # of the short side, where gradients are summed
_NARROW = 4.0  # wider blurs are taken of a smaller picture


def describe(luma: np.ndarray, more: np.ndarray | None = None) -> np.ndarray:
    """Features of every pixel.

    Args:
        luma: ``(H, W)`` float32 codes of L, 0 to 255.
        more: planes ``(K, H, W)`` float32 to stand behind them.

    Returns:
        ``(H, W, F + K)`` float32, about -3 to 3. The first nine are x and y (of the diagonal), luma and its means at
        the three :data:`SCALES` (codes / 100), its deviations there (codes / 30).
    """
    height, width = luma.shape
    short, diagonal = min(luma.shape), np.float32(np.hypot(height, width))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    means = [_blurred(luma, scale * short) for scale in SCALES]
    squares = [_blurred(luma * luma, scale * short) for scale in SCALES]
    deviations = [np.sqrt(np.maximum(s - m * m, 0)) for s, m in zip(squares, means, strict=True)]
    planes = [x / diagonal, y / diagonal, luma / 100, *(m / 100 for m in means), *(d / 30 for d in deviations)]
    fine = cv2.GaussianBlur(luma, (0, 0), 1.0)
    across, down = cv2.Sobel(fine, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(fine, cv2.CV_32F, 0, 1, scale=1 / 8)
    for scale in _TEXTURES:
        xx, yy, xy = (_blurred(p, scale * short) for p in (across * across, down * down, across * down))
        planes += [np.sqrt(np.maximum(xx, 0)) / 5, np.sqrt(np.maximum(yy, 0)) / 5, xy / (xx + yy + 1)]
    across, down = (cv2.Sobel(means[0], cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    planes.append(np.sqrt(_blurred(across * across + down * down, 0.1 * short)) / 2)
    planes.append(np.sqrt(np.maximum(_blurred((luma - fine) ** 2, 0.03 * short), 0)) / 3)
    for plane, unit in ((means[2], 100), (deviations[0], 30)):  # what is above and below
        planes += [_shifted(plane, round(0.25 * height * way)) / unit for way in (-1, 1)]
    kernel = np.ones((2 * round(0.015 * short) + 1,) * 2, np.uint8)
    planes += [_blurred(change(fine, kernel), 0.015 * short) / 100 for change in (cv2.erode, cv2.dilate)]
    planes += [cv2.Sobel(means[2], cv2.CV_32F, *way, scale=short / 8 / 500) for way in ((1, 0), (0, 1))]
    planes += [y / height - 0.5, np.abs(x / width - 0.5)]
    planes += [np.full_like(luma, v) for v in (luma.mean() / 100, luma.std() / 50, deviations[0].mean() / 10)]
    for plane, unit in ((luma, 100), (deviations[0], 30)):  # the frame's thirds
        thirds = cv2.resize(plane, (1, 3), interpolation=cv2.INTER_AREA)[:, 0] / unit
        planes += [np.full_like(luma, third) for third in thirds]
    planes.append(_rank(fine))
    planes += _of_regions(luma, np.stack([luma / 100, x / diagonal, y / diagonal, deviations[0] / 30]))
    # A view: few pixels' features are ever looked at.
    return np.moveaxis(np.stack([*planes, *(() if more is None else more)]), 0, -1)


def _blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    factor = max(1, int(sigma / _NARROW))
    if factor == 1:
        return cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3))
    height, width = plane.shape
    small = cv2.resize(plane, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _shifted(plane: np.ndarray, rows: int) -> np.ndarray:
    """The plane moved up by so many rows, its border repeated."""
    return plane[(np.arange(len(plane)) + rows).clip(0, len(plane) - 1)]


def _rank(luma: np.ndarray) -> np.ndarray:
    """Share of the frame that is darker."""
    codes = luma.clip(0, 255).astype(np.uint8)
    share = np.bincount(codes.ravel(), minlength=256).cumsum() / codes.size
    return share.astype(np.float32)[codes]


def _of_regions(luma: np.ndarray, planes: np.ndarray) -> list[np.ndarray]:
    """Means of planes ``(P, H, W)`` over what the smoother takes for one region, made at half the size."""
    height, width = luma.shape
    size = max(width // 2, 1), max(height // 2, 1)
    guide = torch.from_numpy(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))
    small = torch.from_numpy(np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in planes]))
    return [
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        for region in REGIONS
        for plane in smooth(small, guide, *region).numpy()
    ]
