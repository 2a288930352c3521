"""Read a 3D LUT: :func:`apply_lut`, :func:`apply_lut_frame`, :func:`unseen_map`, :func:`backend`.

Imports PyTorch and nothing of co2net. The definition is :mod:`trilinear.reference`; for float32 a C++ kernel runs on
the CPU where its library loads, and CUDA kernels run on NVIDIA GPUs where they compile (``CO2NET_NATIVE=0`` forces the
PyTorch path).
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from trilinear import _native, checks, cpp, ops, reference

__all__ = ["apply_lut", "apply_lut_frame", "backend", "unseen_map"]

Picture = TypeVar("Picture", Tensor, np.ndarray)


def apply_lut(lut: Tensor, image: Tensor, count: Tensor | None = None) -> Tensor:
    r"""Read every pixel's new color out of a LUT, trilinearly.

    With the weights :math:`w_c` of the eight corners of a pixel's cell, :math:`v_c = [C_c \ne 0]` and
    :math:`S = \sum_c v_c w_c` (CO2Net paper, LUT transform, with empty corners left out):

    .. math:: out = \sum_c v_c w_c L_c / S, \qquad 0 \text{ where } S = 0.

    Colors outside [0, 1] are read at the nearest color inside. "S = 0" means below the smallest normal number of the
    dtype (1.2e-38 in float32), under which a quotient would carry no digits. Differentiable once, in `lut` and
    `image`; `count` carries no gradient.

    Args:
        lut: ``(B, 3, D, D, D)``, indexed [channel, b, g, r], D >= 2; any finite values, float32 or float64.
        image: ``(B, 3, H, W)``, RGB in [0, 1], same dtype and device as `lut`.
        count: ``(B, D, D, D)``, indexed [b, g, r]; cells with count 0 are empty. Without it every cell is filled.

    Returns:
        ``(B, 3, H, W)``, contiguous, in the dtype of `image`; in the range of the LUT's values.

    Raises:
        ValueError: a shape, dtype or device does not fit, or `image` holds NaN or infinity. The CUDA kernels do not
            wait to find that out: there such pixels come out as NaN, without gradient.
    """
    checks.check_image(image, "image")
    checks.check_lut(lut, image)
    if count is not None:
        count = checks.count_as(checks.check_count(count, lut), lut.dtype)
    return ops.apply_lut(lut, image, count)


@torch.no_grad()
def apply_lut_frame(
    lut: Tensor,
    frame: Picture,
    mask: Tensor | np.ndarray | None = None,
    strength: float = 1.0,
    window: tuple[slice, slice] | None = None,
) -> Picture:
    r"""Read a decoded frame's new colors out of a LUT and blend them in under a mask, without floats in between.

    With the frame's colors :math:`x`, the mask :math:`m` and the LUT read as in :func:`apply_lut`,

    .. math:: out = \mathrm{round}(\mathrm{clamp}(x + strength \cdot m \cdot (LUT(x) - x))),

    half to even, where :math:`m > 0`; elsewhere the input's own codes. On the CPU a C++ kernel runs on
    ``torch.get_num_threads()`` threads, with a result that does not depend on their number; without it and on other
    devices the definition runs, and a code in some hundred thousand differs by 1 (16 bits: one in a thousand).

    Args:
        lut: ``(1, 3, D, D, D)``, indexed [channel, b, g, r], float32, colors in [0, 1]; says something for every color.
        frame: ``(H, W, 3)`` RGB, uint8 or uint16 (full brightness is 255 or 65535), array or tensor.
        mask: ``(H, W)``, float32 in [0, 1] or uint8 (255 is 1), array or tensor; without it every pixel counts.
        strength: how much of the change is made; 1 is all of it.
        window: rows and columns outside which nothing changes, ``(slice(top, bottom), slice(left, right))``; the
            mask's bounding box saves looking at the rest.

    Returns:
        A new frame of the same shape, dtype, kind and device.

    Raises:
        ValueError: a shape, dtype or device does not fit, the LUT or `strength` is not finite, or the window has
            steps.
    """
    codes, shares = _tensor(frame), None if mask is None else _tensor(mask)
    checks.check_frame(codes)
    checks.check_frame_lut(lut, codes)
    if shares is not None:
        checks.check_frame_mask(shares, codes)
    if not math.isfinite(strength):
        raise ValueError(f"strength must be a finite number, got {strength}")
    box = checks.window_box(window, *codes.shape[:2])
    run = cpp.apply_lut_frame if _native.takes(lut, "trilinear") else reference.apply_lut_frame
    output = run(lut, codes.contiguous(), None if shares is None else shares.contiguous(), float(strength), box)
    return cast(Picture, output if isinstance(frame, Tensor) else output.numpy())


def _tensor(picture: Tensor | np.ndarray) -> Tensor:
    """Return a tensor on the memory of `picture`, if that may be written to, which PyTorch wants."""
    if isinstance(picture, Tensor):
        return picture
    usable = picture.flags.writeable and all(stride >= 0 for stride in picture.strides)
    try:
        return torch.from_numpy(picture if usable else picture.copy())
    except TypeError as error:
        raise ValueError(f"arrays of {picture.dtype} are not known: {error}") from None


def unseen_map(count: Tensor, image: Tensor, rule: Literal["zero_weight", "all_empty"] = "zero_weight") -> Tensor:
    """Mark the pixels about which the LUT says nothing.

    ``"zero_weight"``: the filled corners of the pixel's cell have no weight (S = 0), so :func:`apply_lut` gives 0.
    ``"all_empty"``: all eight corners are empty, whatever their weight. This is the published rule; it misses pixels
    with a channel of exactly 0 whose only filled corners have weight 0, which then come out black.

    Args:
        count: ``(B, D, D, D)``, indexed [b, g, r]; cells with count 0 are empty.
        image: ``(B, 3, H, W)``, RGB in [0, 1], float32 or float64.
        rule: ``"zero_weight"`` or ``"all_empty"``.

    Returns:
        ``(B, 1, H, W)``, 1 where nothing is known and 0 elsewhere, in the dtype of `image`; without gradient.

    Raises:
        ValueError: a shape, dtype or device does not fit, the rule is unknown, or `image` holds NaN or infinity (the
            CUDA kernels give NaN for such pixels instead).
    """
    checks.check_image(image, "image")
    checks.check_count(count, image, owner="image")
    if rule not in ("zero_weight", "all_empty"):
        raise ValueError(f'rule must be "zero_weight" or "all_empty", got {rule!r}')
    return ops.unseen_map(checks.count_as(count, image.dtype).detach(), image.detach(), rule == "all_empty")


def backend(tensor: Tensor) -> Literal["cpp", "cuda", "torch"]:
    """Say what runs for images like `tensor`: the C++ kernel, the CUDA kernels, or the definition in PyTorch.

    On a GPU this loads the kernels, or compiles them if they are not in the cache. Where
    ``torch.use_deterministic_algorithms(True)`` holds, the LUT's gradient on a GPU is the definition's all the same.
    """
    return ops.backend(tensor)
