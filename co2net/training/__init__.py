"""Training jobs: losses, data, tasks and the loop.

The loss functions are public: ``training.stage1_loss``, ``training.stage2_loss``, ``training.temporal_term`` and those
of the backbones. Nothing is imported before it is asked for: the command's help reads settings from here.
"""

import importlib
from typing import Any

_HOMES = {
    "foreground_loss": "co2net.models.backbones.losses",
    "foreground_normalized_loss": "co2net.models.backbones.losses",
    "lut_monotonicity": "co2net.models.backbones.losses",
    "lut_smoothness": "co2net.models.backbones.losses",
    "stage1_loss": "co2net.models.backbones.losses",
    "stage2_loss": "co2net.models.backbones.losses",
    "temporal_term": "co2net.training.temporal",
}

__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value
