"""The nodes in ComfyUI's current form: ``io.ComfyNode`` with a schema, handed over by an extension."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import ComfyExtension, io  # pyright: ignore[reportMissingImports]

from .nodes import CATEGORY, NODES, Input, Node

_KINDS = {
    "IMAGE": io.Image, "MASK": io.Mask, "FLOAT": io.Float, "INT": io.Int, "STRING": io.String, "COMBO": io.Combo
}  # fmt: skip


def extension() -> Any:
    """What ComfyUI takes the nodes from."""

    class Co2netExtension(ComfyExtension):
        async def get_node_list(self) -> list[type]:
            return [_class_of(node) for node in NODES]

    return Co2netExtension()


def _class_of(node: Node) -> type:
    def define_schema(cls: type) -> Any:
        return io.Schema(
            node_id=node.id,
            display_name=node.title,
            category=CATEGORY,
            description=node.about,
            is_output_node=node.ends,
            inputs=[_input(given) for given in node.inputs],
            outputs=[_kind(kind).Output(display_name=name) for kind, name in node.outputs],
        )

    def execute(cls: type, **inputs: Any) -> Any:
        return io.NodeOutput(*node.run(**inputs))

    body: dict[str, Any] = {
        "define_schema": classmethod(define_schema),
        "execute": classmethod(execute),
        "__doc__": node.about,
    }
    if (changed := node.changed) is not None:
        body["fingerprint_inputs"] = classmethod(lambda cls, **inputs: changed(**inputs))
    return type(node.id, (io.ComfyNode,), body)


def _kind(kind: str) -> Any:
    return _KINDS.get(kind) or io.Custom(kind)


def _input(given: Input) -> Any:
    settings = dict(given.settings)
    if given.options:
        settings["options"] = list(given.options)
    return _kind(given.kind).Input(given.name, optional=given.optional, tooltip=given.about, **settings)
