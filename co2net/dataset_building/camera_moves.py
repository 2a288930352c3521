"""A camera that moves slowly over a photograph: a path of crop windows that keeps the foreground in sight."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

MIN_FOREGROUND, MAX_FOREGROUND = 0.01, 0.9  # share of the window; the background must be there too
_MARGIN = 1.2  # the share is measured before resampling: ask for a little more
_TRIES = 300


class Window(NamedTuple):
    """A crop window in the picture's pixels: (0, 0) is the upper left corner of the upper left pixel."""

    left: float
    top: float
    width: float
    height: float


def draw_move(mask: np.ndarray, frames: int, rng: np.random.Generator) -> list[Window] | None:
    """Draw a path: the window travels along a bent line, speeds up and slows down gently, and zooms a little.

    The window has the picture's aspect ratio and 62 to 90 % of its side; it travels up to a fifth of the side and
    changes its size by up to a tenth.

    Args:
        mask: ``(H, W)`` float in [0, 1].
        frames: number of windows.
        rng: source of randomness.

    Returns:
        The windows, or None if none was found that shows 1 to 90 % foreground in every frame.
    """
    sums = cv2.integral(mask.astype(np.float64))
    for _ in range(_TRIES):
        windows = _draw(mask.shape[:2], frames, rng)
        shares = [_foreground_share(sums, window) for window in windows]
        if min(shares) >= MIN_FOREGROUND * _MARGIN and max(shares) <= MAX_FOREGROUND:
            return windows
    return None


def crop_image(image: np.ndarray, window: Window, size: tuple[int, int]) -> np.ndarray:
    """What the window shows, ``(H, W, 3)`` uint8, at `size` (height, width); subpixel positions, edges repeated."""
    # A bicubic filter has no memory of what lies between its taps: shrink by area first, then move.
    factor = min(1.0, size[1] / window.width)
    if factor < 0.75:
        height, width = (max(1, round(side * factor)) for side in image.shape[:2])
        shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        x, y = width / image.shape[1], height / image.shape[0]
        return crop_image(shrunk, Window(window.left * x, window.top * y, window.width * x, window.height * y), size)
    return _warp(image, window, size, cv2.INTER_CUBIC)


def crop_mask(mask: np.ndarray, window: Window, size: tuple[int, int]) -> np.ndarray:
    """The window's part of a mask, ``(H, W)`` float32 in [0, 1]; a mask of 0 and 1 stays one of 0 and 1."""
    soft = _warp(mask.astype(np.float32), window, size, cv2.INTER_LINEAR)
    is_hard = bool(((mask == 0) | (mask == 1)).all())
    return (soft >= 0.5).astype(np.float32) if is_hard else soft


def _draw(shape: tuple[int, ...], frames: int, rng: np.random.Generator) -> list[Window]:
    height, width = shape
    size = rng.uniform(0.62, 0.9)
    zoom = rng.uniform(-0.1, 0.1)
    start, end = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2)  # of the room that the window has
    bend = rng.normal(0, 0.05, 2)
    windows = []
    for time in np.linspace(0, 1, frames) if frames > 1 else [0.5]:
        eased = time * time * (3 - 2 * time)
        side = size * (1 + zoom * (eased - 0.5))
        travel = end - start
        travel = travel * min(1.0, 0.2 / max(np.abs(travel * (1 - side)).max(), 1e-9))
        place = np.clip(start + travel * eased + bend * np.sin(np.pi * eased), 0, 1) * (1 - side)
        windows.append(Window(place[0] * width, place[1] * height, side * width, side * height))
    return windows


def _foreground_share(sums: np.ndarray, window: Window) -> float:
    height, width = sums.shape
    left, right = (int(np.clip(round(x), 0, width - 1)) for x in (window.left, window.left + window.width))
    top, bottom = (int(np.clip(round(y), 0, height - 1)) for y in (window.top, window.top + window.height))
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return float(inside / max((right - left) * (bottom - top), 1))


def _warp(picture: np.ndarray, window: Window, size: tuple[int, int], filter: int) -> np.ndarray:
    x, y = window.width / size[1], window.height / size[0]
    # From a pixel's center in the output to the place in the picture, both counted from pixel centers.
    matrix = np.array([[x, 0, window.left + (x - 1) / 2], [0, y, window.top + (y - 1) / 2]])
    return cv2.warpAffine(
        picture, matrix, (size[1], size[0]), flags=filter | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
