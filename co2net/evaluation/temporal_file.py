"""``temporal.json``: measures of stored results, one block per flow and set of pairs, gathered over several runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from co2net.errors import InputError
from co2net.files import make_folder, write_beside

FORMAT, VERSION = "co2net-temporal", 1
NAME = "temporal.json"


def read_blocks(folder: Path) -> list[dict[str, Any]]:
    """The blocks of `folder`; none where there is no such file.

    Raises:
        InputError: the file is damaged or something else.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it and measure again") from error
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path} holds no measures over time; delete it and measure again")
    blocks = content.get("blocks")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise InputError(f"{path} holds no measures over time; delete it and measure again")
    return blocks


def add_block(folder: Path, block: dict[str, Any]) -> Path:
    """Add a block to the file: methods of the same flow and pairs stand together, and replace themselves.

    Raises:
        InputError: the file there is damaged.
        OutputError: the folder cannot be made or written.
    """
    make_folder(folder)
    path = folder / NAME
    try:
        blocks = _with(read_blocks(folder), block)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} holds no measures over time; delete it and measure again") from error
    content = {"format": FORMAT, "version": VERSION, "blocks": blocks}
    write_beside(path, json.dumps(content, indent=1, allow_nan=False))
    return path


def _with(blocks: list[dict[str, Any]], block: dict[str, Any]) -> list[dict[str, Any]]:
    place = next((i for i, other in enumerate(blocks) if _same_pairs(other, block)), None)
    if place is None:
        return [*blocks, block]
    return [*blocks[:place], _joined(blocks[place], block), *blocks[place + 1 :]]


def _same_pairs(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def key(block: dict[str, Any]) -> tuple[Any, ...]:
        clips = [(clip.get("clip"), clip.get("numbers")) for clip in block.get("clips", [])]
        return block.get("flow"), block.get("flow_weights"), block.get("pairs"), block.get("measures"), clips

    return key(one) == key(other)


def _joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Both blocks' methods in the tables' order: composite first, truth last."""
    found = dict.fromkeys([*before["methods"], *now["methods"]])
    order = [name for name in ("composite", "backbone", "lut", "final") if name in found]
    others = [name for name in found if name not in (*order, "truth")]
    methods = [*order, *others, "truth"]
    return {
        **now,
        "methods": methods,
        "summary": {m: now["summary"].get(m) or before["summary"][m] for m in methods},
        "clips": [
            {**new, "values": {m: new["values"].get(m) or old["values"][m] for m in methods}}
            for old, new in zip(before["clips"], now["clips"], strict=True)
        ],
    }
