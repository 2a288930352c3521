"""Where a mask comes from: flow-based video matting, propagation of given masks, keying by color.

A guest: uses the public rooms only. Frames are ``(H, W, 3)`` uint8 RGB or ``(3, H, W)`` float in [0, 1]; masks that
come out are ``(H, W)`` float32 in [0, 1].
"""

from co2net.matting.chroma import chroma_mask, compose, cut_out
from co2net.matting.keying import KeyingStream, key_frames_by_color
from co2net.matting.moving import MovingStream, NetworkStream, matte_frames
from co2net.matting.moving_mask import fill_in, moving_mask, moving_pair, network_input
from co2net.matting.propagation import PropagationStream, propagate
from co2net.matting.unet import MattingNetwork, create_network

__all__ = [
    "KeyingStream",
    "MattingNetwork",
    "MovingStream",
    "NetworkStream",
    "PropagationStream",
    "chroma_mask",
    "compose",
    "create_network",
    "cut_out",
    "fill_in",
    "key_frames_by_color",
    "matte_frames",
    "moving_mask",
    "moving_pair",
    "network_input",
    "propagate",
]
