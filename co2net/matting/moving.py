"""Masks of what moves: the published network on its moving mask, and a way without any weights.

Without weights a shot begins with a look at its first frames: what moves otherwise than the camera in one of them, cut
along its edges (GrabCut), is taken for the given mask of that frame and carried to all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import torch

from co2net.errors import InputError
from co2net.flow import FlowEstimator, create_flow
from co2net.matting.carry import sharpened, small_size
from co2net.matting.chroma import unit_mask
from co2net.matting.guided import guided
from co2net.matting.moving_mask import THRESHOLD, own_motion
from co2net.matting.moving_network import MovingNetwork, MovingSettings
from co2net.matting.propagation import HELD_BYTES, PropagationStream, ranges
from co2net.matting.unet import MattingNetwork
from co2net.pipeline.cuts import CutDetector
from co2net.pipeline.frames import Picture, as_bytes, frame_to_tensor
from co2net.pipeline.job import results_of

LOOK = 12  # frames of a shot that are compared for the clearest motion
LAG = 2  # frames between the two of a comparison: slow motions add up
LEAST_AREA, LARGEST_AREA = 0.002, 0.7  # share of the frame that a moving subject covers
MASK_THRESHOLD = 0.5


class NetworkStream:
    """The published system, frame by frame; a stream for :func:`co2net.pipeline.job.run_job`.

    Args:
        moving: the network with its settings.
        first_mask: ``(H, W)``: given, the network's mask plane is the result of the frame before, carried along by the
            flow, in place of what moves.
    """

    def __init__(self, moving: MovingNetwork, first_mask: Picture | None = None) -> None:
        moving.network.eval()
        self._moving, self._first = moving, first_mask
        self._last: np.ndarray | None = None
        self._mask: np.ndarray | None = None
        self._number = -1
        self._still: list[int] = []
        self._seen = False

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, np.ndarray]]:
        """The mask of one frame: yields ``(tag, (H, W) float32 in [0, 1])``."""
        self._number += 1
        picture = as_bytes(frame)
        if self._first is not None and self._mask is None:
            first = self._first.cpu().numpy() if isinstance(self._first, torch.Tensor) else self._first
            result = unit_mask(first, picture.shape[:2])
            self._mask = self._moving.shrunk(result)
        else:
            before = picture if self._last is None else self._last
            self._mask, moves = self._moving.probability(before, picture, None if self._first is None else self._mask)
            if not moves and self._number:
                self._still.append(self._number)
            result = enlarged(self._mask, picture, self._moving.shrunk(picture))
        self._last = picture
        self._seen |= bool((result > MASK_THRESHOLD).any())
        yield tag, result

    def finish(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Nothing waits.

        Raises:
            InputError: no frame has a subject.
        """
        if self._number >= 0 and not self._seen:
            raise InputError(_nothing_moves(self._number + 1, self._moving.settings.threshold))
        yield from ()

    @property
    def notes(self) -> list[str]:
        """What the user should know, in sentences."""
        if not self._still:
            return []
        threshold = self._moving.settings.threshold
        return [f"nothing moves by {threshold:g} pixels in frames {ranges(self._still)}: look at their masks"]


class MovingStream:
    """Masks of what moves, without weights; a stream for :func:`co2net.pipeline.job.run_job`.

    The first :data:`LOOK` frames of every shot wait until the clearest motion among them is known.

    Args:
        threshold: pixels per frame, at 240 lines, from which a motion against the camera's counts.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._cut = CutDetector()
        self._held: list[tuple[np.ndarray, Any]] = []
        self._smalls: list[np.ndarray] = []
        self._best: tuple[float, int, np.ndarray] | None = None
        self._inner: PropagationStream | None = None
        self._done: list[PropagationStream] = []
        self._number = -1
        self._begin = 0
        self._unknown: list[int] = []
        self._inner_notes: list[str] = []

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, np.ndarray]]:
        """Take the next frame; yields ``(tag, (H, W) float32 in [0, 1])`` of frames that are done."""
        self._number += 1
        full = as_bytes(frame)
        height, width = small_size(*full.shape[:2])
        small = cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA)
        if self._cut.is_cut(frame_to_tensor(small)):
            yield from self._end_shot()
        if self._inner is not None:
            yield from self._inner.push(full, None, tag)
            return
        self._held.append((full, tag))
        self._smalls.append(small)
        if len(self._smalls) > LAG:
            self._look()
        if (len(self._held) >= LOOK and self._best) or len(self._held) * full.nbytes > HELD_BYTES:
            yield from self._begin_carrying()

    def finish(self) -> Iterator[tuple[Any, np.ndarray]]:
        """No more frames: the rest.

        Raises:
            InputError: nothing moves in the whole clip.
        """
        yield from self._end_shot()
        if not self._done:
            raise InputError(_nothing_moves(self._number + 1, self._threshold))

    @property
    def notes(self) -> list[str]:
        """What the user should know, in sentences; complete after :meth:`finish`."""
        notes = list(self._inner_notes)
        if self._unknown:
            notes.append(
                f"nothing moves against the camera in frames {ranges(self._unknown)}, so their masks are empty; paint "
                "the mask of one of them"
            )
        return notes

    def _look(self) -> None:
        """Compare the newest frame with the one before it, for motion that is not the camera's."""
        moved = subject_motion(self._smalls[-1 - LAG], self._smalls[-1])
        moving = moved > max(self._threshold * LAG, 3 * float(np.median(moved)))
        moving = _solid(moving)
        share = float(moving.mean())
        if not LEAST_AREA < share < LARGEST_AREA:
            return
        strength = float(np.minimum(moved, 6)[moving].mean()) * share**0.5
        if self._best is None or strength > self._best[0]:
            self._best = strength, len(self._held) - 1, moving

    def _begin_carrying(self) -> Iterator[tuple[Any, np.ndarray]]:
        held, smalls, best = self._held, self._smalls, self._best
        self._held, self._smalls, self._best = [], [], None
        if best is None:
            for full, tag in held:
                self._unknown.append(self._begin)
                self._begin += 1
                yield tag, np.zeros(full.shape[:2], np.float32)
            return
        _, number, moving = best
        given = cut_along_edges(smalls[number], moving)
        mask = sharpened(enlarged(given, held[number][0], smalls[number]))
        if not (mask > 0.5).any():
            mask = cv2.resize(moving.astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
        self._inner = PropagationStream({number: mask})
        for full, tag in held:
            yield from self._inner.push(full, None, tag)

    def _end_shot(self) -> Iterator[tuple[Any, np.ndarray]]:
        if self._inner is None:
            yield from self._begin_carrying()
        if self._inner is not None:
            yield from self._inner.finish()
            self._done.append(self._inner)
            if self._inner.report.empty:
                lost = [self._begin + number for number in self._inner.report.empty]
                self._inner_notes.append(f"the subject was lost in frames {ranges(lost)}")
        self._inner = None
        self._begin = self._number


def subject_motion(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """How far everything moved otherwise than the camera, in pixels: ``(H, W)`` on the grid of `now`.

    Args:
        before: ``(H, W, 3)`` uint8.
        now: as `before`.
    """
    grays = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (now, before)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grays, None)  # type: ignore[call-overload]
    return own_motion(flow)


def matte_frames(
    frames: Iterable[Picture],
    network: MattingNetwork | None = None,
    flow: str | FlowEstimator = "dis",
    first_mask: Picture | None = None,
    threshold: float = THRESHOLD,
) -> Iterator[np.ndarray]:
    """Masks of a moving subject.

    Args:
        frames: in order: ``(H, W, 3)`` uint8 or uint16, or ``(3, H, W)`` float in [0, 1].
        network: the published U-Net (:func:`~co2net.matting.create_network`); None: without weights.
        flow: an estimator, or its name; for `network`.
        first_mask: ``(H, W)`` mask of the first frame: then it is carried along, whatever moves.
        threshold: pixels per frame from which a motion counts.

    Yields:
        ``(H, W)`` float32 in [0, 1] for every frame, in order: the probability of "foreground".

    Raises:
        InputError: nothing moves.
    """
    if network is not None:
        estimate = create_flow(flow) if isinstance(flow, str) else flow
        stream: Any = NetworkStream(MovingNetwork(network, MovingSettings(threshold), estimate), first_mask)
    elif first_mask is not None:
        stream = PropagationStream({0: first_mask})
    else:
        stream = MovingStream(threshold)
    yield from (mask for _, mask in results_of(stream, ((frame, None, None) for frame in frames)))


def _solid(moving: np.ndarray) -> np.ndarray:
    """Without specks and small holes; parts much smaller than the largest are left out."""
    radius = max(1, len(moving) // 80)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    mask = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_OPEN, disk)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disk, iterations=2)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return mask.astype(bool)
    areas = facts[1:, cv2.CC_STAT_AREA]
    return np.isin(labels, 1 + np.flatnonzero(areas > 0.15 * areas.max()))


def cut_along_edges(picture: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """GrabCut in a band about the edge of a rough mask: float32 ``(H, W)`` of 0 and 1.

    Args:
        picture: ``(H, W, 3)`` uint8.
        moving: ``(H, W)`` bool.
    """
    size = max(3, int(0.12 * float(moving.sum()) ** 0.5))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * size + 1, 2 * size + 1))
    moved = moving.astype(np.uint8)
    guess = np.full(moved.shape, cv2.GC_BGD, np.uint8)
    guess[cv2.dilate(moved, disk) > 0] = cv2.GC_PR_BGD
    guess[moved > 0] = cv2.GC_PR_FGD
    guess[cv2.erode(moved, disk) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(picture[..., ::-1].copy(), guess, None, *models, 3, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    except cv2.error:
        return moving.astype(np.float32)  # too few pixels of one kind to learn their colors
    found = (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)
    return (found if found.sum() > 0.3 * moving.sum() else moving).astype(np.float32)


def enlarged(mask: np.ndarray, large: np.ndarray, small: np.ndarray) -> np.ndarray:
    """A small frame's mask for the large one, along its edges: ``(H, W)`` float32 in [0, 1]."""
    if large.shape == small.shape:
        return mask
    return np.clip(guided(small, mask, large)[1], 0, 1)  # type: ignore[arg-type]  # there is a large frame


def _nothing_moves(frames: int, threshold: float) -> str:
    if frames == 1:
        return "one frame shows no motion; paint its mask, or use another way"
    return (
        f"nothing moves by more than {threshold:g} pixels against the camera in these {frames} frames, so motion does "
        "not show the subject; paint the mask of one frame, or use another way"
    )
