"""Training jobs: losses, data and loops.

The loss functions are public: ``training.stage1_loss``, ``training.stage2_loss``.
"""

from co2net.training.losses import foreground_loss, stage1_loss, stage2_loss

__all__ = ["foreground_loss", "stage1_loss", "stage2_loss"]
