"""Scribble-based video colorization: SVCNet whole, and a way that works without weights."""

from co2net.colorization.corrnet import CorrNet
from co2net.colorization.cpnet import CPNet
from co2net.colorization.losses import visibility_mask
from co2net.colorization.networks import create_cpnet, create_ssnet
from co2net.colorization.scribbles import propagate_scribbles, random_points, widen
from co2net.colorization.smoother import smooth
from co2net.colorization.ssnet import SSNet
from co2net.colorization.stream import ColorizeStream, colorize_frames

__all__ = [
    "CPNet",
    "ColorizeStream",
    "CorrNet",
    "SSNet",
    "colorize_frames",
    "create_cpnet",
    "create_ssnet",
    "propagate_scribbles",
    "random_points",
    "smooth",
    "visibility_mask",
    "widen",
]
