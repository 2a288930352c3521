"""Frames in and out of colorization: luma at working size in, the original's luma under new colors out."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.colorization.lab import NEUTRAL
from co2net.pipeline.frames import Picture, frame_shape, frame_to_tensor

GRAY = 4 / 255  # a frame whose channels differ by no more is gray
_SLOPE = 105.0  # L per change of luma from 0 to 1, about


def luma_of(frame: Picture) -> np.ndarray:
    """L of a frame ``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float: ``(H, W)`` float32, 0 to 100."""
    rgb = frame_to_tensor(frame)[0].permute(1, 2, 0).contiguous().cpu().numpy()
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[..., 0]


def gray_conversion_of(frame: Picture) -> np.ndarray:
    """The gray conversion Y' of a frame, taken for L as the published programs do: ``(H, W)`` float32, 0 to 100.

    Middle grays come out darker.
    """
    rgb = frame_to_tensor(frame)[0].permute(1, 2, 0).contiguous().cpu().numpy()
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) * 100


def is_colored(frame: Picture) -> bool:
    """Whether a frame has colors of its own; they play no part."""
    rgb = frame_to_tensor(frame)[0]
    spread = rgb.amax(dim=0) - rgb.amin(dim=0)
    return bool((spread > GRAY).float().mean() > 0.01)


def shrunk(luma: np.ndarray, size: tuple[int, int]) -> Tensor:
    """L ``(H, W)``, 0 to 100, at working size ``(1, 1, h, w)``, 0 to 100."""
    height, width = size
    if luma.shape != size:
        smaller = height < luma.shape[0]
        luma = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return torch.from_numpy(luma)[None, None].clamp(0, 100)


def as_codes(luma: Tensor) -> Tensor:
    """L from 0 to 100 as 8-bit codes / 255."""
    return (luma * 2.55).round() / 255


def recolored(frame: Picture, luma: np.ndarray, ab: Tensor, weights: np.ndarray | None = None) -> Picture:
    """The frame with new colors, of the same kind and depth.

    Args:
        frame: as for :func:`luma_of`.
        luma: its L, of :func:`luma_of`.
        ab: ``(1, 2, h, w)`` in [0, 1], any size.
        weights: ``(3,)`` of red, green and blue in what stays as it is in `frame`; None: L stays.
    """
    shape = frame_shape(frame)
    large = F.interpolate(ab.float().cpu(), shape, mode="bilinear", align_corners=False)[0]
    planes = ((large - NEUTRAL) * 255).permute(1, 2, 0).numpy()
    lab = np.concatenate([luma[..., None], planes], axis=2)
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    if weights is not None:
        kept = frame_to_tensor(frame)[0].permute(1, 2, 0).cpu().numpy() @ weights
        lab[..., 0] = (luma + (kept - rgb @ weights) * _SLOPE).clip(0, 100)
        rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
        rgb += (kept - rgb @ weights)[..., None]  # what one step of Newton's leaves
    tensor = isinstance(frame, Tensor)
    if frame.dtype in (np.uint8, np.uint16, torch.uint8, torch.uint16):
        full = 255 if frame.dtype in (np.uint8, torch.uint8) else 65535
        codes = (rgb * full).round().clip(0, full).astype(np.uint8 if full == 255 else np.uint16)
        return torch.from_numpy(codes).to(frame.device) if tensor else codes
    values = np.ascontiguousarray(rgb.clip(0, 1).transpose(2, 0, 1))
    return torch.from_numpy(values).to(frame) if tensor else values.astype(frame.dtype)
