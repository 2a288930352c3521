"""SVCNet over a clip: a window of seven frames, slid by one; memory does not grow with the clip.

The published programs drop three frames at either end of a clip. Here the window is clamped at the ends and at cuts, so
that they agree with the others too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from co2net.colorization.cpnet import CPNet
from co2net.colorization.lab import NEUTRAL, centered_lab, join_lab8
from co2net.colorization.losses import visibility_mask
from co2net.colorization.painting import hints
from co2net.colorization.ssnet import SSNet, SSNetResult
from co2net.flow import FlowEstimator
from co2net.flow.warp_variants import WarpVariant, warp_variant

REACH = 3  # frames before and after the middle one
Arrangement = Literal["sound", "published"]


@dataclass
class _Held:
    """A frame in the window; `known` tells where the scribble is."""

    number: int
    luma: Tensor
    centered: Tensor  # L - 50, not rounded
    color: Tensor  # CPNet's
    scribble: Tensor
    known: Tensor
    tag: Any


class Window:
    """CPNet and SSNet over the frames of a shot.

    Args:
        cpnet: colors single frames.
        ssnet: None: CPNet alone.
        estimate: flow between two frames of three equal luma planes.
        arrangement: "published": flow is estimated from the neighbor to the frame, and warps clamp at the border, as
            the official weights were trained, and three frames at either end are CPNet's alone; "sound": from the frame
            to the neighbor, which is what a backward warp needs.
        parameter: of the visibility mask.
    """

    def __init__(
        self,
        cpnet: CPNet,
        ssnet: SSNet | None,
        estimate: FlowEstimator,
        *,
        arrangement: Arrangement = "sound",
        parameter: float = 200.0,
    ) -> None:
        self.cpnet, self.ssnet, self._estimate, self._parameter = cpnet, ssnet, estimate, parameter
        self._published = arrangement == "published"
        self._variant: WarpVariant = "svcnet" if self._published else "exact"
        self.reset()

    def reset(self) -> None:
        """A new clip or shot: forget all."""
        self._held: list[_Held] = []
        self._count = self._done = 0
        self._out: Tensor | None = None
        self._reference: tuple[Tensor, list[Tensor]] | None = None

    @torch.no_grad()
    def add(
        self,
        luma: Tensor,
        scribble: Tensor,
        known: Tensor,
        tag: Any = None,
        *,
        centered: Tensor | None = None,
        carry: bool = True,
    ) -> Iterator[tuple[Any, Tensor]]:
        """Take the next frame; yields ``(tag, ab)`` of every frame that is complete, at twice the size with SSNet.

        Args:
            luma: ``(1, 1, H, W)`` in [0, 1], 8-bit codes / 255; multiples of 16, at least 32.
            scribble: the frame's strokes ``(1, 2, H, W)``, neutral where there are none.
            known: where they are ``(1, 1, H, W)``.
            tag: comes back with the result.
            centered: L - 50 of the same frame, not rounded, ``(1, 1, H, W)``; None: from `luma`.
            carry: move the strokes of the frame before along; off where every frame brings its own.
        """
        if carry and self._held:
            scribble, known = self._carried(luma, scribble, known)
        color, _ = self.cpnet(luma, hints(self.cpnet, luma, scribble, known))
        self._held.append(
            _Held(self._count, luma, 100 * luma - 50 if centered is None else centered, color, scribble, known, tag)
        )
        self._count += 1
        while self._done + REACH < self._count:
            yield self._finish(self._done)

    @torch.no_grad()
    def rest(self) -> Iterator[tuple[Any, Tensor]]:
        """The shot is over: yields the frames that are left, and forgets all."""
        while self._done < self._count:
            yield self._finish(self._done)
        self.reset()

    def _finish(self, number: int) -> tuple[Any, Tensor]:
        frames = {held.number: held for held in self._held}
        frame = frames[number]
        result = frame.color
        inside = REACH <= number < self._count - REACH
        if self.ssnet is not None and (inside or not self._published):
            step = self.step([frames[min(max(number + k, 0), self._count - 1)] for k in range(-REACH, REACH + 1)])
            self._out, result = step.out, step.sr
        self._done += 1
        self._held = [held for held in self._held if held.number >= self._done - REACH]
        return frame.tag, result

    def step(self, frames: list[_Held]) -> SSNetResult:
        """SSNet for the middle of seven frames."""
        assert self.ssnet is not None  # noqa: S101  (the caller has checked)
        middle = frames[REACH]
        if self.ssnet.corr is not None and self._reference is None:
            first = frames[0]
            lab = centered_lab(join_lab8(first.luma, first.color)).to(first.luma)
            self._reference = lab, self.ssnet.corr.reference_features(lab)
        lab_0, features = self._reference or (None, None)
        neighbors, masks, flows = [], [], []
        if self.ssnet.warn is not None:
            for near in frames[:REACH] + frames[REACH + 1 :]:
                flow = self._flow(middle.luma, near.luma)
                warped = warp_variant(near.luma.expand(-1, 3, -1, -1), flow, self._variant)
                neighbors.append(warp_variant(near.color, flow, self._variant))
                masks.append(visibility_mask(middle.luma.expand(-1, 3, -1, -1), warped, self._parameter))
                flows.append(flow)
        previous = middle.color
        if self._out is not None and flows:
            previous = warp_variant(self._out, flows[REACH - 1], self._variant)
        return self.ssnet(middle.centered, lab_0, features, middle.color, previous, neighbors, masks)

    def _flow(self, current: Tensor, neighbor: Tensor) -> Tensor:
        pair = current.expand(-1, 3, -1, -1), neighbor.expand(-1, 3, -1, -1)
        return self._estimate(*(reversed(pair) if self._published else pair))

    def _carried(self, luma: Tensor, scribble: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The strokes of the frame before, moved here; the frame's own win."""
        last = self._held[-1]
        flow = self._flow(luma, last.luma)
        there = warp_variant(last.known, flow, "scribble")
        moved = torch.where(
            there > 0, warp_variant(last.scribble, flow, "scribble"), torch.full_like(scribble, NEUTRAL)
        )
        return torch.where(known > 0, scribble, moved), torch.maximum(known, there)


def working_size(shape: tuple[int, int], short_side: int, multiple: int) -> tuple[int, int]:
    """Height and width to work at: near the frame's aspect, the shorter side about `short_side`, multiples."""
    scale = min(1.0, short_side / min(shape))
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in shape)
    return height, width
