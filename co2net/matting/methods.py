"""What ``co2net evaluate --task matting`` can compare; imported by the command, or by whoever evaluates.

Every method sees the real frames; those that carry a mask see the first frame's true mask, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import torch

from co2net.evaluation.methods import Method, Run, register
from co2net.matting.carry import small_size
from co2net.matting.fusion import load_fuse, shipped_fuse
from co2net.matting.moving import MovingStream
from co2net.matting.propagation import PropagationStream
from co2net.pipeline.frames import Picture, as_bytes, as_tensor, frame_shape, mask_to_tensor


def _like(mask: np.ndarray, frame: Picture) -> Picture:
    """A mask as results are: ``(1, H, W)`` float or ``(H, W)`` uint8, by the kind of the frame."""
    if as_tensor(frame, "frame").is_floating_point():
        return torch.from_numpy(np.ascontiguousarray(mask[None]))
    return np.rint(255 * mask).astype(np.uint8)


def _through(stream: Any, frames: Iterable[Picture], first: Picture | None = None) -> Iterator[Picture]:
    for frame in [] if first is None else [first]:
        for tag, mask in stream.push(frame, None, frame):
            yield _like(mask, tag)
    for frame in frames:
        for tag, mask in stream.push(frame, None, frame):
            yield _like(mask, tag)
    for tag, mask in stream.finish():
        yield _like(mask, tag)


def _carried(weights: str | None, device: torch.device) -> Run:
    fuse = shipped_fuse() if weights is None else load_fuse(weights)

    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        walk = iter(frames)
        first = next(walk, None)
        if first is None:
            return
        given = mask_to_tensor(next(iter(masks)), frame_shape(first))[0, 0].cpu().numpy()
        if not (given > 0.5).any():  # nothing to carry: the honest result of a clip without a subject
            yield from (_like(np.zeros(frame_shape(frame), np.float32), frame) for frame in (first, *walk))
            return
        yield from _through(PropagationStream({0: given}, fuse), walk, first)

    return run


def _flow_alone(weights: str | None, device: torch.device) -> Run:
    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        last = carried = None
        for frame, mask in zip(frames, masks, strict=True):
            picture = as_bytes(frame)
            height, width = small_size(*picture.shape[:2])
            gray = cv2.cvtColor(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
            if last is None or carried is None:
                given = mask_to_tensor(mask, (picture.shape[0], picture.shape[1]))[0, 0].cpu().numpy()
                carried = cv2.resize(given, (width, height), interpolation=cv2.INTER_AREA)
            else:
                flow = search.calc(gray, last, None)  # type: ignore[call-overload]
                y, x = np.mgrid[0:height, 0:width].astype(np.float32)
                carried = cv2.remap(
                    carried, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
                )
            last = gray
            yield _like(cv2.resize(carried, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), frame)

    return run


def _moving(weights: str | None, device: torch.device) -> Run:
    return lambda frames, masks: _through(MovingStream(), frames)


_FIRST = "the first frame's true mask, carried"
register(Method("flow", "flow alone", f"{_FIRST} by the flow", task="matting", create=_flow_alone))
register(Method("moving", "moving", "what moves against the camera; sees no mask", task="matting", create=_moving))
register(Method("carried", "carried", f"{_FIRST} by `propagate`", task="matting", create=_carried))
