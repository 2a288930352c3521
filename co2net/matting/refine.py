"""From a hard mask to a matte: a band about the edge becomes alpha, steady along the motion.

The band is solved by closed-form matting (Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image
Matting", PAMI 2008) where PyMatting is installed, else by a guided filter.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from co2net.errors import InputError
from co2net.matting.guided import guided
from co2net.pipeline.frames import Picture, as_bytes

BAND = 0.012  # of the frame's height: half the width of the band
LARGEST = 500_000  # pixels of the part that is solved at once; larger ones are solved at a smaller size
STEADY = 0.5  # share of the frame before, moved along, within the band
SETTLED = 0.15  # change of alpha above which the frame before does not count


def has_pymatting() -> bool:
    """Whether PyMatting is installed."""
    return importlib.util.find_spec("pymatting") is not None


class Refiner:
    """Refines the masks of a shot, in order.

    Args:
        closed_form: solve with PyMatting; None: where it is installed.
        band: half the width of the band, as a share of the frame's height.

    Raises:
        InputError: PyMatting is wanted and not installed.
    """

    def __init__(self, closed_form: bool | None = None, band: float = BAND) -> None:
        if closed_form and not has_pymatting():
            raise InputError("refining by closed-form matting needs PyMatting: pip install 'co2net[matting]'")
        self._closed_form = has_pymatting() if closed_form is None else closed_form
        self._band = band
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def refine(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Alpha ``(H, W)`` float32 in [0, 1] of one frame.

        Args:
            frame: ``(H, W, 3)`` uint8.
            mask: ``(H, W)`` float32 in [0, 1].
        """
        inside = (mask > 0.5).astype(np.uint8)
        if inside.any() and not inside.all():
            radius = max(2, round(self._band * len(mask)))
            alpha = self._solve(frame, inside, radius)
            alpha = self._steadied(frame, alpha)
        else:
            alpha = mask.astype(np.float32)
        self._last = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), alpha
        return alpha

    def _solve(self, frame: np.ndarray, inside: np.ndarray, radius: int) -> np.ndarray:
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        sure, maybe = cv2.erode(inside, disk), cv2.dilate(inside, disk)
        trimap = np.where(sure > 0, 1.0, np.where(maybe > 0, 0.5, 0.0))
        left, top, width, height = cv2.boundingRect(maybe)
        pad = 2 * radius
        box = np.s_[max(0, top - pad) : top + height + pad, max(0, left - pad) : left + width + pad]
        alpha = trimap.astype(np.float32)
        alpha[box] = self._solved_box(frame[box], trimap[box], inside[box], radius)
        return np.where(trimap == 0.5, alpha, trimap).astype(np.float32)

    def _solved_box(self, frame: np.ndarray, trimap: np.ndarray, inside: np.ndarray, radius: int) -> np.ndarray:
        if not self._closed_form or not (trimap == 1).any() or not (trimap == 0).any():
            return np.clip(guided(frame, inside.astype(np.float32), radius=radius, epsilon=1e-4)[0], 0, 1)
        from pymatting import estimate_alpha_cf  # pyright: ignore[reportMissingImports]  # an extra

        scale = min(1.0, (LARGEST / trimap.size) ** 0.5)
        size = max(1, round(trimap.shape[1] * scale)), max(1, round(trimap.shape[0] * scale))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        wanted = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST) if scale < 1 else trimap
        try:
            alpha = estimate_alpha_cf(small.astype(np.float64) / 255, wanted.astype(np.float64))
        except ValueError:  # its factorization gave up on this picture
            return np.clip(guided(frame, inside.astype(np.float32), radius=radius, epsilon=1e-4)[0], 0, 1)
        found = np.clip(alpha, 0, 1).astype(np.float32)
        if scale < 1:
            large = guided(small, found, frame, radius=2, epsilon=1e-5)[1]
            found = np.clip(large if large is not None else found, 0, 1)
        return found

    def _steadied(self, frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Mix with the frame before, moved along, where the two nearly agree: grain does not boil, motion stays."""
        if self._last is None or self._last[0].shape != alpha.shape:
            return alpha
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, 240 / min(gray.shape))
        small = [cv2.resize(g, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for g in (gray, self._last[0])]
        if min(small[0].shape) < 16:
            return alpha
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(*small, None)  # type: ignore[call-overload]
        flow = cv2.resize(flow, gray.shape[::-1]) / np.float32(scale)
        y, x = np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]].astype(np.float32)
        before = cv2.remap(self._last[1], x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
        share = STEADY * np.clip(1 - np.abs(before - alpha) / SETTLED, 0, 1)
        return ((1 - share) * alpha + share * before).astype(np.float32)


def foreground_colors(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The subject's own colors ``(H, W, 3)`` float32 in [0, 1], without what shines through at soft edges.

    PyMatting's multi-level estimate (Germer et al., arXiv:2006.14970) where it is installed, else the frame's colors.

    Args:
        frame: ``(H, W, 3)`` uint8.
        alpha: ``(H, W)`` float32 in [0, 1].
    """
    colors = frame.astype(np.float32) / 255
    if not has_pymatting() or not ((alpha > 0) & (alpha < 1)).any():
        return colors
    from pymatting import estimate_foreground_ml  # pyright: ignore[reportMissingImports]  # an extra

    found = estimate_foreground_ml(colors.astype(np.float64), alpha.astype(np.float64))
    return np.clip(np.asarray(found), 0, 1).astype(np.float32)


class RefinedStream:
    """Another stream's masks ``(H, W)``, refined."""

    def __init__(self, inner: Any, refiner: Refiner | None = None) -> None:
        self._inner, self._refiner = inner, refiner or Refiner()

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, Any]]:
        """As the other stream's."""
        for (mine, picture), result in self._inner.push(frame, mask, (tag, as_bytes(frame))):
            yield mine, self._refiner.refine(picture, result)

    def finish(self) -> Iterator[tuple[Any, Any]]:
        """As the other stream's."""
        for (mine, picture), result in self._inner.finish():
            yield mine, self._refiner.refine(picture, result)

    @property
    def notes(self) -> list[str]:
        """The other stream's."""
        return getattr(self._inner, "notes", [])
