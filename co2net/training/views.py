"""What a training sample shows of a picture: a window, perhaps mirrored, at the training size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import NamedTuple

import cv2
import numpy as np

from co2net.data.pictures import resize_image, resize_mask

KEPT_ANYWAY = 0.05  # share of the views with too little foreground that are taken all the same
ASPECT = 4 / 3  # how far the shapes of windows are from their picture's, or from a square


class View(NamedTuple):
    """A window in pixels.

    Attributes:
        flip: mirrored.
        smooth: shrunk with area averaging, else bilinear with two taps: videos reach the network either way.
    """

    top: int
    bottom: int
    left: int
    right: int
    flip: bool = False
    smooth: bool = True


def draw_view(
    rng: np.random.Generator, mask: np.ndarray, smallest: float, enough: Callable[[View], bool] | None = None
) -> View:
    """Draw a view of a picture with foreground.

    Args:
        rng: source of randomness.
        mask: ``(H, W)`` uint8.
        smallest: area of the smallest window, as a share of the picture's; the aspect ratio changes by up to 3 : 4.
        enough: whether a window shows enough of the foreground; others are drawn again, but for one in twenty. None:
            more than a hundredth of it is foreground, in one of ten draws.
    """
    height, width = mask.shape
    whole = window = 0, height, 0, width
    draws: Iterable[int] = range(10) if enough is None else repeat(0)

    def shows(window: tuple[int, int, int, int]) -> bool:
        if enough is not None:
            return enough(View(*window))
        top, bottom, left, right = window
        return bool((mask[top:bottom:4, left:right:4] > 127).mean() > 0.01)

    for _ in draws:
        window = draw_window(rng, height, width, smallest, width / height) or whole
        if shows(window) or rng.random() < KEPT_ANYWAY:
            break
    return View(*window, flip=rng.random() < 0.5, smooth=rng.random() < 0.5)


def draw_scene_view(rng: np.random.Generator, mask: np.ndarray) -> View:
    """Draw a view as networks are shown frames that look at the scene and at the foreground's surroundings.

    Whole pictures, windows about the foreground up to twice as wide and high, and windows elsewhere; at least half as
    wide and high as the picture.

    Args:
        rng: source of randomness.
        mask: ``(H, W)`` uint8.
    """
    height, width = mask.shape
    kind, flip = rng.random(), bool(rng.random() < 0.5)
    rows, columns = np.nonzero(mask > 127)
    if kind < 0.4 or len(rows) == 0:
        return View(0, height, 0, width, flip=flip)
    edges = []
    for places, count in ((rows, height), (columns, width)):
        middle, spread = places.mean(), np.sqrt(12) * places.std()
        if kind < 0.75:
            length = spread * 2 * rng.uniform(0.8, 1.3)
        else:
            length, middle = count * rng.uniform(0.5, 1), middle + count * rng.normal(0, 0.12)
        size = round(float(np.clip(length, count / 2, count)))
        first = round(float(np.clip(middle - size / 2, 0, count - size)))
        edges += [first, first + size]
    return View(*edges, flip=flip)


def cut(picture: np.ndarray, view: View, size: int) -> np.ndarray:
    """The view of an uint8 picture ``(H, W, 3)`` or mask ``(H, W)``: float32 in [0, 1], `size` pixels square."""
    method = cv2.INTER_AREA if view.smooth else cv2.INTER_LINEAR
    window = picture[view.top : view.bottom, view.left : view.right]
    out = cv2.resize(window, (size, size), interpolation=method)
    out = out[:, ::-1] if view.flip else out
    return np.ascontiguousarray(out, dtype=np.float32) / 255


def resize_as_published(picture: np.ndarray, size: int, *, nearest: bool = False) -> np.ndarray:
    """As :func:`cut` for the whole picture, resized as HYouTube's loaders do; `nearest` is for masks."""
    if picture.ndim == 2:
        return resize_mask(picture.astype(np.float32) / np.float32(255), (size, size), nearest=nearest)
    return resize_image(picture, (size, size)).astype(np.float32) / 255


def draw_window(
    rng: np.random.Generator, height: int, width: int, smallest: float, aspect: float = 1.0
) -> tuple[int, int, int, int] | None:
    """``(top, bottom, left, right)`` in pixels; None where ten draws did not fit in.

    Args:
        rng: source of randomness.
        height: of the picture.
        width: of the picture.
        smallest: area of the smallest window, as a share of the picture's.
        aspect: middle of the windows' widths over heights, which vary by :data:`ASPECT` both ways.
    """
    for _ in range(10):
        area = height * width * rng.uniform(smallest, 1.0)
        ratio = np.exp(rng.uniform(np.log(1 / ASPECT), np.log(ASPECT))) * aspect
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            return top, top + h, left, left + w
    return None
