"""A small folder of pictures with masks, for stage 1."""

from pathlib import Path

import cv2
import numpy as np


def make_pictures(root: Path, size: tuple[int, int], center: tuple[int, int], radius: int) -> Path:
    """Twelve pictures of `size` (width, height) with a disc each, in the plain layout; returns `root`."""
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(12):
        picture = cv2.resize(random.integers(0, 255, (5, 6, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
        mask = np.zeros(size[::-1], np.uint8)
        cv2.circle(mask, center, radius, 255, -1)
        cv2.imwrite(str(root / "images" / f"p{i}.png"), picture)
        cv2.imwrite(str(root / "masks" / f"p{i}_0.png"), mask)
    return root
