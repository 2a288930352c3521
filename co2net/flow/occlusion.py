"""Where a field can be trusted: there and back again has to end where it began.

Let ``f`` be the field from frame 1 to frame 2 and ``b`` the one back. A point that both frames show returns to itself:
``f(x) + b(x + f(x)) = 0``, up to the errors of both. A point that frame 2 hides does not, since what is at ``x + f(x)``
there belongs to something else. Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated large
displacement optical flow", ECCV 2010, section 4, allow an error that grows with the motion:

    |f + warp(b, f)|² < relative · (|f|² + |warp(b, f)|²) + absolute
"""

from __future__ import annotations

from torch import Tensor

from co2net.errors import ShapeError
from co2net.flow.warp import inside, positions, warp

RELATIVE, ABSOLUTE = 0.01, 0.5  # Sundaram et al. (2010), equation 5; the second in pixels squared


def round_trip_error(forward: Tensor, backward: Tensor) -> Tensor:
    """How far from itself a pixel of frame 1 comes back: ``|f + warp(b, f)|``. Differentiable in both.

    Args:
        forward: ``(B, 2, H, W)``, pixels: the field from frame 1 to frame 2.
        backward: as `forward`: the field from frame 2 to frame 1.

    Returns:
        ``(B, 1, H, W)`` in pixels, on the grid of frame 1. Where `forward` leads outside, `backward` is taken at the
        border; ``nan`` where a field is not finite.

    Raises:
        ShapeError: the fields do not fit.
    """
    _check(forward, backward)
    return (forward + warp(backward, forward)).square().sum(1, keepdim=True).sqrt()


def consistency_mask(
    forward: Tensor, backward: Tensor, *, relative: float = RELATIVE, absolute: float = ABSOLUTE
) -> Tensor:
    """Where the two fields agree: the rule above.

    Args:
        forward: ``(B, 2, H, W)``, pixels: the field from frame 1 to frame 2.
        backward: as `forward`: the field from frame 2 to frame 1.
        relative: share of the motion that the error may be, both squared.
        absolute: error that is always allowed, in pixels squared.

    Returns:
        ``(B, 1, H, W)`` of the fields' type on the grid of frame 1: 1 where they agree, else 0. Not finite is 0.

    Raises:
        ShapeError: the fields do not fit.
    """
    _check(forward, backward)
    back = warp(backward.detach(), forward.detach())
    there = forward.detach()
    error, motion = (there + back).square().sum(1, keepdim=True), (there.square() + back.square()).sum(1, keepdim=True)
    return (error < relative * motion + absolute).to(forward.dtype)


def occlusion_mask(
    forward: Tensor, backward: Tensor, *, relative: float = RELATIVE, absolute: float = ABSOLUTE
) -> Tensor:
    """What of frame 1 is not in frame 2: where the fields disagree, and where `forward` leads out of the frame.

    Arguments and result as of :func:`consistency_mask`, but 1 where occluded, else 0. Not finite is 1.
    """
    agree = consistency_mask(forward, backward, relative=relative, absolute=absolute)
    x, y = positions(forward.detach())
    # To the nearest pixel: the outermost ones reach half a pixel past their centers, and a still camera's field is
    # never exactly zero.
    return 1 - agree * inside(y.round(), x.round())


def _check(forward: Tensor, backward: Tensor) -> None:
    for name, value in (("forward", forward), ("backward", backward)):
        if value.ndim != 4 or value.shape[1] != 2 or not value.is_floating_point():
            raise ShapeError(f"{name} must be a float field (B, 2, H, W), got {value.dtype} {tuple(value.shape)}")
    if forward.shape != backward.shape or forward.device != backward.device:
        raise ShapeError(
            f"forward and backward must have one shape and device, got {tuple(forward.shape)} on {forward.device} and "
            f"{tuple(backward.shape)} on {backward.device}"
        )
