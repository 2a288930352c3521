"""Where real frames and masks come from: folders of numbered pictures, or video files.

::

    <real>/<video>/<frame>.jpg                or  <real>/<video>.mp4
    <masks>/<video>/<object>/<frame>.png      or  <masks>/<video>/<object>.mp4
    <masks>/<video>/<frame>.png               or  <masks>/<video>.mp4             (one object: object_0)

Pictures belong together by their numbers. Where one side is a video file both are walked frame by frame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from co2net.data.frame_lists import PICTURES, STEP, numbered_files
from co2net.data.pictures import check_fits, read_image, read_mask
from co2net.errors import InputError

VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".mxf"}
LOSSY_PICTURES = {".jpg", ".jpeg", ".webp"}
ONLY_OBJECT = "object_0"


class SourceClip(NamedTuple):
    """A video with the masks of one object."""

    video: str
    object: str
    real: Path
    """Folder of pictures, or a video file."""
    masks: Path
    """The same."""

    @property
    def name(self) -> str:
        """``<video>/<object>``."""
        return f"{self.video}/{self.object}"

    @property
    def is_pictures(self) -> bool:
        """Whether both sides are folders of pictures."""
        return self.real.is_dir() and self.masks.is_dir()


class SourceFrame(NamedTuple):
    """A real frame and its mask."""

    number: int
    image: np.ndarray
    """``(H, W, 3)`` uint8 RGB."""
    foreground: np.ndarray
    """``(H, W)`` bool."""
    real: Path | None
    """The real frame's own file; None if it comes out of a video."""
    mask: Path | None
    """The mask's own file; None if a hard mask must be written (video, or a picture with loss)."""


def find_clips(real: Path, masks: Path, only: Collection[str] = ()) -> list[SourceClip]:
    """Every video of `real` with every object of `masks`, by name.

    Args:
        real: folder of videos (files, or folders of pictures).
        masks: folder of masks.
        only: names ``<video>/<object>`` or ``<video>``; the rest is left alone. Empty means all.

    Raises:
        InputError: nothing there, a video without masks or masks without a video, a name with a blank.
    """
    videos, with_masks = _by_name(real, "real videos"), _by_name(masks, "masks")
    wanted = {name.split("/")[0] for name in only} or videos.keys() | with_masks.keys()
    clips: list[SourceClip] = []
    for video in sorted(wanted):
        if video not in videos:
            raise InputError(f"{real} holds no video {video} (a folder of frames or a video file)")
        if video not in with_masks:
            raise InputError(f"{masks} holds no masks for {videos[video]}; add a folder {video}, or choose `clips`")
        clips += [SourceClip(video, name, videos[video], path) for name, path in _objects(with_masks[video])]
    if only:
        clips = [clip for clip in clips if clip.name in only or clip.video in only]
        missing = [name for name in only if not any(name in (clip.name, clip.video) for clip in clips)]
        if missing:
            raise InputError(f"{masks} holds no object {missing[0]}")
    if not clips:
        raise InputError(f"{real} holds no videos: neither folders of frames nor video files")
    for clip in clips:
        if len(clip.name.split()) != 1:
            raise InputError(f"{clip.masks}: the name has a blank, which lists cannot hold; rename it")
    return clips


def count_frames(clip: SourceClip, step: int | None) -> int | None:
    """How many frames the clip will have; None where a video file does not say."""
    if clip.is_pictures:
        return len(_chosen(numbered_files(clip.masks), step))
    from co2net.video import open_video

    with open_video(clip.real if clip.real.is_file() else clip.masks) as reader:
        count = reader.info.frame_count
    return None if count is None else -(-count // (step or STEP))


def read_clip(clip: SourceClip, step: int | None) -> Iterator[SourceFrame]:
    """The frames of a clip, in order.

    Args:
        clip: where they are.
        step: take every `step`-th frame; None means every picture of a folder, every fifth frame of a video.

    Raises:
        InputError: a frame is missing or unreadable, or sizes or lengths differ; names the file.
    """
    if clip.is_pictures:
        yield from _read_pictures(clip, step)
    else:
        yield from _read_video(clip, step or STEP)


def _read_pictures(clip: SourceClip, step: int | None) -> Iterator[SourceFrame]:
    real, masks = numbered_files(clip.real), numbered_files(clip.masks)
    if not masks:
        raise InputError(f"{clip.masks}: no masks in it")
    chosen = _chosen(masks, step)
    missing = [number for number in chosen if number not in real]
    if missing:
        raise InputError(
            f"{clip.real} lacks frame {missing[0]:05d}, of which {masks[missing[0]]} is the mask; "
            "add it, or take the mask away"
        )
    for number in chosen:
        image, mask = read_image(real[number]), read_mask(masks[number])
        check_fits(mask, masks[number], image, "its real frame")
        if masks[number].suffix.lower() in LOSSY_PICTURES:
            yield SourceFrame(number, image, mask >= 0.5, real[number], None)
        else:  # any value but 0 counts, as in HYouTube
            is_png = masks[number].suffix.lower() == ".png"
            yield SourceFrame(number, image, mask > 0, real[number], masks[number] if is_png else None)


def _read_video(clip: SourceClip, step: int) -> Iterator[SourceFrame]:
    from co2net.video import open_mask, open_video, pair

    with open_video(clip.real) as reader, open_mask(clip.masks, reader.info, retime="index") as masks:
        for frame, mask in pair(reader, masks):
            if frame.number % step:
                continue
            image = frame.image
            if image.dtype != np.uint8:
                image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
            # Codecs and scalers soften borders; half is where the border was.
            yield SourceFrame(frame.number, image, mask >= 0.5, None, None)


def _chosen(numbers: Collection[int], step: int | None) -> list[int]:
    first = min(numbers, default=0)
    return [number for number in sorted(numbers) if not step or (number - first) % step == 0]


def _by_name(folder: Path, kind: str) -> dict[str, Path]:
    """Folders and video files of a folder, by name without ending."""
    if not folder.is_dir():
        raise InputError(f"the folder of {kind} {folder} does not exist")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_video = path.suffix.lower() in VIDEOS and path.is_file()
        if path.name.startswith(".") or not (path.is_dir() or is_video):
            continue
        name = path.stem if is_video else path.name
        if name in found:
            raise InputError(f"{folder}: both {found[name].name} and {path.name}; which is {name}? Take one away")
        found[name] = path
    return found


def _objects(masks: Path) -> list[tuple[str, Path]]:
    if masks.is_file():
        return [(ONLY_OBJECT, masks)]
    files = [path for path in masks.iterdir() if not path.name.startswith(".")]
    if any(path.is_file() and path.suffix.lower() in PICTURES for path in files):
        return [(ONLY_OBJECT, masks)]
    objects = list(_by_name(masks, "masks").items())
    if not objects:
        raise InputError(f"{masks}: no masks in it, neither pictures nor a folder per object")
    return objects
