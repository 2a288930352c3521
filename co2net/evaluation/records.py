"""What makes an evaluation resumable: a record per clip, written when the clip is complete.

``<output>/clips/<video>_<object>.json`` holds the clip's scores and under what conditions they were made. A record is
used again only if those conditions are today's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from co2net.errors import InputError, OutputError
from co2net.files import write_beside

FORMAT, VERSION = "co2net-evaluation-clip", 1


def record_path(output: Path, clip: str) -> Path:
    """Where the record of the clip ``<video>/<object>`` is."""
    return output / "clips" / f"{clip.replace('/', '_')}.json"


def write_record(output: Path, conditions: dict[str, Any], content: dict[str, Any]) -> None:
    """Write the record of ``content["clip"]``, in one step.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    record = {"format": FORMAT, "version": VERSION, "conditions": conditions, **content}
    path = record_path(output, content["clip"])
    make_folder(path.parent)
    write_beside(path, json.dumps(record, indent=1, allow_nan=False))


def read_record(output: Path, clip: str, names: list[str], conditions: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a clip; None if the clip is still to be done.

    Args:
        output: the evaluation's folder.
        clip: ``<video>/<object>``.
        names: result names of the clip's listed frames, in the order of their numbers.
        conditions: what the record must have been made under.

    Raises:
        InputError: the record was made under other conditions (names them), or is no such record.
    """
    path = record_path(output, clip)
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if (record["format"], record["version"]) != (FORMAT, VERSION):
            raise ValueError("another format")
        found, there = dict(record["conditions"]), [str(frame["name"]) for frame in record["frames"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path} is not the record of a clip; delete it, or evaluate with --overwrite") from error
    now = json.loads(json.dumps(conditions))  # as it looks after a file
    different = [
        f"{name} was {_shown(found.get(name))}, is {_shown(now.get(name))}"
        for name in dict.fromkeys([*now, *found])
        if found.get(name) != now.get(name)
    ]
    if there != names:
        different.append(f"the list names {len(names)} frames of the clip, other than the {len(there)} recorded")
    if different:
        raise InputError(
            f"{path} was made under other conditions: {'; '.join(different)}. Give another --output folder, or "
            "--overwrite to start anew"
        )
    return record


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _shown(value: Any) -> str:
    if isinstance(value, dict):  # weights: role to SHA-256
        return " + ".join(f"{role} {str(sha256)[:12]}" for role, sha256 in value.items()) or "none"
    return "not recorded" if value is None else str(value)
