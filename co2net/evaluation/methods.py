"""Our own methods, in the form that clip tables take."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from co2net.evaluation.clips import Frames, Method
from co2net.models.co2net import CO2Net
from co2net.pipeline.key_frames import KeyFrames
from co2net.pipeline.stream import harmonize_frames

BACKBONE = "backbone, frame by frame"


def network_methods(model: CO2Net, key_frames: KeyFrames = None) -> dict[str, Method]:
    """The backbone frame by frame, and the model with its window of 8 + 8 neighbor frames, with and without refinement.

    Without a refinement in the model, the color mapping alone is the model and stands there once. With `key_frames`
    the model with those stands there too.
    """
    mapping_alone = CO2Net(
        model.backbone, refinement=False, mapping=model.mapping, unseen_rule=model.unseen_rule
    ).eval()

    def with_window(network: CO2Net, window: int, key_frames: KeyFrames = None) -> Method:
        def run(frames: Frames, masks: Frames) -> Iterable[np.ndarray]:
            return harmonize_frames(frames, masks, network, window, window, key_frames=key_frames)  # type: ignore[return-value]

        return run

    methods = {BACKBONE: with_window(mapping_alone, 0)}
    if model.refinement:
        methods["color mapping alone"] = with_window(mapping_alone, 8)
    methods["co2net"] = with_window(model, 8)
    if key_frames is not None:
        methods[f"co2net, key frames {key_frames}"] = with_window(model, 8, key_frames)
    return methods
