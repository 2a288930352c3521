"""Flow estimators by name."""

from __future__ import annotations

import os
from collections.abc import Callable

from torch import Tensor

from co2net.errors import InputError

FlowEstimator = Callable[[Tensor, Tensor], Tensor]
"""``(frame1, frame2)``, each ``(B, 3, H, W)`` in [0, 1], to the field ``(B, 2, H, W)`` from frame 1 to frame 2."""

Weights = str | os.PathLike[str] | None


def _dis(weights: Weights) -> FlowEstimator:
    from co2net.flow.dis import DIS

    if weights is not None:
        raise InputError(f"the flow estimator dis has no weights, got {os.fspath(weights)}; leave the weights out")
    return DIS()


_BUILDERS: dict[str, Callable[[Weights], FlowEstimator]] = {"dis": _dis}


def create_flow(name: str = "dis", weights: Weights = None) -> FlowEstimator:
    """Make a flow estimator.

    Args:
        name: one of :func:`list_flows`. ``dis``: dense inverse search, no weights, on the CPU.
        weights: weight file of a network; ``dis`` has none.

    Returns:
        A function ``(frame1, frame2) -> field``: frames ``(B, 3, H, W)`` RGB in [0, 1]; the field ``(B, 2, H, W)`` in
        pixels, channel 0 = x, is the displacement from `frame1` to `frame2` on the grid of `frame1`.

    Raises:
        InputError: the name is unknown, or weights were given to an estimator without any.
    """
    if name not in _BUILDERS:
        raise InputError(f"there is no flow estimator {name!r}; there are: {', '.join(list_flows())}")
    return _BUILDERS[name](weights)


def list_flows() -> list[str]:
    """Names that :func:`create_flow` knows, sorted."""
    return sorted(_BUILDERS)
