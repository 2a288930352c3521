"""Colors that people know: how far skin, foliage and sky are from those of the real picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LEAST = 40  # pixels; fewer of a kind say nothing


@dataclass(frozen=True)
class Kind:
    """A range of CIE Lab colors: hue in degrees, chroma, lightness."""

    name: str
    hues: tuple[float, float]
    chromas: tuple[float, float]
    lightnesses: tuple[float, float]

    def holds(self, lab: np.ndarray) -> np.ndarray:
        """Which pixels of ``(H, W, 3)`` are of the kind, ``(H, W)`` bool."""
        hue, chroma = hue_and_chroma(lab)
        inside = [
            (low <= values) & (values <= high)
            for values, (low, high) in ((hue, self.hues), (chroma, self.chromas), (lab[..., 0], self.lightnesses))
        ]
        return inside[0] & inside[1] & inside[2]


KINDS = (
    Kind("skin", (25, 70), (12, 45), (30, 88)),
    Kind("foliage", (95, 150), (12, 80), (12, 80)),
    Kind("sky", (225, 290), (8, 60), (45, 97)),
)


def hue_and_chroma(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees from 0 to 360, and the distance from gray, of ``(..., 3)`` CIE Lab."""
    a, b = lab[..., 1], lab[..., 2]
    return np.degrees(np.arctan2(b, a)) % 360, np.hypot(a, b)


def to_lab(picture: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of 8-bit RGB ``(H, W, 3)``, float32."""
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def known_color_errors(result: np.ndarray, real: np.ndarray, mask: np.ndarray) -> dict[str, tuple[float, float]]:
    """Hue and chroma error of each kind that the real foreground shows.

    Args:
        result: ``(H, W, 3)`` uint8 RGB.
        real: likewise; it says what is skin, foliage or sky, by color alone.
        mask: ``(H, W)`` uint8.

    Returns:
        By kind: mean difference of hue in degrees, each pixel counting by its chroma, and of chroma in Lab units.
    """
    truth, found = to_lab(real), to_lab(result)
    errors = {}
    for kind in KINDS:
        chosen = kind.holds(truth) & (mask > 127)
        if chosen.sum() < LEAST:
            continue
        (hue, chroma), (hue_found, chroma_found) = hue_and_chroma(truth[chosen]), hue_and_chroma(found[chosen])
        apart = np.abs((hue_found - hue + 180) % 360 - 180)
        errors[kind.name] = (float((apart * chroma).sum() / chroma.sum()), float(np.abs(chroma_found - chroma).mean()))
    return errors
