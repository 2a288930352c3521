"""Video harmonization: make a composited foreground match its background, frame after frame, without flicker.

The public names below are imported on first use, so that ``import co2net`` and the command's ``--help`` are instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from co2net import color_spaces, colorization, data, flow, matting, metrics, training
    from co2net.color_mapping.cube import load_cube, save_cube
    from co2net.evaluation.run import evaluate
    from co2net.models.registry import create_backbone, create_model, list_backbones, list_models
    from co2net.pipeline import harmonize_frames, harmonize_video

    __version__: str

# Where each public name lives; None: it is a package of its own.
_PUBLIC: dict[str, str | None] = {
    "color_spaces": None,
    "colorization": None,
    "create_backbone": "co2net.models.registry",
    "create_model": "co2net.models.registry",
    "data": None,
    "evaluate": "co2net.evaluation.run",
    "flow": None,
    "harmonize_frames": "co2net.pipeline",
    "harmonize_video": "co2net.pipeline",
    "list_backbones": "co2net.models.registry",
    "list_models": "co2net.models.registry",
    "load_cube": "co2net.color_mapping.cube",
    "matting": None,
    "metrics": None,
    "save_cube": "co2net.color_mapping.cube",
    "training": None,
}

__all__ = [
    "__version__",
    "color_spaces",
    "colorization",
    "create_backbone",
    "create_model",
    "data",
    "evaluate",
    "flow",
    "harmonize_frames",
    "harmonize_video",
    "list_backbones",
    "list_models",
    "load_cube",
    "matting",
    "metrics",
    "save_cube",
    "training",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    elif (home := _PUBLIC[name]) is None:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("co2net")
    except metadata.PackageNotFoundError:
        return "0+unknown"  # run from a folder that was never installed
