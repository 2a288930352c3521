"""co2net's nodes for ComfyUI; see README.md of this folder.

ComfyUI reads either ``comfy_entrypoint`` (its current schema) or, where ``NODE_CLASS_MAPPINGS`` is not None, the
classic mapping. Which one stands here follows from what the installed ComfyUI has. Nothing of co2net is imported before
a node runs.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from .classic import node_classes
from .nodes import NODES

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

NODE_CLASS_MAPPINGS: dict[str, type] | None
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str]


def _has_schema() -> bool:
    try:
        return find_spec("comfy_api.latest") is not None
    except ModuleNotFoundError:  # no comfy_api at all
        return False


if _has_schema():
    NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = None, {}

    async def comfy_entrypoint() -> Any:
        """What current versions of ComfyUI ask for."""
        from .schema import extension

        return extension()

    __all__ += ["comfy_entrypoint"]
else:
    NODE_CLASS_MAPPINGS = node_classes()
    NODE_DISPLAY_NAME_MAPPINGS = {node.id: node.title for node in NODES}
