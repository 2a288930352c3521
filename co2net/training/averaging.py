"""A running mean of a network's weights: less noise than the last step's, at no cost in training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def running_mean(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential mean of all floating-point entries of a network's state dict (weights, batch norm statistics).

    Args:
        network: to give to ``update_parameters`` after every step.
        decay: share of the old mean that stays; early in a run less, so that the start is soon forgotten.
    """

    def follow(means: Any, now: Any, updates: Any) -> None:  # tensors of one kind, in place
        if means[0].is_floating_point():
            count = int(updates)
            torch._foreach_lerp_(means, now, 1 - min(decay, count / (count + 10)))  # type: ignore[attr-defined]
        else:
            torch._foreach_copy_(means, now)  # type: ignore[attr-defined]

    averaged = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
    averaged.n_averaged += 1  # its first update would forget the start at once
    return averaged
