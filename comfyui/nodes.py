"""The nodes: what goes in and out, and what they do. How ComfyUI is told of them is in classic.py and schema.py.

Images are ``(B, H, W, C)`` float in [0, 1], masks ``(B, H, W)``; a batch is a clip, its frames in order. A mask of one
frame holds for all. LUTs travel between nodes as ``(1, 3, D, D, D)``, indexed ``[channel, b, g, r]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .host import on_device, place_to_save, resting_device, stored_file, watched

LUT = "CO2NET_LUT"
CATEGORY = "co2net"
WEIGHTS = ("default", "tonenet", "lutnet", "co2net_issam")
LOOKS = ("as the network needs", "every frame", "auto")
WAYS = ("carry the given mask", "green screen", "blue screen", "any screen", "what moves")


@dataclass(frozen=True)
class Input:
    """A socket or widget.

    Attributes:
        name: of the argument; stays, since workflows are saved with it.
        kind: ``IMAGE``, ``MASK``, ``FLOAT``, ``INT``, ``STRING``, ``COMBO`` or :data:`LUT`.
        about: shown when the pointer rests on it.
        settings: ``default``, ``min``, ``max``, ``step`` of a widget.
        options: of a ``COMBO``.
        optional: may stay unconnected.
    """

    name: str
    kind: str
    about: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Node:
    """A node.

    Attributes:
        id: stays, since workflows are saved with it.
        title: shown.
        about: shown in the help.
        inputs: in order.
        outputs: kind and name of each, in order.
        run: takes the inputs by name, returns the outputs.
        ends: whether ComfyUI runs it though nobody asks for its outputs.
        changed: takes the inputs, returns what differs when they mean something else than before, as a file may.
    """

    id: str
    title: str
    about: str
    inputs: tuple[Input, ...]
    outputs: tuple[tuple[str, str], ...]
    run: Callable[..., tuple[Any, ...]]
    ends: bool = False
    changed: Callable[..., Any] | None = None


def harmonize(
    image: Tensor, mask: Tensor, strength: float, previous: int, future: int, weights: str, key_frames: str
) -> tuple[Tensor]:
    """Every frame with the colors of its foreground harmonized; a window of frames about each shapes its LUT."""
    from co2net import harmonize_frames

    clip, masks = _clip(image), _masks(mask, image)
    looks = {LOOKS[0]: None, LOOKS[1]: 1, LOOKS[2]: "auto"}[key_frames]
    model = _model(weights)
    with on_device(model) as place:
        results = harmonize_frames(
            (frame.to(place) for frame in clip),
            (m[None].to(place) for m in masks),
            model,
            previous,
            future,
            strength=strength,
            key_frames=looks,  # type: ignore[arg-type]
        )
        frames = (torch.as_tensor(result) for result in watched(results, len(image)))
        colors = _gathered(frames, image)
    return (colors,)


def make_lut(image: Tensor, mask: Tensor, strength: float, size: int, weights: str) -> tuple[Tensor]:
    """The color mapping of a whole clip as one LUT."""
    from co2net.pipeline import FrameStream
    from co2net.pipeline.looks import resampled

    clip, masks = _clip(image), _masks(mask, image)
    model = _model(weights)
    with on_device(model) as place:
        stream = FrameStream(model, strength=strength)
        stream.collect_lut, stream.apply = True, False
        for frame, m in watched(zip(clip, masks, strict=True), len(image)):
            for _ in stream.push(frame.to(place), m[None].to(place)):
                pass
        for _ in stream.finish():
            pass
        lut = resampled(stream.clip_lut().cpu(), size)
    return (lut.to(resting_device()),)


def apply_lut(image: Tensor, lut: Tensor, strength: float, mask: Tensor | None = None) -> tuple[Tensor]:
    """Every frame through a LUT, where the mask is, if there is one."""
    import trilinear

    masks = None if mask is None else _masks(mask, image)

    def colored() -> Iterator[Tensor]:
        for number, frame in enumerate(_clip(image)):
            picture = frame[None].float().contiguous()
            share = strength if masks is None else strength * masks[number].to(picture.device)
            yield (picture + share * (trilinear.apply_lut(lut.to(picture.device), picture) - picture))[0]

    return (_gathered(watched(colored(), len(image)), image),)


def save_lut(lut: Tensor, filename_prefix: str) -> tuple[str]:
    """Write a LUT as a .cube file into ComfyUI's output folder, beside those of the name that are there."""
    from co2net import save_cube

    path = place_to_save(filename_prefix, ".cube")
    save_cube(lut, path, path.stem)
    return (str(path),)


def load_lut(file: str) -> tuple[Tensor]:
    """A LUT of a .cube file, 3D or 1D, in ComfyUI's input or output folder."""
    from co2net import load_cube

    return (load_cube(stored_file(file), curves=True).to(resting_device()),)


def _time_of(file: str) -> float:
    return stored_file(file).stat().st_mtime


def matte(image: Tensor, way: str, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A mask for every frame; from a colored screen also the colors without its light."""
    from co2net import matting

    frames = (frame.cpu().float() for frame in _clip(image))
    count = len(image)
    if way == WAYS[0]:
        if mask is None:
            raise ValueError(f"`{way}` needs a mask of the first frame; connect one, or choose another way")
        given = {0: (mask if mask.ndim == 3 else mask[None])[0].cpu()}
        return image, _stacked_masks(watched(matting.propagate(frames, given), count))
    if way == WAYS[4]:
        return image, _stacked_masks(watched(matting.matte_frames(frames), count))
    color = {WAYS[1]: "green", WAYS[2]: "blue", WAYS[3]: "auto"}[way]
    colors, alphas = [], []
    for foreground, alpha in watched(matting.key_frames_by_color(frames, color), count):
        colors.append(torch.as_tensor(foreground).permute(2, 0, 1))
        alphas.append(alpha)
    return _gathered(colors, image), _stacked_masks(alphas)


def colorize(image: Tensor, strokes: Tensor, strokes_mask: Tensor | None = None) -> tuple[Tensor]:
    """A gray clip in color, from strokes on its first frame; its brightness stays."""
    from co2net import colorization

    painted = (strokes[0, ..., :3].clamp(0, 1) * 255).round().to(torch.uint8)
    if strokes_mask is not None:
        there = (strokes_mask if strokes_mask.ndim == 3 else strokes_mask[None])[0] > 0.5
        painted = torch.cat([painted, (there.to(painted.device) * 255).to(torch.uint8)[..., None]], dim=2)
    frames = (frame.cpu().float() for frame in _clip(image))
    results = colorization.colorize_frames(frames, {0: painted.cpu().numpy()})
    return (_gathered((torch.as_tensor(result) for result in watched(results, len(image))), image),)


_STRENGTH = {"default": 1.0, "min": 0.0, "max": 1.5, "step": 0.05}
_COUNT = {"default": 8, "min": 0, "max": 64}
_CLIP = Input("image", "IMAGE", "the composite; a batch is a clip")
_MASK = Input("mask", "MASK", "white on the foreground: one for each frame, or one for all")
_WEIGHTS = Input("weights", "COMBO", "default is the network that ships as the best", {"default": "default"}, WEIGHTS)

NODES = (
    Node(
        "Co2netHarmonize",
        "Harmonize video",
        "Makes the colors of a composited foreground match its background, frame after frame, without flicker.",
        (
            _CLIP,
            _MASK,
            Input("strength", "FLOAT", "0 changes nothing, 1 is all, more exaggerates", _STRENGTH),
            Input("previous", "INT", "frames before each that shape its colors", _COUNT),
            Input("future", "INT", "frames after each that do", _COUNT),
            _WEIGHTS,
            Input("key_frames", "COMBO", "which frames the network looks at", {"default": LOOKS[0]}, LOOKS),
        ),
        (("IMAGE", "image"),),
        harmonize,
    ),
    Node(
        "Co2netMakeLUT",
        "Make harmonizing LUT",
        "Sums up the harmonization of a clip or picture as one 3D LUT.",
        (
            _CLIP,
            _MASK,
            Input("strength", "FLOAT", "how much of the change", _STRENGTH),
            Input("size", "INT", "points per axis", {"default": 33, "min": 2, "max": 65}),
            _WEIGHTS,
        ),
        ((LUT, "lut"),),
        make_lut,
    ),
    Node(
        "Co2netApplyLUT",
        "Apply LUT",
        "Applies a 3D LUT to every frame, inside the mask if there is one.",
        (
            _CLIP,
            Input("lut", LUT, "from Make harmonizing LUT or Load LUT"),
            Input("strength", "FLOAT", "how much of the change", _STRENGTH),
            Input("mask", "MASK", "where; everywhere if not connected", optional=True),
        ),
        (("IMAGE", "image"),),
        apply_lut,
    ),
    Node(
        "Co2netSaveLUT",
        "Save LUT",
        "Writes a LUT as a .cube file for grading programs, into the output folder.",
        (
            Input("lut", LUT, "from Make harmonizing LUT"),
            Input("filename_prefix", "STRING", "begins the file's name; a number follows", {"default": "co2net"}),
        ),
        (("STRING", "path"),),
        save_lut,
        ends=True,
    ),
    Node(
        "Co2netLoadLUT",
        "Load LUT",
        "Reads a .cube file, 3D or 1D, of the input folder or the output folder.",
        (Input("file", "STRING", "name of the file, with its folders below those", {"default": "look.cube"}),),
        ((LUT, "lut"),),
        load_lut,
        changed=_time_of,
    ),
    Node(
        "Co2netMatte",
        "Matte video",
        "Makes a mask for every frame: from a colored screen, one given mask, or motion.",
        (
            Input("image", "IMAGE", "the clip"),
            Input("way", "COMBO", "where the mask comes from", {"default": WAYS[0]}, WAYS),
            Input("mask", "MASK", "of the first frame, to be carried along", optional=True),
        ),
        (("IMAGE", "image"), ("MASK", "mask")),
        matte,
    ),
    Node(
        "Co2netColorize",
        "Colorize video",
        "Colors a gray clip from strokes painted on its first frame.",
        (
            Input("image", "IMAGE", "the gray clip"),
            Input("strokes", "IMAGE", "strokes on black, or in color over the gray frame"),
            Input("strokes_mask", "MASK", "where strokes are, if they are not on black", optional=True),
        ),
        (("IMAGE", "image"),),
        colorize,
    ),
)


@lru_cache(maxsize=2)
def _model(weights: str) -> Any:
    from co2net.models.registry import load_model

    return load_model(weights)


def _clip(image: Tensor) -> Iterable[Tensor]:
    """Frames ``(3, H, W)``."""
    if image.ndim != 4 or image.shape[3] < 3:
        raise ValueError(f"an image batch is (B, H, W, 3), got {tuple(image.shape)}")
    return (frame[..., :3].movedim(2, 0) for frame in image)


def _masks(mask: Tensor, image: Tensor) -> Tensor:
    """``(B, H, W)`` for every frame of the batch."""
    mask = mask if mask.ndim == 3 else mask[None]
    if tuple(mask.shape[1:]) != tuple(image.shape[1:3]):
        wanted, got = "x".join(map(str, image.shape[2:0:-1])), "x".join(map(str, mask.shape[:0:-1]))
        raise ValueError(f"the mask is {got}, the image {wanted}; resize it before, as you want it resized")
    if len(mask) == 1:
        return mask.expand(len(image), -1, -1)
    if len(mask) != len(image):
        raise ValueError(f"{len(mask)} masks for {len(image)} frames; give one for each, or one for all")
    return mask


def _gathered(frames: Iterable[Tensor], like: Tensor) -> Tensor:
    """Frames ``(3, H, W)`` as a batch like `like`, whose further channels (alpha) stay."""
    out = like.to(resting_device(), torch.float32, copy=True)
    for number, frame in enumerate(frames):
        out[number, ..., :3] = frame.movedim(0, 2).to(out.device).clamp(0, 1)
    return out


def _stacked_masks(masks: Iterable[Any]) -> Tensor:
    return torch.stack([torch.as_tensor(mask, dtype=torch.float32) for mask in masks]).to(resting_device())
