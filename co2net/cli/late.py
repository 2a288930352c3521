"""Imports that are put off until somebody wants something of them.

``import torch`` brings in a compiler's tables, exporters, quantization and probability distributions, which no verb
that only runs networks touches: half of its time and 23 MiB. :func:`put_off` has such modules executed when somebody
looks into one of them, so nobody can tell but by the time, or by what they register as they run.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_lock = threading.RLock()
_IMPORTERS_NAMES = ("__path__", "__all__")
"""What the import system asks of a module that it is to go on with."""


def put_off(names: Iterable[str]) -> MetaPathFinder:
    """Modules of these names that are imported from now on are executed when an attribute of one is asked for.

    Then all of them are, in the order of `names`: parts of one library may count on each other's having run.

    Returns:
        What does so, first in ``sys.meta_path``.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    return finder


class _Late(ModuleType):
    """A module that has not been executed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _IMPORTERS_NAMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _lock:  # another thread's look waits until the module is whole
            loader = self.__spec__ and self.__spec__.loader
            if isinstance(loader, _Loader):
                for other in loader.group:
                    _execute(other)
        return getattr(self, name) if type(self) is ModuleType else ModuleType.__getattribute__(self, name)


def _execute(name: str) -> None:
    """Run a module, unless it was not put off, or runs already."""
    module = sys.modules.get(name)
    spec = None if module is None else module.__spec__
    if module is None or spec is None or not isinstance(spec.loader, _Loader):
        return
    spec.loader = module.__loader__ = spec.loader.own
    if spec.submodule_search_locations is not None:
        module.__path__ = spec.submodule_search_locations
    try:
        spec.loader.exec_module(module)
    finally:
        module.__class__ = ModuleType


class _Loader(Loader):
    """In place of a module's own: makes it, but does not execute it."""

    def __init__(self, own: Loader, group: Sequence[str]) -> None:
        self.own, self.group = own, group

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.pop("__path__", None)  # who imports a part of a package wants the package first
        module.__class__ = _Late


class _Here(Loader):
    """Gives out a module that was executed already."""

    def __init__(self, spec: ModuleSpec) -> None:
        self.spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Finder(MetaPathFinder):
    def __init__(self, names: Iterable[str]) -> None:
        self._names = [*names]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Where a part's import made the package run, and that imported the part, Python would do it again.
        if fullname in sys.modules and target is None and fullname.rpartition(".")[0] in self._names:
            there = sys.modules[fullname].__spec__
            return there and ModuleSpec(fullname, _Here(there), origin=there.origin)
        spec = PathFinder.find_spec(fullname, path, target) if fullname in self._names else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._names)
        return spec
