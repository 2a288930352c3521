"""What the pixels of a mask tell about how it was written: colors, object numbers, range, noise."""

from __future__ import annotations

import cv2
import numpy as np

from co2net.errors import InputError, listed

_CROSS = np.ones((3, 3), np.uint8)
_NEUTRAL = 8  # levels between channels that still count as grey: JPEG and codecs tint a little


def brightest(values: np.ndarray) -> np.ndarray:
    """``(H, W)`` as it is; of ``(H, W, 3)`` the greatest channel."""
    if values.ndim == 2:
        return values
    red, green, blue = cv2.split(values)
    return cv2.max(cv2.max(red, green), blue)


def is_colored(colors: np.ndarray) -> bool:
    """Whether any of ``(..., 3)`` is no grey."""
    flat = colors.reshape(-1, 3)
    unit = 257 if colors.dtype == np.uint16 else 1
    if len(flat) == 0:
        return False
    spread = brightest(colors.reshape(1, -1, 3)).astype(np.int32) - flat.min(axis=1)
    return bool(spread.max() > _NEUTRAL * unit)


def used_colors(entries: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The colors ``(N, 3)`` of a palette that a picture uses."""
    used = np.flatnonzero(np.bincount(entries.ravel(), minlength=256))
    return palette[used[used < len(palette)]]


def is_label_palette(entries: np.ndarray, palette: np.ndarray) -> bool:
    """Whether a palette picture is a label map: it has colors, and they are no shades of one (a soft colored mask)."""
    colors = used_colors(entries, palette)
    if not is_colored(colors):
        return False
    strongest = colors[brightest(colors[None])[0].argmax()].astype(np.float64)
    shades = brightest(colors[None])[0][:, None] / strongest.max() * strongest
    return len(colors) <= 8 or bool(np.abs(colors - shades).max() > 12)


def is_flat_colors(image: np.ndarray) -> bool:
    """Whether an RGB picture is a label map: few colors, each of which fills areas, none of them at full strength.

    A shape of one color at full strength means the same either way.
    """
    packed = image.astype(np.int64) @ np.array([1 << 32, 1 << 16, 1])
    if len(np.unique(packed[::5, ::5])) > 64:
        return False
    found = np.unique(packed)
    found = found[found > 0]
    if not 0 < len(found) <= 64:
        return False
    areas = sum(bool(cv2.erode((packed == color).astype(np.uint8), _CROSS).any()) for color in found)
    return areas * 2 > len(found)


def looks_soft(values: np.ndarray) -> bool:
    """Whether dark values rise in ramps, as a soft mask's do, instead of standing in areas like object numbers."""
    top = int(values.max())
    if top <= 2 or values.size < 64 or min(values.shape) < 3:
        return False
    v = values.astype(np.int32)
    steps = [np.abs(np.diff(v, axis=axis)) for axis in (0, 1)]
    if max(int(s.max()) for s in steps) <= 1:
        return True
    padded = np.pad(v, 1, mode="edge")
    around = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    lower, higher = (around < v).any(axis=0), (around > v).any(axis=0)
    return int((lower & higher).sum()) > 0.2 * int((lower | higher).sum())


def refuse_ambiguous(plane: np.ndarray, peak: float, name: object) -> None:
    """Refuse levels that stand in areas, of which none is white, and object numbers beside white.

    Raises:
        InputError: with what the mask could be.
    """
    found = _few_levels(plane)
    if found is None:
        return
    found = found[found > 0]
    numbers, bright = found[found <= 31], found[found > 31]
    mend = "Name the object's number, write the mask with 0 and 255, or give a threshold"
    if len(numbers) and len(bright) and bright.min() >= 0.98 * peak:
        if _fill_areas(plane, numbers):
            raise InputError(
                f"{name}: holds {listed(numbers, 4)} and {bright.max()}: object numbers with a border, or levels? "
                f"{mend}"
            )
    if len(found) >= 2 and found.max() < 0.8 * peak and _fill_areas(plane, found) and not looks_soft(plane):
        raise InputError(f"{name}: holds the levels {listed(found, 4)}, none white: objects, or opacities? {mend}")


def _few_levels(plane: np.ndarray) -> np.ndarray | None:
    if len(np.unique(plane[::7, ::7])) > 40:
        return None
    found = np.unique(plane)
    return found if len(found) <= 40 else None


def _fill_areas(plane: np.ndarray, levels: np.ndarray) -> bool:
    if plane.size < 64:
        return False
    filled = [v for v in levels if cv2.erode((plane == v).astype(np.uint8), _CROSS).sum() > 0.0005 * plane.size]
    return len(filled) * 2 > len(levels)


def is_limited(levels: np.ndarray) -> bool:
    """Whether levels 0..255 have their black at 16 and their white at 235."""
    if levels.min() < 14.5 or levels.max() > 236.5:
        return False
    black, white = np.abs(levels - 16) <= 1.5, np.abs(levels - 235) <= 1.5
    return bool(black.mean() > 0.01 and white.mean() > 0.01 and (black | white).mean() > 0.7)


def noise_floor(levels: np.ndarray) -> int:
    """The level, 3 to 16, up to which noise reaches in the black of a mask; 0 where its black is clean.

    Looked for away from the foreground, where a soft edge does not reach.
    """
    height, width = levels.shape
    foreground = (levels > 127).astype(np.uint8)
    if not foreground.any():
        return 0
    reach = 2 * max(3, min(height, width) // 16) + 1
    # A sum around every pixel, which says what dilation does in a fifth of its time.
    around = cv2.boxFilter(foreground, cv2.CV_32S, (reach, reach), normalize=False, borderType=cv2.BORDER_CONSTANT)
    far = levels[around == 0]
    if far.size < 0.05 * levels.size or (far > 16.5).mean() > 0.001:
        return 0
    noisy = far[far > 2.5]
    return int(np.ceil(noisy.max())) if noisy.size > 0.01 * far.size else 0
