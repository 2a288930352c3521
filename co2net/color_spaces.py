"""Weights of luma, and 8-bit Lab codes, as OpenCV defines them and as networks were trained on them.

Continuous Lab (CIE 1976, sRGB, D65) with ``L * 255 / 100``, ``a + 128`` and ``b + 128`` rounded differs from these
codes by one in every tenth color or so: OpenCV computes them in fixed point, and its conversion is the definition.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.errors import ShapeError

LUMA = (0.2126, 0.7152, 0.0722)  # of red, green and blue, ITU-R BT.709
LUMA_601 = (0.299, 0.587, 0.114)  # ITU-R BT.601


def lab_codes(rgb8: np.ndarray) -> np.ndarray:
    """8-bit Lab of an 8-bit picture.

    Args:
        rgb8: ``(H, W, 3)`` uint8, sRGB.

    Returns:
        ``(H, W, 3)`` uint8 L, a, b; gray is ``(L, 128, 128)``. Networks take these codes / 255.

    Raises:
        ShapeError: the picture is no 8-bit RGB.
    """
    if not isinstance(rgb8, np.ndarray) or rgb8.dtype != np.uint8 or rgb8.ndim != 3 or rgb8.shape[2] != 3:
        got = f"{rgb8.shape} {rgb8.dtype}" if isinstance(rgb8, np.ndarray) else type(rgb8).__name__
        raise ShapeError(f"rgb8 must be (H, W, 3) uint8, got {got}")
    if rgb8.size == 0:
        return rgb8.copy()
    return cv2.cvtColor(np.ascontiguousarray(rgb8), cv2.COLOR_RGB2LAB)


def lab_planes(image: Tensor) -> Tensor:
    """:func:`lab_codes` / 255 of float pictures, which are rounded to 8 bits first.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; values outside are clamped.

    Returns:
        ``(B, 3, H, W)`` float32 in [0, 1], on the device of `image`; no gradient passes.
    """
    bytes_ = image.detach().clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    codes = np.stack([lab_codes(picture) for picture in bytes_])
    return torch.from_numpy(codes).permute(0, 3, 1, 2).to(image.device, torch.float32) / 255
