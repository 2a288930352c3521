"""The list of backbones: a network adds itself with ``@register("name")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from co2net.errors import InputError
from co2net.models.backbones.base import Backbone

BACKBONES: dict[str, type[Backbone]] = {}

_BackboneClass = TypeVar("_BackboneClass", bound=type[Backbone])


def register(name: str) -> Callable[[_BackboneClass], _BackboneClass]:
    """Class decorator: make a :class:`Backbone` available under `name`.

    Raises:
        ValueError: if the name is taken, or the class does not say how to recognize its files.
    """

    def add(network: _BackboneClass) -> _BackboneClass:
        if name in BACKBONES and BACKBONES[name] is not network:
            raise ValueError(f"backbone {name!r} is registered already, by {BACKBONES[name].__qualname__}")
        if not network.parts:
            raise ValueError(f"{network.__qualname__} needs `parts`: the first components of its state-dict names")
        BACKBONES[name] = network
        return network

    return add


def backbone_class(name: str) -> type[Backbone]:
    """The class registered under `name`.

    Raises:
        InputError: if there is none; lists what there is.
    """
    if name not in BACKBONES:
        raise InputError(f"unknown backbone {name!r}; available: {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]
