"""Lists of shots: a table, a folder, or the timeline of an editing program."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from co2net.errors import InputError
from co2net.video import natural_key
from co2net.video.picture_clips import frame_number, is_pattern, list_pictures, list_sequence
from co2net.video.pictures import PICTURE_ENDINGS

VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi", ".mxf", ".ts", ".mts", ".mpg", ".mpeg"})
INPUTS = ("composite", "mask", "foreground", "background", "look", "mask_from", "weights")
"""Columns that name files beside the list."""
OUTPUTS = ("output", "cube", "cube_per_shot")
"""Columns that name files in the batch's folder."""
_MASK_NAME = re.compile(r"(.+)[._-](?:mask|matte|alpha)", re.IGNORECASE)


@dataclass(frozen=True)
class Shot:
    """One shot to harmonize.

    Attributes:
        name: of its record and, without an ``output`` of its own, of its result; may hold slashes.
        options: of ``co2net harmonize``, as text, by their names with underscores: ``{"strength": "0.7"}``. Paths are
            absolute.
        where: for messages: ``shots.csv, line 3``.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    where: str = ""

    @property
    def inputs(self) -> list[Path]:
        """Files and folders that it is made of."""
        named = (self.options.get(name) for name in INPUTS)
        return [Path(path) for path in named if path and Path(path).is_absolute()]


def read_shots(path: str | Path, output: str | Path, masks: str | Path | None = None) -> list[Shot]:
    """The shots of a table, a folder or a timeline, in order.

    Args:
        path: ``.csv`` or ``.tsv``: a line for each shot, its columns named like options of ``co2net harmonize`` and
            ``name``; paths in it are relative to the table, outputs to `output`. A folder: every video, sequence or
            folder of pictures in it, see :func:`_of_folder`. Else a file that OpenTimelineIO reads.
        output: folder of the results.
        masks: of a folder of shots, the folder of their masks.

    Raises:
        InputError: it cannot be read, holds no shots, or two have one name.
    """
    path, output = Path(path).absolute(), Path(output).absolute()
    if path.is_dir():
        shots = _of_folder(path, None if masks is None else Path(masks).absolute(), output)
    elif masks is not None:
        raise InputError(f"`masks` goes with a folder of shots; {path.name} names each shot's own mask")
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        shots = _of_table(path)
    else:
        from co2net.batch.timeline import shots_of_timeline

        shots = shots_of_timeline(path)
    if not shots:
        raise InputError(f"{path}: no shots in it")
    known: dict[str, Shot] = {}
    for shot in shots:
        _check_name(shot)
        other = known.setdefault(shot.name.casefold(), shot)
        if other is not shot:
            raise InputError(
                f"{shot.where}: the shot before it at {other.where} is called {shot.name} too; give a name"
            )
    return [replace(shot, options=_with_outputs(shot.options, output)) for shot in shots]


def split(shot: Shot, frames: int) -> list[Shot]:
    """The parts of a long shot that is a numbered sequence, each of so many frames; a shorter or other shot alone.

    Parts read their neighbors around them and write into one sequence, so that they join without a seam.

    Args:
        shot: its composite is a sequence or a folder of pictures, its output (if it has one) a sequence.
        frames: of each part.

    Raises:
        InputError: `frames` is below 1, or the shot's output cannot be written in parts.
    """
    if frames < 1:
        raise InputError(f"`split` {frames}: a part has at least one frame")
    composite = Path(shot.options.get("composite", ""))
    sequence = is_pattern(composite)
    if not shot.options.get("composite") or not (sequence or composite.is_dir()) or "frames" in shot.options:
        return [shot]
    files = list_sequence(composite) if sequence else list_pictures(composite)
    numbers = sorted(number for file in files if (number := frame_number(file.name)) is not None)
    if len(numbers) <= frames or len(numbers) < len(files):
        return [shot]
    output = shot.options.get("output")
    if output is not None and not is_pattern(Path(output)):
        raise InputError(f"{shot.where}: `split` needs a sequence as output, such as {shot.name}.####.png")
    parts = []
    for start in range(0, len(numbers), frames):
        first, last = numbers[start], numbers[min(start + frames, len(numbers)) - 1]
        parts.append(Shot(f"{shot.name}@{first}-{last}", {**shot.options, "frames": f"{first}-{last}"}, shot.where))
    return parts


def default_output(shot: Shot, folder: Path, ending: str | None = None, *, in_parts: bool = False) -> str:
    """Where the result of a shot goes that names no output: ``<folder>/<name>`` and the ending for its kind.

    Args:
        shot: which.
        folder: of the results.
        ending: in place of the usual one: ``.mp4`` of a video, ``.png`` of a picture, a folder of frames of a folder or
            sequence; ``/`` is a folder of frames.
        in_parts: the shot may be split, so frames of a sequence are named one by one.
    """
    composite = Path(shot.options.get("composite") or shot.options.get("foreground") or "")
    sequence = is_pattern(composite)
    frames = sequence or composite.is_dir()
    if ending is None:
        ending = "/" if frames else ".png" if composite.suffix.lower() in PICTURE_ENDINGS else ".mp4"
    if ending != "/":
        return str(folder / (shot.name + (ending if ending.startswith(".") else f".{ending}")))
    if frames and in_parts:
        kind = composite.suffix.lower() if sequence and composite.suffix.lower() == ".exr" else ".png"
        return str(folder / shot.name / f"{Path(shot.name).name}.%06d{kind}")
    return f"{folder / shot.name}/"


def _of_table(path: Path) -> list[Shot]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read ({reason}); save it as CSV in UTF-8") from error
    head = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=head.count)
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    names = [_column(name) for name in next(rows, [])]
    if not {"composite", "foreground"} & set(names):
        raise InputError(
            f"{path}: its first line must name the columns, `composite` or `foreground` among them; it has "
            f"{', '.join(names)}"
        )
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise InputError(f"{path}: two columns are called {twice}")
    shots = []
    for row in rows:
        where = f"{path.name}, line {rows.line_num}"
        if not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
            continue
        if len(row) > len(names):
            raise InputError(
                f"{where}: {len(row)} cells for {len(names)} columns; quote cells that hold a {delimiter!r}"
            )
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name and cell.strip()}
        options = {name: _beside(cell, path.parent, name) for name, cell in cells.items() if name != "name"}
        source = options.get("composite") or options.get("foreground")
        if source is None:
            raise InputError(f"{where}: neither a composite nor a foreground")
        shots.append(Shot(cells.get("name") or _stem(Path(source)), options, where))
    return shots


def _of_folder(folder: Path, masks: Path | None, output: Path) -> list[Shot]:
    """Every video or folder of pictures with its mask, in natural order.

    The mask of ``a.mp4`` is ``a.*`` in the folder of masks or, without one, ``a.mask.*`` (``a_mask.*``, ``a.matte.*``)
    beside it; what has none brings an alpha channel. A folder of single pictures makes one shot of each.
    """
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: natural_key(p.name))
    usable = [p for p in entries if p.is_dir() or p.suffix.lower() in VIDEO_ENDINGS | PICTURE_ENDINGS]
    own_masks: dict[str, Path] = {}
    if masks is None:
        own_masks = {found[1]: p for p in usable if (found := _MASK_NAME.fullmatch(_stem(p)))}
    elif masks.is_dir():
        own_masks = {_stem(p): p for p in sorted(masks.iterdir()) if not p.name.startswith(".")}
    else:
        raise InputError(f"`masks` {masks} is not a folder")
    shots = []
    for path in usable:
        name = _stem(path)
        if path in (masks, output) or path in own_masks.values():
            continue
        options = {"composite": str(path)}
        if name in own_masks:
            options["mask"] = str(own_masks[name])
        elif masks is not None:
            raise InputError(f"{path}: no mask called {name} in {masks}")
        shots.append(Shot(name, options, path.name))
    return shots


def _column(name: str) -> str:
    return name.strip().lstrip("-").replace("-", "_").replace(" ", "_").lower()


def _beside(cell: str, folder: Path, name: str) -> str:
    """An input's path as seen from the table; names that are no path (of weights) stay."""
    if name not in INPUTS:
        return cell
    path = folder / Path(cell).expanduser()
    return cell if name == "weights" and not path.exists() else str(path)


def _with_outputs(options: dict[str, str], output: Path) -> dict[str, str]:
    def placed(value: str) -> str:
        # The slash at the end of a folder of frames says that it is one.
        return str(output / Path(value).expanduser()) + ("/" if value.endswith(("/", "\\")) else "")

    return {name: placed(value) if name in OUTPUTS else value for name, value in options.items()}


def _stem(path: Path) -> str:
    """A name without ending, of a sequence without its numbers."""
    if path.is_dir():
        return path.name
    stem = path.stem
    return (re.sub(r"[._-]?(?:%0?\d*d|#+)", "", stem) or "sequence") if is_pattern(path) else stem


def _check_name(shot: Shot) -> None:
    parts = shot.name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r'[\x00-\x1f<>:"|?*]', shot.name):
        raise InputError(f"{shot.where}: {shot.name!r} cannot be a file's name; give the shot another `name`")
