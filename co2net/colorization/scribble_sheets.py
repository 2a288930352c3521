"""Scribbles for whole data sets, as SVCNet's GCS programs leave them: random points, carried through clips by flow.

Per frame, with working height 256: ``<name>_256p.png`` widened, ``<name>_256p_not_widen.png`` single pixels,
``<name>.png`` and ``<name>_not_widen.png`` the same at the frame's own size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from co2net.colorization.scribbles import diverse, propagate_scribbles, random_points, widen
from co2net.data.frame_lists import list_lines
from co2net.data.pictures import read_image
from co2net.errors import InputError
from co2net.files import write_beside
from co2net.flow import FlowEstimator

VISIBLE_WIDTH = 10  # of squares to look at
MAPPINGS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Points:
    """How scribbles are drawn.

    Attributes:
        size: working height and width.
        count: single pixels on a first frame.
        width: of squares, see :func:`~.scribbles.widen`.
        seed: which places.
    """

    size: tuple[int, int] = (256, 448)
    count: int = 40
    width: int = 5
    seed: int = 0


def picture_scribbles(pictures: Sequence[Path], root: Path, output: Path, points: Points) -> Iterator[Path]:
    """Random points of every picture, widened, as ``<output>/<path below root>.png``; yields what was written.

    Raises:
        InputError: a picture cannot be read.
        OutputError: a file cannot be written.
    """
    for number, path in enumerate(pictures):
        sparse = random_points(_at_size(read_image(path), points.size), points.count, _rng(points, number))
        yield _save(output / path.relative_to(root).with_suffix(".png"), widen(sparse, points.width))


def clip_scribbles(
    frames: Sequence[Path],
    output: Path,
    points: Points,
    estimate: FlowEstimator,
    *,
    first: Path | None = None,
    published: bool = False,
    number: int = 0,
) -> Iterator[Path]:
    """Points of the first frame carried through a clip; yields what was written, four files a frame.

    Args:
        frames: in order.
        output: folder.
        points: how they are drawn.
        estimate: flow between two frames.
        first: a scribble picture for the first frame, single pixels on black; None: random points.
        published: flow from the frame before to the next one, as the published program has it, which moves points
            against the motion.
        number: of the clip, for other places in every clip.

    Raises:
        InputError: a picture cannot be read, or `first` holds no point.
        OutputError: a file cannot be written.
    """
    pictures = (read_image(path) for path in frames)
    for path, (sparse, shape) in zip(
        frames, _carried(pictures, points, estimate, first, published, number), strict=True
    ):
        large = cv2.resize(sparse, shape[::-1], interpolation=cv2.INTER_NEAREST)
        tag = f"_{points.size[0]}p"
        for name, image in ((tag, sparse), ("", large)):
            yield _save(output / f"{path.stem}{name}.png", widen(image, points.width))
            yield _save(output / f"{path.stem}{name}_not_widen.png", image)


def listed_clips(classes: Path, images: Path, root: Path) -> dict[str, list[Path]]:
    """The frames of the clips of two published lists: names of clips, and ``<clip>/<frame>`` a line.

    Raises:
        InputError: a list is missing or empty, a frame is of no listed clip or not there.
    """
    clips: dict[str, list[Path]] = {words[0]: [] for _, words in list_lines(classes)}
    for place, words in list_lines(images):
        clip = words[0].rpartition("/")[0]
        if len(words) != 1 or clip not in clips:
            raise InputError(f"{place}: expected <clip>/<frame> of a clip in {classes}, got {' '.join(words)}")
        if not (root / words[0]).is_file():
            raise InputError(f"{place}: {root / words[0]} does not exist")
        clips[clip].append(root / words[0])
    return {clip: frames for clip, frames in clips.items() if frames}


def map_scribbles(root: Path, keyword: str, output: Path) -> Iterator[Path]:
    """The scribble files below `root` whose name contains `keyword` in other colors: ``<output>/diverse{1..4}/...``.

    Raises:
        InputError: there is none, or one cannot be read.
        OutputError: a file cannot be written.
    """
    for path in scribble_files(root, keyword):
        image = read_image(path)
        for mapping in MAPPINGS:
            yield _save(output / f"diverse{mapping}" / path.relative_to(root), diverse(image, mapping))


def widen_scribbles(root: Path, keyword: str, output: Path) -> Iterator[Path]:
    """The same files with squares that are easy to see: ``<name>_vis.png``; errors as there."""
    for path in scribble_files(root, keyword):
        target = output / path.relative_to(root).with_name(f"{path.stem}_vis.png")
        yield _save(target, widen(read_image(path), VISIBLE_WIDTH))


def scribble_files(root: Path, keyword: str) -> list[Path]:
    """Files below `root` whose name contains `keyword`, sorted.

    Raises:
        InputError: there is none.
    """
    found = sorted(path for path in root.rglob("*.png") if keyword in path.name)
    if not found:
        raise InputError(f"{root}: no .png file below it has {keyword!r} in its name")
    return found


def _carried(
    frames: Iterable[np.ndarray],
    points: Points,
    estimate: FlowEstimator,
    first: Path | None,
    published: bool,
    number: int,
) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Single pixels ``(H, W, 3)`` uint8 per frame at working size, and the frame's own height and width."""
    sparse = before = None
    for frame in frames:
        small = _at_size(frame, points.size)
        image = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
        if before is None or sparse is None:
            sparse = (
                random_points(small, points.count, _rng(points, number))
                if first is None
                else _first_scribble(first, points.size)
            ).astype(np.float32)
        else:
            # In float: rounding in every frame would darken the points.
            sparse = propagate_scribbles(sparse, estimate(*((before, image) if published else (image, before))))
        before = image
        yield sparse.astype(np.uint8), frame.shape[:2]


def _first_scribble(path: Path, size: tuple[int, int]) -> np.ndarray:
    image = read_image(path)
    if not image.any():
        raise InputError(f"{path} is black all over; a scribble picture holds colored pixels on black")
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST)  # nothing is mixed with the black


def _at_size(rgb8: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return rgb8 if rgb8.shape[:2] == size else cv2.resize(rgb8, size[::-1], interpolation=cv2.INTER_CUBIC)


def _rng(points: Points, number: int) -> np.random.Generator:
    return np.random.default_rng([points.seed, number])


def _save(path: Path, rgb8: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_beside(path, cv2.imencode(".png", rgb8[..., ::-1])[1].tobytes())
    return path
