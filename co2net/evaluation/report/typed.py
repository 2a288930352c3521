"""JSON into dataclasses, with the place of what does not fit in the message."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number"}
_hints = cache(get_type_hints)


class Unusable(Exception):
    """What is wrong, and where."""


def decode(kind: type[T], value: Any, where: str = "") -> T:
    """The value as `kind`: a dataclass, ``list[...]``, ``dict[str, ...]``, ``... | None``, text, number or ``Any``.

    Raises:
        Unusable: something is missing or of another kind.
    """
    return _decode(kind, value, where)


def check_names(names: Sequence[str], where: str) -> None:
    """Different texts, at least one.

    Raises:
        Unusable: they are not.
    """
    if not names or len(set(names)) < len(names):
        raise Unusable(f"{where} is empty or names something twice")


def check_complete(rows: Mapping[str, Any], methods: Sequence[str], metrics: Sequence[str], where: str) -> None:
    """Rows of all methods with all metrics.

    Raises:
        Unusable: one is missing.
    """
    for method in methods:
        if method not in rows:
            raise Unusable(f"{where}.{method} is missing")
        for metric in metrics:
            if metric not in rows[method]:
                raise Unusable(f"{where}.{method}.{metric} is missing")


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin is types.UnionType:  # ... | None
        return None if value is None else _decode(inner[0], value, where)
    if is_dataclass(kind):
        _check(dict, value, where)
        return kind(**{name: found for name, found in _fields(kind, value, f"{where}." if where else "")})  # type: ignore[operator]
    if origin is list:
        return [_decode(inner[0], item, f"{where}[{i}]") for i, item in enumerate(_check(list, value, where))]
    if origin is dict:
        return {name: _decode(inner[1], item, f"{where}.{name}") for name, item in _check(dict, value, where).items()}
    return _check(kind, value, where)


def _fields(kind: Any, value: dict[str, Any], before: str) -> Any:
    hints = _hints(kind)
    for field in fields(kind):
        if value.get(field.name) is not None:
            yield field.name, _decode(hints[field.name], value[field.name], before + field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise Unusable(f"{before}{field.name} is missing")


def _check(kind: Any, value: Any, where: str) -> Any:
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise Unusable(f"{where} should be {_KINDS[kind]}, not {type(value).__name__}")
    return value
