"""Colored clips and photographs as data sets: real frames alone, from which an evaluation takes the color itself."""

from __future__ import annotations

from pathlib import Path

from co2net.data.frame_lists import list_lines
from co2net.data.layouts import LAYOUTS, Request
from co2net.data.samples import Sample, numbered_files, pictures_in
from co2net.errors import InputError


class ColorClips:
    """``<clip>/<number>.jpg``, as DAVIS and Videvo lie on disk; or pictures directly, each on its own.

    A list has a line per frame, ``<clip>/<number>.jpg``, like the published ones.
    """

    title = "colored clips (<clip>/<number>.jpg) or pictures"

    def fits(self, root: Path) -> bool:
        """Pictures, or folders of pictures."""
        return bool(pictures_in(root)) or any(pictures_in(folder) for folder in _folders(root))

    def read(self, request: Request) -> list[Sample]:
        """See :class:`~co2net.data.layouts.Layout`; the split plays no part."""
        if request.list is not None:
            return [self._listed(request, place, words) for place, words in list_lines(request.list)]
        alone = [Sample.whole(path, number) for number, path in enumerate(pictures_in(request.root))]
        clips = [Sample.whole(path) for folder in _folders(request.root) for path in numbered_files(folder).values()]
        return alone + clips

    @staticmethod
    def _listed(request: Request, place: str, words: list[str]) -> Sample:
        path = request.root / words[0]
        if len(words) != 1 or "/" not in words[0]:
            raise InputError(f"{place}: expected one path <clip>/<frame>, got {' '.join(words)}")
        if request.check_files and not path.is_file():
            raise InputError(f"{place}: {path} does not exist")
        return Sample.whole(path)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


LAYOUTS.append(ColorClips())  # asked last: any other layout is more particular
