"""Every score of a frame by name: how it is computed, what it is called, which way is better, where it is shown.

One :class:`Metric` handed to :func:`register` is in every table, curve, report and results file from then on::

    register(Metric("bias", "Bias", lambda c: (c.image - c.target).mean(dim=(1, 2, 3)), digits=4))

So is a :class:`PairMeasure`, of two frames and the motion between them, handed to :func:`register_pair`, and a
:class:`ClipMeasure`, of a whole clip, handed to :func:`register_clip`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from co2net.flow.occlusion import occlusion_mask
from co2net.metrics import mattes
from co2net.metrics.brightness import brightness_costs, frame_brightness
from co2net.metrics.flicker import foreground_colors, frame_flicker
from co2net.metrics.iharmony4 import psnr_iharmony4, ssim_iharmony4
from co2net.metrics.mse import fmse, fmse_paper, mse
from co2net.metrics.psnr import psnr, psnr_paper
from co2net.metrics.ssim import fssim_paper, ssim_and_fssim
from co2net.metrics.temporal import temporal_loss_visible, temporal_losses

Convention = Literal["both", "paper", "standard", "other"]
CONVENTIONS: dict[Convention, str] = {
    "both": "same in both",
    "paper": "as published (“paper”)",
    "standard": "standard",
    "other": "other",
}
"""In the order of the tables' columns."""


@dataclass(frozen=True)
class Comparison:
    """Some frames and their truth; what several metrics need is computed once.

    Attributes:
        image: ``(B, C, H, W)`` in [0, 1]: three channels of a picture, one of a matte.
        target: as `image`.
        mask: ``(B, 1, H, W)`` in [0, 1].
    """

    image: Tensor
    target: Tensor
    mask: Tensor

    @cached_property
    def similarity(self) -> tuple[Tensor, Tensor]:
        """SSIM of the frame and of the foreground, ``(B,)`` each."""
        return ssim_and_fssim(self.image, self.target, self.mask)


@dataclass(frozen=True)
class Metric:
    """One score of a frame.

    Attributes:
        key: its name in results files.
        label: its name in tables.
        measure: a comparison to ``(B,)``; ``nan`` where there is no value.
        convention: "paper" where the published tables compute it otherwise than the textbook ("standard").
        lower_is_better: which way is better.
        digits: decimals in tables.
        tasks: names of :mod:`co2net.evaluation.tasks` that it is measured in.
        infinite: whether a frame that equals its truth has an infinite value, to be counted beside the mean.
    """

    key: str
    label: str
    measure: Callable[[Comparison], Tensor]
    convention: Convention = "other"
    lower_is_better: bool = True
    digits: int = 2
    tasks: tuple[str, ...] = ("harmonization",)
    infinite: bool = False

    @property
    def full_label(self) -> str:
        """The label with its convention where there are two."""
        return f"{self.label} ({self.convention})" if self.convention in ("paper", "standard") else self.label

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.lower_is_better else "↑"

    def text(self, value: float | None) -> str:
        """The value as printed; a dash where there is none."""
        return number_text(value, self.digits)


@dataclass(frozen=True)
class Pair:
    """Two frames of a clip as several methods made them, and the motion between their real ones.

    Attributes:
        current: results of frame t, ``(M, 3, H, W)`` in [0, 1] space, one per method.
        following: results of frame t + 1, likewise.
        current_real: ``(1, 3, H, W)`` in [0, 1].
        following_real: likewise.
        mask: of frame t, ``(1, 1, H, W)`` in [0, 1].
        following_mask: of frame t + 1; None where it is unknown.
        flow: ``(1, 2, H, W)`` in pixels, from frame t + 1 to frame t.
        back: from frame t to frame t + 1.
    """

    current: Tensor
    following: Tensor
    current_real: Tensor
    following_real: Tensor
    mask: Tensor
    following_mask: Tensor | None
    flow: Tensor
    back: Tensor

    def of_all(self, tensor: Tensor) -> Tensor:
        """One for every method."""
        return tensor.expand(len(self.current), -1, -1, -1)

    @cached_property
    def losses(self) -> tuple[Tensor, Tensor]:
        """The temporal loss as published, and weighted, ``(M,)`` each."""
        real = self.of_all(self.current_real), self.of_all(self.following_real)
        mask, flow = self.of_all(self.mask), self.of_all(self.flow.float())
        return temporal_losses(self.current, self.following, *real, mask, flow)

    def changes(self) -> Tensor:
        """Changes of mattes that differ from the true ones (dtSSD), ``(M,)``."""
        truth = torch.cat([self.current_real, self.following_real])
        both = zip(self.current, self.following, strict=True)
        return torch.cat([mattes.dt_ssd(torch.stack(frames).float(), truth.float()) for frames in both])

    def visible_loss(self) -> Tensor | None:
        """The temporal loss of what both frames show, ``(M,)``; None without the second mask."""
        if self.following_mask is None:
            return None
        visible = (1 - occlusion_mask(self.flow, self.back)).to(self.mask.dtype)
        masks = self.of_all(self.mask), self.of_all(self.following_mask)
        return temporal_loss_visible(
            self.current, self.following, *masks, self.of_all(self.flow.float()), self.of_all(visible)
        )


@dataclass(frozen=True)
class PairMeasure:
    """A measure of how steady results are from a frame to the next; lower is better.

    Attributes:
        key: its name in results files.
        label: its name in tables, where the flow's stands behind it.
        measure: a pair to ``(M,)``, one value per method; ``nan`` or None where there is none.
        tasks: names of :mod:`co2net.evaluation.tasks` that it is measured in.
        flow: it looks at the motion.
    """

    key: str
    label: str
    measure: Callable[[Pair], Tensor | None]
    tasks: tuple[str, ...] = ("harmonization", "colorization", "images")
    flow: bool = True


@dataclass(frozen=True)
class ClipMeasure:
    """A measure of how a clip changes beside the real one, without motion; lower is better.

    Attributes:
        key: its name in results files.
        label: its name in tables.
        kept: name in :data:`KEPT`: what it needs of every frame.
        measure: the kept numbers ``(T, N)`` of a clip and of the real one, rows of ``nan`` between frames that do not
            follow each other, to ``(T,)``; ``nan`` where there is no value.
        looks_ahead: whether a frame's value needs the frame after it, as well as the one before.
        per_clip: whether its mean is that of the clips' means, and not of all frames.
    """

    key: str
    label: str
    kept: str
    measure: Callable[[Tensor, Tensor], Tensor]
    looks_ahead: bool = False
    per_clip: bool = False


KEPT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"brightness": frame_brightness, "colors": foreground_colors}
"""What is kept of a frame for measures of clips: images ``(B, 3, H, W)`` and masks ``(B, 1, H, W)`` to ``(B, N)``."""
PAIR_MEASURES: dict[str, PairMeasure] = {}
"""By key, in the order of the columns."""
CLIP_MEASURES: dict[str, ClipMeasure] = {}
"""By key, in the order of the columns, which follow those of pairs."""
METRICS: dict[str, Metric] = {}
"""By key, in the order of the columns within a convention."""


def register(metric: Metric) -> Metric:
    """Add a metric; one of the same key is replaced."""
    METRICS[metric.key] = metric
    return metric


def register_pair(measure: PairMeasure) -> PairMeasure:
    """Add a measure over time; one of the same key is replaced."""
    PAIR_MEASURES[measure.key] = measure
    return measure


def register_clip(measure: ClipMeasure) -> ClipMeasure:
    """Add a measure of clips; one of the same key is replaced."""
    CLIP_MEASURES[measure.key] = measure
    return measure


def metrics_of(task: str) -> list[Metric]:
    """What is measured in a task."""
    return [metric for metric in METRICS.values() if task in metric.tasks]


def pair_measures_of(task: str) -> list[PairMeasure]:
    """What is measured over time in a task."""
    return [measure for measure in PAIR_MEASURES.values() if task in measure.tasks]


def ordered(keys: Iterable[str]) -> list[Metric]:
    """The metrics of these keys in the order of the tables; unknown ones last, lower taken as better."""
    keys = list(keys)
    known = [metric for c in CONVENTIONS for metric in METRICS.values() if metric.convention == c]
    unknown = [Metric(key, key, _unknown, digits=4, tasks=()) for key in keys if key not in METRICS]
    return [metric for metric in known if metric.key in keys] + unknown


def number_text(value: float | None, digits: int) -> str:
    """A value with a real minus sign, ∞, or a dash for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}f}".replace("-", "−")


def _costs(own: Tensor, real: Tensor) -> Tensor:
    """:func:`brightness_costs` with a row for the first frame, which changes from nothing."""
    return torch.cat([torch.full_like(own[:1], torch.nan), brightness_costs(own, real)])


def _unknown(comparison: Comparison) -> Tensor:
    raise NotImplementedError("a metric that is known from a results file only")


_PICTURES = ("harmonization", "colorization")
_IMAGES = ("images",)  # single pictures of iHarmony4
for _metric in (
    Metric("mse", "MSE", lambda c: mse(c.image, c.target), "both", tasks=(*_PICTURES, *_IMAGES)),
    Metric("fmse", "fMSE", lambda c: fmse(c.image, c.target, c.mask), "standard", tasks=("harmonization", *_IMAGES)),
    Metric("fmse_paper", "fMSE", lambda c: fmse_paper(c.image, c.target, c.mask), "paper"),
    Metric("psnr", "PSNR", lambda c: psnr(c.image, c.target), "standard", False, tasks=_PICTURES, infinite=True),
    Metric("psnr_paper", "PSNR", lambda c: psnr_paper(c.image, c.target), "paper", False, infinite=True),
    Metric("fssim", "fSSIM", lambda c: c.similarity[1], "standard", False, 4),
    Metric("fssim_paper", "fSSIM", lambda c: fssim_paper(c.image, c.target, c.mask), "paper", False, 4),
    Metric("ssim", "SSIM", lambda c: c.similarity[0], "standard", False, 4, _PICTURES),
    Metric("psnr_iharmony4", "PSNR", lambda c: psnr_iharmony4(c.image, c.target), "other", False, 2, _IMAGES),
    Metric("ssim_iharmony4", "SSIM", lambda c: ssim_iharmony4(c.image, c.target), "other", False, 4, _IMAGES),
    Metric("alpha_mad", "MAD", lambda c: mattes.alpha_mad(c.image, c.target), digits=4, tasks=("matting",)),
    Metric("alpha_mse", "MSE", lambda c: mattes.alpha_mse(c.image, c.target), digits=4, tasks=("matting",)),
    Metric(
        "alpha_gradient", "gradient", lambda c: mattes.alpha_gradient(c.image, c.target), digits=3, tasks=("matting",)
    ),
    Metric(
        "alpha_connectivity",
        "connectivity",
        lambda c: mattes.alpha_connectivity(c.image, c.target),
        digits=3,
        tasks=("matting",),
    ),
    Metric("dice", "Dice", lambda c: mattes.dice(c.image, c.target), "other", False, 4, ("matting",)),
    Metric("iou", "IoU", lambda c: mattes.iou(c.image, c.target), "other", False, 4, ("matting",)),
    Metric("boundary_f", "boundary F", lambda c: mattes.boundary_f(c.image, c.target), "other", False, 4, ("matting",)),
):
    register(_metric)
for _measure in (
    PairMeasure("tl", "TL", lambda pair: pair.losses[0]),
    PairMeasure("tl_weighted", "TL weighted", lambda pair: pair.losses[1]),
    PairMeasure("tl_visible", "TL visible", lambda pair: pair.visible_loss()),
    PairMeasure("dt_ssd", "dtSSD", lambda pair: pair.changes(), ("matting",), flow=False),
):
    register_pair(_measure)
register_clip(ClipMeasure("rtc", "R-RTC", "brightness", lambda own, real: _costs(own, real)[:, 0], per_clip=True))
register_clip(ClipMeasure("frtc", "fR-RTC", "brightness", lambda own, real: _costs(own, real)[:, 1], per_clip=True))
register_clip(ClipMeasure("flicker", "flicker", "colors", frame_flicker, looks_ahead=True))
