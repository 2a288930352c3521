"""mIoU of a segmenter's masks against annotations: how well colored clips can be understood.

SVCNet's protocol: a fixed segmenter (external, with its own weights) marks the foreground of colored clips; its masks
are compared with the annotations by one 2 x 2 confusion matrix over all pixels of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from co2net.data.frame_lists import list_lines
from co2net.data.pictures import read_image
from co2net.errors import InputError

FOREGROUND = 255  # the code that counts; object numbers and soft borders do not
_ANNOTATIONS = "/Annotations/480p/"


@dataclass(frozen=True)
class MeanIoU:
    """What :func:`mean_iou` found.

    Attributes:
        background: IoU of that class.
        foreground: likewise.
        frames: how many were compared.
    """

    background: float
    foreground: float
    frames: int

    @property
    def mean(self) -> float:
        """Of both classes."""
        return (self.background + self.foreground) / 2


def mean_iou(annotations: Path, predictions: Path, frame_list: Path) -> MeanIoU:
    """Compare two folders of masks.

    Args:
        annotations: folder with ``<clip>/<frame>.png``; foreground is code 255.
        predictions: folder of the same names, likewise.
        frame_list: one ``<clip>/<frame>.png`` a line; ``.../Annotations/480p/`` before it is cut off.

    Raises:
        InputError: a file is missing or no picture, two masks differ in size, or the list is empty; names the line.
    """
    counts = np.zeros((2, 2), np.int64)
    lines = list_lines(frame_list)
    for place, words in lines:
        name = ("/" + words[0]).split(_ANNOTATIONS)[-1].lstrip("/")
        masks = []
        for folder in (annotations, predictions):
            path = folder / name
            if len(words) != 1 or not path.is_file():
                raise InputError(f"{place}: expected one <clip>/<frame>.png below {folder}; {path} is no file")
            masks.append((read_image(path) == FOREGROUND).all(axis=2))
        truth, found = masks
        if truth.shape != found.shape:
            raise InputError(
                f"{predictions / name} is {found.shape[1]}x{found.shape[0]}, its annotation "
                f"{truth.shape[1]}x{truth.shape[0]}; give masks of the annotations' size"
            )
        counts += np.bincount(2 * truth.ravel() + found.ravel(), minlength=4).reshape(2, 2)
    both = counts.diagonal()
    background, foreground = both / np.maximum(counts.sum(axis=0) + counts.sum(axis=1) - both, 1)
    return MeanIoU(float(background), float(foreground), len(lines))
