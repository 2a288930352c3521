"""Lab as the colorization networks want it: 8-bit codes / 255, and centered floating-point Lab.

"8-bit Lab" is OpenCV's coding (D65): L * 255 / 100, a + 128, b + 128. "Centered" is L - 50, a, b in CIE units.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.color_spaces import lab_codes

NEUTRAL = 128 / 255  # a and b of gray, and of "no stroke here"
_WHITE = (0.95047, 1.0, 1.08883)  # D65, 2 degrees
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
# Of the tensor formula, rounded as in the published code.
_TENSOR_FROM_XYZ = (
    (3.24048134, -0.96925495, 0.05564664),
    (-1.53715152, 1.87599, -0.20404134),
    (-0.49853633, 0.04155593, 1.05731107),
)


def split_lab8(rgb8: np.ndarray) -> tuple[Tensor, Tensor]:
    """``(H, W, 3)`` uint8 RGB to luma ``(1, 1, H, W)`` and ab ``(1, 2, H, W)``, 8-bit Lab codes / 255."""
    lab = torch.from_numpy(lab_codes(rgb8)).permute(2, 0, 1)[None].float() / 255
    return lab[:, :1], lab[:, 1:]


def join_lab8(luma: Tensor, ab: Tensor) -> np.ndarray:
    """Luma ``(1, 1, H, W)`` and ab ``(1, 2, H, W)`` in [0, 1] to ``(H, W, 3)`` uint8 RGB; codes are truncated."""
    lab = torch.cat([luma, ab], dim=1)[0].clamp(0, 1).mul(255).byte().permute(1, 2, 0).contiguous()
    return cv2.cvtColor(lab.cpu().numpy(), cv2.COLOR_Lab2RGB)


def centered_lab(rgb8: np.ndarray) -> Tensor:
    """``(H, W, 3)`` uint8 RGB to ``(1, 3, H, W)`` float32: L - 50, a, b, from floating-point sRGB."""
    rgb = rgb8.astype(np.float64) / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[..., 1] - 66, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])])
    return torch.from_numpy(lab.astype(np.float32))[None]


def lab_to_rgb8(lab: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` L (0 to 100), a, b to uint8 RGB in floating point, clipped and truncated."""
    lab = lab.astype(np.float64)
    y = (lab[..., 0] + 16) / 116
    f = np.stack([lab[..., 1] / 500 + y, y, np.maximum(y - lab[..., 2] / 200, 0)], axis=-1)
    xyz = np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * _WHITE
    linear = xyz @ _FROM_XYZ.T
    rgb = np.where(linear > 0.0031308, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return (rgb.clip(0, 1) * 255).astype(np.uint8)


def centered_lab_to_rgb(lab: Tensor) -> Tensor:
    """Centered Lab ``(B, 3, H, W)`` to RGB in [0, 1], differentiable: the formula of the reference features."""
    luma, a, b = lab.unbind(1)
    y = (luma + 50 + 16) / 116
    f = torch.stack([a / 500 + y, y, (y - b / 200).clamp(min=0)], dim=1)
    xyz = torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    xyz = xyz * xyz.new_tensor((_WHITE[0], 1.0, _WHITE[2])).view(1, 3, 1, 1)
    linear = torch.einsum("bihw,ij->bjhw", xyz, xyz.new_tensor(_TENSOR_FROM_XYZ))
    bright = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, bright, 12.92 * linear).clamp(0, 1)
