"""What an evaluation can be asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from co2net.checks import check_choice
from co2net.data.clips import PAPER_SIZE
from co2net.data.frame_lists import STEP
from co2net.data.samples import Sample
from co2net.data.stored_results import stored_path
from co2net.errors import InputError
from co2net.evaluation.methods import OF_MODEL, choose
from co2net.evaluation.tasks import task_of
from co2net.evaluation.temporal.pairs import FlowChoice
from co2net.metrics.registry import metrics_of
from co2net.models.co2net import CO2Net
from co2net.models.precision import ARITHMETICS, Arithmetic
from co2net.provenance import file_sha256, state_sha256

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
        store_result: folder for final frames.
        store_backbone: folder for the backbone's frames.
        flow: measure over time too, with the motion that this flow finds.
        task: what the methods do, a name of :mod:`co2net.evaluation.tasks`.
        methods: what to score, names of :mod:`co2net.evaluation.methods`; None: what the evaluated model gives, or all
            methods of a guest's task.
        method_weights: weights of the methods that are not the evaluated model's; None: their own.
        segmenter: network whose mIoU on the colored frames is measured (:mod:`co2net.evaluation.segmentation`).
        annotations: folder of true masks for it, ``<clip>/<frame>.png``; None: the data set's own masks.
    """

    size: int | None = PAPER_SIZE
    previous: int = 8
    future: int = 8
    step: int = STEP
    precision: Arithmetic = "fp32"
    batch_size: int | None = None
    workers: int | None = None
    metrics: bool = True
    pictures: bool = True
    lut_output: Path | None = None
    lut_map: Path | None = None
    store_result: Path | None = None
    store_backbone: Path | None = None
    flow: FlowChoice | None = None
    task: str = "harmonization"
    methods: Sequence[str] | None = None
    method_weights: str | None = None
    segmenter: Path | None = None
    annotations: Path | None = None

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, ARITHMETICS)
        for name, value, smallest in (
            ("size", self.size, 8),
            ("previous", self.previous, 0),
            ("future", self.future, 0),
            ("step", self.step, 1),
            ("batch_size", self.batch_size, 1),
            ("workers", self.workers, 0),
        ):
            if value is not None and value < smallest:
                raise InputError(f"`{name}` must be at least {smallest}, got {value}")
        if task_of(self.task).name != "harmonization" and self.stored:
            raise InputError(f"only the results of harmonization can be stored, not those of {self.task}")
        if self.methods is not None:
            choose(self.task, self.methods)
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
        if self.flow is not None and self.task == "matting":
            raise InputError("measures over time are made for pictures, not for mattes")
        if self.segmenter is not None and (self.task != "colorization" or not self.metrics):
            raise InputError(
                "`segmenter` is asked about colored frames: it belongs to the task colorization, with metrics"
            )
        if self.annotations is not None and self.segmenter is None:
            raise InputError("`annotations` are compared with what a segmenter finds; name a `segmenter` too")
        if self.flow is not None and not self.metrics:
            raise InputError("measures over time compare with real frames, which are not read without metrics")

    @property
    def stored(self) -> dict[str, Path]:
        """The folders for stored results that are asked for, by kind."""
        kinds = {
            "lut_output": self.lut_output, "lut_map": self.lut_map, "result": self.store_result,
            "backbone": self.store_backbone
        }  # fmt: skip
        return {kind: folder for kind, folder in kinds.items() if folder is not None}

    def scored(self, model: CO2Net | None) -> tuple[str, ...]:
        """What is scored, in the order of the tables.

        Args:
            model: the evaluated one. Without neighbors it has no color mapping, without a refinement the color mapping
                is the final result: neither has a row of its own then, unless it is asked for.
        """
        if not self.metrics:
            return ()
        if self.methods is not None or self.task != "harmonization" or model is None:
            return tuple(choose(self.task, self.methods))
        own = model.refinement or model.paper_lut_only
        return tuple(key for key in OF_MODEL if key != "lut" or (own and self.previous + self.future))

    @property
    def needs_model(self) -> bool:
        """Whether something is asked for that only the evaluated model gives."""
        if self.stored or (self.methods is None and self.task == "harmonization"):
            return True
        return self.methods is not None and any(key in OF_MODEL[1:] for key in self.methods)

    def batch_on(self, device: torch.device) -> int:
        """Frames per backbone pass."""
        return self.batch_size or (1 if device.type == "cpu" else GPU_BATCH)

    def stored_all(self, entry: Sample) -> bool:
        """Whether every result of a frame that is to be stored is there."""
        return all(stored_path(folder, entry).is_file() for folder in self.stored.values())

    def conditions(self, model: CO2Net | None, weights: dict[str, str], dataset: str) -> dict[str, Any]:
        """What decides the results; records of clips are used again only where all of it agrees.

        Args:
            model: its settings belong to the conditions; None: there is none.
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
            "mapping": model.mapping.name if model else None,
            **{name: getattr(model, name, None) for name in ("unseen_rule", "refinement", "paper_lut_only")},
            "precision": self.precision,
            "metrics": [metric.key for metric in metrics_of(self.task)] if self.metrics else [],
            "pictures": self.metrics and self.pictures,
            "task": self.task,
            "methods": list(self.scored(model)),
            "method weights": self.method_weights,
            **(self.flow.conditions() if self.flow else {}),
            **(
                {"segmenter": file_sha256(self.segmenter), "annotations": str(self.annotations)}
                if self.segmenter
                else {}
            ),
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
