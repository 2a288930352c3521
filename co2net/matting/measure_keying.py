"""How well a screen is keyed: photographs with mattes over screens of several lights and grains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from co2net.data.pictures import read_with_mask
from co2net.data.samples import Sample
from co2net.data.stills import choose_stills
from co2net.errors import InputError
from co2net.matting.keying import key_frames_by_color
from co2net.matting.plates import over_screen
from co2net.matting.screen import Lean, parse_color

SOFT = 1.5  # pixels: what a hard mask's edge is softened by
LIKE_SCREEN = 0.25  # of the screen's lean: a pixel of the subject that leans more cannot be told from it
LEAST_LIKE = 0.01  # share of such pixels from which a photograph is no subject for this screen


@dataclass
class KeyScore:
    """One photograph over one screen.

    Attributes:
        picture: its name.
        screen: name or levels of the color.
        uneven: see :func:`~co2net.matting.plates.over_screen`.
        grain: likewise, in levels.
        mad: mean absolute difference of alpha.
        spill: levels by which the subject's colors lean to the screen more than the true ones, mean over the subject.
    """

    picture: str
    screen: str
    uneven: float
    grain: float
    mad: float
    spill: float


def measure_keying(
    folders: Sequence[Path],
    *,
    count: int = 20,
    screens: Sequence[str] = ("green", "blue"),
    unevens: Sequence[float] = (0.0, 0.2, 0.4),
    grains: Sequence[float] = (0.0, 4.0, 8.0),
    on_picture: Callable[..., None] | None = None,
) -> tuple[list[KeyScore], int]:
    """Key photographs over screens; their masks are the mattes, hard ones with a softened edge.

    Args:
        folders: of ``images/*`` and ``masks/*``.
        count: photographs, evenly spread over all.
        screens: see :func:`~co2net.matting.screen.parse_color`; the keyer finds them by itself.
        unevens: see :func:`~co2net.matting.plates.over_screen`.
        grains: likewise.
        on_picture: called with the picture's name before each.

    Returns:
        The scores, and how many photographs with a screen were left out since their subject has its color.

    Raises:
        InputError: a folder or a setting cannot be used.
    """
    scores: list[KeyScore] = []
    left_out = 0
    for number, sample in enumerate(choose_stills(folders, count)):
        if on_picture is not None:
            on_picture(sample.real.name)
        front, alpha = _subject(sample)
        for name in screens:
            color = parse_color(name)
            if color is None:
                raise InputError("`screens` auto: name the colors to key")
            lean = Lean(color)
            own = lean(front / np.float32(255))
            like = (own > LIKE_SCREEN * float(lean(np.asarray(color, np.float32) / 255))) & (alpha > 0.5)
            if like.sum() > LEAST_LIKE * max(1, int((alpha > 0.5).sum())):
                left_out += 1
                continue
            for uneven, grain in product(unevens, grains):
                plate = over_screen(front, alpha, color, uneven, grain, np.random.default_rng(number))
                [(found, made)] = key_frames_by_color([plate], "auto")
                spill = np.maximum(np.maximum(lean(found), 0) - np.maximum(own, 0), 0)
                scores.append(
                    KeyScore(
                        sample.real.name,
                        name,
                        uneven,
                        grain,
                        float(np.abs(made - alpha).mean()),
                        255 * float((spill * alpha).sum() / max(float(alpha.sum()), 1e-6)),
                    )
                )
    if not scores:
        raise InputError("every photograph's subject has a screen's color; name other `screens`")
    return scores, left_out


def keying_table(scores: Sequence[KeyScore]) -> str:
    """A Markdown table, a row per screen, light and grain."""
    lines = ["| screen | uneven | grain | pictures | MAD of alpha | worst | spill | worst |", "|---" * 8 + "|"]
    rows: dict[tuple[str, float, float] | None, list[KeyScore]] = {}
    for score in scores:
        rows.setdefault((score.screen, score.uneven, score.grain), []).append(score)
    rows[None] = list(scores)
    for key, own in rows.items():
        named = "all | | " if key is None else f"{key[0]} | {100 * key[1]:.0f} % | {key[2]:g}"
        mads, spills = [s.mad for s in own], [s.spill for s in own]
        pictures = len({s.picture for s in own})
        lines.append(
            f"| {named} | {pictures} | {np.mean(mads):.4f} | {max(mads):.4f} | "
            f"{np.mean(spills):.2f} | {max(spills):.2f} |"
        )
    return "\n".join(lines)


def _subject(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Colors ``(H, W, 3)`` uint8 and alpha ``(H, W)`` float32 in [0, 1]."""
    front, mask = read_with_mask(sample.real, sample.mask)
    alpha = mask.astype(np.float32) / 255
    if not ((mask > 0) & (mask < 255)).any():
        alpha = cv2.GaussianBlur(alpha, (0, 0), SOFT)
    return front, alpha
