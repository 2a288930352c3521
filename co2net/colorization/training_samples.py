"""Training samples: color pictures with random strokes, and stretches of seven frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from co2net.colorization.lab import centered_lab, split_lab8
from co2net.colorization.scribbles import scribble_ab, training_scribble
from co2net.data.pictures import read_image
from co2net.data.samples import PICTURES
from co2net.errors import InputError

FRAMES = 7


@dataclass(frozen=True)
class Strokes:
    """Random strokes: none with probability ``1 - probability``, else up to ``points - 1`` squares of ``width``.

    With ``least_width`` the squares of a sample have a width from that to ``width``.
    """

    probability: float = 0.5
    points: int = 40
    width: int = 5
    least_width: int | None = None


@dataclass
class Sample:
    """A picture, or frames of a clip, as tensors with a leading axis of frames ``T`` (1 for a picture).

    Attributes:
        luma: ``(T, 1, H, W)`` codes / 255.
        centered: ``(T, 1, H, W)``, L - 50; empty for pictures.
        ab: ``(T, 2, H, W)`` codes / 255, the truth.
        scribble: ``(T, 2, H, W)``.
        known: where it is, ``(T, 1, H, W)`` of 0 and 1.
        segmentation: ``(T, 1, H, W)`` in [0, 1]; empty without maps.
        large_ab: ``(T, 2, rH, rW)``; empty for pictures.
    """

    luma: Tensor
    centered: Tensor
    ab: Tensor
    scribble: Tensor
    known: Tensor
    segmentation: Tensor
    large_ab: Tensor

    def to(self, device: torch.device) -> Sample:
        """The same on a device."""
        return Sample(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def stack(samples: Sequence[Sample]) -> Sample:
    """Several samples side by side: ``(B, T, ...)``."""
    return Sample(**{name: torch.stack([getattr(sample, name) for sample in samples]) for name in vars(samples[0])})


def find_pictures(root: Path) -> list[Path]:
    """Every picture below `root`, in order.

    Raises:
        InputError: there is none.
    """
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in PICTURES) if root.is_dir() else []
    if not found:
        raise InputError(f"{root}: there are no pictures in this folder")
    return found


class Pictures(Dataset[Sample]):
    """Sample `n` is picture ``n mod count`` of pass ``n div count``, with strokes that depend on seed and `n`.

    Args:
        root: folder of color pictures.
        maps: folder of saliency or segmentation maps under the same relative names, any picture ending; None: none.
        size: height and width.
        strokes: what is drawn.
        seed: of the run.
    """

    def __init__(
        self, root: Path, maps: Path | None, size: tuple[int, int], strokes: Strokes, seed: int, paths: list[Path]
    ) -> None:
        self.root, self.size, self.strokes, self.seed, self.paths = root, size, strokes, seed, paths
        self.maps = None if maps is None else [_map_of(path, root, maps) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Sample:
        """The picture as one frame."""
        epoch, place = divmod(number, len(self.paths))
        # A random order of its own for every pass.
        index = int(np.random.default_rng([self.seed, epoch]).permutation(len(self.paths))[place])
        rng = np.random.default_rng([self.seed, number, 1])
        segmentation = torch.empty(1, 0, *self.size)
        if self.maps is not None:
            gray = cv2.cvtColor(_resized(read_image(self.maps[index]), self.size), cv2.COLOR_RGB2GRAY)
            segmentation = torch.from_numpy(gray)[None, None].float() / 255
        drawn = rng.random() < self.strokes.probability
        rgb8 = _resized(read_image(self.paths[index]), self.size)
        return _sample([rgb8], drawn, self.strokes, rng, segmentation)


class Clips(Dataset[Sample]):
    """Sample `n`: a clip and seven consecutive frames of it, drawn by seed and `n`.

    Args:
        clips: the frames of every clip, in order; those with fewer than seven are left out.
        size: height and width.
        strokes: what is drawn; the coin is tossed once per clip.
        seed: of the run.
        ratio: how much larger the truth for the enlarged colors is.
    """

    def __init__(
        self, clips: list[list[Path]], size: tuple[int, int], strokes: Strokes, seed: int, ratio: int = 2
    ) -> None:
        self.clips = [clip for clip in clips if len(clip) >= FRAMES]
        if not self.clips:
            raise InputError(f"no clip has {FRAMES} frames or more")
        self.size, self.strokes, self.seed, self.ratio = size, strokes, seed, ratio

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Sample:
        """Seven frames."""
        rng = np.random.default_rng([self.seed, number, 2])
        clip = self.clips[int(rng.integers(len(self.clips)))]
        start = int(rng.integers(len(clip) - FRAMES + 1))  # the last window too
        frames = [read_image(path) for path in clip[start : start + FRAMES]]
        height, width = self.size
        large = [_resized(frame, (height * self.ratio, width * self.ratio)) for frame in frames]
        drawn = rng.random() < self.strokes.probability
        sample = _sample(
            [_resized(frame, self.size) for frame in frames],
            drawn,
            self.strokes,
            rng,
            torch.empty(FRAMES, 0, *self.size),
        )
        sample.centered = torch.cat([centered_lab(_resized(frame, self.size))[:, :1] for frame in frames])
        sample.large_ab = torch.cat([split_lab8(frame)[1] for frame in large])
        return sample


def _sample(
    frames: list[np.ndarray], drawn: bool, strokes: Strokes, rng: np.random.Generator, segmentation: Tensor
) -> Sample:
    planes = [split_lab8(frame) for frame in frames]
    scribbles = []
    for frame in frames:
        points = np.zeros_like(frame)
        if drawn:
            points = training_scribble(frame, rng, strokes.points, strokes.width, strokes.least_width)
        scribbles.append(scribble_ab(points))
    return Sample(
        torch.cat([luma for luma, _ in planes]),
        torch.empty(len(frames), 1, 0, 0),
        torch.cat([ab for _, ab in planes]),
        torch.cat([ab for ab, _ in scribbles]),
        torch.cat([known for _, known in scribbles]),
        segmentation,
        torch.empty(len(frames), 2, 0, 0),
    )


def _resized(rgb8: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if rgb8.shape[:2] == size:
        return rgb8
    return cv2.resize(rgb8, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def _map_of(path: Path, root: Path, maps: Path) -> Path:
    wanted = maps / path.relative_to(root)
    for ending in (path.suffix, *sorted(PICTURES)):
        if wanted.with_suffix(ending).is_file():
            return wanted.with_suffix(ending)
    raise InputError(f"{path} has no map {wanted.with_suffix('')}.*; leave the folder of maps away to train without")
