"""Timelines of editing programs by OpenTimelineIO: their shots, and the timeline with the results in their place."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from co2net.batch.shots import INPUTS, Shot
from co2net.errors import InputError, OutputError
from co2net.files import partial_path, put_in_place, remove

KEY = "co2net"
"""Of a clip's metadata, holds its options: ``{"mask": "masks/a.mov", "strength": "0.7"}``."""


def shots_of_timeline(path: Path) -> list[Shot]:
    """The media that a timeline uses, each once.

    A video is harmonized whole, so that edit points can move; of a numbered sequence the frames that the timeline uses.
    Options, the mask first of all, are in the clips' metadata under :data:`KEY`; media without any is left alone.

    Raises:
        InputError: OpenTimelineIO is not installed, or does not read the file.
    """
    shots: dict[str, Shot] = {}
    for clip in _clips(_read(path)):
        given = clip.metadata.get(KEY)
        media = _media(clip.media_reference, path.parent)
        if given is None or media is None:
            continue
        if not isinstance(given, Mapping):
            raise InputError(f"{path.name}: the metadata {KEY} of clip {clip.name} are no options by name")
        options = {str(name).replace("-", "_"): str(value) for name, value in given.items()}
        options = {
            name: str(path.parent / value) if name in INPUTS and name != "weights" else value
            for name, value in options.items()
        }
        where = f"{path.name}, clip {clip.name or media.name}"
        shot = Shot(options.pop("name", _name(media)), {**options, "composite": str(media)}, where)
        if (frames := _frames(clip)) is not None:
            shot.options["frames"] = "{}-{}".format(*frames)
        other = shots.setdefault(str(media), shot)
        if other is not shot:
            _join(other, shot)
    return list(shots.values())


def write_timeline(source: Path, results: Mapping[str, Path], target: Path) -> None:
    """Write a timeline anew whose media are replaced by their results.

    Args:
        source: the timeline.
        results: by the shots' ``composite``.
        target: where to; its ending chooses the format.

    Raises:
        InputError: the source cannot be read.
        OutputError: the target cannot be written.
    """
    otio, timeline = _library(), _read(source)
    for clip in _clips(timeline):
        media = _media(clip.media_reference, source.parent)
        result = None if media is None else results.get(str(media))
        if result is None:
            continue
        reference = clip.media_reference
        if isinstance(reference, otio.schema.ImageSequenceReference):
            _replace_sequence(reference, result)
        else:
            reference.target_url = result.as_uri()
    partial = partial_path(target)
    try:
        otio.adapters.write_to_file(timeline, str(partial))
        put_in_place(partial, target)
    except (OSError, otio.exceptions.OTIOError) as error:
        raise OutputError(f"cannot write {target}: {error}") from error
    finally:
        remove(partial)


def _replace_sequence(reference: Any, result: Path) -> None:
    """Frames keep their numbers; a folder keeps their names, too, but for the ending."""
    if result.is_dir():
        reference.target_url_base = result.as_uri() + "/"
        reference.name_suffix = next((path.suffix for path in result.iterdir()), reference.name_suffix)
    elif found := re.fullmatch(r"(.*?)(%0?(\d*)d|#+)(.*)", result.name):
        reference.target_url_base = result.parent.as_uri() + "/"
        reference.name_prefix, reference.name_suffix = found[1], found[4]
        reference.frame_zero_padding = int(found[3] or 0) if found[2].startswith("%") else len(found[2])


def _library() -> Any:
    try:
        return importlib.import_module("opentimelineio")
    except ImportError as error:
        raise InputError("timelines need OpenTimelineIO, which is not installed; pip install 'co2net[otio]'") from error


def _read(path: Path) -> Any:
    otio = _library()
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give a .csv, a folder, or a timeline such as .otio")
    try:
        return otio.adapters.read_from_file(str(path))
    except (otio.exceptions.OTIOError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: OpenTimelineIO cannot read it ({reason}); export it as .otio, or list the shots in a .csv"
        ) from error


def _clips(timeline: Any) -> Iterator[Any]:
    find = getattr(timeline, "find_clips", None)
    if find is None:
        raise InputError("the file holds no timeline; export the whole sequence")
    return iter(find())


def _media(reference: Any, folder: Path) -> Path | None:
    """The file, or the pattern of a sequence; None where media is missing or made up."""
    otio = _library()
    if isinstance(reference, otio.schema.ImageSequenceReference):
        name = f"{reference.name_prefix}%0{reference.frame_zero_padding}d{reference.name_suffix}"
        return _local(reference.target_url_base, folder) / name
    if isinstance(reference, otio.schema.ExternalReference) and reference.target_url:
        return _local(reference.target_url, folder)
    return None


def _local(url: str, folder: Path) -> Path:
    parsed = urlparse(url)
    path = unquote(parsed.path) if parsed.scheme == "file" else url
    return folder / (path[1:] if re.match(r"/[A-Za-z]:", path) else path)


def _frames(clip: Any) -> tuple[int, int] | None:
    """Numbers of the first and last frame that a clip uses of a sequence."""
    reference = clip.media_reference
    if not isinstance(reference, _library().schema.ImageSequenceReference):
        return None
    used = clip.trimmed_range()
    start = reference.available_range.start_time if reference.available_range else used.start_time * 0
    first = (used.start_time - start).rescaled_to(reference.rate).to_frames()
    count = used.duration.rescaled_to(reference.rate).to_frames()
    step = reference.frame_step
    return reference.start_frame + first * step, reference.start_frame + (first + count - 1) * step


def _join(shot: Shot, other: Shot) -> None:
    """One media file used twice: all frames between, and the same options."""
    ranges = [tuple(int(n) for n in s.options.pop("frames", "0-0").split("-")) for s in (shot, other)]
    if shot.options != other.options:
        raise InputError(f"{other.where}: uses the same file as {shot.where}, with other options; make them equal")
    if any(ranges[0]):
        shot.options["frames"] = f"{min(r[0] for r in ranges)}-{max(r[1] for r in ranges)}"


def _name(media: Path) -> str:
    return re.sub(r"[._-]?(?:%0?\d*d|#+)", "", media.stem) or media.stem
