"""What made a folder of stored color-mapping results: the note ``made_by.json`` beside them.

The files themselves say nothing about it, and results of another backbone train a refinement that fits nothing. Folders
of the original have no note.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from co2net.errors import InputError
from co2net.files import write_beside

NAME = "made_by.json"
FORMAT, VERSION = "co2net-stored-lut", 1
Origin = dict[str, Any]
"""``backbone`` (SHA-256 of its values), ``mapping``, ``size`` (pixels or "own"), ``previous``, ``future``, ``step``,
``unseen_rule``, ``precision``."""


def write_origin(folder: str | os.PathLike[str], origin: Origin) -> None:
    """Write the note, in one step.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_beside(Path(folder) / NAME, json.dumps({"format": FORMAT, "version": VERSION, **origin}, indent=1) + "\n")


def read_origin(folder: str | os.PathLike[str]) -> Origin | None:
    """Read the note; None if the folder has none.

    Raises:
        InputError: the file is no such note.
    """
    path = Path(folder) / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content.pop("format"), content.pop("version")) != (FORMAT, VERSION):
            raise ValueError("another format")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} does not say what made the stored results; make them again, or delete it if you know that they fit"
        ) from error
    return content


def differences(found: Origin, wanted: Origin, names: Iterable[str]) -> list[str]:
    """A phrase for each of `names` in which the two differ: ``size was 256, is 128``."""
    return [
        f"{name} was {_short(found.get(name))}, is {_short(wanted[name])}"
        for name in names
        if found.get(name) != wanted[name]
    ]


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)
