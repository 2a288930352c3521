"""Training jobs: losses, data and loops.

The loss functions are public: ``training.stage1_loss``, ``training.stage2_loss``, ``training.temporal_term``.
"""

from co2net.training.losses import foreground_loss, stage1_loss, stage2_loss, temporal_term

__all__ = ["foreground_loss", "stage1_loss", "stage2_loss", "temporal_term"]
