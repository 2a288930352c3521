"""A data set in HYouTube's layout, small enough for tests: tiny PNG frames, foregrounds with another tint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = ("real_videos", "foreground_mask", "synthetic_composite_videos")


def write_clip(
    root: Path,
    numbers: list[int],
    video: str = "vid",
    obj: str = "object_0",
    size: tuple[int, int] = (24, 32),
    empty: tuple[int, ...] = (),
) -> list[str]:
    """Write the frames of one clip; returns their lines of a frame list. Frames in `empty` have an empty mask."""
    height, width = size
    rng = np.random.default_rng([*video.encode(), *obj.encode()])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase, lines = rng.uniform(0, 6, 3), []
    for number in numbers:
        real = np.stack([0.5 + 0.4 * np.sin(x / 5 + y / 7 + p + number / 20) for p in phase], axis=-1)
        mask = np.hypot(x - width * 0.45 - number / 20, y - height * 0.5) < height * 0.36
        if number in empty:
            mask[:] = False
        tinted = np.where(mask[..., None], real * (1.0, 0.8, 0.6) + (0, 0.05, 0.1), real)
        values = (real, mask, tinted)
        paths = [
            f"{COLUMNS[0]}/{video}/{number:05d}.png",
            *(f"{column}/{video}/{obj}/{number:05d}.png" for column in COLUMNS[1:]),
        ]
        for path, value in zip(paths, values, strict=True):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((value * 255).round().astype(np.uint8)).save(root / path)
        lines.append(" ".join(paths))
    return lines


def write_data_set(root: Path, clips: int = 2, frames: int = 4, **settings) -> Path:
    """Write clips of consecutive frames and their list ``test_frames.txt``; returns the root."""
    numbers = [5 * n for n in range(frames)]
    lines = [line for n in range(clips) for line in write_clip(root, numbers, f"vid{n}", **settings)]
    (root / "test_frames.txt").write_text("\n".join(lines))
    return root
