"""Our own methods, in the form that clip tables take."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from co2net.evaluation.clips import Frames, Method
from co2net.models.co2net import CO2Net
from co2net.pipeline.stream import harmonize_frames


def network_methods(model: CO2Net) -> dict[str, Method]:
    """The backbone frame by frame, and the model with its window of 8 + 8 neighbor frames."""

    def with_window(window: int) -> Method:
        def run(frames: Frames, masks: Frames) -> Iterable[np.ndarray]:
            return harmonize_frames(frames, masks, model, window, window)  # type: ignore[return-value]

        return run

    return {"backbone, frame by frame": with_window(0), "co2net": with_window(8)}
