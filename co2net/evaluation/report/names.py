"""What methods and metrics are called in the report, which way is better, and how their values are printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Convention = Literal["both", "paper", "standard", "other"]

CONVENTIONS: dict[Convention, str] = {
    "both": "same in both",
    "paper": "as published (“paper”)",
    "standard": "standard",
    "other": "other",
}


@dataclass(frozen=True)
class Metric:
    """One metric as the reader sees it."""

    key: str
    label: str
    convention: Convention
    lower_is_better: bool
    digits: int
    """Decimals in tables."""

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


_METRICS = {
    metric.key: metric
    for metric in (
        Metric("mse", "MSE", "both", True, 2),
        Metric("fmse_paper", "fMSE", "paper", True, 2),
        Metric("psnr_paper", "PSNR", "paper", False, 2),
        Metric("fssim_paper", "fSSIM", "paper", False, 4),
        Metric("fmse", "fMSE", "standard", True, 2),
        Metric("psnr", "PSNR", "standard", False, 2),
        Metric("fssim", "fSSIM", "standard", False, 4),
        Metric("ssim", "SSIM", "standard", False, 4),
    )
}
_METHODS = {
    "composite": "Composite",
    "backbone": "Backbone",
    "lut": "Color mapping",
    "final": "Final",
    "truth": "Truth",
}
_DETAILS = {
    "composite": "the input",
    "backbone": "every frame on its own",
    "lut": "3D LUT gathered from neighbor frames",
    "final": "what the model gives",
    "truth": "the real frames: what a perfect result would get",
}


def order_metrics(keys: list[str]) -> list[Metric]:
    """The metrics in the order of the tables; unknown ones last, lower taken as better."""
    known = [metric for key, metric in _METRICS.items() if key in keys]
    return known + [Metric(key, key, "other", True, 4) for key in keys if key not in _METRICS]


def method_label(key: str) -> str:
    """What a method is called."""
    return _METHODS.get(key, key)


def method_detail(key: str) -> str:
    """A few words about a method; empty for unknown ones."""
    return _DETAILS.get(key, "")


def number_text(value: float | None, digits: int) -> str:
    """A value with a real minus sign, ∞, or a dash for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}f}".replace("-", "−")


def count_text(count: int) -> str:
    """A count with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")
