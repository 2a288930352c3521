"""Training objectives that several backbones share; a network's own ones stand in its file.

All take ``(B, 3, H, W)`` pictures and a soft mask ``(B, 1, H, W)``. They are squared errors divided by the foreground's
size, so that small foregrounds count as much as large ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.checks import check_alike, check_mask

PAPER_MINIMUM_AREA = 1000.0  # pixels, at 256 x 256


def foreground_normalized_loss(
    pred: Tensor, target: Tensor, mask: Tensor, min_area: float = 100, *, weighted: bool = False
) -> Tensor:
    r"""Squared error per foreground value (iSSAM, CDTNet and DucoNet papers).

    .. math:: \sum (p - t)^2 / (3 \max(\sum m, A_{min}))

    Args:
        pred: ``(B, 3, H, W)``, any space.
        target: of the same shape, in the same space.
        mask: ``(B, 1, H, W)`` in [0, 1].
        min_area: pixels; smaller foregrounds count as this large.
        weighted: count errors by the mask. False: those of the whole frame.

    Returns:
        ``(B,)``.

    Raises:
        ShapeError: if shapes do not fit.
    """
    check_alike(pred, target, ("pred", "target"))
    check_mask(mask, pred)
    error = (pred - target) ** 2
    if weighted:
        error = error * mask
    area = mask.sum(dim=(1, 2, 3)).clamp(min=min_area)
    return error.sum(dim=(1, 2, 3)) / (3 * area)


def stage1_loss(output: Tensor, target: Tensor, mask: Tensor, minimum_area: float = PAPER_MINIMUM_AREA) -> Tensor:
    """Backbone loss as published: whole-frame squared error over ``3 * max(mask area, 1000)``, mean over the batch.

    Arguments as of :func:`foreground_normalized_loss`, in the network's normalized space; the output not blended by the
    mask, so that changes of the background are penalized too.
    """
    return foreground_normalized_loss(output, target, mask, minimum_area).mean()


def stage2_loss(output: Tensor, target: Tensor, mask: Tensor, minimum_area: float = 1.0) -> Tensor:
    """Refinement loss: the same in [0, 1] space over ``3 * mask area``.

    The published loss has no floor for the area; one pixel changes nothing for masks that are not empty.
    """
    return stage1_loss(output, target, mask, minimum_area)


def foreground_loss(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Squared error inside the mask only, over ``3 * max(mask area, 1000)`` scaled to the picture's size.

    The harmonized frame keeps its background whatever the network says there, so a short training spends nothing on it.
    Mean over the batch; arguments as of :func:`foreground_normalized_loss`.
    """
    return foreground_normalized_loss(output, target, mask, scaled_area(target), weighted=True).mean()


def scaled_area(picture: Tensor) -> float:
    """The published smallest foreground, in pixels, for pictures ``(B, 3, H, W)`` of another size than 256 x 256."""
    return PAPER_MINIMUM_AREA * picture.shape[-1] * picture.shape[-2] / 256**2


def roughness(lut: Tensor) -> Tensor:
    """Mean squared second difference of ``(B, 3, D, D, D)`` along its three axes; 0 for an affine map."""
    return torch.stack([torch.diff(lut, n=2, dim=axis).square().mean() for axis in (2, 3, 4)]).sum()


def lut_monotonicity(luts: list[Tensor]) -> Tensor:
    """How much LUTs fall where they should rise (3D-LUT literature; usual weight 10): a scalar, 0 for monotone ones.

    Args:
        luts: each ``(3, D, D, D)``, or any shape ending in three table axes; the sum over them is returned.
    """
    found = [torch.diff(lut, dim=axis).neg().clamp(min=0).mean() for lut in luts for axis in (-3, -2, -1)]
    return torch.stack(found).sum()


def lut_smoothness(lut: Tensor) -> Tensor:
    """Mean squared first difference of one LUT ``(3, D, D, D)``, the outermost ones doubled (usual weight 1e-4)."""
    found = []
    for axis in (-3, -2, -1):
        square = torch.diff(lut, dim=axis).square().movedim(axis, -1)
        weight = square.new_ones(square.shape[-1])
        weight[0] = weight[-1] = 2
        found.append((weight * square).mean())
    return torch.stack(found).sum()
