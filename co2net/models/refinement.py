"""Refinement: the small network that merges the backbone's result and the color mapping's.

CO2Net (IJCAI 2022), the last box of the paper's figure. Module names follow the keys
of the official state dict.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from co2net.errors import ShapeError

INNER_CHANNELS = 64
_LIFT = 4.0  # raises normalized colors (down to -2.2) to where the ELU is the identity


class Refinement(nn.Module):
    """Two 3x3 convolutions with batch norm and ELU, then a blend of composite and predicted colors.

    40 964 parameters without features, 59 396 with the 32 channels of iSSAM, 114 692 with the 128 of RainNet.

    Args:
        feature_channels: channels of the backbone's feature map; 0: features are not used.
    """

    reach = 2  # pixels that influence a pixel lie no farther: two 3x3 convolutions

    def __init__(self, feature_channels: int) -> None:
        super().__init__()
        self.feature_channels = feature_channels
        self.refine_block = nn.Sequential(
            nn.Conv2d(6 + feature_channels, INNER_CHANNELS, 3, padding=1),
            nn.BatchNorm2d(INNER_CHANNELS),
            nn.ELU(),
            nn.Conv2d(INNER_CHANNELS, INNER_CHANNELS, 3, padding=1),
            nn.BatchNorm2d(INNER_CHANNELS),
            nn.ELU(),
        )
        self.conv_attention = nn.Conv2d(INNER_CHANNELS, 1, 1)
        self.to_rgb = nn.Conv2d(INNER_CHANNELS, 3, 1)

    @torch.no_grad()
    def initialize_as_lut(self) -> None:
        """Change the fresh weights so that the network returns `lut_output`; training then starts from there.

        Six inner channels carry the two harmonized images unchanged; the others stay random and gain influence through
        the last layer, which starts at the color mapping's three. Meant for batch norm in eval mode: with batch
        statistics the carried channels are rescaled.
        """
        weights = self.state_dict()  # shares memory with the parameters
        for norm in ("refine_block.1", "refine_block.4"):
            weights[f"{norm}.weight"].fill_((1 + nn.BatchNorm2d(1).eps) ** 0.5)  # running variance 1: no change
        lut, backbone = range(3 + self.feature_channels, 6 + self.feature_channels), range(3)
        for channel, source in enumerate((*lut, *backbone)):
            for layer, carried in (("refine_block.0", source), ("refine_block.3", channel)):
                weights[f"{layer}.weight"][channel] = 0
                weights[f"{layer}.weight"][channel, carried, 1, 1] = 1
                weights[f"{layer}.bias"][channel] = _LIFT if layer == "refine_block.0" else 0
        weights["to_rgb.weight"].zero_()
        weights["to_rgb.weight"][:, :3, 0, 0] = torch.eye(3)
        weights["to_rgb.bias"].fill_(-_LIFT)
        # sigmoid(3 * -3) leaves one part in 8000 of the composite: practically none, and still trainable.
        weights["conv_attention.weight"].zero_()
        weights["conv_attention.bias"].fill_(-3.0)

    def forward(
        self, backbone_output: Tensor, lut_output: Tensor, composite: Tensor, features: Tensor | None = None
    ) -> Tensor:
        """Merge two harmonized versions of a frame.

        Args:
            backbone_output: ``(B, 3, H, W)`` in the backbone's normalized space.
            lut_output: ``(B, 3, H, W)`` in the backbone's normalized space.
            composite: ``(B, 3, H, W)``, blended with the predicted colors. Trained weights expect it in [0, 1]
                although everything else here is normalized (docs/published_defects.md).
            features: ``(B, feature_channels, H, W)``; ignored when :attr:`feature_channels` is 0.

        Returns:
            ``(B, 3, H, W)`` in the normalized space, the whole frame.

        Raises:
            ShapeError: if features are missing or have another number of channels.
        """
        parts = [backbone_output, lut_output]
        if self.feature_channels:
            got = None if features is None else features.shape[1]
            if features is None or got != self.feature_channels:
                raise ShapeError(f"the refinement wants {self.feature_channels} feature channels, got {got}")
            parts.insert(1, features)  # between the two images: the order the trained weights expect
        x = self.refine_block(torch.cat(parts, dim=1))
        keep = torch.sigmoid(3 * self.conv_attention(x))
        return keep * composite + (1 - keep) * self.to_rgb(x)
