"""Losses of training that belong to no backbone; theirs stand in ``co2net/models/backbones``."""

from __future__ import annotations

from torch import Tensor

from co2net.checks import check_image
from co2net.errors import ShapeError
from co2net.flow.warp import warp
from co2net.models.backbones.losses import foreground_normalized_loss


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
    return foreground_normalized_loss(output, target, mask, minimum_area).mean()


def temporal_term(output: Tensor, previous_output: Tensor, field: Tensor) -> Tensor:
    """Mean squared change of a network's output along the motion (the HYouTube baseline of Huang et al.).

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
