"""A source of three small videos, what is built of it, and how the result is looked at."""

import numpy as np
from PIL import Image

from co2net.dataset_building import BuildSettings, build_dataset

SIZE = (24, 16)


def frame(seed):
    return np.random.RandomState(seed).randint(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def mask(left=4):
    values = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    values[3:12, left : left + 9] = 255
    return values


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def run(source, output, luts="luts", overwrite=False, clips=(), share=None, workers=1, **settings):
    return build_dataset(
        source / "real",
        source / "masks",
        source / luts,
        output,
        BuildSettings(**settings),
        clips=clips,
        train_share=share,
        overwrite=overwrite,
        workers=workers,
    )


def tree(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
