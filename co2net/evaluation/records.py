"""What makes an evaluation resumable: a record per clip, written when the clip is complete.

``<output>/clips/<video>_<object>.json`` holds the clip's scores and under what conditions they were made. A record is
used again only if those conditions are today's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from co2net.errors import InputError
from co2net.provenance import NoteKind, differences

RECORD = NoteKind("co2net-evaluation-clip", "the record of a clip", "delete it, or evaluate with `overwrite`")


def record_path(output: Path, clip: str) -> Path:
    """Where the record of the clip ``<video>/<object>`` is."""
    return output / "clips" / f"{clip.replace('/', '_')}.json"


def write_record(output: Path, conditions: dict[str, Any], content: dict[str, Any]) -> None:
    """Write the record of ``content["clip"]``, in one step.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    RECORD.write(record_path(output, content["clip"]), {"conditions": conditions, **content})


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
    record = RECORD.read(path)
    if record is None:
        return None
    try:
        found, there = dict(record["conditions"]), [str(frame["name"]) for frame in record["frames"]]
    except (ValueError, TypeError, KeyError) as error:
        raise RECORD.refused(path) from error
    different = differences(found, conditions)
    if there != names:
        different.append(f"the list names {len(names)} frames of the clip, other than the {len(there)} recorded")
    if different:
        raise InputError(
            f"{path} was made under other conditions: {'; '.join(different)}. Give another `output` folder, or "
            "`overwrite` to start anew"
        )
    return record
