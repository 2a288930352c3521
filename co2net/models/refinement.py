"""Refinement: the small network that merges the backbone's result and the color mapping's.

CO2Net (IJCAI 2022), the last box of the paper's figure; ``specs/co2net.md`` section 5. Module names follow the keys
of the official state dict.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from co2net.errors import ShapeError

INNER_CHANNELS = 64


class Refinement(nn.Module):
    """Two 3x3 convolutions with batch norm and ELU, then a blend of composite and predicted colors.

    40 964 parameters without features, 59 396 with the 32 channels of iSSAM, 114 692 with the 128 of RainNet.

    Args:
        feature_channels: channels of the backbone's feature map; 0: features are not used.
    """

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

    def forward(
        self, backbone_output: Tensor, lut_output: Tensor, composite: Tensor, features: Tensor | None = None
    ) -> Tensor:
        """Merge two harmonized versions of a frame.

        Args:
            backbone_output: ``(B, 3, H, W)`` in the backbone's normalized space.
            lut_output: ``(B, 3, H, W)`` in the backbone's normalized space.
            composite: ``(B, 3, H, W)``, blended with the predicted colors. Trained weights expect it in [0, 1]
                although everything else here is normalized (``specs/co2net.md`` section 6 and defect 10).
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
