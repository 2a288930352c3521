"""Photographs made wrong as in training: what is left of that, colors that people know, whether expectations hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from co2net.data.pictures import read_with_mask, to_picture, to_tensor
from co2net.data.stills import choose_stills
from co2net.evaluation.calibration import Guess
from co2net.evaluation.clips import Score, score
from co2net.evaluation.known_colors import KINDS, known_color_errors
from co2net.evaluation.methods import Run
from co2net.metrics import fmse
from co2net.models.co2net import CO2Net
from co2net.pipeline.confidence import change_of, expected_of
from co2net.pipeline.frames import Picture

SIZE = 256  # pixels square
TOGETHER = 16  # photographs whose composites are made at once: they lend each other their statistics
RIGHT = "none"  # the LUT of what was left as it is, as on clips

Compose = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Real pictures ``(B, 3, H, W)`` and masks ``(B, 1, H, W)`` to composites and what they should become."""
Colors = dict[str, tuple[float, float]]


@dataclass
class PhotographScores:
    """Of all photographs.

    Attributes:
        composites: a score per method and composite.
        right: a score per method and photograph that was right already.
        colors: by method, see :func:`~co2net.evaluation.known_colors.known_color_errors`, of every composite.
        guesses: what the network expected; empty where it expects nothing.
    """

    composites: list[Score] = field(default_factory=list)
    right: list[Score] = field(default_factory=list)
    colors: dict[str, list[Colors]] = field(default_factory=dict)
    guesses: list[Guess] = field(default_factory=list)


def measure_photographs(
    folders: Sequence[Path],
    compose: Compose,
    methods: Mapping[str, Run],
    model: CO2Net,
    *,
    count: int = 120,
    seed: int = 0,
    on_picture: Callable[..., None] | None = None,
) -> PhotographScores:
    """Every method on composites of held-out photographs, 256 x 256, and on the photographs themselves.

    Args:
        folders: of ``images/*`` and ``masks/*``; their validation part is taken.
        compose: makes composites.
        methods: by name; "composite" must be among them.
        model: whose expected errors are compared with those it makes.
        count: photographs, evenly spread over all.
        seed: of the composites.
        on_picture: called with a photograph's name before it is measured.

    Raises:
        InputError: a folder or a setting cannot be used.
    """
    chosen = choose_stills(folders, count, "val")
    generator = torch.Generator().manual_seed(seed)
    scores = PhotographScores()
    for first in range(0, len(chosen), TOGETHER):
        part = chosen[first : first + TOGETHER]
        read = [read_with_mask(sample.real, sample.masks[0]) for sample in part]
        real = torch.stack([to_tensor(_square(picture)) for picture, _ in read])
        masks = [np.where(_square(mask) > 127, 255, 0).astype(np.uint8) for _, mask in read]
        alphas = torch.stack([torch.from_numpy(mask)[None] for mask in masks]).float() / 255
        composites, targets = compose(real, alphas, generator)
        for number, (sample, mask) in enumerate(zip(part, masks, strict=True)):
            name = sample.real.stem
            if on_picture is not None:
                on_picture(name)
            composite, target = to_picture(composites[number]), to_picture(targets[number])
            _measure(scores, name, composite, target, mask, methods)
            scores.right += [score(name, RIGHT, m, run, [target], [mask], [target]) for m, run in methods.items()]
            guess = _guess(model, composite, target, mask)
            scores.guesses += [] if guess is None else [guess]
    return scores


def colors_table(scores: PhotographScores) -> str:
    """A Markdown table: hue and chroma errors of skin, foliage and sky, a row per method."""
    kinds = [kind.name for kind in KINDS]
    lines = [["method", *kinds], ["---"] * (1 + len(kinds))]
    for method, found in scores.colors.items():
        cells = []
        for kind in kinds:
            own = [colors[kind] for colors in found if kind in colors]
            hue, chroma = (float(np.mean([pair[i] for pair in own])) if own else float("nan") for i in (0, 1))
            cells.append(f"{hue:.1f}°, {chroma:.1f} ({len(own)})")
        lines.append([method, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _measure(
    scores: PhotographScores,
    name: str,
    composite: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    methods: Mapping[str, Run],
) -> None:
    for method, run in methods.items():
        results: list[np.ndarray] = []

        def watched(
            frames: Iterable[Picture],
            alphas: Iterable[Picture],
            run: Run = run,
            results: list[np.ndarray] = results,
        ) -> Iterator[Picture]:
            for result in run(frames, alphas):
                results.append(np.asarray(result))
                yield result

        scores.composites.append(score(name, "composite", method, watched, [composite], [mask], [target]))
        scores.colors.setdefault(method, []).append(known_color_errors(results[0], target, mask))


@torch.no_grad()
def _guess(model: CO2Net, composite: np.ndarray, target: np.ndarray, mask: np.ndarray) -> Guess | None:
    device = next(model.parameters()).device
    image, truth = (to_tensor(picture)[None].to(device) for picture in (composite, target))
    alpha = torch.from_numpy(mask).to(device)[None, None].float() / 255
    if not model.backbone.predicts_mapping:
        return None
    out = model.backbone(image, alpha)
    expected = expected_of(out)
    if expected is None or not bool(alpha.any()):
        return None

    made, before = (float(fmse(picture, truth, alpha)) ** 0.5 for picture in (out.image, image))
    return Guess(change_of(image, alpha, out), expected, made, before)


def _square(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
