"""RAFT as torchvision has it (Teed and Deng, ECCV 2020, arXiv:2003.12039), large or small as the weights are.

torchvision is imported late: nothing else here needs it, and it has to match PyTorch's build. Its weights are never
downloaded, only read from the file that the user gives.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from co2net.errors import InputError, WeightsError
from co2net.flow.frames import pad_to_multiple
from co2net.weight_files import load_whole, read_weights

MULTIPLE, SMALLEST = 8, 128  # pixels of both sides: features are an eighth, and halved three times while comparing
ITERATIONS = 12  # as torchvision measured its weights
_FIRST = "feature_encoder.convnormrelu.0.weight"  # its channels tell the large network from the small
_CHANNELS = {64: "raft_large", 32: "raft_small"}


class RAFT(nn.Module):
    """torchvision's network behind the conventions of this room.

    Args:
        network: torchvision's; takes frames in [-1, 1], returns one field per iteration.
        iterations: how often the field is refined.
    """

    def __init__(self, network: nn.Module, iterations: int = ITERATIONS) -> None:
        super().__init__()
        if iterations < 1:
            raise InputError(f"RAFT needs at least one iteration, got {iterations}")
        self.network, self.iterations = network, iterations

    def field(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """The field ``(B, 2, H, W)`` in pixels from RGB frames in [0, 1] of any size, their borders repeated."""
        height, width = frame1.shape[2:]
        first, second = (pad_to_multiple(2 * frame - 1, MULTIPLE, SMALLEST) for frame in (frame1, frame2))
        return self.network(first, second, num_flow_updates=self.iterations)[-1][:, :, :height, :width]


def load_raft(weights: str | os.PathLike[str], iterations: int = ITERATIONS) -> RAFT:
    """RAFT with the values of one of torchvision's files.

    Raises:
        InputError: torchvision cannot be imported.
        WeightsError: the file cannot be read or is not of torchvision's RAFT.
    """
    state = read_weights(weights).state
    first = state.get(_FIRST)
    name = None if first is None else _CHANNELS.get(first.shape[0])
    if name is None:
        raise WeightsError(
            f"{os.fspath(weights)} is not RAFT as torchvision has it (no fitting {_FIRST}); other builds of RAFT name "
            "their layers otherwise, so give a raft_large_*.pth or raft_small_*.pth of torchvision"
        )
    network = _builders()[name](weights=None, progress=False)
    load_whole(network, state, weights, "RAFT")
    return RAFT(network, iterations)


def _builders() -> dict[str, Callable[..., nn.Module]]:
    try:
        from torchvision.models.optical_flow import raft_large, raft_small
    except (ImportError, RuntimeError, OSError, AttributeError) as error:  # a mismatched build raises any of them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"the flow estimator raft needs torchvision, of the build that belongs to PyTorch {torch.__version__}, and "
            f"importing it failed [{reason}]; install both from one source (pip install --force-reinstall torch "
            "torchvision), or use another estimator"
        ) from error
    return {"raft_large": raft_large, "raft_small": raft_small}
