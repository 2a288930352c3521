"""Pictures of a clip's worst and best frame, for people to look at."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from co2net.files import make_folder, write_beside

FOLDER = "pictures"
Panels = dict[str, np.ndarray]
"""Name without ending to ``(H, W, 3)`` or ``(H, W)`` uint8."""


class WorstAndBest:
    """Keeps the pictures of the frames with the highest and the lowest error seen so far."""

    def __init__(self) -> None:
        self._worst: tuple[float, str, Panels] = (-math.inf, "", {})
        self._best: tuple[float, str, Panels] = (math.inf, "", {})

    def see(self, name: str, error: float | None, pictures: Callable[[], Panels]) -> None:
        """Look at a frame; `pictures` is called only if they are wanted. Frames without an error do not count."""
        if error is None or self._best[0] <= error <= self._worst[0]:
            return
        seen = (error, name, pictures())
        self._worst = max(self._worst, seen, key=lambda kept: kept[0])
        self._best = min(self._best, seen, key=lambda kept: kept[0])

    def write(self, output: Path) -> list[str]:
        """Write ``<output>/pictures/<name>/<picture>.png``; returns the names, worst first.

        Raises:
            OutputError: a folder cannot be made or written.
        """
        found = {name: pictures for _, name, pictures in (self._worst, self._best) if name}
        for name, pictures in found.items():
            make_folder(output / FOLDER / name)
            for picture, values in pictures.items():
                buffer = io.BytesIO()
                Image.fromarray(values).save(buffer, format="png")
                write_beside(output / FOLDER / name / f"{picture}.png", buffer.getvalue())
        return list(found)
