"""Dense inverse search (Kroeger et al., ECCV 2016, arXiv:1603.03590), OpenCV's implementation: no weights, CPU only."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.flow.frames import check_pair

SMALLEST_SIDE = 16  # pixels; OpenCV's coarsest patches do not fit into less


class DIS:
    """Estimates the field between two frames from their brightness. Settings: OpenCV's ``PRESET_MEDIUM``."""

    def __call__(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """Where the pixels of `frame1` are in `frame2`.

        Args:
            frame1: ``(B, 3, H, W)`` RGB in [0, 1], any device; values outside are clamped. H, W at least 16.
            frame2: as `frame1`.

        Returns:
            ``(B, 2, H, W)`` float32 on the frames' device: pixels, channel 0 = x. No gradient.

        Raises:
            ShapeError: the frames do not fit or are too small.
        """
        check_pair(frame1, frame2, SMALLEST_SIDE)
        # A new one per call: it keeps buffers, so one shared by two threads would mix their frames up.
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        field = torch.empty((len(frame1), 2, *frame1.shape[2:]), dtype=torch.float32)
        for i, (first, second) in enumerate(zip(frame1, frame2, strict=True)):
            # None is right although OpenCV's types deny it: an array would be the starting point of the search.
            found = search.calc(_gray(first), _gray(second), None)  # pyright: ignore[reportArgumentType, reportCallIssue]
            field[i] = torch.from_numpy(found).permute(2, 0, 1)
        return field.to(frame1.device)


def _gray(frame: Tensor) -> np.ndarray:
    """8-bit brightness ``(H, W)`` of a frame ``(3, H, W)``."""
    levels = (frame.detach().float().clamp(0, 1) * 255).round().byte()
    return cv2.cvtColor(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()), cv2.COLOR_RGB2GRAY)
