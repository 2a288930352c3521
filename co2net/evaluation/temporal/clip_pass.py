"""Measure a clip over time while its frames pass by; only the frame before is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from co2net.evaluation.methods import TRUTH
from co2net.evaluation.temporal.pairs import TimedFrame, score_pair
from co2net.flow import FlowEstimator
from co2net.metrics.registry import KEPT

FrameRecord = dict[str, dict[str, Any]]
"""Of one frame: method to the measures of its pair with the frame before (where there is one), and the numbers that
measures of clips need (:data:`~co2net.metrics.registry.KEPT`); None for what has no value."""


class TemporalPass:
    """One clip. Frames must come in the order of their numbers.

    Args:
        estimate: finds the motion.
        step: distance of the numbers of frames that follow each other; across a larger one nothing is measured.
        task: what the results are of; mattes have no brightness and no colors.
    """

    def __init__(self, estimate: FlowEstimator, step: int, task: str = "harmonization") -> None:
        self._estimate, self._step, self._task = estimate, step, task
        self._before: tuple[int, TimedFrame] | None = None

    @torch.inference_mode()
    def measure(self, number: int, name: str, images: Mapping[str, Tensor], real: Tensor, mask: Tensor) -> FrameRecord:
        """Measure the next frame.

        Args:
            number: frame number.
            name: for messages.
            images: method to result ``(3, H, W)`` in [0, 1] space, of a matte ``(1, H, W)``; one tensor under two names
                is measured once.
            real: the truth, likewise.
            mask: ``(1, H, W)``.

        Raises:
            InputError: the frame is too small for the flow, or the clip's frames are not of one size.
        """
        if real.device.type == "mps":  # no float64 there
            images, real, mask = {method: image.cpu() for method, image in images.items()}, real.cpu(), mask.cpu()
        named = {**images, TRUTH: real}
        once = {image.data_ptr(): image for image in named.values()}
        place = {address: i for i, address in enumerate(once)}
        results, masks = torch.stack([image.float() for image in once.values()]), mask[None].float()
        frame = TimedFrame(name, results, real[None].float(), masks)
        pair: list[dict[str, float | None]] = [{} for _ in once]
        if self._before is not None and number - self._before[0] == self._step:
            pair = score_pair(self._before[1], frame, self._estimate, self._task)
        self._before = number, frame
        many, keeps = masks.expand(len(once), -1, -1, -1), KEPT if results.shape[1] == 3 else {}
        kept = {name: keep(results, many).tolist() for name, keep in keeps.items()}
        rows = [
            {**scores, **{name: _known(numbers[i]) for name, numbers in kept.items()}} for i, scores in enumerate(pair)
        ]
        return {method: rows[place[image.data_ptr()]] for method, image in named.items()}


def _known(values: list[float]) -> list[float | None]:
    """JSON has no ``nan``."""
    return [value if math.isfinite(value) else None for value in values]
