"""The nodes in ComfyUI's classic form: a class for each, with ``INPUT_TYPES`` and ``RETURN_TYPES``."""

from __future__ import annotations

from typing import Any

from .nodes import CATEGORY, NODES, Input, Node


def node_classes() -> dict[str, type]:
    """The classes by their nodes' ids."""
    return {node.id: _class_of(node) for node in NODES}


def _class_of(node: Node) -> type:
    def input_types(cls: type) -> dict[str, Any]:
        groups: dict[str, Any] = {"required": {}}
        for given in node.inputs:
            groups.setdefault("optional" if given.optional else "required", {})[given.name] = _described(given)
        return groups

    def run(self: Any, **inputs: Any) -> tuple[Any, ...]:
        return node.run(**inputs)

    body: dict[str, Any] = {"OUTPUT_NODE": True} if node.ends else {}
    if (changed := node.changed) is not None:
        body["IS_CHANGED"] = classmethod(lambda cls, **inputs: changed(**inputs))
    return type(
        node.id,
        (),
        {
            **body,
            "__doc__": node.about,
            "INPUT_TYPES": classmethod(input_types),
            "RETURN_TYPES": tuple(kind for kind, _ in node.outputs),
            "RETURN_NAMES": tuple(name for _, name in node.outputs),
            "FUNCTION": "run",
            "CATEGORY": CATEGORY,
            "DESCRIPTION": node.about,
            "run": run,
        },
    )


def _described(given: Input) -> tuple[Any, dict[str, Any]]:
    settings = {**given.settings, "tooltip": given.about}
    return (list(given.options) if given.kind == "COMBO" else given.kind), settings
