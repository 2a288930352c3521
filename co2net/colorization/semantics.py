"""What a gray frame shows, as ImageNet's features per pixel: those of ToneNet's file, which comes with co2net."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.errors import WeightsError
from co2net.models.backbones.tone_parts import CHANNELS, TAPPED, ImageFeatures
from co2net.models.releases import own_folder
from co2net.weight_files import load_whole, read_weights

SHOWN = sum(CHANNELS)  # numbers per pixel
SEEN_AT = 192  # pixels of the short side: larger things than the features know are seen as they know them
_FILES = ("tonenet", "tonenet_free")  # the features are the same
_PREFIX = "features."
_STRIDES = tuple(4 << tap for tap in range(len(TAPPED)))


@cache
def image_features() -> ImageFeatures:
    """The network, frozen.

    Raises:
        WeightsError: no file that ships has it.
    """
    folder = own_folder()
    path = next((p for n in _FILES if folder and (p := folder / f"{n}.safetensors").is_file()), None)
    if path is None:
        raise WeightsError(
            "the guess of colors looks through image features that come in final_models/tonenet.safetensors, and "
            "neither that file nor tonenet_free.safetensors came with co2net; fetch one, or fit a guess without them"
        )
    state = read_weights(path).state
    network = ImageFeatures()
    own = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items() if name.startswith(_PREFIX)}
    load_whole(network, own, path, "the image features")
    return network.float().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Sight:
    """What is seen of a frame.

    Attributes:
        maps: per tapped stage ``(C, h, w)``.
        seen: height and width that the network saw.
        shape: of the frame.
    """

    maps: list[Tensor]
    seen: tuple[int, int]
    shape: tuple[int, int]

    @property
    def whole(self) -> Tensor:
        """Mean over the frame, ``(SHOWN,)``."""
        return torch.cat([m.mean(dim=(1, 2)) for m in self.maps])

    def at(self, rows: np.ndarray, columns: np.ndarray) -> Tensor:
        """Features of single pixels, ``(N, SHOWN)``."""
        parts = []
        for m, (down, across) in zip(self.maps, self._weights(rows, columns), strict=True):
            lines = torch.einsum("nh,chw->ncw", down, m)
            parts.append(torch.einsum("ncw,nw->nc", lines, across))
        return torch.cat(parts, dim=1)

    def summed(self, weights: Tensor) -> Tensor:
        """``weights @ features`` of every pixel, with weights ``(K, SHOWN)``: ``(K, H, W)``.

        Summed up at the maps' size, which is the same as afterwards and far less work.
        """
        ends = np.cumsum([0, *CHANNELS]).tolist()
        rows, lines = [], []
        everywhere = self._weights(*(np.arange(side) for side in self.shape))
        for m, (first, end), (down, across) in zip(self.maps, pairwise(ends), everywhere, strict=True):
            rows.append(down)
            lines.append(torch.einsum("kc,chw->khw", weights[:, first:end], m) @ across.T)
        return torch.cat(rows, dim=1) @ torch.cat(lines, dim=1)  # one product adds the maps up

    def _weights(self, rows: np.ndarray, columns: np.ndarray) -> list[tuple[Tensor, Tensor]]:
        """Per map what its rows and its columns count at the frame's, ``(N, h)`` and ``(M, w)``."""
        return [
            (
                _linear(rows, self.shape[0], self.seen[0], stride, m.shape[1]),
                _linear(columns, self.shape[1], self.seen[1], stride, m.shape[2]),
            )
            for m, stride in zip(self.maps, _STRIDES, strict=True)
        ]


@torch.no_grad()
def look(luma: np.ndarray) -> Sight:
    """See a frame.

    Args:
        luma: ``(H, W)`` float32 codes of L, 0 to 255.
    """
    height, width = luma.shape
    scale = SEEN_AT / min(luma.shape)
    size = max(_STRIDES[-1], round(width * scale)), max(_STRIDES[-1], round(height * scale))
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    planes = np.zeros((*small.shape, 3), np.float32)
    planes[..., 0] = small.clip(0, 255).round() / 2.55
    gray = cv2.cvtColor(planes, cv2.COLOR_Lab2RGB)
    maps = image_features()(torch.from_numpy(gray).permute(2, 0, 1)[None])
    return Sight([m[0] for m in maps], (size[1], size[0]), (height, width))


def _linear(places: np.ndarray, side: int, seen: int, stride: int, cells: int) -> Tensor:
    """Bilinear weights ``(N, cells)`` of places among `side` pixels; a cell's middle is a multiple of the stride."""
    at = (((places + 0.5) * (seen / side) - 0.5) / stride).clip(0, cells - 1)
    distance = np.abs(at[:, None] - np.arange(cells))
    return torch.from_numpy((1 - distance).clip(min=0).astype(np.float32))
