"""Our own methods, in the form that clip tables take."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from co2net.evaluation.clips import Frames, Method
from co2net.models.co2net import CO2Net
from co2net.pipeline.stream import harmonize_frames

BACKBONE = "backbone, frame by frame"


def network_methods(model: CO2Net) -> dict[str, Method]:
    """The backbone frame by frame, and the model with its window of 8 + 8 neighbor frames, with and without refinement.

    Without a refinement in the model, the color mapping alone is the model and stands there once.
    """
    mapping_alone = CO2Net(
        model.backbone, refinement=False, mapping=model.mapping, unseen_rule=model.unseen_rule
    ).eval()

    def with_window(network: CO2Net, window: int) -> Method:
        def run(frames: Frames, masks: Frames) -> Iterable[np.ndarray]:
            return harmonize_frames(frames, masks, network, window, window)  # type: ignore[return-value]

        return run

    methods = {BACKBONE: with_window(mapping_alone, 0)}
    if model.refinement:
        methods["color mapping alone"] = with_window(mapping_alone, 8)
    return methods | {"co2net": with_window(model, 8)}
