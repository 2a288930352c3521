"""Losses of both training stages.

All take ``(B, 3, H, W)`` pictures and a soft mask ``(B, 1, H, W)``, and return one value: the mean over the batch of a
squared error that is divided by the foreground's size, so that small foregrounds count as much as large ones.
:func:`temporal_term` compares two frames instead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.checks import check_image, check_mask
from co2net.errors import Co2netError, ShapeError
from co2net.flow.warp import warp
from co2net.models.backbones.base import BackboneOutput

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


def temporal_term(output: Tensor, previous_output: Tensor, field: Tensor) -> Tensor:
    """Mean squared change of a network's output along the motion (``specs/hyoutube.md`` section 13.2).

    Args:
        output: raw output for frame t, ``(B, 3, H, W)`` in the network's normalized space.
        previous_output: that for the frame before, likewise.
        field: ``(B, 2, H, W)`` in pixels, channel 0 = x: displacement from frame t to the frame before,
            ``estimate(frame, previous_frame)`` of :func:`co2net.flow.create_flow`. Gets no gradient.

    Returns:
        Scalar: mean over batch, channels and pixels of ``(output - warp(previous_output, field))^2``. Gradients reach
        both outputs.

    Raises:
        ShapeError: shape, type or device do not fit.
    """
    check_image(output, "output")
    check_image(previous_output, "previous_output")
    if output.shape != previous_output.shape or output.device != previous_output.device:
        raise ShapeError(
            f"output and previous_output must have one shape and device, got {tuple(output.shape)} on {output.device} "
            f"and {tuple(previous_output.shape)} on {previous_output.device}"
        )
    return (output - warp(previous_output, field.detach())).square().mean()


SMALLEST_EXPECTED_ERROR = 1e-4  # squared error, [0, 1] space: 6.5 in 8-bit units


def mapping_loss(output: BackboneOutput, target: Tensor, mask: Tensor, smoothness: float) -> Tensor:
    """Loss of a network that predicts a LUT: :func:`foreground_loss`, roughness of the LUT, and a term for the doubt.

    The doubt ``v`` learns to be the squared error ``e`` of its own prediction: ``log v + e / v`` is least at ``v = e``;
    the error gets no gradient from it.

    Args:
        output: of the network; ``lut`` and ``expected_error`` are used, ``raw`` is the LUT's output in [0, 1] space.
        target: real frame, [0, 1] space.
        mask: ``(B, 1, H, W)`` in [0, 1].
        smoothness: weight of the mean squared second difference between the LUT's neighboring points.

    Returns:
        Scalar, mean over the batch.

    Raises:
        ShapeError: if shapes do not fit.
        Co2netError: if the network predicts no LUT.
    """
    if output.lut is None or output.expected_error is None:
        raise Co2netError("the mapping loss needs a backbone that predicts a LUT")
    minimum_area = PAPER_MINIMUM_AREA * target.shape[-1] * target.shape[-2] / 256**2
    error = _per_item(output.raw, target, mask, minimum_area, weighted=True)
    expected_error = output.expected_error.clamp(min=SMALLEST_EXPECTED_ERROR)
    about_itself = (expected_error.log() + error.detach() / expected_error).mean()
    return error.mean() + smoothness * roughness(output.lut) + 1e-3 * about_itself


def roughness(lut: Tensor) -> Tensor:
    """Mean squared second difference of ``(B, 3, D, D, D)`` along its three axes; 0 for an affine map."""
    return torch.stack([torch.diff(lut, n=2, dim=axis).square().mean() for axis in (2, 3, 4)]).sum()
