"""What every backbone shares: its color space, padding to sizes it can take, its result, and the list of them.

A backbone file holds one network with its recipe and losses, subclasses :class:`Backbone` and adds itself with
:func:`register`; see ``docs/adding_a_backbone.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.checks import check_image, check_mask
from co2net.errors import InputError
from co2net.models.backbones.losses import foreground_loss, stage1_loss

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass
class BackboneOutput:
    """Result of one backbone pass.

    Attributes:
        image: harmonized frame ``(B, 3, H, W)`` in [0, 1] space, unclamped; the input where the mask is 0.
        features: feature map ``(B, feature_channels, H, W)`` that the refinement can read.
        raw: the network's own output ``(B, 3, H, W)`` in its normalized space, as the refinement expects it.
        lut: the color mapping ``(B, 3, P, P, P)`` where the network predicts one, None elsewhere.
        expected_error: ``(B,)``, the squared error that such a network expects of itself ([0, 1] space, mean over the
            foreground); None where it expects none.
    """

    image: Tensor
    features: Tensor
    raw: Tensor
    lut: Tensor | None = None
    expected_error: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained on pictures, as far as the network decides it; a run may change every value.

    Attributes:
        phases: stretches of a run, each ``(pixels square, samples, batch)``; the samples of the last one may be 0 where
            `epochs` counts them.
        epochs: passes over the data set, for published recipes; 0: `phases` says how long.
        settings: of the network, where they are not its defaults.
        learning_rate: of Adam.
        schedule: name of the learning rate's course.
        milestones: epochs from which the rate is a tenth, for the schedule "milestones".
        loss: what :meth:`Backbone.losses` is to compute.
        area_only: pictures are shrunk by area averaging only, not half of them with two taps.
        varied: random color changes beside the LUTs, graded scenes, borrowed masks.
        mix: shares of the varied color changes that differ from the usual ones.
        composites: "single": each picture's color change by itself; "scenes": those of
            ``co2net/training/composites.py``, which look at several pictures.
        smoothness: weight of a predicted LUT's roughness.
        averaging: share of the old in the running mean of the weights; 0 keeps the last weights.
        largest_gradient: norm that gradients are clipped to; 0 does not clip.
        held_back: share of the correction that targets leave out: they are moved back to the composite by it.
        start_as_identity: as of :meth:`Backbone.initialize`.
        precision: "bf16" or "fp32".
        rate_batch: batch that `learning_rate` is meant for: others take it times ``sqrt(batch / rate_batch)``. 0: any.
        frozen: parts of the network that stay as they are: no gradients, batch norm as in eval mode.
        least_foreground: pixels; crops whose mask sums to no more are drawn again, but for one in twenty.
    """

    phases: tuple[tuple[int, int, int], ...] = ((64, 130_000, 32), (128, 16_000, 16), (256, 2_000, 8))
    epochs: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    milestones: tuple[int, ...] = (105, 115)
    loss: str = "foreground"
    area_only: bool = False
    varied: bool = True
    composites: str = "single"
    mix: Mapping[str, float] = field(default_factory=dict)
    smoothness: float = 0.0
    averaging: float = 0.0
    largest_gradient: float = 0.0
    held_back: float = 0.15
    start_as_identity: bool = True
    precision: str = "bf16"
    rate_batch: int = 0
    frozen: tuple[str, ...] = ()
    least_foreground: float = 0.0


QUICK = Recipe()
"""Good weights in an hour or two on a CPU: growing resolution, varied color changes, loss on the foreground."""

SCENES = Recipe(
    phases=((64, 40_000, 32), (128, 5_000, 16)),
    learning_rate=7e-4,
    composites="scenes",
    mix={"borrowed": 0.25},
    area_only=True,
    averaging=0.995,
    largest_gradient=1.0,
    held_back=0.0,
)
"""Composites as wrong as real ones (``co2net/training/composites.py``); continues weights of "quick"."""

PAPER = Recipe(
    phases=((256, 0, 16),),
    epochs=120,
    schedule="milestones",
    loss="paper",
    varied=False,
    held_back=0.0,
    start_as_identity=False,
    precision="fp32",
)
"""The published training of iSSAM and of CO2Net's backbones."""


class Backbone(nn.Module):
    """Per-frame harmonization network; subclasses implement :meth:`network`.

    A network paints pixels, predicts a color mapping (a LUT), or both; it does so at its training size, or takes frames
    of any size and paints them whole.

    Class attributes:
        mean, std: statistics of the normalized space, per channel.
        size_multiple: height and width the network takes must be multiples of this.
        feature_channels: channels of the feature map (set by the instance where a setting decides it).
        title: the network's name in messages.
        parts: first components of the state-dict names; weight files are recognized by them.
        predicts_mapping: whether :meth:`forward` fills ``lut``, perhaps ``expected_error`` too.
        averages_areas: whether frames are shrunk for it by averaging over areas, and not by taking pixels that occur.
        planes: names of further inputs that :meth:`prepare` makes; :meth:`forward` takes them as keyword arguments.
        usual_key_frames: the pipeline looks at every so-manieth frame where nobody says otherwise; None: at each. For
            mappings that hardly change between frames.
        prior_name: the buffer that says how readily unsure corrections are weakened; None: there is none.
        recipes: ways to train it by name, the usual one first.

    Attributes:
        paints: whether :attr:`BackboneOutput.image` is more than the LUT's result. Networks that do both can be told
            to leave the painting out.
        whole: whether it can paint frames of any size whole; the pipeline lets it do so with single pictures.
    """

    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    size_multiple: ClassVar[int] = 1
    feature_channels: int = 0
    title: ClassVar[str] = ""
    parts: ClassVar[tuple[str, ...]] = ()
    predicts_mapping: ClassVar[bool] = False
    averages_areas: ClassVar[bool] = False
    planes: ClassVar[tuple[str, ...]] = ()
    usual_key_frames: ClassVar[int | None] = None
    prior_name: ClassVar[str | None] = None
    recipes: ClassVar[Mapping[str, Recipe]] = {"quick": QUICK, "scenes": SCENES, "paper": PAPER}

    paints: bool = True
    whole: bool = False
    training_size: int = 256  # height and width the weights were trained at

    _mean: Tensor
    _std: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: official state dicts hold no statistics (and ours must load there).
        self.register_buffer("_mean", torch.tensor(self.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(self.std).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def settings_from_state(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Constructor settings under which the network takes `state`; entries may be missing."""
        return {}

    @classmethod
    def settings_for(cls, size: int) -> dict[str, Any]:
        """Constructor settings for a training on pictures of `size` x `size` pixels, where nobody says otherwise."""
        return {}

    @classmethod
    def resized(cls, state: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        """Weights that work at `size`, of weights that did at another one; the same where nothing depends on it.

        Args:
            state: by the network's own names, perhaps a part of it.
            size: height and width in pixels.
        """
        return dict(state)

    def set_prior(self, prior: float) -> None:
        """Say how likely it is that a composite looks right already.

        Args:
            prior: 0 takes every correction as the network gives it; the larger, the more are corrections weakened that
                are small beside the error the network expects of itself. Weight files hold a value of their own.

        Raises:
            InputError: it is below 0 or not finite, or the network has no prior.
        """
        if self.prior_name is None:
            raise InputError(f"`prior`: {self.title} does not say how sure it is; choose tonenet or lutnet")
        if not 0 <= prior < math.inf:
            raise InputError(f"`prior` must be a number from 0 on, got {prior:g}")
        getattr(self, self.prior_name).fill_(prior)

    def prepare(self, composite: np.ndarray) -> dict[str, np.ndarray]:
        """Further inputs, made of a full-size composite before anything is resized.

        Whoever resizes, crops or flips the composite does the same to them and hands them to :meth:`forward` by name,
        as ``(B, C, h, w)`` float in [0, 1] (codes / 255). Networks make them of the image where they are not given.

        Args:
            composite: ``(H, W, 3)`` uint8 RGB.

        Returns:
            For each of :attr:`planes` an array ``(H, W, C)`` uint8.
        """
        return {}

    @property
    def frame_size(self) -> int:
        """Largest height and width of a frame that the network makes use of; the pipeline shrinks frames to it."""
        return self.training_size

    def learned_size(self, pictures: int) -> int:
        """The training size of weights that saw pictures of that height and width last, with the settings of this."""
        return pictures

    def network(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The bare network.

        Args:
            image: ``(B, 3, H, W)`` in the normalized space; H and W multiples of :attr:`size_multiple`.
            mask: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            ``(output, features)``: ``(B, 3, H, W)`` in the normalized space and ``(B, feature_channels, H, W)``.
        """
        raise NotImplementedError

    def initialize(self, *, start_as_identity: bool = False) -> None:
        """Fresh weights for training: normal with variance ``2 / (fan_in + fan_out)``, zero biases; buffers stay.

        Args:
            start_as_identity: let the untrained network nearly return its input, if it can. Short trainings need it:
                they otherwise spend their time on learning to copy.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                taps = module.weight[0, 0].numel()
                fan_in, fan_out = module.weight.shape[1] * taps, module.weight.shape[0] * taps
                nn.init.normal_(module.weight, std=math.sqrt(2 / (fan_in + fan_out)))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def losses(self, out: BackboneOutput, target: Tensor, mask: Tensor, recipe: Recipe) -> dict[str, Tensor]:
        """The terms of a recipe's objective, scalars by name; their sum is minimized.

        Args:
            out: of :meth:`forward`, in train mode.
            target: what the frame should look like, ``(B, 3, H, W)`` in [0, 1].
            mask: ``(B, 1, H, W)`` in [0, 1].
            recipe: its `loss` says which objective: "foreground" or "paper", or one of the network's own.
        """
        loss = {"foreground": foreground_loss, "paper": stage1_loss}[recipe.loss]
        return {"pixel": loss(out.raw.float(), self.normalize(target), mask)}

    def normalize(self, image: Tensor) -> Tensor:
        """[0, 1] space to the network's normalized space."""
        return (image - self._mean) / self._std

    def denormalize(self, image: Tensor) -> Tensor:
        """The network's normalized space to [0, 1] space."""
        return image * self._std + self._mean

    def blend(self, raw: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        """De-normalize `raw` inside the mask, keep `image` ([0, 1] space) outside."""
        return self.denormalize(raw) * mask + image * (1 - mask)

    def run(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`network` for any size: pads by repeating the border, crops the results back.

        Same arguments and results as :meth:`network`.
        """
        height, width = image.shape[-2:]
        bottom, right = -height % self.size_multiple, -width % self.size_multiple
        if bottom or right:
            padding = (0, right, 0, bottom)
            image, mask = F.pad(image, padding, mode="replicate"), F.pad(mask, padding, mode="replicate")
        raw, features = self.network(image, mask)
        return raw[..., :height, :width], features[..., :height, :width]

    def forward(self, image: Tensor, mask: Tensor) -> BackboneOutput:
        """Harmonize the foreground of `image`.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1], any size.
            mask: foreground ``(B, 1, H, W)`` in [0, 1], soft or hard.

        Raises:
            ShapeError: if the shapes, types or devices do not fit.
        """
        check_image(image)
        check_mask(mask, image)
        raw, features = self.run(self.normalize(image), mask)
        return BackboneOutput(image=self.blend(raw, mask, image), features=features, raw=raw)


BACKBONES: dict[str, type[Backbone]] = {}

_BackboneClass = TypeVar("_BackboneClass", bound=type[Backbone])


def register(name: str) -> Callable[[_BackboneClass], _BackboneClass]:
    """Class decorator: make a :class:`Backbone` available under `name`.

    Raises:
        ValueError: if the name is taken, or the class does not say how to recognize its files.
    """

    def add(network: _BackboneClass) -> _BackboneClass:
        if name in BACKBONES and BACKBONES[name] is not network:
            raise ValueError(f"backbone {name!r} is registered already, by {BACKBONES[name].__qualname__}")
        if not network.parts:
            raise ValueError(f"{network.__qualname__} needs `parts`: the first components of its state-dict names")
        BACKBONES[name] = network
        return network

    return add


def backbone_class(name: str) -> type[Backbone]:
    """The class registered under `name`.

    Raises:
        InputError: if there is none; lists what there is.
    """
    if name not in BACKBONES:
        raise InputError(f"unknown backbone {name!r}; available: {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]
