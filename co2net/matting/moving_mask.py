"""From a flow to the network's input: what moves, as a rough mask, beside the frame."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from co2net.errors import InputError, ShapeError
from co2net.flow import FlowEstimator, splat, splat_metric

Motion = Literal["magnitude", "horizontal", "against_camera"]
FlowOrder = Literal["current_previous", "previous_current"]
THRESHOLD = 0.5  # pixels per frame


def moving_mask(flow: Tensor, threshold: float = THRESHOLD, motion: Motion = "magnitude") -> Tensor:
    """Where a flow moves.

    Args:
        flow: ``(B, 2, H, W)`` in pixels, channel 0 = x.
        threshold: pixels from which a motion counts.
        motion: "magnitude": the length of the motion. "horizontal": its signed horizontal part, which takes motion to
            the left, up and down for rest; that is what published weights were trained with. "against_camera": how far
            it is from what the camera's motion alone would give, softly: 0.5 at the threshold, 1 from twice of it on.

    Returns:
        ``(B, 1, H, W)`` float32 of 0 and 1; in [0, 1] against the camera.

    Raises:
        InputError: the kind of motion is unknown.
        ShapeError: `flow` is no field.
    """
    if motion not in ("magnitude", "horizontal", "against_camera"):
        raise InputError(f"motion {motion!r}: must be 'magnitude', 'horizontal' or 'against_camera'")
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ShapeError(f"flow must be (B, 2, H, W), got {tuple(flow.shape)}")
    if motion == "against_camera":
        fields = flow.detach().permute(0, 2, 3, 1).cpu().float().numpy()
        found = np.stack([own_motion(np.ascontiguousarray(field)) for field in fields])[:, None]
        return (torch.from_numpy(found) / (2 * threshold)).clamp(0, 1).to(flow.device)
    amount = flow[:, :1] if motion == "horizontal" else flow.square().sum(1, keepdim=True).sqrt()
    return (amount >= threshold).to(torch.float32)


def own_motion(flow: np.ndarray) -> np.ndarray:
    """How far everything moved otherwise than the camera, in pixels: ``(H, W)`` float32.

    The camera is the affine motion that most of the field follows.

    Args:
        flow: ``(H, W, 2)`` float32.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = np.dstack([x, y])
    some = places[4::8, 4::8].reshape(-1, 2)
    cv2.setRNGSeed(0)  # RANSAC draws
    camera = None
    if len(some) >= 3:
        moved = some + flow[4::8, 4::8].reshape(-1, 2)
        camera = cv2.estimateAffine2D(some, moved, ransacReprojThreshold=0.7)[0]
    if camera is None:
        return np.linalg.norm(flow, axis=-1)
    expected = cv2.transform(places, camera.astype(np.float32)) - places
    return np.linalg.norm(flow - expected, axis=-1)


def moving_pair(
    estimate: FlowEstimator,
    previous: Tensor,
    current: Tensor,
    threshold: float = THRESHOLD,
    motion: Motion = "magnitude",
    order: FlowOrder = "current_previous",
) -> Tensor:
    """What moved from `previous` to `current`, on the grid of `current`.

    Args:
        estimate: a flow estimator.
        previous: ``(B, 3, H, W)`` RGB in [0, 1]; for a clip's first frame the frame itself.
        current: as `previous`.
        threshold: see :func:`moving_mask`.
        motion: see :func:`moving_mask`.
        order: of the estimator's arguments. "previous_current" is the published one; its field lies on the grid of
            the frame before.

    Returns:
        ``(B, 1, H, W)`` of 0 and 1.
    """
    if order not in ("current_previous", "previous_current"):
        raise InputError(f"flow_order {order!r}: must be 'current_previous' or 'previous_current'")
    pair = (previous, current) if order == "previous_current" else (current, previous)
    return moving_mask(estimate(*pair), threshold, motion)


def fill_in(mask: Tensor, previous_mask: Tensor, flow: Tensor, frames: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Keep what rests for a moment: pixels that do not move take the frame before's mask, carried by softmax splatting.

    Args:
        mask: ``(B, 1, H, W)`` of 0 and 1: what moves in the current frame.
        previous_mask: as `mask`: the result of the frame before, in [0, 1].
        flow: ``(B, 2, H, W)`` in pixels, from the frame before to the current one.
        frames: the frame before and the current one, ``(B, 3, H, W)`` in [0, 1]: pixels that look alike count. None:
            the published importance, which compares the two masks on 0..255; there only what is equal in both counts,
            so that a moving part that comes to rest is lost.

    Returns:
        ``(B, 1, H, W)`` in [0, 1].
    """
    before, now = frames or tuple(255 * plane.expand(-1, 3, -1, -1) for plane in (previous_mask, mask))
    carried = splat(previous_mask, flow, splat_metric(before, now, flow), "softmax")
    return torch.where(mask > 0, mask, carried)


def network_input(moving: Tensor | np.ndarray, frame8: Tensor | np.ndarray, scale: float = 1.0) -> Tensor:
    """The planes (mask, R, G, B) in [0, 1] for the network.

    Args:
        moving: ``(B, 1, H, W)``, ``(1, H, W)`` or ``(H, W)`` in [0, 1]; 1 where something moves.
        frame8: uint8 RGB, ``(H, W, 3)``, ``(3, H, W)`` or either with a batch in front.
        scale: in (0, 1]: the size becomes ``int(scale·W), int(scale·H)``; mask and frame are resized as 8-bit
            pictures, bicubic with antialiasing.

    Returns:
        ``(B, 4, h, w)`` float32.

    Raises:
        InputError: the scale is out of range or leaves nothing.
        ShapeError: the two do not fit.
    """
    frames = _frames8(frame8)
    masks = torch.as_tensor(moving).detach().cpu().float()
    masks = masks.reshape(-1, *masks.shape[-2:])
    if masks.shape != frames.shape[:3]:
        raise ShapeError(f"moving is {tuple(torch.as_tensor(moving).shape)}, the frame {tuple(frame8.shape)}")
    height, width = frames.shape[1:3]
    size = int(scale * width), int(scale * height)
    if not 0 < scale <= 1 or min(size) < 1:
        raise InputError(f"scale {scale}: must be above 0, at most 1, and leave at least a pixel of {width}x{height}")
    levels = (masks.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    if size != (width, height):
        levels = np.stack([np.asarray(Image.fromarray(m).resize(size, Image.Resampling.BICUBIC)) for m in levels])
        frames = np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames])
    planes = np.concatenate([levels[..., None], frames], -1)
    return torch.from_numpy(planes).permute(0, 3, 1, 2).to(torch.float32).contiguous() / 255


def _frames8(frame8: Tensor | np.ndarray) -> np.ndarray:
    """``(B, H, W, 3)`` uint8."""
    frames = np.asarray(frame8.detach().cpu() if isinstance(frame8, Tensor) else frame8)
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4):
        raise ShapeError(f"frame8 must be uint8 RGB (H, W, 3), got {frames.dtype} {frames.shape}")
    frames = frames if frames.ndim == 4 else frames[None]
    if frames.shape[-1] != 3 and frames.shape[1] == 3:
        frames = frames.transpose(0, 2, 3, 1)
    if frames.shape[-1] != 3:
        raise ShapeError(f"frame8 must be uint8 RGB (H, W, 3), got {tuple(frame8.shape)}")
    return np.ascontiguousarray(frames)
