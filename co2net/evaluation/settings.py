"""What an evaluation can be asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from co2net.data.clips import PAPER_SIZE
from co2net.data.frame_lists import STEP, FrameEntry
from co2net.data.stored_results import stored_path
from co2net.errors import InputError
from co2net.evaluation.clip_pass import PRECISIONS, Precision
from co2net.evaluation.scores import METHODS
from co2net.evaluation.temporal.pairs import FlowChoice
from co2net.models.co2net import CO2Net
from co2net.provenance import state_sha256

GPU_BATCH = 16  # frames per backbone pass on a GPU; on a CPU, more than one leaves the caches and takes longer


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of :func:`co2net.evaluation.evaluate.evaluate`.

    Attributes:
        size: height and width of every frame; None keeps the frames' own. The published numbers need 256.
        previous: neighbor frames before each frame.
        future: neighbor frames after it.
        step: distance of annotated frames' numbers.
        precision: of the networks.
        batch_size: frames per backbone pass; None: 16 on a GPU, one on the CPU.
        workers: threads that decode ahead; None: one per core, 8 at most.
        metrics: score the frames; off, real frames are not read and nothing but stored results is made.
        pictures: store pictures of every clip's worst and best frame (needs metrics and an output folder).
        lut_output: folder for the color mapping's frames, to be given together with `lut_map`.
        lut_map: folder for the maps of unseen colors.
        result: folder for final frames.
        backbone: folder for the backbone's frames.
        flow: measure over time too, with the motion that this flow finds.
    """

    size: int | None = PAPER_SIZE
    previous: int = 8
    future: int = 8
    step: int = STEP
    precision: Precision = "fp32"
    batch_size: int | None = None
    workers: int | None = None
    metrics: bool = True
    pictures: bool = True
    lut_output: Path | None = None
    lut_map: Path | None = None
    result: Path | None = None
    backbone: Path | None = None
    flow: FlowChoice | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"unknown precision {self.precision!r}; known: {', '.join(PRECISIONS)}")
        for name, value, smallest in (
            ("size", self.size, 8),
            ("previous", self.previous, 0),
            ("future", self.future, 0),
            ("step", self.step, 1),
            ("batch_size", self.batch_size, 1),
            ("workers", self.workers, 0),
        ):
            if value is not None and value < smallest:
                raise InputError(f"{name} must be at least {smallest}, got {value}")
        if (self.lut_output is None) != (self.lut_map is None):
            missing = "map" if self.lut_map is None else "output"
            raise InputError(
                f"LUT output and LUT map are stored together, and the folder of the LUT {missing} is missing; give both"
            )
        if self.lut_output is not None and self.previous + self.future == 0:
            raise InputError("LUT results cannot be stored without neighbor frames: ask for at least one")
        folders = [folder.resolve() for folder in self.stored.values()]
        if len(set(folders)) < len(folders):
            raise InputError("two kinds of stored results have the same folder, and their files the same names")
        if not self.metrics and not self.stored:
            raise InputError("there is nothing to do: neither metrics nor stored results are asked for")
        if self.flow is not None and not self.metrics:
            raise InputError("measures over time compare with real frames, which are not read without metrics")

    @property
    def stored(self) -> dict[str, Path]:
        """The folders for stored results that are asked for, by kind."""
        kinds = {
            "lut_output": self.lut_output, "lut_map": self.lut_map, "result": self.result, "backbone": self.backbone
        }  # fmt: skip
        return {kind: folder for kind, folder in kinds.items() if folder is not None}

    @property
    def methods(self) -> tuple[str, ...]:
        """What is scored."""
        if not self.metrics:
            return ()
        return METHODS if self.previous + self.future else tuple(method for method in METHODS if method != "lut")

    def batch_on(self, device: torch.device) -> int:
        """Frames per backbone pass."""
        return self.batch_size or (1 if device.type == "cpu" else GPU_BATCH)

    def stored_all(self, entry: FrameEntry) -> bool:
        """Whether every result of a frame that is to be stored is there."""
        return all(stored_path(folder, entry).is_file() for folder in self.stored.values())

    def conditions(self, model: CO2Net, weights: dict[str, str], dataset: str) -> dict[str, Any]:
        """What decides the results; records of clips are used again only where all of it agrees.

        Args:
            model: its settings belong to the conditions.
            weights: role to SHA-256.
            dataset: name of the data set.
        """
        return {
            "weights": weights,
            "dataset": dataset,
            "size": self.size or "own",
            "previous": self.previous,
            "future": self.future,
            "step": self.step,
            "mapping": model.mapping.name,
            "unseen_rule": model.unseen_rule,
            "refinement": model.refinement,
            "paper_lut_only": model.paper_lut_only,
            "precision": self.precision,
            "metrics": self.metrics,
            "pictures": self.metrics and self.pictures,
            **(self.flow.conditions() if self.flow else {}),
        }

    def lut_origin(self, model: CO2Net) -> dict[str, Any]:
        """What decides the stored results of the color mapping (:mod:`co2net.data.stored_results`)."""
        return {
            "backbone": state_sha256(model.backbone.state_dict()),
            "mapping": model.mapping.name,
            "size": self.size or "own",
            "previous": self.previous,
            "future": self.future,
            "step": self.step,
            "unseen_rule": model.unseen_rule,
            "precision": self.precision,
        }
