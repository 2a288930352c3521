"""Where things move between two frames, and moving frames along.

A field is ``(B, 2, H, W)`` in pixels, channel 0 = x (to the right), channel 1 = y (down). The field from frame 1 to
frame 2 lives on the grid of frame 1: what is at ``x`` in frame 1 is at ``x + field(x)`` in frame 2, so
``warp(frame2, field)`` looks like frame 1.
"""

from co2net.flow.correlation import correlation
from co2net.flow.estimators import FlowEstimator, create_flow, list_flows
from co2net.flow.occlusion import consistency_mask, occlusion_mask, round_trip_error
from co2net.flow.splat import splat, splat_metric
from co2net.flow.warp import warp
from co2net.flow.warp_variants import warp_variant

__all__ = [
    "FlowEstimator",
    "consistency_mask",
    "correlation",
    "create_flow",
    "list_flows",
    "occlusion_mask",
    "round_trip_error",
    "splat",
    "splat_metric",
    "warp",
    "warp_variant",
]
