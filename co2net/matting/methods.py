"""What ``co2net evaluate --task matting`` can compare; imported by the command, or by whoever evaluates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from co2net.evaluation.methods import Method, Run, register
from co2net.matting.propagation import propagate
from co2net.pipeline.frames import Picture


def _carry(weights: str | None, device: torch.device) -> Run:
    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        masks = iter(masks)
        yield from propagate(frames, {0: next(masks)})

    return run


register(Method("propagate", "first mask carried", "the first frame's mask is given", task="matting", create=_carry))
