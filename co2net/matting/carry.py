"""A mask carried from frame to frame, at a small size, by motion, color votes and what moves along.

For every pixel of a new frame several witnesses say how likely it is foreground, as logits that add up:

* the mask of the frame before, moved along the flow (fading where the flow does not come back to where it began);
* votes of the frame before, by color about the place (:mod:`co2net.matting.votes`);
* votes of the frame whose mask was given, by color about the place that the flow leads back to: these do not drift;
* motion: whether the pixel moves with the surrounding foreground, or with the surrounding background.

A guided filter then aligns the sum with the frame's edges. A network of ours may add its own logit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from co2net.matting.guided import guided
from co2net.matting.votes import Codebook, Votes, lab_colors

HEIGHT = 240  # pixels of the shorter side that masks are carried at; larger frames are shrunk
CELLS = (8, 20)  # pixels about which the frame before votes: finely, and for what the fine votes do not know
GIVEN_CELLS = (16, 40)  # and the given frame, whose places are known less well
RENEW = 8  # frames after which the codebook takes in the colors that came since
WEIGHTS = {"carried": 1.0, "before": 1.0, "given": 1.5, "motion": 0.5}  # of the witnesses' logits
SURE = 0.01  # no witness is surer than that
SOLID = 0.9  # what counts as inside, or its complement as outside, for the two motions
SHARPEN = 2.0  # of the result about 0.5: keeps soft edges from creeping outward
SUM_SCALE = 4.0  # of the logits among the planes
FALLOFF = 2.0  # pixels by which a round trip of the flow may be off

Fuse = Callable[[np.ndarray], np.ndarray]
"""Planes ``(C, H, W)`` float32, those of :data:`PLANES`, to a logit ``(H, W)`` that is added."""

PLANES = (
    "sum",
    "carried",
    "before_fine",
    "before_wide",
    "given_fine",
    "given_wide",
    "motion",
    "round_trip",
    "R",
    "G",
    "B",
)


@dataclass
class Carried:
    """One frame's result, at the small size.

    Attributes:
        mask: ``(H, W)`` float32 in [0, 1].
        soft: as `mask`, before the filter that aligns it with edges.
        confidence: in [0, 1]: how well the witnesses agree.
        planes: the witnesses ``(len(PLANES), H, W)``.
    """

    mask: np.ndarray
    soft: np.ndarray
    confidence: float
    planes: np.ndarray


class Carrier:
    """Carries a mask in one direction of time.

    Args:
        frame: ``(H, W, 3)`` uint8, small (see :func:`small_size`): the frame whose mask is known.
        mask: ``(H, W)`` float32 in [0, 1].
        fuse: a network's logit to add; None: the witnesses alone.
    """

    def __init__(self, frame: np.ndarray, mask: np.ndarray, fuse: Fuse | None = None) -> None:
        self._fuse = fuse
        self._given_mask, self._given_colors = mask, lab_colors(frame)
        self._y, self._x = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
        self._back_x, self._back_y = self._x, self._y  # where each pixel was in the given frame
        self._mask, self._gray, self._colors = mask, _gray(frame), self._given_colors
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._steps = 0
        self._renew()

    def step(self, frame: np.ndarray) -> Carried:
        """The mask of the next frame, ``(H, W, 3)`` uint8 of the given frame's size."""
        self._steps += 1
        gray, colors = _gray(frame), lab_colors(frame)
        back = self._flow.calc(gray, self._gray, None)  # type: ignore[call-overload]
        ahead = self._flow.calc(self._gray, gray, None)  # type: ignore[call-overload]
        if self._steps % RENEW == 0:
            self._renew(colors)
        entries = self._book.entries(colors)
        moved_x, moved_y = self._x + back[..., 0], self._y + back[..., 1]
        state = np.dstack([self._mask, self._back_x, self._back_y, ahead])
        state = cv2.remap(state, moved_x, moved_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        carried, self._back_x, self._back_y = (np.ascontiguousarray(state[..., i]) for i in range(3))
        off = np.hypot(back[..., 0] + state[..., 3], back[..., 1] + state[..., 4])
        trust = np.exp(-np.maximum(off - 0.5, 0) / FALLOFF)
        prior = cv2.GaussianBlur(carried, (0, 0), 3)
        from_x, from_y = self._x + ahead[..., 0], self._y + ahead[..., 1]
        before = [Votes(self._book, self._entries, self._mask, from_x, from_y, c) for c in CELLS]
        told = [votes.share(entries, self._x, self._y, prior) for votes in before]
        told += [votes.share(entries, self._back_x, self._back_y, prior) for votes in self._given]
        witnesses = [trust * _logit(carried), *map(_logit, told), _motion(back, carried, trust)]
        total = WEIGHTS["carried"] * witnesses[0] + WEIGHTS["motion"] * witnesses[5]
        total += WEIGHTS["before"] / 2 * (witnesses[1] + witnesses[2])
        total += WEIGHTS["given"] / 2 * (witnesses[3] + witnesses[4])
        picture = frame.astype(np.float32).transpose(2, 0, 1) / 255
        planes = np.stack([total / SUM_SCALE, *(w / SUM_SCALE for w in witnesses), trust, *picture]).astype(np.float32)
        if self._fuse is not None:
            total = total + self._fuse(planes)
        soft = _sigmoid(total)
        mask = sharpened(guided(frame, soft)[0])
        self._mask, self._gray, self._colors, self._entries = mask, gray, colors, entries
        return Carried(mask, soft, self._confidence(told[2:], soft, carried), planes)

    def replace(self, mask: np.ndarray) -> None:
        """Go on from another mask of the newest frame, ``(H, W)`` float32 in [0, 1]."""
        self._mask = mask

    def _renew(self, *more: np.ndarray) -> None:
        """Make the codebook anew, with the colors that came since, and let the given frame vote in it."""
        self._book = Codebook(self._given_colors, *more)
        given = self._book.entries(self._given_colors)
        self._given = [Votes(self._book, given, self._given_mask, self._x, self._y, c) for c in GIVEN_CELLS]
        self._entries = given if self._colors is self._given_colors else self._book.entries(self._colors)

    def _confidence(self, given: list[np.ndarray], soft: np.ndarray, carried: np.ndarray) -> float:
        """How far the given frame's colors agree with the mask, within the mask and as wide a ring about it."""
        inside = soft > 0.5
        area = int(inside.sum())
        if area == 0:
            return 0.0
        reach = 2 * max(2, int(0.15 * area**0.5)) + 1
        ring = (cv2.dilate(inside.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0) & ~inside
        share = (given[0] + given[1]) / 2
        agrees = float((share[inside] > 0.5).mean())
        agrees_outside = float((share[ring] < 0.5).mean()) if ring.any() else 1.0
        certain = float(np.abs(2 * soft[inside | ring] - 1).mean())
        either = int(((carried > 0.5) | inside).sum())
        stays = float(((carried > 0.5) & inside).sum()) / either
        return agrees * agrees_outside * certain * stays


def small_size(height: int, width: int) -> tuple[int, int]:
    """Height and width that masks of such a frame are carried at."""
    scale = min(1.0, HEIGHT / min(height, width))
    return max(16, round(height * scale)), max(16, round(width * scale))


def sharpened(soft: np.ndarray) -> np.ndarray:
    """Steepen about 0.5, within [0, 1]."""
    return np.clip((soft - np.float32(0.5)) * np.float32(SHARPEN) + np.float32(0.5), 0, 1)


def _motion(back: np.ndarray, carried: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Logit, in -3..3, of moving with the foreground nearby and not with the background nearby."""
    shape = carried.shape[::-1]
    size = max(1, shape[0] // 4), max(1, shape[1] // 4)
    around = []
    for weight in ((carried > SOLID) * trust, (carried < 1 - SOLID) * trust):
        weight = weight.astype(np.float32)
        field = np.dstack([back * weight[..., None], weight])
        near = cv2.GaussianBlur(cv2.resize(field, size, interpolation=cv2.INTER_AREA), (0, 0), 2.5)
        near = cv2.resize(near, shape)
        around.append((near[..., :2] / (near[..., 2:] + 1e-4), near[..., 2]))
    (ours, our_share), (theirs, their_share) = around
    spread = 2 + 0.02 * (np.square(ours).sum(-1) + np.square(theirs).sum(-1))
    nearer = (np.square(back - theirs).sum(-1) - np.square(back - ours).sum(-1)) / spread
    return np.clip(nearer, -3, 3) * np.minimum(1, 50 * np.minimum(our_share, their_share))


def _gray(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _logit(share: np.ndarray) -> np.ndarray:
    bounded = np.clip(share, SURE, 1 - SURE)
    return np.log(bounded / (1 - bounded))


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-logit))).astype(np.float32)
