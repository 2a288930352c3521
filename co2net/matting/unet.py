"""The U-Net that turns a rough mask and the frame into a mask: four planes in, one logit per pixel out.

Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, arXiv:1505.04597,
in the small padded form that flow-based matting systems use. Module names are those of the official weights.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.errors import InputError, ShapeError
from co2net.flow.frames import pad_to_multiple
from co2net.weight_files import load_whole, read_weights

PLANES = 4  # mask, R, G, B: in this order
DEPTH = 3
WF = 6  # log2 of the first level's width
UpMode = Literal["upsample", "upconv"]


class ConvBlock(nn.Module):
    """Twice: 3 x 3 convolution, ReLU, and batch norm where wanted."""

    def __init__(self, channels_in: int, channels_out: int, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (channels_in, channels_out):
            layers += [nn.Conv2d(channels, channels_out, 3, padding=1), nn.ReLU()]
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels_out))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, out, H, W)``."""
        return self.block(x)


class UpBlock(nn.Module):
    """Twice the size, joined with the features of that size from the way down."""

    def __init__(self, channels_in: int, channels_out: int, mode: UpMode, batch_norm: bool) -> None:
        super().__init__()
        if mode == "upconv":
            self.up: nn.Module = nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2)
        else:
            # Half-pixel centers, as the sampler's default was and is.
            larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.up = nn.Sequential(larger, nn.Conv2d(channels_in, channels_out, 1))
        self.conv_block = ConvBlock(channels_in, channels_out, batch_norm)

    def forward(self, x: Tensor, bridge: Tensor) -> Tensor:
        """``(B, in, h, w)`` to ``(B, out, 2h, 2w)``; `bridge` is cropped about its middle to that size."""
        x = self.up(x)
        height, width = x.shape[2:]
        top, left = (bridge.shape[2] - height) // 2, (bridge.shape[3] - width) // 2
        return self.conv_block(torch.cat([x, bridge[:, :, top : top + height, left : left + width]], 1))


class UNet(nn.Module):
    """The body, see :class:`MattingNetwork`."""

    def __init__(
        self, in_channels: int, n_classes: int, depth: int, wf: int, batch_norm: bool, up_mode: UpMode
    ) -> None:
        super().__init__()
        widths = [2 ** (wf + level) for level in range(depth)]
        pairs = zip([in_channels, *widths], widths, strict=False)
        self.down_path = nn.ModuleList(ConvBlock(before, width, batch_norm) for before, width in pairs)
        steps = zip(widths[::-1], widths[-2::-1], strict=False)
        self.up_path = nn.ModuleList(UpBlock(before, width, up_mode, batch_norm) for before, width in steps)
        self.last = nn.Conv2d(widths[0], n_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to logits."""
        bridges = []
        for level, block in enumerate(self.down_path):
            if level:
                x = F.max_pool2d(x, 2)
            x = block(x)
            bridges.append(x)
        for block, bridge in zip(self.up_path, bridges[-2::-1], strict=True):
            x = block(x, bridge)
        return self.last(x)


class MattingNetwork(nn.Module):
    """A rough mask and a frame to the logit of "foreground" at every pixel.

    Args:
        in_channels: planes of the input; four: mask, R, G, B.
        n_classes: planes of the output.
        depth: levels; every one but the first halves the size.
        wf: log2 of the first level's channels; the memory knob.
        batch_norm: normalize after every ReLU.
        up_mode: "upsample" (bilinear, then a 1 x 1 convolution) or "upconv" (transposed convolution).
    """

    def __init__(
        self,
        in_channels: int = PLANES,
        n_classes: int = 1,
        depth: int = DEPTH,
        wf: int = WF,
        batch_norm: bool = False,
        up_mode: UpMode = "upsample",
    ) -> None:
        super().__init__()
        if up_mode not in ("upsample", "upconv"):
            raise InputError(f"up_mode {up_mode!r}: must be 'upsample' or 'upconv'")
        if depth < 1 or wf < 0:
            raise InputError(f"depth must be at least 1 and wf at least 0, got {depth} and {wf}")
        self.in_channels, self.multiple = in_channels, 2 ** (depth - 1)
        self.unet = UNet(in_channels, n_classes, depth, wf, batch_norm, up_mode)

    def forward(self, planes: Tensor) -> Tensor:
        """Logits, smaller than the input where a side is no multiple of :attr:`multiple`; see :meth:`probability`.

        Args:
            planes: ``(B, 4, H, W)`` in [0, 1], from :func:`~co2net.matting.network_input`.

        Returns:
            ``(B, n_classes, 4·⌊H/4⌋, 4·⌊W/4⌋)`` at the usual depth.

        Raises:
            ShapeError: another number of planes, or a side shorter than :attr:`multiple`.
        """
        self._check(planes, self.multiple)
        return self.unet(planes)

    def probability(self, planes: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """The probability of "foreground" at every pixel, whatever the size: padded with its border, cropped back.

        Args:
            planes: as for :meth:`forward`, any size.
            size: height and width to resize to (bilinear); None: that of `planes`.

        Returns:
            ``(B, n_classes, H, W)`` in [0, 1].
        """
        self._check(planes, 1)
        result = self.logits(planes).sigmoid()
        if size is not None and size != tuple(planes.shape[2:]):
            result = F.interpolate(result, size, mode="bilinear", align_corners=False)
        return result

    def logits(self, planes: Tensor) -> Tensor:
        """As :meth:`forward` at every pixel, whatever the size: padded with its border, cropped back."""
        height, width = planes.shape[2:]
        return self.unet(pad_to_multiple(planes, self.multiple))[..., :height, :width]

    def _check(self, planes: Tensor, smallest: int) -> None:
        if planes.ndim != 4 or planes.shape[1] != self.in_channels or not planes.is_floating_point():
            raise ShapeError(
                f"planes must be a float (B, {self.in_channels}, H, W), got {planes.dtype} {tuple(planes.shape)}"
            )
        if min(planes.shape[2:]) < smallest:
            raise ShapeError(f"planes must be at least {smallest} pixels high and wide, got {tuple(planes.shape)}")


def create_network(weights: str | os.PathLike[str] | None = None, **settings: Any) -> MattingNetwork:
    """Make the U-Net, in evaluation mode.

    Args:
        weights: a checkpoint with the official names (``unet.down_path.0.block.0.weight``, ...); None: fresh values.
        settings: those of :class:`MattingNetwork`; ``depth``, ``wf`` and ``batch_norm`` are read from the file.

    Raises:
        InputError: a setting is unknown.
        WeightsError: the file cannot be read or does not fit.
    """
    if weights is None:
        return MattingNetwork(**settings).eval()
    file = read_weights(weights)
    first = file.state.get("unet.down_path.0.block.0.weight")
    levels = {name.split(".")[2] for name in file.state if name.startswith("unet.down_path.")}
    if first is not None and first.ndim == 4 and len(first).bit_count() == 1:
        settings |= {"wf": len(first).bit_length() - 1, "depth": len(levels)}
        settings["batch_norm"] = "unet.down_path.0.block.2.running_mean" in file.state
    network = MattingNetwork(**settings)
    load_whole(network, file.state, file.path, "the matting U-Net")
    return network.eval()
