"""Write a 3D LUT (LUT) from pixels: :func:`accumulate`, :func:`normalize`, :func:`build_lut`, :func:`backend`.

The definition is :mod:`tridistribute.reference`; for float32 a C++ kernel runs on the CPU where its library loads, and
CUDA kernels run on NVIDIA GPUs where they compile (``CO2NET_NATIVE=0`` forces the PyTorch path).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tridistribute import ops
from trilinear import checks

__all__ = ["accumulate", "backend", "build_lut", "normalize"]


def accumulate(source: Tensor, target: Tensor, mask: Tensor, dim: int = 33) -> Tensor:
    r"""Gather what became of each color: sums over the foreground pixels, per grid point of the LUT.

    Pixel p with ``mask > 0.5`` adds :math:`w_{pc} (Y_p, 1)` to each of the eight corners c of the cell of its source
    color, with trilinear weights (CO2Net paper, color mapping). The mask is only a gate, exactly 0.5 is out. Volumes
    of several frames add up: the sum of the volumes is the volume of all pixels together.

    Source colors outside [0, 1] count as the nearest color inside; targets are taken as they are. The C++ kernel sums
    in float64 in an order that depends on the shapes alone, so its result does not change with the number of threads;
    on a GPU the order, and with it the last bits, may change from run to run, unless
    ``torch.use_deterministic_algorithms(True)`` chooses the PyTorch path. Differentiable once, in `source` and
    `target`.

    Args:
        source: ``(B, 3, H, W)``, RGB in [0, 1], float32 or float64: colors before.
        target: ``(B, 3, H, W)``: colors after; same shape, dtype and device.
        mask: ``(B, 1, H, W)``, in [0, 1] (any float dtype) or bool: 1 is foreground.
        dim: points per axis, D >= 2.

    Returns:
        ``(B, 4, D, D, D)``, indexed [sum, b, g, r]: the sums of w·target (3) and of w (1), in pixels.

    Raises:
        ValueError: a shape, dtype or device does not fit, `dim` is below 2, or `source` holds NaN or infinity. The
            CUDA kernel does not wait to find that out: there such pixels count as outside the mask.
    """
    checks.check_image(source, "source")
    checks.check_image(target, "target")
    checks.check_like(target, "target", source, "source")
    if target.shape != source.shape:
        raise ValueError(f"target is {tuple(target.shape)}, source is {tuple(source.shape)}; they must be alike")
    wanted = (source.shape[0], 1, *source.shape[2:])
    if tuple(mask.shape) != wanted:
        raise ValueError(f"mask must be {wanted} to fit the source, got {tuple(mask.shape)}")
    if not (mask.is_floating_point() or mask.dtype == torch.bool):
        raise ValueError(f"mask must be float in [0, 1] or bool, got {mask.dtype}; convert and divide by 255")
    checks.check_like(mask, "mask", source, "source", dtype=False)
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 2:
        raise ValueError(f"dim must be an integer of at least 2, got {dim!r}")
    if mask.dtype != source.dtype:  # compare before converting: 0.5 + 1e-12 is above the gate in float64 only
        mask = (mask > 0.5).to(source.dtype)
    return ops.accumulate(source, target, mask, dim)


def normalize(volume: Tensor) -> tuple[Tensor, Tensor]:
    """Turn summed volumes into a LUT: the mean target where anything was seen, 0 elsewhere.

    Args:
        volume: ``(B, 4, D, D, D)`` from :func:`accumulate`, or a sum of several, float32 or float64.

    Returns:
        The LUT ``(B, 3, D, D, D)``, differentiable in `volume`, and the count ``(B, D, D, D)`` in pixels, which
        carries no gradient. Neither shares memory with `volume`.

    Raises:
        ValueError: the shape or dtype does not fit.
    """
    dim = volume.shape[-1] if volume.ndim else 0
    if volume.ndim != 5 or dim < 2 or tuple(volume.shape[1:]) != (4, dim, dim, dim):
        raise ValueError(f"volume must be (B, 4, D, D, D) with D >= 2, got {tuple(volume.shape)}")
    if volume.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"volume must be float32 or float64, got {volume.dtype}")
    count = volume[:, 3:]
    filled = count > 0
    lut = torch.where(filled, volume[:, :3] / torch.where(filled, count, 1), 0)
    return lut, count.detach()[:, 0].clone()


def build_lut(source: Tensor, target: Tensor, mask: Tensor, dim: int = 33) -> tuple[Tensor, Tensor]:
    """Build a LUT from pixels: :func:`accumulate`, then :func:`normalize`.

    Arguments and errors are those of :func:`accumulate`, results those of :func:`normalize`.
    """
    return normalize(accumulate(source, target, mask, dim))


def backend(tensor: Tensor) -> Literal["cpp", "cuda", "torch"]:
    """Say what runs for images like `tensor`: the C++ kernel, the CUDA kernels, or the definition in PyTorch.

    On a GPU this loads the kernels, or compiles them if they are not in the cache.
    """
    return ops.backend(tensor)
