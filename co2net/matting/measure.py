"""The tables of the matting page: masks carried through clips whose masks are known, and keyed plates.

As DAVIS does, a clip's first and last frames do not count: they may have been given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from co2net.errors import InputError
from co2net.evaluation.clips import read_clip
from co2net.evaluation.methods import METHODS, choose, method_of
from co2net.matting import methods as _methods  # noqa: F401  # registers them
from co2net.metrics import boundary_f, edge_jump, iou

OnClip = Callable[..., None]


@dataclass
class ClipScore:
    """One method on one clip: means over its frames but the first and the last.

    Attributes:
        clip: its name.
        method: key of the method.
        iou: intersection over union.
        boundary_f: F measure of the contour.
        jump: pixels that the edge jumps from frame to frame, less those that the true masks' does.
        seconds_per_frame: of the processor's time, all frames.
        frames: how many count.
        each: IoU of every frame, first and last too.
    """

    clip: str
    method: str
    iou: float
    boundary_f: float
    jump: float
    seconds_per_frame: float
    frames: int
    each: list[float] = field(default_factory=list)


def measure_masks(
    clips: Sequence[Path],
    keys: Sequence[str] | None = None,
    *,
    frames: int | None = 26,
    weights: str | None = None,
    device: torch.device | None = None,
    on_clip: OnClip | None = None,
) -> list[ClipScore]:
    """Score methods of the task "matting" on clips.

    Args:
        clips: folders with ``frames/*`` and ``masks/*.png`` of the same names.
        keys: methods; None: all.
        frames: first frames of each clip; None: all.
        weights: of the methods, in place of their own.
        device: where they compute.
        on_clip: called with the clip's name and the method's title before each.

    Raises:
        InputError: a clip cannot be used or has fewer than three frames, or a method is unknown.
    """
    if frames is not None and frames < 3:
        raise InputError(f"`frames` must be 3 or more, got {frames}: the first and the last do not count")
    chosen = choose("matting", keys)
    runs = {}
    for key in chosen:
        create = METHODS[key].create
        assert create is not None  # noqa: S101  # choose() takes no others
        runs[key] = create(weights, device or torch.device("cpu"))
    scores = []
    for clip in clips:
        shot, masks = read_clip(clip, None, frames)
        if len(shot) < 3:
            raise InputError(
                f"{clip} has {len(shot)} frames; three at least are needed: the first and last do not count"
            )
        truth = _planes(masks)
        still = float(edge_jump(truth).nanmean())
        for key, run in runs.items():
            if on_clip is not None:
                on_clip(clip.name, method_of(key).title)
            began = time.process_time()
            found = [np.asarray(mask) for mask in run(iter(shot), iter(masks))]
            seconds = (time.process_time() - began) / len(shot)
            made = _planes(found)
            each = iou(made, truth)
            scores.append(
                ClipScore(
                    clip.name,
                    key,
                    float(each[1:-1].mean()),
                    float(boundary_f(made[1:-1], truth[1:-1]).mean()),
                    float(edge_jump(made).nanmean()) - still,
                    seconds,
                    len(shot) - 2,
                    each.tolist(),
                )
            )
    return scores


def masks_table(scores: Sequence[ClipScore]) -> str:
    """A Markdown table, a row per method: means over the clips."""
    lines = ["| method | mean IoU | worst clip | boundary F | edge jumps farther | CPU s / frame |", "|---" * 6 + "|"]
    for key in dict.fromkeys(score.method for score in scores):
        own = [score for score in scores if score.method == key]
        worst = min(own, key=lambda score: score.iou)
        means = {name: float(np.mean([getattr(s, name) for s in own])) for name in ("iou", "boundary_f")}
        jump = float(np.nanmean([score.jump for score in own]))
        seconds = float(np.mean([score.seconds_per_frame for score in own]))
        lines.append(
            f"| {method_of(key).title} | {means['iou']:.3f} | {worst.iou:.3f} ({worst.clip}) | "
            f"{means['boundary_f']:.3f} | {jump:+.2f} px | {seconds:.3f} |"
        )
    return "\n".join(lines)


def _planes(masks: Sequence[np.ndarray]) -> Tensor:
    """``(T, 1, H, W)`` float32 in [0, 1] of 8-bit masks."""
    return torch.from_numpy(np.stack(masks))[:, None].float() / 255
