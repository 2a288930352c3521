"""SSNet: makes the colors of a frame agree with its neighbors' and with the clip's first colored frame.

WARN cleans warped neighbor colors, CorrNet (its own file) fetches the first frame's, Comb combines all, SRNet enlarges
the color planes. Of SVCNet (Zhao et al., IEEE TIP 2023).
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.colorization.blocks import Conv, Dense, Res, Up
from co2net.colorization.corrnet import CorrNet
from co2net.errors import InputError, ShapeError

SSNETS = (
    "SSNet",
    "SSNet_without_short",
    "SSNet_without_long",
    "SSNet_without_short_and_long",
    "SSNet_128p",
    "SSNet_64p",
)
NEIGHBORS = 6  # t - 3, t - 2, t - 1, t + 1, t + 2, t + 3


class WARN(nn.Module):
    """Removes the artifacts of a warp from two color planes."""

    def __init__(self, k: int = 16) -> None:
        super().__init__()
        self.down1 = Conv(3, k)
        self.down2, self.down3 = Conv(k, 2 * k, 2, norm="in"), Conv(2 * k, 4 * k, 2, norm="in")
        self.bottleneck = nn.Sequential(*(Res(4 * k, norm="in") for _ in range(4)))
        self.up1, self.up2 = Up(4 * k, 2 * k, norm="in"), Up(4 * k, k, norm="in")
        self.up3 = Conv(2 * k, 2, activation="tanh")

    def forward(self, color: Tensor, mask: Tensor) -> Tensor:
        """Colors ``(B, 2, H, W)`` and visibility mask ``(B, 1, H, W)`` to ``(B, 2, H, W)``, not clamped."""
        d1 = self.down1(torch.cat([color, mask], dim=1))
        d2 = self.down2(d1)
        up1 = self.up1(self.bottleneck(self.down3(d2)))
        up2 = self.up2(torch.cat([up1, d2], dim=1))
        return color - self.up3(torch.cat([up2, d1], dim=1))


class Comb(nn.Module):
    """The correction that makes the base color agree with all that is known."""

    def __init__(self, inputs: int, k: int = 32) -> None:
        super().__init__()
        self.E1, self.E2, self.E3 = Conv(inputs, k), Conv(k, 2 * k, 2), Conv(2 * k, 4 * k, 2)
        self.E4, self.E5 = Conv(4 * k, 8 * k, 2), Conv(8 * k, 8 * k, 2)
        self.T1, self.T2, self.T3, self.T4 = (Res(8 * k) for _ in range(4))
        self.D5, self.D4, self.D3, self.D2 = Up(8 * k, 8 * k), Up(16 * k, 4 * k), Up(8 * k, 2 * k), Up(4 * k, k)
        self.D1 = Conv(2 * k, k)
        self.outconv = Conv(k, 2, activation="none")

    def forward(self, known: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, 2, H, W)``."""
        x1 = self.E1(known)
        x2 = self.E2(x1)
        x3 = self.E3(x2)
        x4 = self.E4(x3)
        x = self.T4(self.T3(self.T2(self.T1(self.E5(x4)))))
        x = self.D4(torch.cat([self.D5(x), x4], dim=1))
        x = self.D2(torch.cat([self.D3(torch.cat([x, x3], dim=1)), x2], dim=1))
        return self.outconv(self.D1(torch.cat([x, x1], dim=1)))


class SRNet(nn.Module):
    """Color planes two, four and eight times as large."""

    def __init__(self, k: int = 32) -> None:
        super().__init__()
        self.begin = Conv(2, k)
        self.sr1, self.sr2, self.sr3, self.sr4 = (Dense(k, k // 2) for _ in range(4))
        self.mid = Conv(k, k)
        for factor, steps in ((2, 1), (4, 2), (8, 3)):
            for i in range(1, steps + 1):
                self.add_module(f"down{factor}_up{i}", Up(k, k))
            self.add_module(f"down{factor}_final", Conv(k, 2, activation="none"))

    def forward(self, color: Tensor, factor: int = 2) -> Tensor:
        """``(B, 2, H, W)`` to ``(B, 2, factor * H, factor * W)`` in [0, 1]; `factor` is 2, 4 or 8."""
        x = self.mid(self.sr4(self.sr3(self.sr2(self.sr1(self.begin(color))))))
        for i in range(1, {2: 1, 4: 2, 8: 3}[factor] + 1):
            x = self.get_submodule(f"down{factor}_up{i}")(x)
        base = F.interpolate(color, scale_factor=factor, mode="nearest")
        return (base - self.get_submodule(f"down{factor}_final")(x)).clamp(0, 1)


class SSNetResult(NamedTuple):
    """Result of a step.

    Attributes:
        out: ab ``(B, 2, H, W)``, not clamped: what the next step gets warped.
        sr: ab ``(B, 2, 2H, 2W)`` in [0, 1] (4 or 8 times in those variants).
        residual: ``(B, 2, H, W)``: what was subtracted from the base color.
    """

    out: Tensor
    sr: Tensor
    residual: Tensor


class SSNet(nn.Module):
    """One step over a window of seven frames.

    Args:
        variant: "SSNet", or one of the published ablations: without the neighbors ("_without_short"), without the
            first frame ("_without_long"), without both; "_128p", "_64p" enlarge four and eight times.

    Raises:
        InputError: the variant is unknown.
    """

    title: ClassVar[str] = "SSNet"

    def __init__(self, variant: str = "SSNet") -> None:
        super().__init__()
        if variant not in SSNETS:
            raise InputError(f"unknown SSNet {variant!r}; there are: {', '.join(SSNETS)}")
        self.variant = variant
        self.short = "without_short" not in variant
        self.long = "long" not in variant
        self.factor = {"SSNet_128p": 4, "SSNet_64p": 8}.get(variant, 2)
        self.warn = WARN() if self.short else None
        self.corr = CorrNet() if self.long else None
        self.comb = Comb(2 + 2 * self.long + 14 * self.short)
        self.srnet = SRNet()

    def forward(
        self,
        luma: Tensor,
        lab_0: Tensor | None,
        features_0: list[Tensor] | None,
        color: Tensor,
        previous: Tensor | None = None,
        neighbors: list[Tensor] | None = None,
        masks: list[Tensor] | None = None,
        *,
        long_range: Tensor | None = None,
    ) -> SSNetResult:
        """Color the window's middle frame.

        Args:
            luma: centered L of the frame ``(B, 1, H, W)``; H and W multiples of 16, at least 32.
            lab_0: centered Lab of the first colored frame ``(B, 3, H, W)``; unused without the long range.
            features_0: its VGG-19 features, :meth:`~.corrnet.CorrNet.reference_features`.
            color: CPNet's color of the frame ``(B, 2, H, W)`` in [0, 1].
            previous: the previous step's `out`, warped to this frame; `color` at the first step.
            neighbors: CPNet's colors of the six neighbors, warped to this frame, in time's order.
            masks: their visibility masks ``(B, 1, H, W)``.
            long_range: given instead of what CorrNet would find ``(B, 2, H, W)``.

        Raises:
            ShapeError: something is missing or does not fit.
        """
        known, base = [color], color
        if self.corr is not None:
            if long_range is None:
                if lab_0 is None or features_0 is None:
                    raise ShapeError(f"{self.variant} needs the first colored frame: lab_0 and features_0")
                base = self.corr(luma, lab_0, features_0)
            else:
                base = long_range
            known.append(base)
        if self.warn is not None:
            if previous is None or len(neighbors or ()) != NEIGHBORS or len(masks or ()) != NEIGHBORS:
                raise ShapeError(f"{self.variant} needs previous, and {NEIGHBORS} neighbors with their masks")
            assert neighbors is not None and masks is not None  # noqa: S101  (their lengths were just checked)
            clean = [self.warn(near, mask) for near, mask in zip(neighbors, masks, strict=True)]
            # The previous result stands after t - 1, and is cleaned under that frame's mask.
            known += [*clean[:3], self.warn(previous, masks[2]), *clean[3:]]
        residual = self.comb(torch.cat(known, dim=1))
        out = base - residual
        return SSNetResult(out, self.srnet(out, self.factor), residual)
