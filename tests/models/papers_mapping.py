"""The paper's evaluation of the color mapping alone, neighbor by neighbor as its equations say."""

import torch
from torch import Tensor

import trilinear
from co2net.evaluation.mapping_error import WindowError
from co2net.models.co2net import CO2Net


@torch.no_grad()
def mapping_statistics(
    model: CO2Net, image: Tensor, mask: Tensor, neighbor_images: Tensor, neighbor_masks: Tensor
) -> tuple[Tensor, Tensor]:
    """Mapping error, and the fraction of the frame that the LUT says nothing about, ``(B,)`` each."""
    volume = model.window_volume(image, neighbor_images, neighbor_masks)
    assert volume is not None
    lut, count = model.color_mapping(volume)
    unseen = trilinear.unseen_map(count, image, rule=model.unseen_rule) * mask
    error = WindowError(model, lut, count)
    for x, m in zip(neighbor_images.unbind(1), neighbor_masks.unbind(1), strict=True):
        error.add(x, m, model.run_backbone(x, m).image)
    return error.mean().to(image.dtype), unseen.mean(dim=(1, 2, 3))
