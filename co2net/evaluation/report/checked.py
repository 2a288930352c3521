"""Take values out of JSON that anybody may have written, naming the place where something is wrong."""

from __future__ import annotations

from typing import Any


class Unusable(Exception):
    """What is wrong, and where."""


KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number"}


def get(content: dict[str, Any], key: str, kind: type, where: str = "", default: Any = None) -> Any:
    """The entry `key`, of the right kind; `default` where there is none.

    Raises:
        Unusable: it is missing without a default, or of another kind.
    """
    place = f"{where}.{key}" if where else key
    value = content.get(key)
    if value is None:
        if default is None:
            raise Unusable(f"{place} is missing")
        value = default
    return is_a(kind, value, place)


def is_a(kind: type, value: Any, where: str) -> Any:
    """The value, if it is of the right kind.

    Raises:
        Unusable: it is not.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Unusable(f"{where} should be {KINDS[kind]}, not {type(value).__name__}")
    return value


def texts(content: dict[str, Any], key: str) -> list[str]:
    """A list of different texts, at least one.

    Raises:
        Unusable: it is missing or something else.
    """
    values = [is_a(str, value, f"{key}[{i}]") for i, value in enumerate(get(content, key, list))]
    if not values or len(set(values)) < len(values):
        raise Unusable(f"{key} is empty or names something twice")
    return values


def number(value: Any, where: str) -> float:
    """A number, perhaps infinite.

    Raises:
        Unusable: it is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Unusable(f"{where} should be a number, not {type(value).__name__}")
    return float(value)
