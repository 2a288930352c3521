"""Data sets of every layout: samples, lists, neighbors, reading pictures, making composites."""

from co2net.data.checking import check_pictures
from co2net.data.composites import lut_transfer
from co2net.data.datasets import read_dataset
from co2net.data.frame_lists import expand_clip_list, frame_line, read_frame_list
from co2net.data.layouts import register_layout
from co2net.data.neighbors import neighbor_numbers
from co2net.data.pictures import read_image, read_mask, resize_image, resize_mask
from co2net.data.samples import Sample, numbered_files

__all__ = [
    "Sample",
    "check_pictures",
    "expand_clip_list",
    "frame_line",
    "lut_transfer",
    "neighbor_numbers",
    "numbered_files",
    "read_dataset",
    "read_frame_list",
    "read_image",
    "read_mask",
    "register_layout",
    "resize_image",
    "resize_mask",
]
