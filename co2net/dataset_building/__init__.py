"""Data sets of one's own in HYouTube's layout: from videos with masks, or from photographs with masks."""

from co2net.dataset_building.build import BuildSummary, build_dataset
from co2net.dataset_building.clip_job import BuildSettings
from co2net.dataset_building.lut_changes import LutChanges, change_lut
from co2net.dataset_building.stills import StillsSettings, StillsSummary, make_stills

__all__ = [
    "BuildSettings",
    "BuildSummary",
    "LutChanges",
    "StillsSettings",
    "StillsSummary",
    "build_dataset",
    "change_lut",
    "make_stills",
]
