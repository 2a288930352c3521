"""What ``co2net evaluate --task matting`` can compare; imported by the command, or by whoever evaluates.

Every method sees the real frames; those that carry a mask see the first frame's true mask, one the last frame's too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import cv2
import numpy as np
import torch

from co2net.errors import InputError
from co2net.evaluation.methods import Method, Run, register
from co2net.matting.carry import small_size
from co2net.matting.fusion import load_fuse, shipped_fuse
from co2net.matting.moving import MovingStream, NetworkStream, cut_along_edges
from co2net.matting.moving_network import load_moving
from co2net.matting.propagation import PropagationStream
from co2net.pipeline.frames import Picture, as_bytes, as_tensor, frame_shape, mask_to_tensor
from co2net.pipeline.job import results_of


def _like(mask: np.ndarray, frame: Picture) -> Picture:
    """A mask as results are: ``(1, H, W)`` float or ``(H, W)`` uint8, by the kind of the frame."""
    if as_tensor(frame, "frame").is_floating_point():
        return torch.from_numpy(np.ascontiguousarray(mask[None]))
    return np.rint(255 * mask).astype(np.uint8)


def _through(stream: Any, frames: Iterable[Picture]) -> Iterator[Picture]:
    return (_like(mask, frame) for frame, mask in results_of(stream, ((frame, None, frame) for frame in frames)))


def _carried(weights: str | None, device: torch.device, *, plain: bool = False, ends: bool = False) -> Run:
    """The first frame's mask carried on; `plain`: without the network; `ends`: the last frame's mask is given too."""
    fuse = None if plain else shipped_fuse() if weights is None else load_fuse(weights)

    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        walk: Iterator[Picture] = iter(frames)
        first = next(walk, None)
        if first is None:
            return
        known = {0: _true(next(iter(masks)), first)}
        if ends:  # the last mask is known when the clip has been seen
            rest = list(walk)
            *_, last = (None, *masks)
            if last is not None:
                known[len(rest)] = _true(last, rest[-1])
            walk = iter(rest)
        known = {number: mask for number, mask in known.items() if (mask > 0.5).any()}
        if not known:  # nothing to carry: the honest result of a clip without a subject
            yield from (_like(np.zeros(frame_shape(frame), np.float32), frame) for frame in (first, *walk))
            return
        yield from _through(PropagationStream(known, fuse), chain([first], walk))

    return run


def _true(mask: Picture, frame: Picture) -> np.ndarray:
    return mask_to_tensor(mask, frame_shape(frame))[0, 0].cpu().numpy()


def _by_flow(weights: str | None, device: torch.device, *, cut: bool = False) -> Run:
    """The first frame's mask moved along the flow and nothing else; `cut`: and by GrabCut in a band about its edge."""

    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        last = carried = None
        for frame, mask in zip(frames, masks, strict=True):
            picture = as_bytes(frame)
            height, width = small_size(*picture.shape[:2])
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
            if last is None or carried is None:
                carried = cv2.resize(_true(mask, frame), (width, height), interpolation=cv2.INTER_AREA)
            else:
                flow = search.calc(gray, last, None)  # type: ignore[call-overload]
                y, x = np.mgrid[0:height, 0:width].astype(np.float32)
                carried = cv2.remap(
                    carried, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
                )
                if cut and (carried > 0.5).any():
                    carried = cut_along_edges(small, carried > 0.5)
            last = gray
            yield _like(cv2.resize(carried, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), frame)

    return run


def _moving(weights: str | None, device: torch.device) -> Run:
    return lambda frames, masks: _through(MovingStream(), frames)


def _moving_network(weights: str | None, device: torch.device) -> Run:
    """A trained network, as its file tells to use it."""
    if weights is None:
        raise InputError("the method moving_network wants the file of a network: give `weights`")
    network = load_moving(weights)
    return lambda frames, masks: _through(NetworkStream(network), frames)


_FIRST = "the first frame's true mask, carried"
for _method in (
    Method("flow", "flow alone", f"{_FIRST} by the flow", create=_by_flow),
    Method("grabcut", "flow and GrabCut", f"{_FIRST} by the flow, cut in a band", create=partial(_by_flow, cut=True)),
    Method("moving", "moving", "what moves against the camera; sees no mask", create=_moving),
    Method("moving_network", "moving, by a network", "sees no mask", create=_moving_network, default=False),
    Method("carried_plain", "carried, without weights", _FIRST, create=partial(_carried, plain=True)),
    Method("carried", "carried", f"{_FIRST} by `propagate`", create=_carried),
    Method("carried_ends", "carried, first and last", "two true masks carried", create=partial(_carried, ends=True)),
):
    register(replace(_method, task="matting"))
