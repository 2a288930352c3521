"""The colored screen behind a subject: its color, and how it looks in a frame, also behind the subject."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import ImageColor

from co2net.errors import InputError

NAMED = {"green": (50.0, 150.0, 40.0), "blue": (40.0, 70.0, 170.0)}
SIDEWAYS = 0.57735  # tan 30°: makes the lean to green ``G - max(R, B)``, but for its scale
LEAST_CHROMA = 0.12  # of a screen, in [0, 1]
LEAST_SHARE = 0.02  # of a frame that must show the screen
GRID = 24  # the field is held at about so many points per side
MEMORY = 0.7  # share of the frame before in the field: the screen stands still while its noise does not
SHADE = (0.55, 1.25)  # how much darker or lighter than its field a screen may be and still be empty

# Two axes of color without brightness, at right angles and of unit length: red against blue, green against both.
_AXES = np.array([[1, 0, -1], [-1, 2, -1]], np.float32) / np.sqrt(np.array([[2], [6]], np.float32))


def parse_color(color: Any) -> tuple[float, float, float] | None:
    """Levels of a color; None for "auto".

    Args:
        color: "auto", "green", "blue", ``#RRGGBB``, another name that CSS knows, ``"R,G,B"``, or three levels.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(color, str):
        word = color.strip().lower()
        if word == "auto":
            return None
        if word in NAMED:
            return NAMED[word]
        try:
            parts = [float(part) for part in word.split(",")] if "," in word else list(ImageColor.getrgb(word)[:3])
        except ValueError:
            parts = []
    else:
        try:
            parts = [float(part) for part in color]
        except (TypeError, ValueError):
            parts = []
    if len(parts) != 3 or not all(0 <= part <= 255 for part in parts):
        raise InputError(
            f"`color` {color!r} is no color; give auto, green, blue, #RRGGBB, or three levels as 50,150,40"
        )
    return parts[0], parts[1], parts[2]


class Lean:
    """How far colors lean to a hue.

    Args:
        color: RGB levels.

    Raises:
        InputError: the color is gray and has no hue.
    """

    def __init__(self, color: tuple[float, float, float]) -> None:
        self.color = np.asarray(color, np.float32) / 255
        chroma = _AXES @ self.color
        length = float(np.linalg.norm(chroma))
        if length < 0.05:
            raise InputError(f"a screen of the color {_name(self.color)} cannot be keyed: it has no hue")
        self._along = (chroma / length) @ _AXES
        self._across = (np.array([-chroma[1], chroma[0]], np.float32) / length) @ _AXES
        self.name = _name(self.color)

    def __call__(self, colors: np.ndarray) -> np.ndarray:
        """``(..., 3)`` in [0, 1] to ``(...)``; above 0 within 60° of the hue."""
        return colors @ self._along - SIDEWAYS * np.abs(colors @ self._across)

    def remove(self, colors: np.ndarray, amount: np.ndarray) -> np.ndarray:
        """Colors that lean no more, where `amount` is 1; brightness gives way as if the screen's light were put out."""
        extra = np.maximum(self(colors), 0) * amount
        return np.clip(colors - extra[..., None] * self._along, 0, 1).astype(np.float32)


class Screen:
    """The screen of a shot as a smooth field of colors."""

    def __init__(self, lean: Lean) -> None:
        self._lean = lean
        self._field: np.ndarray | None = None
        self.noise = 0.0
        """Standard deviation of the screen's grain, in [0, 1]."""

    def fit(self, colors: np.ndarray, counted: np.ndarray) -> bool:
        """Find the screen in a frame; False if less than :data:`LEAST_SHARE` of it is screen.

        Args:
            colors: ``(H, W, 3)`` float32 in [0, 1].
            counted: ``(H, W)`` bool: where to look.
        """
        height, width = colors.shape[:2]
        lean = self._lean(colors)
        own = float(self._lean(self._lean.color))
        if self._field is None:
            # The color as given may be far off in brightness and saturation: its hue counts, and the strongest lean.
            sure = lean[counted & (lean > max(0.06, 0.2 * own))]
            if sure.size < LEAST_SHARE * counted.sum():
                return False
            usual = float(np.percentile(sure, 70))
        else:
            usual = float(np.median(self._lean(self._field)))
        seen = counted & (lean > 0.6 * usual)
        seen = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        if seen.sum() < LEAST_SHARE * counted.sum():
            return False
        field = _smooth_field(colors, seen)
        for _ in range(2):
            large = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
            rest = np.abs(colors - large).max(-1)
            bound = max(0.03, 3 * float(np.median(rest[seen])))
            closer = seen & (rest < bound)
            if closer.sum() < 0.3 * seen.sum():
                break
            seen, field = closer, _smooth_field(colors, closer)
        fine = colors - cv2.GaussianBlur(colors, (0, 0), 2)
        self.noise = float(1.4826 * np.median(np.abs(fine[seen])))
        self._field = field if self._field is None else MEMORY * self._field + (1 - MEMORY) * field
        return True

    def field(self, shape: tuple[int, ...]) -> np.ndarray:
        """The screen's colors ``(H, W, 3)`` everywhere."""
        assert self._field is not None  # noqa: S101  # fit() comes first
        return cv2.resize(self._field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)

    def covers(self, colors: np.ndarray, field: np.ndarray) -> np.ndarray:
        """Where the frame shows the screen and nothing else, in light or shade: bool ``(H, W)``."""
        # Shade scales the color; lights and shades nearby are the screen's, colors aside are not.
        strength = np.square(field).sum(-1)
        shade = np.clip((colors * field).sum(-1) / np.maximum(strength, 1e-4), *SHADE)
        rest = np.linalg.norm(cv2.GaussianBlur(colors - shade[..., None] * field, (0, 0), 0.8), axis=-1)
        return rest < 0.02 + 2.5 * self.noise


def _smooth_field(colors: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Colors where `seen`, smoothed and continued over the rest; about :data:`GRID` points along the longer side."""
    height, width = seen.shape
    step = max(1, max(height, width) // GRID)
    size = max(2, width // step), max(2, height // step)
    weight = seen.astype(np.float32)
    total = cv2.resize(np.dstack([colors * weight[..., None], weight]), size, interpolation=cv2.INTER_AREA)
    levels = [cv2.GaussianBlur(total, (0, 0), sigma) for sigma in (1.0, 3.0, 9.0)]
    mean = total[..., :3].sum((0, 1)) / max(float(total[..., 3].sum()), 1e-6)
    field = np.broadcast_to(mean.astype(np.float32), (*total.shape[:2], 3))
    for level in reversed(levels):
        share = np.clip(level[..., 3:] / 0.1, 0, 1)
        field = share * level[..., :3] / np.maximum(level[..., 3:], 1e-6) + (1 - share) * field
    return field.astype(np.float32)


def find_color(picture: np.ndarray, keep: np.ndarray | None = None) -> tuple[float, float, float]:
    """The color of the screen in a frame: the commonest strong color, what lies at the border counting more.

    Args:
        picture: ``(H, W, 3)`` uint8.
        keep: ``(H, W)`` bool: where to look; None: everywhere.

    Raises:
        InputError: no strong color fills a part of the frame.
    """
    scale = min(1.0, 240 / min(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    colors = small.reshape(-1, 3).astype(np.float32) / 255
    height, width = small.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    edge = np.minimum(np.minimum(x / width, 1 - x / width), y / height)  # the lower border often is the subject
    weight = np.where(edge < 0.08, 3.0, 1.0).ravel()
    if keep is not None:
        weight = weight * cv2.resize(keep.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).ravel()
    chroma = colors @ _AXES.T
    strong = np.linalg.norm(chroma, axis=1) > LEAST_CHROMA
    bins = np.clip(((chroma + 1) * 24).astype(int), 0, 47)
    votes = np.zeros((48, 48), np.float32)
    np.add.at(votes, (bins[strong, 1], bins[strong, 0]), weight[strong])
    votes = cv2.GaussianBlur(votes, (0, 0), 1.0)
    row, column = np.unravel_index(int(votes.argmax()), votes.shape)
    near = strong & (np.abs(bins[:, 1] - row) <= 2) & (np.abs(bins[:, 0] - column) <= 2)
    share = float(weight[near].sum() / max(weight.sum(), 1e-6))
    if share < 0.08:
        raise InputError(
            "no screen was found in the first frame: no strong color fills a part of it; name the `color`, or take "
            "another way to a mask: a painted one of a frame, or the subject's motion"
        )
    red, green, blue = np.median(colors[near], axis=0) * 255
    return float(red), float(green), float(blue)


def _name(color: np.ndarray) -> str:
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in color)
