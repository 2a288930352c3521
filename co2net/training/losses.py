"""Losses of both training stages.

All take ``(B, 3, H, W)`` pictures and a soft mask ``(B, 1, H, W)``, and return one value: the mean over the batch of a
squared error that is divided by the foreground's size, so that small foregrounds count as much as large ones.
"""

from __future__ import annotations

from torch import Tensor

from co2net.checks import check_image, check_mask
from co2net.errors import ShapeError

PAPER_MINIMUM_AREA = 1000.0  # pixels, at 256 x 256


def _per_item(output: Tensor, target: Tensor, mask: Tensor, minimum_area: float, *, weighted: bool) -> Tensor:
    check_image(output, "output")
    if target.shape != output.shape:
        raise ShapeError(f"target {tuple(target.shape)} and output {tuple(output.shape)} must have the same shape")
    check_mask(mask, output)
    error = (output - target) ** 2
    if weighted:
        error = error * mask
    area = mask.sum(dim=(1, 2, 3)).clamp(min=minimum_area)
    return error.sum(dim=(1, 2, 3)) / (3 * area)


def stage1_loss(output: Tensor, target: Tensor, mask: Tensor, minimum_area: float = PAPER_MINIMUM_AREA) -> Tensor:
    """Backbone loss as published: whole-frame squared error over ``3 * max(mask area, 1000)``.

    Args:
        output: raw network output ``(B, 3, H, W)`` in its normalized space (not blended by the mask, so that changes
            of the background are penalized too).
        target: real frame in the same space.
        mask: ``(B, 1, H, W)`` in [0, 1].
        minimum_area: pixels; smaller foregrounds count as this large.

    Returns:
        Scalar, mean over the batch.

    Raises:
        ShapeError: if shapes do not fit.
    """
    return _per_item(output, target, mask, minimum_area, weighted=False).mean()


def stage2_loss(output: Tensor, target: Tensor, mask: Tensor, minimum_area: float = 1.0) -> Tensor:
    """Refinement loss: whole-frame squared error over ``3 * mask area``, [0, 1] space.

    The published loss has no floor for the area; one pixel changes nothing for masks that are not empty.

    Args:
        output: final frames ``(B, 3, H, W)`` in [0, 1] space.
        target: real frames.
        mask: ``(B, 1, H, W)`` in [0, 1].
        minimum_area: pixels.

    Returns:
        Scalar, mean over the batch.

    Raises:
        ShapeError: if shapes do not fit.
    """
    return _per_item(output, target, mask, minimum_area, weighted=False).mean()


def foreground_loss(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Squared error inside the mask only, over ``3 * max(mask area, 1000)`` scaled to the picture's size.

    The harmonized frame keeps its background whatever the network says there, so a short training spends nothing on it.

    Args:
        output: network output ``(B, 3, H, W)``, any space.
        target: real frame in the same space.
        mask: ``(B, 1, H, W)`` in [0, 1].

    Returns:
        Scalar, mean over the batch.

    Raises:
        ShapeError: if shapes do not fit.
    """
    minimum_area = PAPER_MINIMUM_AREA * output.shape[-1] * output.shape[-2] / 256**2
    return _per_item(output, target, mask, minimum_area, weighted=True).mean()
