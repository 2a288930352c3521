"""Pictures as a clip: a folder, a numbered sequence, the frames of one file, or a single picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from co2net.errors import InputError
from co2net.screen import silenced
from co2net.video.float_pictures import Transfer
from co2net.video.metadata import Closing, Frame, VideoInfo
from co2net.video.pictures import (
    FOREIGN,
    PICTURE_ENDINGS,
    count_pages,
    decode_picture,
    describe_picture,
    is_tiff,
    picture_errors,
    read_picture,
)
from co2net.video.tiff import is_float

_PATTERN = re.compile(r"%0?(\d*)d|#+")
_KINDS = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".heif": ".heic"}
DEFAULT_PAGE_MILLISECONDS = 100  # what browsers take for a page that says nothing


@dataclass(frozen=True)
class Part:
    """Frames `first` to `last`, by the numbers in their names, with neighbors around them that are not written."""

    first: int
    last: int
    before: int = 0
    after: int = 0


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that counts: frame2 before frame10; equal numbers fall back to the text, so the order is total."""
    parts = re.split(r"([0-9]+)", name)
    key = [(1, int(part), "") if part.isascii() and part.isdigit() else (0, 0, part.casefold()) for part in parts]
    return (*key, (2, 0, name))


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order; hidden files and other kinds of file are passed over.

    Raises:
        InputError: no picture in it, pictures of several formats or of a kind that is not read, or two pictures that
            differ by ending only.
    """
    try:
        entries = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read the folder") from error
    endings = PICTURE_ENDINGS | {".gif"}
    pictures = sorted((p for p in entries if p.suffix.lower() in endings), key=lambda p: natural_key(p.name))
    if not pictures:
        foreign = next((p for p in entries if p.suffix.lower() in FOREIGN), None)
        if foreign is not None:
            raise InputError(
                f"{foreign}: {foreign.suffix} is not read; convert it to {FOREIGN[foreign.suffix.lower()]}"
            )
        raise InputError(f"{folder}: no pictures in the folder (looked for {', '.join(sorted(endings))})")
    seen: dict[str, Path] = {}
    for picture in pictures:
        other = seen.setdefault(picture.stem, picture)
        if other is not picture:
            raise InputError(
                f"{folder}: both {other.name} and {picture.name} are frame {picture.stem}; remove one of them"
            )
    _refuse_mixture(folder, pictures, [p for p in entries if p.suffix.lower() in FOREIGN])
    return pictures


def _refuse_mixture(folder: Path, pictures: list[Path], foreign: list[Path]) -> None:
    kinds: dict[str, list[Path]] = {}
    for picture in [*pictures, *foreign]:
        ending = picture.suffix.lower()
        kinds.setdefault(_KINDS.get(ending, ending), []).append(picture)
    if len(kinds) > 1:
        rarest, usual = min(kinds.values(), key=len), max(kinds, key=lambda kind: len(kinds[kind]))
        raise InputError(
            f"{folder}: {rarest[0].name} is of another format than the {usual} frames; convert it, or move it away"
        )


def is_pattern(path: Path) -> bool:
    """Whether a path names a sequence: ``shot.%04d.exr`` or ``shot.####.exr``."""
    return _PATTERN.search(path.name) is not None and not path.exists()


def pattern_name(path: Path, number: int) -> str:
    """The name of one frame of a sequence."""

    def digits(match: re.Match[str]) -> str:
        width = len(match[0]) if match[0].startswith("#") else int(match[1] or 0)
        return f"{number:0{width}d}"

    return _PATTERN.sub(digits, path.name, count=1)


def list_sequence(pattern: Path) -> list[Path]:
    """Return the files of a sequence by their numbers.

    Raises:
        InputError: there are none.
    """
    match = _PATTERN.search(pattern.name)
    assert match is not None  # noqa: S101  # the caller asked
    name = re.compile(re.escape(pattern.name[: match.start()]) + r"(\d+)" + re.escape(pattern.name[match.end() :]))
    numbered: dict[int, Path] = {}
    for file in pattern.parent.iterdir() if pattern.parent.is_dir() else ():
        found = name.fullmatch(file.name)
        if found and file.name == pattern_name(pattern, int(found[1])):
            numbered[int(found[1])] = file
    if not numbered:
        raise InputError(f"{pattern}: no file of this sequence exists")
    return [numbered[number] for number in sorted(numbered)]


def frame_number(name: str) -> int | None:
    """The last number in a file's name without ending; None without one."""
    found = re.findall(r"[0-9]+", Path(name).stem)
    return int(found[-1]) if found else None


def _are_numbered(names: tuple[str, ...]) -> bool:
    numbers = [frame_number(name) for name in names]
    return None not in numbers and len(set(numbers)) == len(names)


def frame_prefix(name: str) -> str:
    """What stands before that number."""
    return re.split(r"[0-9]+(?=[^0-9]*$)", Path(name).stem)[0]


def chosen_files(path: Path, files: list[Path], part: Part | None) -> list[Path]:
    """The files of a part with its neighbors; all of them where nobody asked for a part.

    Raises:
        InputError: a frame of the part is missing, or the names have no numbers.
    """
    if part is None:
        return files
    numbered = {frame_number(file.name): file for file in files}
    if None in numbered or len(numbered) != len(files):
        raise InputError(f"{path}: the pictures' names have no numbers of their own, so no part can be chosen")
    wanted = range(part.first, part.last + 1)
    missing = next((number for number in wanted if number not in numbered), None)
    if missing is not None or not wanted:
        raise InputError(f"{path}: frame {missing} of {part.first}-{part.last} is missing")
    around = range(part.first - part.before, part.last + part.after + 1)
    return [numbered[number] for number in sorted(n for n in numbered if n is not None) if number in around]


def exact_rate(rate: Fraction | float) -> Fraction:
    """Take 23.976, 29.97 and 59.94 for the fractions they stand for: n · 1000 / 1001."""
    if rate <= 0:
        raise InputError(f"frame rate {rate}: must be greater than 0")
    if isinstance(rate, Fraction):
        return rate
    broadcast = Fraction(round(rate) * 1000, 1001)
    return broadcast if abs(broadcast - rate) < 0.002 else Fraction(rate).limit_denominator(1000)


class PictureReader(Closing):
    """Pictures as a clip; made by :func:`~co2net.video.reader.open_video`."""

    def __init__(
        self,
        path: Path,
        frame_rate: Fraction | float | None = None,
        as_mask: bool = False,
        part: Part | None = None,
        transfer: Transfer = "auto",
    ) -> None:
        self.path, self.part = path, part
        self._transfer: Transfer = transfer
        self.pages = 1
        kind: Literal["folder", "image"] = "folder"
        if path.is_dir() or is_pattern(path):
            files = list_pictures(path) if path.is_dir() else list_sequence(path)
            self.files = chosen_files(path, files, part)
            names = tuple(p.name for p in self.files)
        else:
            self.files, names = [path], (path.name,)
            self.pages = count_pages(path)
            if self.pages > 1:
                names = tuple(f"{path.stem}_{page:04d}{path.suffix}" for page in range(1, self.pages + 1))
            kind = "folder" if self.pages > 1 else "image"
            if part is not None:
                raise InputError(f"{path}: is no sequence of pictures, so no part of it can be chosen by numbers")
        self._opened: Image.Image | None = None
        self.is_float = self.files[0].suffix.lower() == ".exr" or (is_tiff(self.files[0]) and is_float(self.files[0]))
        if not as_mask:  # a damaged one is refused before any work; masks are read by other rules
            read_picture(self.files[0])
        (width, height), bits, has_alpha = describe_picture(self.files[0])
        times, rate = self._times(len(names), frame_rate)
        self._ticks = times
        self.info = VideoInfo(
            path=path,
            kind=kind,
            width=width,
            height=height,
            frame_rate=rate,
            frame_count=len(names),
            exact_count=True,
            duration_seconds=float(len(names) / rate) if rate else None,
            time_base=Fraction(1, 1000) if times else 1 / rate if rate else None,
            pixel_format="rgb24" if bits == 8 else "rgb48le",
            bit_depth=bits,
            has_alpha=has_alpha,
            codec=self.files[0].suffix.lower().lstrip("."),
            names=names,
            sources=tuple(self.files) if is_pattern(path) else (path,),
            has_float=self.is_float,
            numbered=self.pages == 1 and kind == "folder" and _are_numbered(names),
            part=part,
        )

    def close(self) -> None:
        """Close a file of several frames; nothing else stays open."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def page(self, number: int) -> Image.Image:
        """A file of several frames, standing at one of them; valid until the next call."""
        if self._opened is None:
            with picture_errors(self.path):
                self._opened = Image.open(self.path)
        with picture_errors(self.path):
            self._opened.seek(number)
        return self._opened

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in natural order of their names.

        Raises:
            InputError: a picture is damaged, or unlike the first in size or depth.
        """
        info, rate, ticks = self.info, self.info.frame_rate, self._ticks
        for number, name in enumerate(info.names):
            file = self.files[0] if self.pages > 1 else self.files[number]
            if self.pages > 1 and not self.is_float:
                opened = self.page(number)
                with picture_errors(file), silenced():
                    image, alpha, keep = decode_picture(opened, file)
            else:
                image, alpha, keep = read_picture(file, number if self.pages > 1 else 0, self._transfer)
            self._check(image, file if self.pages == 1 else f"{file}, picture {number + 1}")
            own = frame_number(name)
            yield Frame(
                image=image,
                alpha=alpha,
                number=number,
                seconds=ticks[number] / 1000 if ticks else float(number / rate) if rate else None,
                name=name,
                pts=ticks[number] if ticks else number if rate else None,
                time_base=info.time_base,
                duration=ticks[number + 1] - ticks[number] if ticks else 1 if rate else 0,
                keep=keep,
                is_context=self.part is not None and not self.part.first <= (own or 0) <= self.part.last,
            )

    def _check(self, image: np.ndarray, name: Path | str) -> None:
        info, first = self.info, self.files[0].name
        if image.shape[:2] != (info.height, info.width):
            raise InputError(
                f"{name}: {image.shape[1]}x{image.shape[0]}, the first picture {first} is "
                f"{info.width}x{info.height}; all frames must be of one size"
            )
        if image.dtype != (np.uint8 if info.bit_depth == 8 else np.uint16):
            raise InputError(
                f"{name}: {image.dtype.itemsize * 8} bits per channel, the first picture {first} has "
                f"{info.bit_depth}; all frames must be alike"
            )

    def _times(self, count: int, frame_rate: Fraction | float | None) -> tuple[list[int], Fraction | None]:
        """Beginnings in milliseconds of an animated file's frames, with the end; and the rate, where known."""
        if frame_rate is not None or self.pages == 1 or self.is_float:
            return [], exact_rate(frame_rate) if frame_rate is not None else None
        ticks = [0]
        for page in range(count):
            opened = self.page(page)
            with picture_errors(self.path):
                if opened.format in ("WEBP", "AVIF"):
                    opened.load()  # knows the duration only then
            if "duration" not in opened.info:
                return [], None
            ticks.append(ticks[-1] + (round(opened.info["duration"]) or DEFAULT_PAGE_MILLISECONDS))
        rate = Fraction(1000 * count, ticks[-1])
        near = Fraction(rate.numerator, rate.denominator).limit_denominator(1001)
        return ticks, near
