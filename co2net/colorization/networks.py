"""The networks by name, with the weights of a file of theirs or of ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from co2net.colorization.cpnet import CPNet
from co2net.colorization.ssnet import SSNet
from co2net.files import PathLike
from co2net.weight_files import load_whole, read_weights


def create_cpnet(
    variant: str = "CPNet_VGG16_Seg", start_channels: int | None = None, weights: PathLike | None = None
) -> CPNet:
    """Build CPNet, in eval mode.

    Args:
        variant: see :class:`~.cpnet.CPNet`.
        start_channels: width; None: the file's, or 64.
        weights: official or own file; None: random weights.

    Raises:
        InputError: the variant is unknown.
        WeightsError: the file does not fit; names what is missing, unknown or of another shape.
    """
    if weights is None:
        return CPNet(variant, start_channels or 64).eval()
    file = read_weights(weights)
    first = file.state.get("E1.0.conv2d.weight")
    network = CPNet(variant, start_channels or (64 if first is None else len(first)))
    load_whole(network, _with_twins(network, file.state), file.path, CPNet.title)
    return network.eval()


def create_ssnet(variant: str = "SSNet", weights: PathLike | None = None) -> SSNet:
    """Build SSNet, in eval mode; arguments and errors as in :func:`create_cpnet`."""
    network = SSNet(variant)
    if weights is not None:
        file = read_weights(weights)
        load_whole(network, file.state, file.path, SSNet.title)
    return network.eval()


def _with_twins(network: CPNet, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """VGG-16's tensors under both names, from a file that has one of them; of two, ``conv*_gray`` wins."""
    state = dict(state)
    if not network.semantic:
        return state
    own = network.state_dict()
    places: dict[int, list[str]] = {}
    for name, tensor in own.items():
        places.setdefault(tensor.data_ptr(), []).append(name)
    for names in places.values():
        given = [name for name in names if name in state]  # in the order of the state dict: conv*_gray is later
        if given:
            state |= dict.fromkeys(names, state[given[-1]])
    return state
