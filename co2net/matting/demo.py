"""The matting demonstration: a plate of our own, keyed; a mask of one frame, carried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from co2net.data.pictures import encode_picture
from co2net.data.sample_data import sample_clip
from co2net.files import make_folder, write_beside, write_json
from co2net.matting.job import matte_video
from co2net.matting.plates import over_screen
from co2net.metrics import alpha_mad, iou
from co2net.pipeline.frames import as_bytes
from co2net.pipeline.job import OnProgress, run_job
from co2net.video import open_mask, open_video

SCREEN, UNEVEN, GRAIN = (50, 150, 40), 0.25, 3.0


@dataclass
class MatteDemo:
    """What the demo measured and wrote."""

    rows: list[dict[str, Any]]
    files: list[Path] = field(default_factory=list)

    def table(self) -> str:
        """The numbers as a Markdown table."""
        lines = ["| mask | mean IoU | MAD of alpha |", "|---|---|---|"]
        return "\n".join(lines + [f"| {r['mask']} | {r['iou']:.3f} | {r['mad']:.4f} |" for r in self.rows])


class OverScreen:
    """The subject of a clip over an unevenly lit screen with grain: a plate whose matte is known.

    Args:
        masks: the subject's true masks, one per frame.
    """

    def __init__(self, masks: Iterable[np.ndarray]) -> None:
        self._masks = iter(masks)
        self._random = np.random.default_rng(0)

    def push(self, frame: Any, mask: Any, tag: Any) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields ``(tag, (H, W, 3) float32 in [0, 1])``."""
        plate = over_screen(as_bytes(frame), next(self._masks), SCREEN, UNEVEN, GRAIN, self._random)
        yield tag, plate.astype(np.float32) / 255

    def finish(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Nothing waits."""
        yield from ()


def run_matte_demo(output: Path, on_progress: OnProgress | None = None) -> MatteDemo:
    """Make a plate of the sample clip, key it, and carry a first mask through the clip, into the folder `output`.

    Raises:
        OutputError: the folder cannot be made.
    """
    sample = sample_clip()
    make_folder(output)
    plate, first = output / "plate.mkv", output / "first_mask.png"
    with open_video(sample / "real.mp4") as reader, open_mask(sample / "mask.mp4", like=reader.info) as masks:
        # The writer gets no mask: all of a plate is new, not only the subject.
        run_job(((frame, None) for frame in reader), reader.info, OverScreen(_noted(masks, first)), plate)
    keyed = matte_video(plate, output / "cutout.mov", key="auto", on_progress=on_progress)
    carried = matte_video(sample / "real.mp4", output / "carried_mask.mkv", given=first)
    rows = [
        {"mask": "keyed plate (auto)", **_scores(sample, keyed.output, alpha=True)},
        {"mask": "first mask carried", **_scores(sample, carried.output, alpha=False)},
    ]
    numbers = output / "report.json"
    write_json(numbers, {"masks": rows, "notes": [*keyed.notes, *carried.notes]})
    return MatteDemo(rows, [plate, keyed.output, first, carried.output, numbers])


def _noted(masks: Iterable[np.ndarray], place: Path) -> Iterator[np.ndarray]:
    """The masks as they are; the first one is written beside."""
    for number, mask in enumerate(masks):
        if number == 0:
            write_beside(place, encode_picture(np.rint(255 * mask).astype(np.uint8)))
        yield mask


def _scores(sample: Path, made: Path, *, alpha: bool) -> dict[str, float]:
    values = []
    channel = "alpha" if alpha else "luma"
    with open_video(sample / "real.mp4") as reader:
        info = reader.info
    with open_mask(sample / "mask.mp4", like=info) as truth, open_mask(made, like=info, channel=channel) as found:
        for true, ours in zip(truth, found, strict=True):
            p, t = (torch.from_numpy(np.ascontiguousarray(m))[None, None] for m in (ours, true))
            values.append((float(iou(p, t)), float(alpha_mad(p, t))))
    means = np.mean(values, axis=0)
    return {"iou": float(means[0]), "mad": float(means[1])}
