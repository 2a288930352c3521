"""A running mean of a network's weights: less noise than the last step's, at no cost in training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """Exponential mean of all floating-point entries of a network's state dict (weights, batch norm statistics).

    Args:
        network: is read at every :meth:`update`.
        decay: share of the old mean that stays; early in a run less, so that the start is soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.state = self._copy()

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network as it is after `step` steps."""
        decay = min(self.decay, step / (step + 10))
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, 1 - decay)
            else:
                self.state[name].copy_(tensor)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the mean weights inside the block, its own after it."""
        own = self._copy()
        self.keep()
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def keep(self) -> None:
        """Give the network the mean weights for good."""
        self.network.load_state_dict(self.state)

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a stored mean."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
