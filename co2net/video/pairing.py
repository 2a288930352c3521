"""Walk a clip and its mask side by side, and notice when they do not fit in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from co2net.errors import InputError
from co2net.video.metadata import Frame, VideoInfo
from co2net.video.picture_clips import frame_number, frame_prefix

if TYPE_CHECKING:
    from co2net.video.masks import MaskReader


def pair(frames: Iterable[Frame], masks: MaskReader) -> Iterator[tuple[Frame, np.ndarray]]:
    """Walk frames and masks together, one of each at a time.

    Raises:
        InputError: one of them ends before the other: before the work where the headers tell, at latest where it
            happens; the message names the frame.
    """
    _compare_lengths(masks)
    return _pairs(frames, masks)


def _compare_lengths(masks: MaskReader) -> None:
    """Refuse before the work what the headers of both clips tell."""
    ours, theirs = masks.info.frame_count, masks.like.frame_count
    if masks.like.may_be_cut or not (masks.info.exact_count and masks.like.exact_count):
        return  # some headers only guess
    if masks.is_still or masks.retime == "nearest" or ours is None or theirs is None or ours == theirs:
        return
    if ours < theirs:
        raise _length_error(masks, f"ends after {ours} frames, {masks.like.path} goes on (to {theirs})")
    raise _length_error(masks, f"has more frames than the {theirs} of {masks.like.path}: {ours}")


def _pairs(frames: Iterable[Frame], masks: MaskReader) -> Iterator[tuple[Frame, np.ndarray]]:
    if masks.is_still:
        still = next(iter(masks))
        yield from ((frame, still) for frame in frames)
    elif masks.retime == "nearest":
        yield from _pair_by_time(frames, masks)
    else:
        yield from _pair_by_number(frames, masks)


def _pair_by_number(frames: Iterable[Frame], masks: MaskReader) -> Iterator[tuple[Frame, np.ndarray]]:
    source, count = iter(masks), 0
    for frame in frames:
        mask = next(source, None)
        if mask is None:
            raise _length_error(masks, f"ends after {count} frames, {masks.like.path} goes on")
        yield frame, mask
        count += 1
    if not masks.like.may_be_cut and next(source, None) is not None:
        raise _length_error(masks, f"has more frames than the {count} of {masks.like.path}")


def check_numbers(like: VideoInfo, other: VideoInfo, what: str = "mask") -> str:
    """Compare the numbers in the names of two folders of pictures: a gap in one of them would shift all that follows.

    Returns:
        A note where names that count differently are paired in order; empty if all is well.

    Raises:
        InputError: a number is missing on one side; names the frame.
    """
    if not like.names or not other.names or len(like.names) < 2 or len(other.names) < 2:
        return ""
    ours, theirs = ([frame_number(name) for name in info.names] for info in (like, other))
    known = [set(numbers) for numbers in (ours, theirs)]
    if None in known[0] | known[1] or any(len(s) != len(n) for s, n in zip(known, (ours, theirs), strict=True)):
        return ""
    if known[0] == known[1] or not known[0] & known[1]:
        return ""
    same = {frame_prefix(name) for name in like.names} == {frame_prefix(name) for name in other.names}
    whole = all(max(s) - min(s) + 1 == len(s) for s in known if s)  # type: ignore[type-var, operator]
    if whole and not same and len(ours) == len(theirs):
        return f"{like.path} begins with {like.names[0]}, {other.path} with {other.names[0]}: paired in order"
    missing = next((k for k, n in enumerate(ours) if n not in known[1]), None)
    if missing is not None:
        name, lacking = Path(like.names[missing]).stem, other.path
    else:
        extra = next(k for k, n in enumerate(theirs) if n not in known[0])
        name, lacking = Path(other.names[extra]).stem, like.path
    raise InputError(
        f"{lacking} lacks {name}, which the other folder has; a frame and its {what} go by the number in their names: "
        "add it, or take it away on both sides"
    )


def _length_error(masks: MaskReader, what: str) -> InputError:
    return InputError(
        f"mask {masks.path} {what}; give a mask of the same length, or `mask_retime` nearest if the frame rates differ"
    )


def _pair_by_time(frames: Iterable[Frame], masks: MaskReader) -> Iterator[tuple[Frame, np.ndarray]]:
    """Both clips start together; ties go to the earlier mask. Ends may differ by two frames of the slower clip."""
    like = masks.like
    slack = 2 * max(float(1 / (rate or Fraction(25))) for rate in (like.frame_rate, masks.info.frame_rate))
    source = masks.timed()
    current = next(source, None)
    if current is None:
        raise InputError(f"{masks.path}: no mask in it")
    following, start, seconds = next(source, None), None, 0.0
    for frame in frames:
        own = frame.seconds if frame.seconds is not None else float(frame.number / (like.frame_rate or 25))
        start = own if start is None else start
        seconds = own - start
        while following is not None and abs(following[1] - seconds) < abs(current[1] - seconds):
            current, following = following, next(source, None)
        if following is None and seconds - current[1] > slack:
            raise InputError(
                f"mask {masks.path} ends at {current[1]:.2f} s, {like.path} goes on at frame {frame.number} "
                f"({seconds:.2f} s); give a mask of the same duration"
            )
        yield frame, current[0]
    for _, end in source:
        if end - seconds > slack:
            raise InputError(
                f"mask {masks.path} goes on at {end:.2f} s, {like.path} ends at {seconds:.2f} s; "
                "give a mask of the same duration"
            )
