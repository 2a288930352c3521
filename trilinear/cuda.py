"""The CUDA kernels ``csrc/apply_lut.cu`` with the contract of :mod:`trilinear.reference`: float32, NVIDIA GPUs.

One difference: waiting for the GPU to learn that a color is not finite would cost more than the work. So instead of
an error such pixels give NaN, and no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trilinear import _cuda


def apply_lut(lut: Tensor, image: Tensor, count: Tensor | None = None) -> Tensor:
    """See :func:`trilinear.reference.apply_lut`."""
    lut, image, count = lut.contiguous(), image.contiguous(), None if count is None else count.contiguous()
    output = torch.empty_like(image)
    if output.numel() == 0:
        return output
    batch, pixels, dim = image.shape[0], image.shape[2] * image.shape[3], lut.shape[-1]
    packed = _cuda.pack_cells("trilinear", lut, count)
    arguments = (packed, image, output, batch, pixels, dim, _cuda.scale(dim), int(count is not None))
    _launch_over_pixels("apply_lut", image, output, arguments)
    return output


def apply_lut_backward(
    grad: Tensor, lut: Tensor, image: Tensor, count: Tensor | None, need_lut: bool, need_image: bool
) -> tuple[Tensor, Tensor]:
    """See :func:`trilinear.reference.apply_lut_backward`."""
    grad, lut, image = grad.contiguous(), lut.contiguous(), image.contiguous()
    count = None if count is None else count.contiguous()
    grad_lut = torch.empty_like(lut) if need_lut else lut.new_empty(0)
    grad_image = torch.empty_like(image) if need_image else image.new_empty(0)
    batch, pixels, dim = image.shape[0], image.shape[2] * image.shape[3], lut.shape[-1]
    if batch == 0:
        return grad_lut, grad_image
    sums = torch.zeros((batch, dim**3, 4), dtype=torch.float64, device=image.device) if need_lut else None
    if pixels > 0:
        packed = _cuda.pack_cells("trilinear", lut, count)
        _cuda.launch(
            "trilinear", "apply_lut_backward", image, _cuda.grid_for_sums(pixels, batch, image),
            grad, packed, image, grad_image if need_image else None, sums,
            batch, pixels, dim, _cuda.scale(dim), int(count is not None),
        )  # fmt: skip
    if sums is not None:
        _cuda.unpack_sums("trilinear", sums, count, grad_lut)
    return grad_lut, grad_image


def unseen_map(count: Tensor, image: Tensor, all_empty: bool = False) -> Tensor:
    """See :func:`trilinear.reference.unseen_map`."""
    count, image = count.contiguous(), image.contiguous()
    batch, pixels, dim = image.shape[0], image.shape[2] * image.shape[3], count.shape[-1]
    output = image.new_empty((batch, 1, *image.shape[2:]))
    if output.numel() == 0:
        return output
    filled = torch.empty((batch, dim**3), dtype=torch.uint8, device=image.device)
    _cuda.launch("trilinear", "filled_corners", image, _cuda.grid_over(dim**3, batch), count, filled, batch, dim)
    arguments = (filled, image, output, batch, pixels, dim, _cuda.scale(dim), int(all_empty))
    _launch_over_pixels("unseen_map", image, output, arguments)
    return output


def _launch_over_pixels(kernel: str, image: Tensor, output: Tensor, arguments: tuple[_cuda.Argument, ...]) -> None:
    batch, pixels = image.shape[0], image.shape[2] * image.shape[3]
    if _cuda.by_four(pixels, image, output):
        _cuda.launch("trilinear", f"{kernel}_by_four", image, _cuda.grid_over(pixels // 4, batch), *arguments)
    else:
        _cuda.launch("trilinear", kernel, image, _cuda.grid_over(pixels, batch), *arguments)
