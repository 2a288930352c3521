"""The published layout of matting data, in and out.

::

    background/<k>.jpg                          replacement backgrounds
    original_training/original<s>_<n>.jpg       frames: clip s, frame n from 1     (original_testing/ likewise)
    ground_truth_training/gt<s>_<n>.png         masks                              (ground_truth_testing/)

Frames and masks belong together by what follows ``original`` and ``gt``, whatever the ending. Paths are opened as they
are listed, so that names may hold any character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from co2net.data.pictures import encode_picture, read_image
from co2net.data.samples import pictures_in
from co2net.errors import InputError
from co2net.files import make_folder, write_beside
from co2net.matting.chroma import KEY, TOLERANCE, chroma_mask, compose, cut_out
from co2net.video import open_video

FOLDERS = {
    "training": ("original_training", "ground_truth_training"),
    "testing": ("original_testing", "ground_truth_testing"),
}
MASK_AT = 128  # lossy masks are cut there


@dataclass(frozen=True)
class MattingFrame:
    """A frame of the layout.

    Attributes:
        clip: number of its clip.
        number: of the frame in the clip, from 1.
        image: the picture.
        mask: its true mask; None if there is none.
    """

    clip: int
    number: int
    image: Path
    mask: Path | None

    @property
    def name(self) -> str:
        """What results are named by."""
        return self.image.name


def find_frames(images: Path, masks: Path | None, *, need_masks: bool = True) -> list[MattingFrame]:
    """Frames in the order of their clips and numbers.

    Args:
        images: folder of ``original<s>_<n>.*``.
        masks: folder of ``gt<s>_<n>.*``; None: without.
        need_masks: a frame without its mask is an error; else its mask is None.

    Raises:
        InputError: a folder is missing, holds no frame, or a mask is missing.
    """
    if not images.is_dir():
        raise InputError(f"{images} is not a folder; it must hold original<clip>_<frame>.jpg")
    truth: dict[tuple[int, int], Path] = {}
    if masks is not None and masks.is_dir():
        truth = {key: path for path in pictures_in(masks) if (key := _key(path, "gt")) is not None}
    frames = []
    for path in pictures_in(images):
        key = _key(path, "original")
        if key is None:
            continue
        mask = truth.get(key)
        if mask is None and need_masks:
            raise InputError(f"{path} has no mask gt{key[0]}_{key[1]}.* in {masks}")
        frames.append(MattingFrame(*key, path, mask))
    if not frames:
        raise InputError(f"{images} holds no picture named original<clip>_<frame>, as original1_1.jpg")
    return sorted(frames, key=lambda frame: (frame.clip, frame.number, frame.name))


def previous_of(frames: Sequence[MattingFrame]) -> list[MattingFrame]:
    """The frame before each in its own clip; a clip's first frame is its own."""
    return [
        before if before.clip == frame.clip else frame
        for frame, before in zip(frames, [frames[0], *frames[:-1]], strict=True)
    ]


def split_clips(frames: Sequence[MattingFrame], percent: float) -> tuple[list[MattingFrame], list[MattingFrame]]:
    """Training and validation: whole clips, or the last block of frames where there is one clip only.

    Args:
        frames: of :func:`find_frames`.
        percent: share of the frames that validate, 0 to 100.
    """
    wanted = round(len(frames) * percent / 100)
    if wanted <= 0:
        return list(frames), []
    clips = sorted({frame.clip for frame in frames})
    if len(clips) == 1:
        cut = max(1, len(frames) - wanted)
        return list(frames[:cut]), list(frames[cut:])
    held: set[int] = set()
    for clip in reversed(clips[1:]):
        if sum(frame.clip in held for frame in frames) >= wanted:
            break
        held.add(clip)
    return [f for f in frames if f.clip not in held], [f for f in frames if f.clip in held]


def read_truth(path: Path) -> np.ndarray:
    """A true mask: float32 ``(H, W)`` of 0 and 1, cut at 128."""
    return (cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY) >= MASK_AT).astype(np.float32)


def make_dummy(folder: Path, clips: int = 6, frames: int = 16, size: tuple[int, int] = (64, 64), seed: int = 0) -> None:
    """Write a small data set of moving shapes in the published layout, one clip of it for testing.

    Args:
        folder: made if missing.
        clips: number of clips.
        frames: frames of each.
        size: height and width in pixels.
        seed: of what is drawn.
    """
    height, width = size
    for clip in range(1, clips + 1):
        rng = np.random.default_rng((seed, clip))
        back = cv2.resize(rng.uniform(20, 140, (5, 5, 3)).astype(np.float32), (width, height))
        color = rng.uniform(150, 250, 3).astype(np.float32)
        y, x = np.mgrid[0:height, 0:width]
        center, step = rng.uniform(0.35, 0.55, 2) * (width, height), rng.choice([-1.5, 1.5], 2)
        radius = rng.uniform(0.18, 0.28) * min(size)
        part = "testing" if clip == clips and clips > 1 else "training"
        for number in range(1, frames + 1):
            middle = center + step * (number - frames / 2)
            inside = np.hypot(x - middle[0], y - middle[1]) < radius
            picture = np.where(inside[..., None], color + 15 * np.sin(x / 3)[..., None], back)
            picture = np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
            _write_pair(folder, part, clip, number, picture, np.where(inside, 255, 0).astype(np.uint8))


def extract_clips(
    clips: Path,
    folder: Path,
    *,
    numbers: Iterable[int] | None = None,
    backgrounds: Path | None = None,
    testing: Iterable[int] = (),
    key: tuple[int, int, int] = KEY,
    tolerance: float = TOLERANCE,
    cut_outs: Path | None = None,
) -> int:
    """Make data from clips before a screen: frames over new backgrounds, and the screen's mask.

    A file ``<s>.txt`` beside a clip keeps parts of it: lines of ``first last`` (frame numbers from 1), and one line
    ``box left top width height`` in pixels.

    Args:
        clips: folder of ``<s>.mp4``, ``<s>.avi``, ...
        folder: the data set to write; made if missing.
        numbers: which clips; None: all.
        backgrounds: pictures, taken in turn, one per clip; None: frames stay as they are.
        testing: numbers of the clips that go into the testing part.
        key: see :func:`~co2net.matting.chroma_mask`.
        tolerance: likewise.
        cut_outs: folder for the subject on white.

    Returns:
        Number of frames written.

    Raises:
        InputError: no clips, no backgrounds, or an annotation that cannot be read.
    """
    found = _numbered_clips(clips, numbers)
    pictures = [] if backgrounds is None else pictures_in(backgrounds)
    if backgrounds is not None and not pictures:
        raise InputError(f"{backgrounds} holds no picture")
    tests, count = {*testing}, 0
    for place, (clip, path) in enumerate(sorted(found.items())):
        ranges, box = _annotation(path.with_suffix(".txt"))
        back = read_image(pictures[place % len(pictures)]) if pictures else None
        with open_video(path) as reader:
            for number, frame in enumerate(reader, 1):
                if ranges and not any(first <= number <= last for first, last in ranges):
                    continue
                picture = np.ascontiguousarray(frame.image[box])
                picture = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
                mask = chroma_mask(picture, key, tolerance)
                shown = picture if back is None else compose(picture, mask, back)
                _write_pair(folder, "testing" if clip in tests else "training", clip, number, shown, mask)
                if cut_outs is not None:
                    make_folder(cut_outs)
                    write_beside(cut_outs / f"cutout{clip}_{number}.png", encode_picture(cut_out(picture, mask)))
                count += 1
    return count


def _write_pair(folder: Path, part: str, clip: int, number: int, picture: np.ndarray, mask: np.ndarray) -> None:
    for name, content, place in zip(("original", "gt"), (picture, mask), FOLDERS[part], strict=True):
        make_folder(folder / place)
        write_beside(folder / place / f"{name}{clip}_{number}.png", encode_picture(content))


def _numbered_clips(folder: Path, numbers: Iterable[int] | None) -> dict[int, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; it must hold clips named by number, as 1.mp4")
    ours = {int(p.stem): p for p in sorted(folder.iterdir()) if p.stem.isdecimal() and p.suffix.lower() != ".txt"}
    wanted = [*ours] if numbers is None else list(numbers)
    missing = [number for number in wanted if number not in ours]
    if missing or not wanted:
        raise InputError(
            f"{folder} holds no clip {missing[0] if missing else ''}".rstrip() + "; name clips 1.mp4, 2.mp4"
        )
    return {number: ours[number] for number in wanted}


def _annotation(path: Path) -> tuple[list[tuple[int, int]], tuple[slice, slice]]:
    ranges: list[tuple[int, int]] = []
    box = slice(None), slice(None)
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        words = line.split()
        try:
            if words[:1] == ["box"]:
                left, top, width, height = map(int, words[1:])
                box = slice(top, top + height), slice(left, left + width)
            elif words:
                first, last = map(int, words)
                ranges.append((first, last))
        except ValueError as error:
            raise InputError(f"{path}: {line!r} is neither 'first last' nor 'box left top width height'") from error
    return ranges, box


def _key(path: Path, prefix: str) -> tuple[int, int] | None:
    found = re.fullmatch(rf"{prefix}(\d+)_(\d+)", path.stem)
    return None if found is None else (int(found[1]), int(found[2]))
