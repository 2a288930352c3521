"""The moving U-Net with what it must know of its training: which motion counts, and how large frames are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, get_args

import cv2
import numpy as np
import torch

from co2net.data.pictures import to_tensor
from co2net.errors import WeightsError
from co2net.flow import FlowEstimator, create_flow, warp
from co2net.matting.moving_mask import THRESHOLD, FlowOrder, Motion, moving_pair, network_input
from co2net.matting.unet import MattingNetwork, create_network
from co2net.weight_files import read_metadata


@dataclass(frozen=True)
class MovingSettings:
    """How frames become the network's planes.

    Attributes:
        threshold: pixels per frame from which a motion counts.
        motion: see :func:`~co2net.matting.moving_mask`.
        order: see :func:`~co2net.matting.moving_pair`.
        scale: the network sees frames of ``int(scale·size)``.
        lines: frames are shrunk to this shorter side first, motion and all; None: they are not.
    """

    threshold: float = THRESHOLD
    motion: Motion = "magnitude"
    order: FlowOrder = "current_previous"
    scale: float = 1.0
    lines: int | None = None


@dataclass(frozen=True)
class MovingNetwork:
    """A network and its settings.

    Attributes:
        network: takes (mask, R, G, B).
        settings: of its training.
        estimate: the flow.
    """

    network: MattingNetwork
    settings: MovingSettings = MovingSettings()
    estimate: FlowEstimator = field(default_factory=lambda: create_flow("dis"))

    @torch.no_grad()
    def probability(
        self, before: np.ndarray, now: np.ndarray, carried: np.ndarray | None = None
    ) -> tuple[np.ndarray, bool]:
        """How likely each pixel of `now` is of the moving subject.

        Args:
            before: ``(H, W, 3)`` uint8, the frame before; a clip's first frame stands before itself.
            now: as `before`.
            carried: ``(h, w)`` float32, the result of the frame before: moved along the flow, it takes the place of
                what moves.

        Returns:
            ``(h, w)`` float32 in [0, 1], of :meth:`shrunk` size; and whether anything moves.
        """
        s = self.settings
        before, now = self.shrunk(before), self.shrunk(now)
        first, second = to_tensor(before)[None], to_tensor(now)[None]
        if carried is None:
            plane = moving_pair(self.estimate, first, second, s.threshold, s.motion, s.order)
        else:
            plane = warp(torch.from_numpy(carried)[None, None], self.estimate(second, first))
        planes = network_input(plane, now, s.scale)
        found = self.network.probability(planes, (now.shape[0], now.shape[1]))
        return found[0, 0].numpy(), bool(plane.any())

    def shrunk(self, picture: np.ndarray) -> np.ndarray:
        """A picture ``(H, W, ...)`` at the size that the network looks at."""
        height, width = picture.shape[:2]
        lines = self.settings.lines
        scale = 1.0 if lines is None else min(1.0, lines / min(height, width))
        if scale == 1:
            return picture
        size = max(16, round(width * scale)), max(16, round(height * scale))
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def load_moving(weights: str | os.PathLike[str], threshold: float | None = None) -> MovingNetwork:
    """A network from its file, with the settings that the file tells; the published checkpoints tell none.

    Args:
        weights: the file.
        threshold: in place of the file's.

    Raises:
        WeightsError: the file cannot be read, does not fit, or tells what is unknown.
    """
    network, told = create_network(weights), read_metadata(weights)
    try:
        settings = MovingSettings(
            float(told.get("flow_threshold", THRESHOLD)) if threshold is None else threshold,
            _known(told.get("motion", "magnitude"), Motion),
            _known(told.get("flow_order", "current_previous"), FlowOrder),
            float(told.get("scale", 1)),
            int(told["lines"]) if "lines" in told else None,
        )
    except ValueError as error:
        raise WeightsError(f"{weights} tells settings that are unknown here: {error}") from error
    return MovingNetwork(network, settings)


def _known(word: str, kind: Any) -> Any:
    if word not in get_args(kind):
        raise ValueError(f"{word} is none of {', '.join(get_args(kind))}")
    return word
