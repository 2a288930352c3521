"""Every method that can be evaluated, by name: what an evaluated model gives, classical color transfer, guests.

One :class:`Method` handed to :func:`register` is in every table, plot and report of its task from then on::

    register(Method("gray", "gray", create=lambda weights, device: per_frame(to_gray)))

The classical ones are what a compositor gets without a network; both take the background of the same frame as the
reference for the foreground.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from co2net.errors import InputError
from co2net.models.co2net import CO2Net
from co2net.pipeline.arrays import harmonize_frames
from co2net.pipeline.frames import Picture, as_tensor, frame_to_tensor, mask_to_tensor
from co2net.pipeline.key_frames import KeyFrames
from co2net.video.mask_files import MaskArrays

Run = Callable[[Iterable[Picture], Iterable[Picture]], Iterable[Picture]]
"""Frames and masks of a clip in, in order; one result per frame out, in order, perhaps some frames later.

Frames are on the CPU: ``(3, H, W)`` float in [0, 1] with masks ``(1, H, W)``, or ``(H, W, 3)`` uint8 with masks
``(H, W)``; results are of the kind that came in."""

Transfer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A frame ``(H, W, 3)`` float32 RGB in [0, 1] and its mask ``(H, W)`` to the result, as the frame."""


@dataclass(frozen=True)
class Method:
    """One way to do a task.

    Attributes:
        key: its name in results files and settings.
        title: its name in tables.
        detail: a few words more, for the report.
        note: said in brackets behind the title, in tables of text.
        task: name of one of :data:`co2net.evaluation.tasks.TASKS`.
        create: weights (a path or name; None: its own) and device to what runs; None: it comes from the pass of the
            evaluated model, or is the truth.
        default: whether it is scored where no method is named.
    """

    key: str
    title: str
    detail: str = ""
    note: str = ""
    task: str = "harmonization"
    create: Callable[[str | None, torch.device], Run] | None = None
    default: bool = True

    @property
    def label(self) -> str:
        """The title as it begins a line."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def text(self) -> str:
        """The title in tables of text."""
        return f"{self.title} ({self.note})" if self.note else self.title


METHODS: dict[str, Method] = {}
"""By key, in the order of the tables; the truth last."""
OF_MODEL = ("composite", "backbone", "lut", "final")
"""What one pass of the evaluated model gives."""
TRUTH = "truth"
"""The real frames: what a perfect result would get."""


def register(method: Method) -> Method:
    """Add a method; one of the same key is replaced."""
    METHODS[method.key] = method
    return method


def method_of(key: str) -> Method:
    """The method of that key; one that is known from a results file only is called by its key."""
    return METHODS.get(key) or Method(key, key)


def ordered(keys: Iterable[str]) -> list[str]:
    """The keys in the order of the tables: as registered, then unknown ones, the truth last."""
    keys = dict.fromkeys(keys)
    known = [key for key in METHODS if key in keys and key != TRUTH]
    others = [key for key in keys if key not in METHODS]
    return [*known, *others, *([TRUTH] if TRUTH in keys else [])]


def result_of(keys: Sequence[str]) -> str:
    """The method that a report is about: the evaluated model's final result, or the last one."""
    return "final" if "final" in keys else [key for key in keys if key != TRUTH][-1]


def choose(task: str, keys: Iterable[str] | None) -> list[str]:
    """The methods of a task that were asked for, in the order of the tables; None: a guest's default ones.

    Raises:
        InputError: a name is unknown or of another task, or none is left.
    """
    ours = task == "harmonization"  # elsewhere no pass of a model gives results by itself
    known = [m.key for m in METHODS.values() if m.task == task and m.key != TRUTH and (ours or m.create is not None)]
    chosen = [key for key in known if METHODS[key].default] if keys is None else list(keys)
    if wrong := [key for key in chosen if key not in known]:
        raise InputError(f"`methods`: {wrong[0]} is no method of the task {task}; known: {', '.join(known) or 'none'}")
    if not chosen:
        raise InputError(f"no method of the task {task} is there to be evaluated; give `methods`")
    return ordered(chosen)


def per_frame(transfer: Transfer) -> Run:
    """What runs a function of one frame on a clip."""

    def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterator[Picture]:
        read = MaskArrays()
        for frame, mask in zip(frames, masks, strict=True):
            image = frame_to_tensor(frame)[0].permute(1, 2, 0).cpu().numpy()
            alpha = mask_to_tensor(mask, image.shape[:2], read)[0, 0].cpu().numpy()
            result = transfer(image, alpha)
            if as_tensor(frame, "frame").is_floating_point():
                yield torch.from_numpy(np.ascontiguousarray(result.transpose(2, 0, 1), np.float32))
            else:
                yield (result * 255).round().astype(np.uint8)

    return run


MINIMUM_PIXELS = 16  # fewer say nothing about a distribution; the frame stays as it is


def reinhard(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Statistics transfer: mean and standard deviation per channel in CIE Lab.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 2001.

    Args:
        image: ``(H, W, 3)`` float32 RGB in [0, 1].
        mask: ``(H, W)`` in [0, 1]; soft values blend.

    Returns:
        ``(H, W, 3)`` float32 in [0, 1].
    """
    inside, outside = mask > 0.5, mask < 0.5
    if inside.sum() < MINIMUM_PIXELS or outside.sum() < MINIMUM_PIXELS:
        return image
    lab = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2Lab)
    mean_in, std_in = lab[inside].mean(axis=0), lab[inside].std(axis=0)
    mean_out, std_out = lab[outside].mean(axis=0), lab[outside].std(axis=0)
    moved = (lab - mean_in) * (std_out / np.maximum(std_in, 1e-3)) + mean_out
    return _blend(cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_Lab2RGB), image, mask)


def histogram_matching(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gives the foreground the background's histogram, channel by channel; arguments as in :func:`reinhard`."""
    from skimage.exposure import match_histograms

    inside, outside = mask > 0.5, mask < 0.5
    if inside.sum() < MINIMUM_PIXELS or outside.sum() < MINIMUM_PIXELS:
        return image
    # Rows of pixels, so that the library sees two "images" of any outline.
    matched = match_histograms(image[inside][:, None], image[outside][:, None], channel_axis=-1)
    moved = image.copy()
    moved[inside] = matched[:, 0]
    return _blend(moved, image, mask)


CLASSICAL: dict[str, Transfer] = {"Reinhard statistics transfer": reinhard, "histogram matching": histogram_matching}
"""By title."""
BACKBONE, PAINTED = "backbone, frame by frame", "painted whole, frame by frame"


def network_methods(model: CO2Net, key_frames: KeyFrames = None) -> dict[str, Run]:
    """The backbone frame by frame, and the model with its window of 8 + 8 neighbor frames, with and without refinement.

    Without a refinement in the model, the color mapping alone is the model and stands there once. With `key_frames`
    the model with those stands there too; so do the whole frames of a network that paints those beside its LUTs.
    """
    mapping_alone = CO2Net(
        model.backbone, refinement=False, mapping=model.mapping, unseen_rule=model.unseen_rule
    ).eval()

    def with_window(network: CO2Net, window: int, key_frames: KeyFrames = None) -> Run:
        def run(frames: Iterable[Picture], masks: Iterable[Picture]) -> Iterable[Picture]:
            return harmonize_frames(frames, masks, network, window, window, key_frames=key_frames)

        return run

    methods = {BACKBONE: with_window(mapping_alone, 0)}
    if model.refinement:
        methods["color mapping alone"] = with_window(mapping_alone, 8)
    methods["co2net"] = with_window(model, 8)
    if model.backbone.whole and model.mapping.needs_prediction and not model.refinement:
        methods[PAINTED] = with_window(model.for_pictures(), 0)
    if key_frames is not None:
        methods[f"co2net, key frames {key_frames}"] = with_window(model, 8, key_frames)
    return methods


def picture_methods(model: CO2Net) -> dict[str, Run]:
    """The model as single pictures want it; beside a network that paints those whole its LUT alone."""
    still = model.for_pictures()
    methods = {"co2net": network_methods(still)["co2net"]}
    if still is not model:
        methods["its LUT alone"] = network_methods(model)["co2net"]
    return methods


def baselines() -> dict[str, Run]:
    """The composite as it is, and every method of harmonization that needs no weights, by title."""
    found: dict[str, Run] = {"composite": lambda frames, masks: frames}
    for m in METHODS.values():
        if m.task == "harmonization" and m.create is not None:
            found[m.title] = m.create(None, torch.device("cpu"))
    return found


def _blend(changed: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    weight = mask[..., None]
    return (np.clip(changed, 0, 1) * weight + image * (1 - weight)).astype(np.float32)


def _classical(transfer: Transfer) -> Callable[[str | None, torch.device], Run]:
    return lambda weights, device: per_frame(transfer)


for _method in (
    Method("composite", "composite", "the input", "input"),
    Method("backbone", "backbone", "every frame on its own"),
    Method("lut", "color mapping", "3D LUT gathered from neighbor frames"),
    Method("final", "final", "what the model gives"),
    *(
        Method(title.split()[0].lower(), title, "classical, frame by frame", create=_classical(transfer))
        for title, transfer in CLASSICAL.items()
    ),
    Method("network", "network", "its whole output, one picture at a time", task="images"),
    Method(TRUTH, "truth", "the real frames: what a perfect result would get", "real frames"),
):
    register(_method)
