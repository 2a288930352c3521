"""The main job: a video goes in, the harmonized video comes out; and the runner of every job on frames."""

from co2net.pipeline.arrays import harmonize_frames
from co2net.pipeline.harmonize import HarmonizeReport, harmonize_video
from co2net.pipeline.job import JobReport, run_job
from co2net.pipeline.stream import FrameStream

__all__ = ["FrameStream", "HarmonizeReport", "JobReport", "harmonize_frames", "harmonize_video", "run_job"]
