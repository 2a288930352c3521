"""Samples for the network that weighs the witnesses: masks carried through clips, now and then damaged on the way.

A *walk* begins with the true mask of a frame and carries it through the frames that follow, in either direction. What
the witnesses say on the way, and what would have been right, are the samples. Damages are what goes wrong in earnest:
a mask that crept outward or inward, slipped, came late, has a hole or a blob. The network learns to mend them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from co2net.data.pictures import check_fits, read_image, read_with_mask
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.matting.carry import PLANES, Carrier, Fuse, small_size
from co2net.matting.published_data import MattingFrame, read_truth
from co2net.matting.training_samples import MovingPhoto
from co2net.metrics.mattes import contour

CROP = 160  # pixels: side of a sample
LONGEST = 12  # frames of a walk through a clip
PHOTO_FRAMES = 6  # of a walk through a photograph that moves
FROM_PHOTOS = 0.3  # share of the walks, where there are photographs
HURT = 0.2  # share of the frames before which the mask is damaged
TAKEN = 0.5  # share of the frames that become samples

Frames = Iterator[tuple[np.ndarray, np.ndarray]]
"""Frames ``(H, W, 3)`` uint8 with true masks ``(H, W)`` float32, small (:func:`~co2net.matting.carry.small_size`)."""


class Walks:
    """Numbered walks; the same number is the same walk.

    Args:
        frames: of clips, from :func:`~co2net.matting.training_samples.find_clips`.
        photos: with masks; may be empty.
        seed: of all that is drawn.
        fuse: the network of an earlier round, so that what it does wrong is among the samples.

    Raises:
        InputError: no clip has two frames.
    """

    def __init__(
        self, frames: Sequence[MattingFrame], photos: Sequence[Sample], seed: int, fuse: Fuse | None = None
    ) -> None:
        clips: dict[int, list[MattingFrame]] = {}
        for frame in frames:
            clips.setdefault(frame.clip, []).append(frame)
        self._clips = [clip for clip in clips.values() if len(clip) > 1]
        self._photos, self._seed, self._fuse = list(photos), seed, fuse
        if not self._clips:
            raise InputError("no clip has two frames with masks: nothing can be carried")

    def samples(self, number: int) -> np.ndarray:
        """Those of one walk: ``(N, len(PLANES) + 1, CROP, CROP)`` float16, the true mask last; perhaps none."""
        rng = np.random.default_rng((self._seed, number))
        photo = bool(self._photos) and rng.random() < FROM_PHOTOS
        walk = self._through_photo(rng) if photo else self._through_clip(rng)
        frame, truth = next(walk)
        found: list[np.ndarray] = []
        if (truth > 0.5).any():
            carrier, late = Carrier(frame, truth, self._fuse), truth
            for frame, truth in walk:
                carried = carrier.step(frame)
                if rng.random() < TAKEN:
                    found.append(_crop(carried.planes, truth, rng))
                if rng.random() < HURT:
                    carrier.replace(damaged(carried.mask, late, rng))
                late = carried.mask
        return np.stack(found) if found else np.zeros((0, len(PLANES) + 1, CROP, CROP), np.float16)

    def _through_clip(self, rng: np.random.Generator) -> Frames:
        clip = self._clips[int(rng.integers(len(self._clips)))]
        if rng.random() < 0.5:
            clip = clip[::-1]
        first = int(rng.integers(len(clip) - 1))
        mirrored = rng.random() < 0.5
        for frame in clip[first : first + LONGEST]:
            assert frame.mask is not None  # noqa: S101  # find_clips took those with masks only
            picture, truth = read_image(frame.image), read_truth(frame.mask)
            check_fits(truth, frame.mask, picture, "its frame")
            yield _small(picture, truth, mirrored)

    def _through_photo(self, rng: np.random.Generator) -> Frames:
        photo = self._photos[int(rng.integers(len(self._photos)))]
        picture, mask8 = read_with_mask(photo.real, photo.mask)
        mask = mask8.astype(np.float32) / 255
        moving = MovingPhoto(*_small(picture, mask, rng.random() < 0.5), rng)
        for time in range(PHOTO_FRAMES):
            picture, mask = moving.at(time)
            yield picture, (mask > 0.5).astype(np.float32)


def damaged(mask: np.ndarray, late: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask as it might have become by mistake.

    Args:
        mask: ``(H, W)`` float32 in [0, 1].
        late: the one of the frame before, for a mask that comes late.
        rng: draws what goes wrong, and how far.
    """
    height, width = mask.shape
    kind = ("creep", "shrink", "slip", "late", "hole", "blob")[int(rng.integers(6))]
    if kind == "late":
        return late
    if kind == "slip":
        by = np.array([[1, 0, rng.uniform(-6, 6)], [0, 1, rng.uniform(-6, 6)]], np.float32)
        return cv2.warpAffine(mask, by, (width, height))
    if kind in ("creep", "shrink"):
        radius = int(rng.integers(1, 5))
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        return cv2.dilate(mask, disk) if kind == "creep" else cv2.erode(mask, disk)
    edge = np.argwhere(contour(mask))
    middle = edge[int(rng.integers(len(edge)))] if len(edge) else (height // 2, width // 2)
    axes = int(rng.integers(4, 22)), int(rng.integers(4, 22))
    spot = np.zeros_like(mask)
    cv2.ellipse(spot, (int(middle[1]), int(middle[0])), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return np.where(spot > 0, np.float32(kind == "blob"), mask)


def _small(picture: np.ndarray, mask: np.ndarray, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    height, width = small_size(*mask.shape)
    scale = max(1.0, CROP / min(height, width))  # smaller ones are enlarged: samples have one size
    size = max(CROP, round(width * scale)), max(CROP, round(height * scale))
    small, truth = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (picture, mask))
    truth = (truth > 0.5).astype(np.float32)
    if mirrored:
        small, truth = small[:, ::-1], truth[:, ::-1]
    return np.ascontiguousarray(small), np.ascontiguousarray(truth)


def _crop(planes: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A window about a place of the true edge, or of the carried one, where the subject has gone."""
    edge = np.argwhere(contour(truth))
    edge = edge if len(edge) else np.argwhere(contour((planes[0] > 0).astype(np.float32)))
    height, width = truth.shape
    middle = edge[int(rng.integers(len(edge)))] if len(edge) else (height // 2, width // 2)
    top, left = (
        int(np.clip(place - rng.integers(CROP // 4, 3 * CROP // 4), 0, side - CROP))
        for place, side in zip(middle, (height, width), strict=True)
    )
    whole = np.concatenate([planes, truth[None]])
    return whole[:, top : top + CROP, left : left + CROP].astype(np.float16)
