"""Between the video's size and the size the networks work at.

The backbone sees a frame no larger than its training size. What it and the refinement found there is a *correction*, a
slowly varying difference of colors; only corrections are ever enlarged, never pictures, so no detail of the video is
lost and nothing blurs.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.devices import upload
from co2net.models.backbones import Backbone
from co2net.pipeline.frames import FULL_SCALE, Pixels, as_bytes, as_tensor, frame_shape, frame_to_tensor, mask_to_tensor
from co2net.video.coded_masks import Box, CodedMask
from co2net.video.lazy_colors import LazyColors


def working_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width at which the networks see a frame: at most `size` each way, never enlarged.

    As in the paper's data, the aspect ratio is not kept.
    """
    return min(height, size), min(width, size)


def shrink(picture: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resize ``(B, C, H, W)`` down: bilinear, two taps per axis, half-pixel centers, no antialiasing (the paper's).

    Two taps keep the colors that really occur; averaging over areas would mix colors that the frame does not have into
    the color mapping.
    """
    if tuple(picture.shape[-2:]) == tuple(shape):
        return picture
    return F.interpolate(picture, shape, mode="bilinear", align_corners=False)


def sample(frame: Pixels, shape: tuple[int, int]) -> Tensor:
    """:func:`shrink` of a frame, float32 ``(1, 3, h, w)`` in [0, 1]; converts nothing but the taps.

    Args:
        frame: ``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1].
        shape: the working size, at most the frame's.
    """
    if isinstance(frame, LazyColors):
        lengths = frame_shape(frame)
        numbers = [_tap_numbers(length, size) for length, size in zip(lengths, shape, strict=True)]
        return _between_taps(torch.from_numpy(frame.at(numbers[0].numpy(), numbers[1].numpy())), lengths, shape)
    frame_shape(frame)  # refuses what is none
    picture = as_tensor(frame)
    return shrink(frame_to_tensor(frame), shape) if picture.is_floating_point() else _sample_codes(picture, shape)


def _sample_codes(picture: Tensor, shape: tuple[int, int]) -> Tensor:
    """:func:`sample` of codes ``(H, W, C)`` uint8 or uint16, any number of channels."""
    lengths = int(picture.shape[0]), int(picture.shape[1])
    values = picture.view(torch.int16) if picture.dtype == torch.uint16 else picture  # PyTorch cannot index uint16
    for axis in (0, 1):
        values = values.index_select(axis, _tap_numbers(lengths[axis], shape[axis]).to(values.device))
    return _between_taps(values.view(picture.dtype), lengths, shape)


def _between_taps(values: Tensor, lengths: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Interpolate between the taps ``(2h, 2w, C)`` of a picture of `lengths`: ``(1, C, h, w)`` in [0, 1]."""
    taps = values.permute(2, 0, 1).to(torch.float32)
    for axis, size in ((1, shape[0]), (2, shape[1])):
        near, far = taps.unflatten(axis, (2, size)).unbind(axis)
        share = _positions(lengths[axis - 1], size).frac().to(taps).unsqueeze(1 if axis == 1 else 0)
        taps = torch.lerp(near, far, share)
    return (taps / FULL_SCALE[values.dtype])[None]


def further_inputs(backbone: Backbone, frame: Pixels, small: Tensor) -> dict[str, Tensor]:
    """What `backbone` makes of the full-size frame (:meth:`Backbone.prepare`), at the size and device of `small`."""
    if not backbone.planes:
        return {}
    shape = small.shape[-2], small.shape[-1]
    planes = backbone.prepare(as_bytes(frame))
    return {name: upload(_sample_codes(torch.from_numpy(plane), shape), small.device) for name, plane in planes.items()}


def _positions(length: int, small: int) -> Tensor:
    """Where the centers of `small` pixels lie among `length`: float64, half-pixel centers, from 0 on."""
    if length == small:
        return torch.arange(small, dtype=torch.float64)
    return ((torch.arange(small, dtype=torch.float64) + 0.5) * (length / small) - 0.5).clamp(min=0)


def _tap_numbers(length: int, small: int) -> Tensor:
    """Numbers of the pixels before all positions, then of those after them."""
    near = _positions(length, small).long()
    return torch.cat([near, (near + 1).clamp(max=length - 1)])


def shrunk_for(backbone: Backbone, frame: Pixels, mask: Tensor | CodedMask) -> tuple[Tensor, Tensor]:
    """A frame and its mask ``(1, 1, H, W)`` as `backbone` wants them: ``(1, 3, h, w)`` in [0, 1], ``(1, 1, h, w)``."""
    shape = frame_shape(frame)
    shrink = mean_foreground if backbone.averages_areas else shrink_foreground
    return shrink(frame, mask, working_shape(*shape, backbone.frame_size))


def shrink_foreground(frame: Pixels, mask: Tensor | CodedMask, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize a frame and its mask down; as :func:`shrink`, unless that steps over all of the foreground.

    A foreground thinner than a pixel of the working size would come and go as it moves. Then each working pixel that
    holds some of it shows its mean color.

    Args:
        frame: ``(H, W, 3)`` uint8 / uint16 or ``(3, H, W)`` float in [0, 1].
        mask: ``(1, 1, H, W)`` in [0, 1], or codes ``(H, W)``.
        shape: the working size.

    Returns:
        ``(1, 3, h, w)`` in [0, 1] and ``(1, 1, h, w)``, each on its own device.
    """
    mask = _whole(frame, mask)
    small, small_mask = sample(frame, shape), shrink(mask, shape)
    if bool(small_mask.amax() > 0.5) or bool(mask.amax() <= small_mask.amax()):
        return small, small_mask
    picture = frame_to_tensor(frame)
    mask = mask.to(picture.device)
    weights = F.adaptive_avg_pool2d(mask, shape)
    colors = F.adaptive_avg_pool2d(picture * mask, shape) / weights.clamp(min=1e-12)
    return torch.where(weights > 0, colors, small), F.adaptive_max_pool2d(mask, shape)


def mean_foreground(frame: Pixels, mask: Tensor | CodedMask, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize a frame and its mask down by averaging over areas, for networks that compare colors and paint nothing.

    Arguments and results as of :func:`shrink_foreground`.
    """
    if frame_shape(frame) == shape:
        return frame_to_tensor(frame), _whole(frame, mask)
    if isinstance(mask, CodedMask):  # of a large frame all values would be as much memory as two frames
        small_mask = _shrunk(np.asarray(mask[_thin(mask.shape, shape)]), shape)[None, None]
    else:
        small_mask = _shrunk(_thinned(mask[0, 0].cpu().numpy(), shape), shape)[None, None].to(mask.device)
    if not bool(small_mask.any()):  # a foreground thinner than the pixels that were left out, or none
        small_mask = F.adaptive_max_pool2d(_whole(frame, mask), shape)
    return mean_colors(frame, shape), small_mask


def _whole(frame: Pixels, mask: Tensor | CodedMask) -> Tensor:
    return mask if isinstance(mask, Tensor) else mask_to_tensor(mask, frame_shape(frame))


def mean_colors(frame: Pixels, shape: tuple[int, int]) -> Tensor:
    """Mean colors of areas of a frame, ``(1, 3, h, w)`` in [0, 1].

    Args:
        frame: ``(H, W, 3)`` uint8 / uint16, ``(3, H, W)`` float in [0, 1], or planes, which are shrunk as they are.
        shape: how many areas down and across; at most the frame's size.
    """
    if isinstance(frame, LazyColors):
        height, width, _ = frame.shape
        if height >= 2 * shape[0] and width >= 2 * shape[1]:  # else chroma would have to be enlarged
            return torch.from_numpy(frame.shrunk(shape)).permute(2, 0, 1)[None]
        rows, columns = _thin((height, width), shape)
        values = frame.at(np.arange(height)[rows], np.arange(width)[columns])
        return _as_floats(_shrunk(values, shape))
    picture = as_tensor(frame)
    if picture.is_floating_point():
        return F.interpolate(frame_to_tensor(frame), shape, mode="area")
    # OpenCV averages integers directly, in a fifth of the time that a float copy would take to make.
    return _as_floats(_shrunk(_thinned(picture.cpu().numpy(), shape), shape)).to(picture.device)


def _chosen(side: int, small: int) -> slice:
    """Rows or columns that count in means: some sixteen pixels tell an area's color well enough.

    All of a large frame would take longer than the network.
    """
    step = max(1, side // max(4 * small, 96))
    return slice(step // 2, None, step)


def _thin(sides: tuple[int, ...], shape: tuple[int, int]) -> Box:
    rows, columns = (_chosen(side, small) for side, small in zip(sides, shape, strict=True))
    return rows, columns


def _thinned(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(values[_thin(values.shape[:2], shape)])


def _shrunk(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    return torch.from_numpy(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_AREA))


def _as_floats(picture: Tensor) -> Tensor:
    return (picture.permute(2, 0, 1).to(torch.float32) / FULL_SCALE[picture.dtype])[None]


def enlarge(correction: Tensor, mask: Tensor, shape: tuple[int, int], box: Box) -> Tensor:
    """Carry a correction from the working size to the video's size.

    Only values inside the mask count; they are continued outwards first, so that nothing from outside the mask bleeds
    over its edge when the enlarged mask does not follow the small one exactly.

    Args:
        correction: ``(B, 3, h, w)``, defined where `mask` is above 0.
        mask: ``(B, 1, h, w)`` in [0, 1].
        shape: ``(H, W)`` of the whole enlarged frame.
        box: rows and columns of the frame that are wanted.

    Returns:
        ``(B, 3, rows, columns)``.
    """
    filled = _continue_outwards(correction, mask)
    return _enlarge_box(filled, shape, box)


def _continue_outwards(values: Tensor, weights: Tensor) -> Tensor:
    """Fill pixels of weight 0 from ever coarser weighted means of the others (push-pull); 0 if all weights are 0."""
    height, width = values.shape[-2:]
    sums = values * weights
    here = sums / weights.clamp(min=1e-6)
    if bool((weights > 0).all()) or max(height, width) == 1:
        return here
    coarse_shape = ((height + 1) // 2, (width + 1) // 2)
    coarse_weights = F.adaptive_avg_pool2d(weights, coarse_shape)
    coarse = F.adaptive_avg_pool2d(sums, coarse_shape) / coarse_weights.clamp(min=1e-6)
    coarse = _continue_outwards(coarse, coarse_weights)
    around = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    # Faint weights (soft edges) are trusted in part only: their colors are mostly the background's.
    trust = weights.clamp(max=0.5) * 2
    return here * trust + around * (1 - trust)


def _enlarge_box(values: Tensor, shape: tuple[int, int], box: Box) -> Tensor:
    """Bilinear enlargement to `shape`, computed for `box` only: two small matrix products."""

    def matrix(length: int, small: int, part: slice) -> Tensor:
        # Half-pixel centers, border repeated, as torch.nn.functional.interpolate does it.
        # On the CPU, because some devices have no float64; the matrices are small.
        index = torch.arange(part.start, part.stop, dtype=torch.float64)
        position = ((index + 0.5) * (small / length) - 0.5).clamp(0, small - 1)
        nodes = torch.arange(small, dtype=torch.float64)
        return (1 - (position[:, None] - nodes[None, :]).abs()).clamp(min=0).to(values)

    rows = matrix(shape[0], values.shape[-2], box[0])
    columns = matrix(shape[1], values.shape[-1], box[1])
    return rows @ values @ columns.T
