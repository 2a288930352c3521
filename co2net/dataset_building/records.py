"""What was made how: a small JSON file per clip, which also says that the clip is finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from co2net.errors import InputError, OutputError
from co2net.files import write_beside

Record = dict[str, Any]


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        OutputError: not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


class Records:
    """The records of one output folder, by name of the clip (``<video>/<object>``)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> Record | None:
        """The record of a clip; None if it has none.

        Raises:
            InputError: the record is damaged.
        """
        path = self._path(name)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a record of a clip ({error}); delete it to make the clip again") from error
        if not isinstance(record, dict):
            raise InputError(f"{path}: not a record of a clip; delete it to make the clip again")
        return record

    def write(self, name: str, record: Record) -> None:
        """Store a record in one step.

        Raises:
            OutputError: not possible.
        """
        path = self._path(name)
        make_folder(path.parent)
        write_beside(path, json.dumps(record, indent=1) + "\n")

    def remove(self, name: str) -> None:
        """Forget a clip: it counts as not made from now on."""
        self._path(name).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, Record]]:
        """Every clip, in name order."""
        for path in sorted(self.folder.rglob("*.json")):
            name = path.relative_to(self.folder).with_suffix("").as_posix()
            record = None if path.name.startswith(".") else self.read(name)
            if record is not None:
                yield name, record

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def differences(old: Record, new: Record, keys: tuple[str, ...]) -> str:
    """Which of the settings `keys` differ, as "quality 75, not 90"; empty if none."""
    return ", ".join(f"{key} {old.get(key)}, not {new[key]}" for key in keys if old.get(key) != new[key])
