"""``config.yml`` of iDIH, CDTNet and DucoNet: where data sets, weights and experiments are.

Keys are ``HCOCO_PATH``, ``HADOBE5K_PATH``, ``HFLICKR_PATH``, ``HDAY2NIGHT_PATH`` and so on, ``MODELS_PATH``,
``EXPS_PATH``, and perhaps ``SUBCONFIGS``: a network's name to keys that are other ones for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from co2net.data.datasets import read_dataset
from co2net.data.samples import Sample
from co2net.errors import InputError


def read_config(path: str | os.PathLike[str], network: str = "") -> dict[str, Any]:
    """The keys of one file, those of ``SUBCONFIGS`` for `network` in place of the general ones.

    Raises:
        InputError: the file is missing or is no YAML of keys and values.
    """
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the configuration {path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, a date that is none
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"the configuration {path} is no YAML: {reason}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"the configuration {path} holds no keys: write lines such as HCOCO_PATH: /data/HCOCO")
    others = found.pop("SUBCONFIGS", None) or {}
    own = others.get(network) or {} if isinstance(others, dict) else None
    if not isinstance(own, dict):
        raise InputError(f"the configuration {path}: SUBCONFIGS must hold keys for each network, by its name")
    return {**found, **own}


def merged_config(script: str | os.PathLike[str]) -> dict[str, Any]:
    """What applies to a model script, nearest first: ``<script>.yml``, ``config.yml`` beside it and in folders above.

    The current folder's comes last. The script itself need not exist.

    Raises:
        InputError: a file cannot be read.
    """
    merged: dict[str, Any] = {}
    for path in _config_files(Path(script)):
        for key, value in read_config(path, Path(script).stem).items():
            merged.setdefault(key, value)
    return merged


def _config_files(script: Path) -> Iterator[Path]:
    folder, last = script.resolve().parent, Path.cwd()
    folders = [folder, *folder.parents]
    folders = folders[: folders.index(last) + 1] if last in folders else [folder, last]
    for path in (script.with_suffix(".yml"), *(above / "config.yml" for above in folders)):
        if path.is_file():
            yield path


def sub_set(config: Mapping[str, Any], name: str) -> Path:
    """The folder of a sub-set by its name, in any letter case: ``HDay2Night`` is the key ``HDAY2NIGHT_PATH``.

    Raises:
        InputError: the configuration does not name it (says what it names), or it does not exist.
    """
    key = f"{name.upper()}_PATH"
    value = next((value for known, value in config.items() if known.upper() == key), None)
    if value is None:
        known = sorted(k.removesuffix("_PATH") for k in config if k.endswith("_PATH") and k[:2] not in ("MO", "EX"))
        raise InputError(f"the configuration has no {key}; it names {', '.join(known) or 'no data set'}")
    if not Path(str(value)).is_dir():
        raise InputError(f"{key} of the configuration is {value}, which does not exist")
    return Path(str(value))


def read_sub_sets(config: Mapping[str, Any], names: str, split: str) -> dict[str, list[Sample]]:
    """The pictures of sub-sets given as ``HFlickr,HCOCO``, by name; `split` is "train" or "test".

    Raises:
        InputError: one is not configured, or its list or a file is missing.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen:
        raise InputError(f"`datasets` names none: {names!r}; write such as HFlickr,HCOCO")
    roots = {name: sub_set(config, name) for name in chosen}
    return {name: read_dataset(root, split=split, composites=True) for name, root in roots.items()}


def find_checkpoint(name: str | os.PathLike[str], config: Mapping[str, Any]) -> Path:
    """The weight file meant by a path, a name below ``MODELS_PATH``, or ``folder:name``; the ending may be left out.

    Raises:
        InputError: there is no such file, or more than one; says where it was looked for.
    """
    models = Path(str(config.get("MODELS_PATH") or "."))
    begin, colon, rest = str(name).partition(":")
    places = [Path(name), models / name]
    if colon and len(begin) > 1:
        folders = sorted(path for path in models.rglob(f"{begin}*") if path.is_dir())
        if len(folders) != 1:
            raise InputError(f"{name}: {len(folders)} folders below {models} begin with {begin}; name the file instead")
        places = [folders[0] / rest, folders[0] / "checkpoints" / rest]
    for place in places:
        for ending in ("", ".pth", ".safetensors"):
            if place.with_name(place.name + ending).is_file():
                return place.with_name(place.name + ending)
    raise InputError(f"the weights {name} do not exist, tried: {', '.join(map(str, dict.fromkeys(places)))}")
