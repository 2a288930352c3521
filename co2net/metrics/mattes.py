"""Scores of a mask or an alpha matte against its truth.

Segmentation: :func:`dice` (soft, as given), :func:`iou` (the region measure J) and :func:`boundary_f` (the contour
measure F) of Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016,
section 4. Alpha: :func:`alpha_mad`, :func:`alpha_mse`, and :func:`alpha_gradient`, :func:`alpha_connectivity` of
Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009, section 3. Over time:
:func:`dt_ssd` of Erofeev et al., "Perceptually Motivated Benchmark for Video Matting", BMVC 2015.

Masks are float ``(B, 1, H, W)`` in [0, 1]; results are float64 ``(B,)``.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.errors import ShapeError

EPSILON = 1e-4  # of the published Dice: both empty is 1
THRESHOLD = 0.5
TOLERANCE = 0.008  # of the picture's diagonal: how far a contour may lie off
SIGMA = 1.4  # pixels, of the gradient's Gaussian
STEP, CONNECTED = 0.1, 0.15  # levels of the connectivity, and what differs by less counts as connected


def dice(pred: Tensor, target: Tensor) -> Tensor:
    r"""Dice coefficient :math:`(2 \sum pt + \epsilon) / (\sum p + \sum t + \epsilon)` with :math:`\epsilon` = 1e-4.

    Args:
        pred: ``(B, 1, H, W)`` in [0, 1], as it is: binarize a probability once before, if that is meant.
        target: as `pred`.

    Returns:
        ``(B,)`` float64, 1 is best; 1 where both are empty.

    Raises:
        ShapeError: the two do not fit.
    """
    p, t = _pair(pred, target)
    return (2 * (p * t).sum(1) + EPSILON) / (p.sum(1) + t.sum(1) + EPSILON)


def iou(pred: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of what is above 0.5; 1 where both are empty. Arguments as :func:`dice`."""
    p, t = (x > THRESHOLD for x in _pair(pred, target))
    union = (p | t).sum(1).double()
    return torch.where(union > 0, (p & t).sum(1).double() / union.clamp(min=1), torch.ones_like(union))


def boundary_f(pred: Tensor, target: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """F measure of the contours of what is above 0.5: how much of each lies near the other.

    Args:
        pred: ``(B, 1, H, W)`` in [0, 1].
        target: as `pred`.
        tolerance: how far off counts as near, as a share of the diagonal, rounded up to pixels.

    Returns:
        ``(B,)`` float64, 1 is best; 1 where both are empty, 0 where one is.

    Raises:
        ShapeError: the two do not fit.
    """
    _pair(pred, target)
    radius = math.ceil(tolerance * math.hypot(*pred.shape[2:]))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    values = []
    for p, t in zip(pred[:, 0], target[:, 0], strict=True):
        ours, true = contour(p.detach().cpu().numpy()), contour(t.detach().cpu().numpy())
        if not ours.any() or not true.any():
            values.append(float(ours.any() == true.any()))
            continue
        precision = float(ours[cv2.dilate(true, disk) > 0].sum()) / float(ours.sum())
        recall = float(true[cv2.dilate(ours, disk) > 0].sum()) / float(true.sum())
        values.append(2 * precision * recall / max(precision + recall, 1e-12))
    return torch.tensor(values, dtype=torch.float64)


def contour(mask: np.ndarray) -> np.ndarray:
    """The pixels ``(H, W)`` uint8 of 0 and 1 after which what is above 0.5 changes, to the right, down or both."""
    inside = (mask > THRESHOLD).astype(np.uint8)
    padded = np.pad(inside, ((0, 1), (0, 1)), mode="edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return ((inside != right) | (inside != below) | (inside != both)).astype(np.uint8)


def alpha_mad(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of two mattes, in [0, 1] (tables often show it times 1000). As :func:`dice`."""
    p, t = _pair(pred, target)
    return (p - t).abs().mean(1)


def alpha_mse(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two mattes, in [0, 1] (tables often show it times 1000). As :func:`dice`."""
    p, t = _pair(pred, target)
    return (p - t).square().mean(1)


def alpha_gradient(pred: Tensor, target: Tensor) -> Tensor:
    """Summed squared difference of the gradients' lengths (Gaussian derivatives, 1.4 pixels), in thousands."""
    _pair(pred, target)
    values = [
        float(np.square(_slope(p) - _slope(t)).sum()) / 1000
        for p, t in zip(_planes(pred), _planes(target), strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


def alpha_connectivity(pred: Tensor, target: Tensor) -> Tensor:
    """How differently two mattes hang on their common solid part, summed, in thousands. As :func:`dice`."""
    _pair(pred, target)
    values = [_connectivity(p, t) / 1000 for p, t in zip(_planes(pred), _planes(target), strict=True)]
    return torch.tensor(values, dtype=torch.float64)


def dt_ssd(pred: Tensor, target: Tensor) -> Tensor:
    """Root mean square of what changes differently from one frame to the next (tables often show it times 100).

    Args:
        pred: a clip ``(T, 1, H, W)`` in [0, 1].
        target: as `pred`.

    Returns:
        ``(T - 1,)`` float64, one value per step.

    Raises:
        ShapeError: the two do not fit.
    """
    p, t = _pair(pred, target)
    return ((p[1:] - p[:-1]) - (t[1:] - t[:-1])).square().mean(1).sqrt()


def edge_jump(masks: Tensor) -> Tensor:
    """How far the contour of what is above 0.5 jumps from frame to frame: mean distance of its pixels, in pixels.

    Boiling edges jump farther than those of the true masks, which jump too: the subject moves.

    Args:
        masks: a clip ``(T, 1, H, W)`` in [0, 1].

    Returns:
        ``(T - 1,)`` float64; ``nan`` where one of the two frames has no contour.
    """
    lines = [contour(mask) for mask in masks[:, 0].detach().cpu().numpy()]
    values = []
    for before, now in itertools.pairwise(lines):
        if not before.any() or not now.any():
            values.append(float("nan"))
            continue
        away = cv2.distanceTransform(1 - before, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        values.append(float(away[now > 0].mean()))
    return torch.tensor(values, dtype=torch.float64)


def _slope(alpha: np.ndarray) -> np.ndarray:
    """Length of the gradient, by a Gaussian's derivative that is normalized to unit energy."""
    half = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * 0.01)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    bell = np.exp(-(x**2) / (2 * SIGMA**2)) / (SIGMA * math.sqrt(2 * math.pi))
    kernel = np.outer(bell, -x * bell / SIGMA**2)
    kernel /= math.sqrt(np.square(kernel).sum())
    along = [cv2.filter2D(alpha, cv2.CV_64F, k, borderType=cv2.BORDER_REPLICATE) for k in (kernel, kernel.T)]
    return np.hypot(*along)


def _connectivity(pred: np.ndarray, target: np.ndarray) -> float:
    """Sum over pixels of the difference in the degree of connectedness."""
    level = np.full(pred.shape, -1.0)
    steps = np.arange(0, 1 + STEP / 2, STEP)
    for before, threshold in itertools.pairwise(steps):
        both = ((pred >= threshold) & (target >= threshold)).astype(np.uint8)
        count, labels, facts, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        largest = labels == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else np.zeros(both.shape, bool)
        level[(level == -1) & ~largest] = before
    level[level == -1] = 1
    degrees = [1 - (alpha - level) * (alpha - level >= CONNECTED) for alpha in (pred, target)]
    return float(np.abs(degrees[0] - degrees[1]).sum())


def _planes(alpha: Tensor) -> np.ndarray:
    return alpha[:, 0].detach().cpu().double().numpy()


def _pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float64 ``(B, pixels)``."""
    for name, value in (("pred", pred), ("target", target)):
        if not isinstance(value, Tensor) or value.ndim != 4 or value.shape[1] != 1 or not value.is_floating_point():
            shown = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(f"{name} must be a float mask (B, 1, H, W), got {shown}")
    if pred.shape != target.shape or pred.device != target.device:
        raise ShapeError(
            f"pred and target must have one shape and device, got {tuple(pred.shape)}, {tuple(target.shape)}"
        )
    return pred.double().flatten(1), target.double().flatten(1)
