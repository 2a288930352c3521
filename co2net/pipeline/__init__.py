"""The main job: a video goes in, the harmonized video comes out."""

from co2net.pipeline.harmonize import HarmonizeReport, harmonize_video
from co2net.pipeline.stream import FrameStream, harmonize_frames

__all__ = ["FrameStream", "HarmonizeReport", "harmonize_frames", "harmonize_video"]
