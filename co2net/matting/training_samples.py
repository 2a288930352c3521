"""What the moving U-Net learns from beside the published layout: folders of clips with masks, and photographs.

A photograph becomes two frames: the second one is the picture, the first one is made of it, as if the camera and, on
its own way, the subject had moved since.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.data.pictures import check_fits, read_image, read_with_mask, to_tensor
from co2net.data.samples import Sample, existing_folder, numbered_files
from co2net.data.stills import find_stills
from co2net.errors import InputError
from co2net.flow import FlowEstimator
from co2net.matting.moving_mask import moving_pair, network_input
from co2net.matting.published_data import MattingFrame, read_truth
from co2net.matting.training import MattingRecipe, Pairs

CLOSEST = 1.4  # enlargement of the closest view of a picture
SPARE = 1.25  # clips' frames are kept this much larger than the views of them
LONGEST_STEP = 2  # frames between the two of a pair: slow and fast clips in one
CAMERA, SUBJECT = 4.0, 5.0  # pixels at 128 lines: how far both move at most
RESTING = 0.1  # share of the photographs' subjects that do not move by themselves
GRAIN = 2.0  # levels
LIGHT = 0.15  # most change of each channel


def clip_folders(
    folders: Sequence[Path], names: Sequence[str] | None = None, without: Sequence[str] = ()
) -> list[Path]:
    """The folders of clips, each with ``frames/`` and ``masks/``, by name within each of `folders`.

    Args:
        folders: of clips.
        names: clips to take; None: all.
        without: clips to leave out.

    Raises:
        InputError: there are no clips, or none is called by one of the names.
    """
    found = [path for root in folders for path in sorted(existing_folder(root).iterdir()) if _is_clip(path)]
    if not found:
        raise InputError(f"{folders[0]} holds no clips; it must hold <clip>/frames/ and <clip>/masks/")
    known = {path.name for path in found}
    if unknown := [name for name in (*(names or ()), *without) if name not in known]:
        raise InputError(f"there is no clip {unknown[0]} in {', '.join(map(str, folders))}")
    chosen = [path for path in found if (names is None or path.name in names) and path.name not in without]
    if not chosen:
        raise InputError(f"no clip of {', '.join(map(str, folders))} is left")
    return chosen


def find_clips(folders: Sequence[Path], without: Sequence[str] = ()) -> list[MattingFrame]:
    """The frames of all clips that have a mask of their number, clip by clip; see :func:`clip_folders`.

    Raises:
        InputError: also if no frame has a mask.
    """
    frames = []
    for clip, path in enumerate(clip_folders(folders, without=without), 1):
        masks = numbered_files(path / "masks")
        frames += [
            MattingFrame(clip, number, image, masks[number])
            for number, image in numbered_files(path / "frames").items()
            if number in masks
        ]
    if not frames:
        raise InputError(
            f"{folders[0]}: no frame has a mask of its number; masks/00012.png belongs to frames/00012.jpg"
        )
    return frames


def _is_clip(path: Path) -> bool:
    return (path / "frames").is_dir() and (path / "masks").is_dir()


class _Views:
    """Pairs of pictures of one size to planes and truth."""

    def __init__(self, estimate: FlowEstimator, recipe: MattingRecipe, size: tuple[int, int]) -> None:
        self._estimate, self._recipe, self.size = estimate, recipe, size

    def _planes(
        self, before: np.ndarray, now: np.ndarray, mask: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        first, second = to_tensor(before)[None], to_tensor(now)[None]
        r = self._recipe
        moving = moving_pair(self._estimate, first, second, r.flow_threshold, r.motion, r.flow_order)
        gain = rng.uniform(1 - LIGHT, 1 + LIGHT) * rng.uniform(1 - LIGHT / 2, 1 + LIGHT / 2, 3)
        lit = np.clip(np.rint(now * gain), 0, 255).astype(np.uint8)
        return network_input(moving, lit, r.scale), torch.from_numpy((mask > 0.5).astype(np.float32))[None, None]

    def _view(self, pictures: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """The same part of each, mirrored or not, at :attr:`size`."""
        height, width = self.size
        own = pictures[0].shape
        scale = max(height / own[0], width / own[1]) * rng.uniform(1, CLOSEST)
        reach = min(own[0], round(height / scale)), min(own[1], round(width / scale))
        top, left = (int(rng.integers(0, have - want + 1)) for have, want in zip(own, reach, strict=False))
        mirrored = rng.random() < 0.5
        views = []
        for picture in pictures:
            part = picture[top : top + reach[0], left : left + reach[1]]
            view = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
            views.append(np.ascontiguousarray(view[:, ::-1]) if mirrored else view)
        return views


class ClipPairs(_Views):
    """Frames of clips with one of the two before them, in views that differ from pass to pass.

    Args:
        frames: of :func:`find_clips`.
        estimate: the flow.
        recipe: settings.
        size: height and width of the views.
    """

    def __init__(
        self,
        frames: Sequence[MattingFrame],
        estimate: FlowEstimator,
        recipe: MattingRecipe,
        size: tuple[int, int],
    ) -> None:
        super().__init__(estimate, recipe, size)
        self._frames = list(frames)
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def pair(self, number: int, draw: int) -> tuple[Tensor, Tensor]:
        """See :class:`~co2net.matting.training.Pairs`."""
        rng = np.random.default_rng((self._recipe.seed, 1, draw))
        back = int(rng.integers(1, LONGEST_STEP + 1))
        other = max(0, number - back)
        while self._frames[other].clip != self._frames[number].clip:
            other += 1
        (before, _), (now, mask) = self._read(other), self._read(number)
        before, now, mask = self._view((before, now, mask), rng)
        return self._planes(before, now, mask, rng)

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A frame and its mask, a little larger than the views, from memory after the first time."""
        if number not in self._kept:
            frame = self._frames[number]
            assert frame.mask is not None  # noqa: S101  # find_clips took those with masks only
            picture, mask = read_image(frame.image), read_truth(frame.mask)
            check_fits(mask, frame.mask, picture, "its frame")
            shrunk = min(1.0, SPARE * max(self.size[0] / picture.shape[0], self.size[1] / picture.shape[1]))
            size = round(picture.shape[1] * shrunk), round(picture.shape[0] * shrunk)
            self._kept[number] = (
                cv2.resize(picture, size, interpolation=cv2.INTER_AREA),
                cv2.resize(mask, size, interpolation=cv2.INTER_AREA),
            )
        return self._kept[number]


class PhotoPairs(_Views):
    """Photographs whose subject moves, as the module says; arguments as of :class:`ClipPairs`.

    Args:
        photos: of :func:`~co2net.data.stills.find_stills`.
        estimate: the flow.
        recipe: settings.
        size: height and width of the views.
    """

    def __init__(
        self, photos: Sequence[Sample], estimate: FlowEstimator, recipe: MattingRecipe, size: tuple[int, int]
    ) -> None:
        super().__init__(estimate, recipe, size)
        self._photos = list(photos)

    def __len__(self) -> int:
        return len(self._photos)

    def pair(self, number: int, draw: int) -> tuple[Tensor, Tensor]:
        """See :class:`~co2net.matting.training.Pairs`."""
        rng = np.random.default_rng((self._recipe.seed, 2, draw))
        photo = self._photos[number]
        picture, mask8 = read_with_mask(photo.real, photo.mask)
        now, mask = self._view((picture, mask8.astype(np.float32) / 255), rng)
        return self._planes(MovingPhoto(now, mask, rng).at(-1)[0], now, mask, rng)


class JoinedPairs:
    """Clips and photographs in equal parts: every frame of the clips once a pass, photographs at random."""

    def __init__(self, clips: Pairs, photos: Pairs) -> None:
        self._clips, self._photos, self.size = clips, photos, clips.size

    def __len__(self) -> int:
        return 2 * len(self._clips)

    def pair(self, number: int, draw: int) -> tuple[Tensor, Tensor]:
        """See :class:`~co2net.matting.training.Pairs`."""
        if number < len(self._clips):
            return self._clips.pair(number, draw)
        chosen = int(np.random.default_rng((3, draw)).integers(len(self._photos)))
        return self._photos.pair(chosen, draw)


def training_photos(folders: Sequence[Path]) -> list[Sample]:
    """The photographs with masks of several folders, their training parts."""
    return [sample for root in folders for sample in find_stills(existing_folder(root), "train")]


class MovingPhoto:
    """A photograph as a clip: camera and subject move evenly, each on its own way.

    Args:
        picture: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` float32 in [0, 1]: the subject.
        rng: draws both motions, and the grain.
    """

    def __init__(self, picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> None:
        height, width = mask.shape
        pixels = height / 128
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self._places, self._rng = np.dstack([x, y]), rng
        self._picture, self._mask, self._back = picture, mask, _without_subject(picture, mask)
        middle = width / 2, height / 2
        inside = np.argwhere(mask > 0.5)
        center = (float(inside[:, 1].mean()), float(inside[:, 0].mean())) if len(inside) else middle
        self._camera = self._motion(middle, pixels * CAMERA * rng.random() ** 2, turn=1.0, grow=0.015)
        own = self._motion(center, pixels * SUBJECT * rng.random(), turn=4.0, grow=0.03)
        bend = rng.normal(0, 0.8 * pixels, (4, 5, 2)).astype(np.float32)
        own += cv2.resize(bend, (width, height), interpolation=cv2.INTER_CUBIC)
        self._subject = self._camera + (own if rng.random() >= RESTING else 0)

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Frame ``(H, W, 3)`` uint8 and mask ``(H, W)`` float32, `time` frames after the photograph."""
        if not time:
            return self._picture, self._mask
        back = self._moved(self._back, time * self._camera)
        front = self._moved(self._picture, time * self._subject)
        mask = self._moved(self._mask, time * self._subject)
        made = mask[..., None] * front + (1 - mask[..., None]) * back
        made += self._rng.normal(0, GRAIN, made.shape)
        return np.clip(np.rint(made), 0, 255).astype(np.uint8), mask

    def _moved(self, picture: np.ndarray, by: np.ndarray) -> np.ndarray:
        place = (self._places + by).astype(np.float32)
        return cv2.remap(picture, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _motion(self, center: tuple[float, float], far: float, turn: float, grow: float) -> np.ndarray:
        """An affine motion about `center`, by `far` pixels in any direction: ``(H, W, 2)`` float32."""
        rng = self._rng
        matrix = cv2.getRotationMatrix2D(center, rng.uniform(-turn, turn), 1 + rng.uniform(-grow, grow))
        angle = rng.uniform(0, 2 * np.pi)
        matrix[:, 2] += far * np.cos(angle), far * np.sin(angle)
        return cv2.transform(self._places, matrix.astype(np.float32)) - self._places


def _without_subject(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The background, continued behind the subject: float32."""
    seen = (cv2.dilate(mask, np.ones((5, 5), np.uint8)) < 0.5).astype(np.float32)[..., None]
    filled = np.full(picture.shape, picture.mean((0, 1)), np.float32)
    for sigma in (24.0, 8.0, 3.0):
        near = cv2.GaussianBlur(np.dstack([picture * seen, seen]).astype(np.float32), (0, 0), sigma)
        share = np.clip(near[..., 3:] / 0.05, 0, 1)
        filled = share * near[..., :3] / np.maximum(near[..., 3:], 1e-6) + (1 - share) * filled
    return seen * picture + (1 - seen) * filled
