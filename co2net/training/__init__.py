"""Training jobs: losses, data and loops.

The loss functions are public: ``training.stage1_loss``, ``training.stage2_loss``, ``training.temporal_term`` and those
of the backbones.
"""

from co2net.models.backbones.losses import (
    foreground_loss,
    foreground_normalized_loss,
    lut_monotonicity,
    lut_smoothness,
    stage1_loss,
)
from co2net.training.losses import stage2_loss, temporal_term

__all__ = [
    "foreground_loss",
    "foreground_normalized_loss",
    "lut_monotonicity",
    "lut_smoothness",
    "stage1_loss",
    "stage2_loss",
    "temporal_term",
]
