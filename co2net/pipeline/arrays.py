"""A clip of arrays or tensors, whose owner pulls the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import torch

from co2net.errors import InputError
from co2net.models.co2net import CO2Net
from co2net.models.precision import Precision
from co2net.pipeline.frames import Picture, check_mask_range
from co2net.pipeline.job import results_of
from co2net.pipeline.key_frames import KeyFrames
from co2net.pipeline.stream import FrameStream, Strength

_MISSING: Any = object()


def harmonize_frames(
    frames: Iterable[Picture],
    masks: Iterable[Picture],
    model: CO2Net | None = None,
    previous: int = 8,
    future: int = 8,
    *,
    strength: Strength = 1.0,
    device: str | torch.device | None = None,
    cuts: bool | None = None,
    key_frames: KeyFrames = None,
    precision: Precision = "full",
) -> Iterator[Picture]:
    """Harmonize the foreground of a clip, frame by frame.

    Args:
        frames: composites in order, each ``(3, H, W)`` float in [0, 1] or ``(H, W, 3)`` uint8 (or uint16), as numpy
            arrays or tensors.
        masks: one per frame, ``(1, H, W)`` float in [0, 1] or ``(H, W)`` uint8; soft values stay soft.
        model: from :func:`co2net.create_model`; None takes the weights that ship.
        previous: neighbor frames before the current one that shape its color mapping.
        future: neighbor frames after it; also how many frames the result lags behind.
        strength: 0 changes nothing, 1 harmonizes fully, up to 1.5 exaggerates; "auto": less where errors are
            expected (:data:`~co2net.pipeline.stream.Strength`).
        device: where to compute; None leaves the model where it is.
        cuts: whether to look for scene cuts, over which no frame is a neighbor. None: unless the model's mapping is
            "paper", which knows none.
        key_frames: run the backbone on every k-th frame only, and where a shot begins; "auto": more often where the
            colors of foreground or background change. All frames are read through the color mapping, gathered from the
            key frames of the window; nothing is refined. None: every frame.
        precision: "auto" lets the backbone's convolutions be computed in bfloat16 where the processor is faster at it.

    Returns:
        An iterator over as many frames as came in, in order, of the kind that came in. Pixels whose mask is 0 are
        untouched, the others clamped to [0, 1]. A frame in which nothing changes may come back as the same object.

    Raises:
        InputError: a setting is out of range, or key frames are asked of the mapping "paper", whose holes only the
            frame's own pass can fill; while iterating: frames and masks are not equally many.
        ShapeError: while iterating: a frame or mask has the wrong shape or type, or the size changes within the clip.
    """
    stream = FrameStream(
        model,
        previous,
        future,
        strength=strength,
        device=device,
        cuts=cuts,
        key_frames=key_frames,
        precision=precision,
    )
    return (result for _, result in results_of(stream, _pairs(frames, masks)))


def _pairs(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[tuple[Picture, Picture, None]]:
    for frame, mask in zip_longest(frames, masks, fillvalue=_MISSING):
        if frame is _MISSING or mask is _MISSING:
            shorter = "frames" if frame is _MISSING else "masks"
            raise InputError(
                f"there are fewer {shorter} than {'masks' if shorter == 'frames' else 'frames'}; "
                "every frame needs its mask"
            )
        check_mask_range(mask)
        yield frame, mask, None
