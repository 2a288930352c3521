"""Flow estimators by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from co2net.errors import InputError
from co2net.flow.frames import check_pair

FlowEstimator = Callable[[Tensor, Tensor], Tensor]
"""``(frame1, frame2)``, each ``(B, 3, H, W)`` in [0, 1], to the field ``(B, 2, H, W)`` from frame 1 to frame 2."""

Weights = str | os.PathLike[str] | None


class FlowNetwork(Protocol):
    """What an estimator asks of a network beside being an ``nn.Module``."""

    def field(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """The field ``(B, 2, H, W)`` in pixels, from RGB frames ``(B, 3, H, W)`` in [0, 1] of any size."""
        ...


class NetworkEstimator:
    """A network as a :data:`FlowEstimator`: checks the frames, and follows them to their device.

    The parameters are frozen; a gradient is kept only for frames that ask for one.

    Args:
        network: an ``nn.Module`` with the method of :class:`FlowNetwork`; it is put into eval mode.
    """

    def __init__(self, network: FlowNetwork) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(f"network must be an nn.Module, got {type(network).__name__}")
        self.network = network.eval().requires_grad_(False)
        self._field = network.field

    def __call__(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """Where the pixels of `frame1` are in `frame2`.

        Args:
            frame1: ``(B, 3, H, W)`` RGB in [0, 1], any size and device; not clamped.
            frame2: as `frame1`.

        Returns:
            ``(B, 2, H, W)`` float32 on the frames' device: pixels, channel 0 = x.

        Raises:
            ShapeError: the frames do not fit.
        """
        check_pair(frame1, frame2)
        self.network.to(frame1.device)
        if len(frame1) == 0:
            return torch.empty((0, 2, *frame1.shape[2:]), device=frame1.device)
        return self._field(frame1.float(), frame2.float())


@dataclass(frozen=True)
class _Kind:
    """How an estimator is made.

    Attributes:
        build: makes it from a weight file (None: it has none) and the settings.
        settings: names that :func:`create_flow` takes for it.
        offered: for a network, the file it needs and where its authors offer it.
    """

    build: Callable[..., FlowEstimator]
    settings: tuple[str, ...] = ()
    offered: str | None = None


def _dis() -> FlowEstimator:
    from co2net.flow.dis import DIS

    return DIS()


def _flownet2(weights: str | os.PathLike[str]) -> FlowEstimator:
    from co2net.flow.flownet2 import load_flownet2

    return NetworkEstimator(load_flownet2(weights))


def _pwcnet(weights: str | os.PathLike[str], **settings: Any) -> FlowEstimator:
    from co2net.flow.pwcnet import load_pwcnet

    return NetworkEstimator(load_pwcnet(weights, **settings))


def _raft(weights: str | os.PathLike[str], **settings: Any) -> FlowEstimator:
    from co2net.flow.raft import load_raft

    return NetworkEstimator(load_raft(weights, **settings))


_KINDS: dict[str, _Kind] = {
    "dis": _Kind(_dis),
    "flownet2": _Kind(
        _flownet2,
        offered="FlowNet2_checkpoint.pth.tar, 'FlowNet2' among the converted models in the README of "
        "https://github.com/NVIDIA/flownet2-pytorch",
    ),
    "pwcnet": _Kind(
        _pwcnet, ("warp",), "network-default.pytorch, named in run.py of https://github.com/sniklaus/pytorch-pwc"
    ),
    "raft": _Kind(
        _raft,
        ("iterations",),
        "raft_large_C_T_SKHT_V2-ff5fadd5.pth or another RAFT file of torchvision, listed at "
        "https://docs.pytorch.org/vision/stable/models/raft.html",
    ),
}


def create_flow(name: str = "dis", weights: Weights = None, **settings: Any) -> FlowEstimator:
    """Make a flow estimator.

    Args:
        name: one of :func:`list_flows`. ``dis``: dense inverse search, no weights, on the CPU. ``flownet2``,
            ``pwcnet``, ``raft``: networks, on the device of the frames.
        weights: file with the weights of a network, as its authors offer it (or as ``.safetensors``); nothing is
            downloaded. ``dis`` has none.
        **settings: ``warp`` of ``pwcnet``: how it moves features, see :class:`~co2net.flow.pwcnet.PWCNet`;
            ``iterations`` of ``raft``.

    Returns:
        A function ``(frame1, frame2) -> field``: frames ``(B, 3, H, W)`` RGB in [0, 1], any size (``dis``: at least
        16 pixels a side); the field ``(B, 2, H, W)`` in pixels, channel 0 = x, is the displacement from `frame1` to
        `frame2` on the grid of `frame1`.

    Raises:
        InputError: the name or a setting is unknown, a network's weights are missing (says which file and where it
            is offered), or weights were given to an estimator without any.
        WeightsError: the file cannot be read or does not fit.
    """
    if name not in _KINDS:
        raise InputError(f"there is no flow estimator {name!r}; there are: {', '.join(list_flows())}")
    kind = _KINDS[name]
    if unknown := sorted({*settings} - {*kind.settings}):
        known = f"there are: {', '.join(kind.settings)}" if kind.settings else "it has none"
        raise InputError(f"the flow estimator {name} has no setting {', '.join(unknown)}; {known}")
    if kind.offered is None:
        if weights is not None:
            raise InputError(f"the flow estimator {name} has no weights, got {os.fspath(weights)}; leave them out")
        return kind.build(**settings)
    if weights is None:
        raise InputError(
            f"the flow estimator {name} needs its weights, which its authors keep: download {kind.offered}, and give "
            "the file; or use dis, which needs none"
        )
    return kind.build(weights, **settings)


def list_flows() -> list[str]:
    """Names that :func:`create_flow` knows, sorted."""
    return sorted(_KINDS)
