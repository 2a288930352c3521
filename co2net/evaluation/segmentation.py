"""mIoU of a segmenter's masks against annotations: how well colored clips can be understood.

SVCNet's protocol: a fixed segmenter (external, with its own weights) marks the foreground of colored clips; its masks
are compared with the annotations by one 2 x 2 confusion matrix over all pixels of all frames. Either its masks lie in a
folder (:func:`mean_iou`), or the network is run on what every method of an evaluation makes (:class:`Understanding`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from co2net.data.frame_lists import list_lines
from co2net.data.pictures import read_image
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.evaluation.methods import TRUTH
from co2net.evaluation.segmenter import Segmenter

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

    @classmethod
    def of(cls, counts: np.ndarray, frames: int) -> MeanIoU:
        """From a sum of :func:`confusion` over so many frames."""
        both = counts.diagonal()
        background, foreground = both / np.maximum(counts.sum(axis=0) + counts.sum(axis=1) - both, 1)
        return cls(float(background), float(foreground), frames)

    @property
    def mean(self) -> float:
        """Of both classes."""
        return (self.background + self.foreground) / 2


def confusion(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Two masks ``(H, W)`` of bool to ``(2, 2)`` counts of pixels, by true and found class."""
    return np.bincount(2 * truth.ravel() + found.ravel(), minlength=4).reshape(2, 2)


class Understanding:
    """How well a segmenter understands the frames of an evaluation's methods, beside the real ones.

    Args:
        segmenter: its file, see :class:`~.segmenter.Segmenter`.
        annotations: folder with ``<clip>/<frame>.png``, foreground 255; None: the data set's own masks.
    """

    def __init__(self, segmenter: Path, annotations: Path | None) -> None:
        self._segment = Segmenter(segmenter)
        self._annotations = annotations

    def counts(self, entry: Sample, images: Mapping[str, Tensor], real: Tensor) -> dict[str, list[int]]:
        """Confusion of one frame, by method, as four counts; of equal pictures it is counted once.

        Args:
            entry: the frame.
            images: what the methods made of it, ``(3, H, W)`` each.
            real: the real frame, likewise.

        Raises:
            InputError: it has no annotation, or the segmenter cannot be run on it.
        """
        truth = (read_image(self._annotation(entry)) == FOREGROUND).all(axis=2)
        shown = {**images, TRUTH: real}
        return {
            method: confusion(truth, self._segment(image, truth.shape)).ravel().tolist()
            for method, image in shown.items()
        }

    def _annotation(self, entry: Sample) -> Path:
        if self._annotations is None:
            if entry.mask == entry.real:
                raise InputError(f"{entry.real}: the data set has no masks; name the folder of `annotations`")
            return entry.mask
        path = self._annotations / entry.real.parent.name / f"{entry.real.stem}.png"
        if not path.is_file():
            raise InputError(f"{path}, the annotation of {entry.real}, does not exist")
        return path


def segmentation_block(records: Iterable[Mapping[str, Any]], methods: Sequence[str], segmenter: Path) -> dict[str, Any]:
    """``results["segmentation"]``: mIoU of every method, and of the real frames, over all frames of the records."""
    frames = [frame["confusion"] for record in records for frame in record["frames"]]
    found = {}
    for method in (*methods, TRUTH):
        one = MeanIoU.of(np.sum([frame[method] for frame in frames], axis=0).reshape(2, 2), len(frames))
        found[method] = {"miou": one.mean, "foreground": one.foreground, "background": one.background}
    return {"segmenter": segmenter.name, "frames": len(frames), "methods": found}


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
        counts += confusion(truth, found)
    return MeanIoU.of(counts, len(lines))
