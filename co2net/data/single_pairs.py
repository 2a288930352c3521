"""Single composites and their real pictures in plain folders, several composites to a real picture, as iHarmony4's are.

::

    composite/<name>.*, mask/<name>.*, real/<real>.*
    index.csv               columns ``name`` and ``real``: which real picture belongs to which composite

Without the index, or for names that it lacks, the real picture has the composite's name, or that up to an underscore
(iHarmony4's ``a0065_1_2`` belongs to ``a0065``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from co2net.data.folders import PLAIN, PlainFolders
from co2net.data.frame_lists import read_listed
from co2net.data.layouts import Request, register_layout, split_by_hash
from co2net.data.samples import Sample, pictures_in, read_index
from co2net.errors import InputError


@register_layout
class SinglePairs:
    """Plain folders whose real pictures are fewer than the composites, or are named by an index."""

    title = "single composites (composite/, mask/, real/ with iHarmony4's names or index.csv)"

    def fits(self, root: Path) -> bool:
        """The folders, and an index or a composite whose real picture has a shorter name."""
        if not PlainFolders().fits(root):
            return False
        real = {path.stem for path in pictures_in(root / "real")}
        names = [path.stem for path in pictures_in(root / "composite")]
        return bool(names) and (
            (root / "index.csv").is_file()
            or any(name not in real and any(shorter in real for shorter in _shorter(name)) for name in names)
        )

    def read(self, request: Request) -> list[Sample]:
        """See :class:`~co2net.data.layouts.Layout`."""
        if request.list is not None:
            return read_listed(request)
        root, samples = request.root, []
        index = root / "index.csv"
        listed: dict[str, str] = {}
        if index.is_file():
            listed = {row["name"]: row["real"] for _, row in read_index(index, ("name", "real")) if all(row.values())}
        real, masks, _ = ({path.stem: path for path in pictures_in(root / name)} for name in PLAIN)
        for composite in pictures_in(root / "composite"):
            name = composite.stem
            named = [listed[name]] if name in listed else [name, *_shorter(name)]
            truth, mask = next((real[stem] for stem in named if stem in real), None), masks.get(name)
            if truth is None or mask is None:
                missing = root / ("real" if truth is None else "mask")
                request.trouble(
                    InputError(f"{missing} holds no picture for {composite.name}; add it, or name it in index.csv")
                )
                continue
            samples.append(Sample(truth, mask, composite, picture=len(samples)))
        return samples if request.split is None else split_by_hash(samples, request.split, root)


def _shorter(name: str) -> Iterator[str]:
    while "_" in name:
        name = name.rpartition("_")[0]
        yield name
