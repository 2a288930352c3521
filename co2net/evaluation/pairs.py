"""Measure methods on single composites whose real picture is known, as iHarmony4's are."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from co2net.data.pictures import read_image, read_mask8
from co2net.errors import InputError
from co2net.evaluation.clips import Score, score
from co2net.evaluation.methods import Run


@dataclass(frozen=True)
class Pair:
    """A composite and what it should be; all of one size."""

    name: str
    composite: Path
    mask: Path
    real: Path


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of a folder, by name.

    ``composite/<name>.*``, ``mask/<name>.*`` and ``real/<real>.*``; ``index.csv`` with columns ``name`` and ``real``
    says which real picture belongs to which composite. Without it the real one has the composite's name, or that up to
    an underscore (iHarmony4's ``a0065_1_2`` belongs to ``a0065``).

    Raises:
        InputError: there are none, or a part of one is missing.
    """
    listed: dict[str, str] = {}
    if (folder / "index.csv").is_file():
        with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
            listed = {row["name"]: row["real"] for row in csv.DictReader(file) if row.get("name") and row.get("real")}
    pairs = []
    for composite in sorted((folder / "composite").glob("*.*")):
        name = composite.stem
        reals = [listed[name]] if name in listed else [name, *_shorter(name)]
        real = next((path for stem in reals if (path := _picture(folder / "real", stem))), None)
        mask = _picture(folder / "mask", name)
        if real is None or mask is None:
            missing = folder / ("real" if real is None else "mask")
            raise InputError(f"{missing} holds no picture for {composite.name}; add it, or name it in index.csv")
        pairs.append(Pair(name, composite, mask, real))
    if not pairs:
        raise InputError(f"{folder} holds no composite/ with pictures")
    return pairs


def measure_pairs(folder: Path, methods: dict[str, Run], on_pair: Callable[[str], None] | None = None) -> list[Score]:
    """Every method on every pair; shares, counts and intervals are those of ``clips.summarize``.

    Args:
        folder: see :func:`find_pairs`.
        methods: by name; "composite" must be among them.
        on_pair: called with the name of each pair before it is measured.

    Raises:
        InputError: as :func:`find_pairs`, or a picture cannot be read, or its size differs from its mask's.
    """
    scores = []
    for pair in find_pairs(folder):
        if on_pair is not None:
            on_pair(pair.name)
        composite, mask, real = read_image(pair.composite), read_mask8(pair.mask), read_image(pair.real)
        for path, shape in ((pair.mask, mask.shape), (pair.real, real.shape[:2])):
            if shape != composite.shape[:2]:
                sizes = f"{shape[1]}x{shape[0]}, {pair.composite.name} {composite.shape[1]}x{composite.shape[0]}"
                raise InputError(f"{path} is {sizes}; a composite, its mask and the real picture must be of one size")
        scores += [
            score(pair.name, "pair", name, method, [composite], [mask], [real]) for name, method in methods.items()
        ]
    return scores


def _shorter(name: str) -> Iterator[str]:
    while "_" in name:
        name = name.rpartition("_")[0]
        yield name


def _picture(folder: Path, stem: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"{stem}.*"))), None)
