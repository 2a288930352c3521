"""Stage 2: the refinement learns on clips, with a finished backbone.

Two recipes share it: ``paper`` (the default; the published one with its defects mended) and ``quick`` (small data, CPU:
starts as the color mapping's result). Beside what every run leaves (``loop.py``)::

    last_checkpoint.pth, <epoch>.pth    the whole model, in the layout of the official files
    best.safetensors                    the model that validated best, with what `co2net harmonize` needs to know
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from co2net.data.samples import Sample
from co2net.data.stored_results import read_origin
from co2net.errors import InputError
from co2net.metrics import fmse
from co2net.models.backbones.losses import foreground_loss, stage2_loss
from co2net.models.co2net import CO2Net
from co2net.models.precision import training_autocast
from co2net.models.weight_header import WeightHeader, save_model_weights
from co2net.provenance import differences, state_sha256
from co2net.training.checkpoint import cpu_copy, write_state
from co2net.training.clip_samples import (
    Frames,
    LoadedStep,
    PlainDataset,
    SampleOrder,
    Stage2Dataset,
    StoredFolders,
    View,
    collate,
    collate_joined,
)
from co2net.training.frozen_part import Prepared, join_prepared, prepare, prepare_all, prepared_bytes
from co2net.training.loop import Run
from co2net.training.refinement_config import Stage2Config
from co2net.training.schedule import stage2_factor
from co2net.training.task import Shares, Task, Update, Validation, epochs_of, sample_loader

BEST = "best.safetensors"
WEIGHT_DECAY = 0.01  # AdamW's default, which the original uses
_SHOWN = 4  # validation frames in the picture


class RefinementTask(Task):
    """Train the refinement of a model.

    Args:
        model: with refinement, which is trained in place; its backbone is finished and stays as it is.
        training: training frames.
        validation: held-out frames; without any, the newest epoch counts as the best.
        config: settings.
        stored: folders of stored LUT outputs and LUT maps, with ``config.stored``.
        backbone_name: registered name of the backbone, for the weight file's metadata.

    Raises:
        InputError: there is nothing to train, or a frame or stored result cannot be used.
    """

    title = "stage 2"
    result = BEST

    def __init__(
        self,
        model: CO2Net,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        config: Stage2Config,
        stored: StoredFolders | None = None,
        backbone_name: str = "issam",
    ) -> None:
        config.check()
        if model.refine_network is None:
            raise InputError("stage 2 trains the refinement, and this model has none")
        if not training:
            raise InputError("the training list is empty")
        self.model, self.refinement = model, model.refine_network
        self.config, self.backbone_name = config, backbone_name
        self.facts = {
            **config.as_dict(),
            "backbone": backbone_name,
            "use_feature": model.use_feature,
            "mapping": model.mapping.name,
            "train_list": _list_digest(training),
            "val_list": _list_digest(validation),
            "backbone_weights": state_sha256(model.backbone.state_dict())[:12],
            "initial_weights": state_sha256(self.refinement.state_dict())[:12],
        }
        if stored is not None:
            _check_origin(stored[0], model, config)
        self.frames = Frames(training, config, stored)
        self.validation_frames = Frames(validation, config, stored) if validation else None
        self.order = SampleOrder(len(training), config)
        self.networks = {"refinement": self.refinement}
        parameters = self.refinement.parameters()
        self.optimizers = {
            "refinement": torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=WEIGHT_DECAY)
        }
        self.precision, self.seed = config.precision, config.seed
        self.judges, self.judges_start = bool(validation), config.start == "lut"
        self.steps_per_epoch = -(-len(training) // config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        self._kept: dict[Sample, Prepared] = {}

    def to(self, device: torch.device) -> None:
        """The whole model."""
        self.model.to(device)
        super().to(device)

    def prepare(self, run: Run) -> None:
        """The frozen part's results for all frames, if they fit into memory."""
        lists = [frames for frames in (self.frames, self.validation_frames) if frames]
        needed = prepared_bytes(self.model, sum(len(frames) for frames in lists), self.config.size)
        if needed > self.config.keep_gib * 2**30:
            return
        for frames in lists:
            error = ""
            try:
                self._kept |= prepare_all(self.model, frames, self.precision, run.device, quiet=run.quiet)
            except InputError as problem:
                error = str(problem)
            run.processes.share_error(error)

    def numbers(self, step: int) -> range:
        """Whole epochs; the last batch of each may be smaller."""
        return epochs_of(len(self.frames), self.config.batch_size, step)

    def batches(self, shares: Shares, run: Run) -> Iterator[Prepared]:
        """From memory, or from disk through the frozen part."""
        for parts, views in self._from_memory(shares) if self._kept else self._from_disk(shares, run):
            yield _look_at(parts, views, self.config.crop).to(run.device)

    def _from_memory(self, shares: Shares) -> Iterator[tuple[list[Prepared], list[View]]]:
        for numbers in shares:
            parts = [self._kept[self.frames.entries[self.order.frame(number)]] for number in numbers]
            yield parts, [self.order.view(n, part.mask[0]) for n, part in zip(numbers, parts, strict=True)]

    def _from_disk(self, shares: Shares, run: Run) -> Iterator[tuple[list[Prepared], list[View]]]:
        for loaded in run.waiting(self._loader(Stage2Dataset(self.frames, self.order), shares, run.device)):
            run.processes.share_error(loaded.error)
            yield self._prepare(loaded, run.device), loaded.views

    def _loader(self, dataset: Any, numbers: Any, device: torch.device) -> DataLoader[LoadedStep]:
        on_gpu = device.type == "cuda"
        return sample_loader(
            dataset, numbers, self.config.workers, collate_joined if on_gpu else collate, pin_memory=on_gpu
        )

    def _prepare(self, loaded: LoadedStep, device: torch.device) -> list[Prepared]:
        return [prepare(self.model, part.to(device), self.precision) for part in loaded.parts]

    def train_mode(self) -> None:
        """Refinement in train mode, its batch norm too unless it is frozen; the backbone stays in eval mode."""
        self.model.train()
        if self.config.freeze_batch_norm:
            for module in self.refinement.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def factor(self, step: int) -> float:
        """See :func:`~co2net.training.schedule.stage2_factor`."""
        return stage2_factor(self.config.schedule, step, self.steps_per_epoch, self.config.epochs)

    def learn(self, batch: Prepared, update: Update) -> Mapping[str, Tensor | float]:
        """One loss, one optimizer."""
        return {"loss": update(refinement_loss(self.model, batch, self.config))}

    def validate(self, run: Run) -> Validation | None:
        """Score the refinement on the validation frames, each counted once.

        Scores: ``loss`` (the recipe's own, nothing held back) and, over frames with a foreground, the squared error
        inside the mask in 8-bit units: ``fmse_composite``, ``fmse_backbone``, ``fmse_lut`` and ``fmse_final``. Pictures
        show the same and the truth.
        """
        frames, batch, epoch = self.validation_frames, self.config.batch_size, run.epoch
        if not frames or (epoch % self.config.validate_every and epoch != self.config.epochs):
            return None
        batches = -(-len(frames) // batch)
        shares = Shares(
            lambda i: range(i * batch, min((i + 1) * batch, len(frames))),
            0,
            batches,
            run.processes.rank,
            run.processes.count,
        )
        loaded = None if self._kept else run.waiting(self._loader(PlainDataset(frames), shares, run.device))
        self.model.eval()
        sums: dict[str, float] = {}
        shown: list[Tensor] = []
        for index, share in enumerate(shares):
            if loaded is None:
                parts = [self._kept[frames.entries[number]] for number in share]
            else:
                step = next(loaded)
                run.processes.share_error(step.error)
                parts = self._prepare(step, run.device)
            scores, rows = score(self.model, join_prepared(parts).to(run.device), self.config)
            if not shares.of(index):
                scores = dict.fromkeys(scores, 0.0)
            totals = run.processes.sum(*scores.values())
            sums = {name: sums.get(name, 0.0) + total for name, total in zip(scores, totals, strict=True)}
            shown += [rows[: _SHOWN - len(shown)].cpu()] if len(shown) < _SHOWN else []
            if run.log and epoch and index % run.settings.log_every == 0:
                run.log.line("val", epoch - 1, index + 1, sums["loss"] / (shares.numbers(index)[-1] + 1))
        graded = max(sums.pop("graded"), 1.0)
        means = {n: total / (len(frames) if n == "loss" else graded) for n, total in sums.items()}
        text = ", ".join(f"{name.removeprefix('fmse_')} {means[name]:.1f}" for name in means if name != "loss")
        pictures = torch.cat(shown)[:_SHOWN]
        return Validation(means["loss"], means, pictures, "composite_backbone_lut_final_truth", f"fMSE {text}")

    def weights(self) -> Mapping[str, Tensor]:
        """The whole model."""
        return self.model.state_dict()

    def keep(self, run: Run, *, better: bool) -> None:
        """The best model, and the numbered file of the epoch."""
        if better:
            scores = {f"validation_{name}": f"{value:.6g}" for name, value in run.progress.best_scores.items()}
            header = WeightHeader(
                backbone=self.backbone_name,
                refinement=True,
                use_feature=self.model.use_feature,
                training_size=self.config.size,
                mapping=self.model.mapping.name,
                facts={"epoch": str(run.epoch), **scores},
            )
            save_model_weights(run.folder / BEST, self.model.state_dict(), header)
        write_state(run.folder / f"{run.epoch}.pth", cpu_copy(self.model.state_dict()))


def refine(model: CO2Net, prepared: Prepared, precision: str = "fp32") -> Tensor:
    """Steps 10 and 11 of the model: final frames ``(B, 3, H, W)``, [0, 1] space, float32, unclamped.

    Args:
        model: with refinement.
        prepared: inputs.
        precision: of the network.
    """
    with training_autocast(prepared.image.device, precision):
        lut = model.backbone.normalize(prepared.lut)
        refined = model.refine_network(prepared.raw, lut, prepared.image, prepared.features)  # type: ignore[misc]
    return model.finish(refined.float(), prepared.mask, prepared.image)


def refinement_loss(model: CO2Net, prepared: Prepared, config: Stage2Config) -> Tensor:
    """The recipe's loss against the targets that it wants: mean over the batch, [0, 1] space."""
    target = torch.lerp(prepared.target, prepared.image, config.held_back)
    return loss_of(refine(model, prepared, config.precision), target, prepared.mask, config)


def loss_of(images: Tensor, target: Tensor, mask: Tensor, config: Stage2Config) -> Tensor:
    """The recipe's loss: mean over the batch, [0, 1] space."""
    if config.loss == "foreground":
        return foreground_loss(images, target, mask)
    return stage2_loss(images, target, mask, config.minimum_area)


@torch.no_grad()
def score(model: CO2Net, prepared: Prepared, config: Stage2Config) -> tuple[dict[str, float], Tensor]:
    """Sums over a batch of whole frames of what :meth:`RefinementTask.validate` means, the model in eval mode.

    Returns:
        ``(sums, rows)``: beside the scores ``graded``, the number of frames with a foreground; pictures
        ``(B, 3, H, 5 W)``.
    """
    final = refine(model, prepared, config.precision)
    loss = loss_of(final, prepared.target, prepared.mask, config) * len(final)
    frames = {"composite": prepared.image, "backbone": prepared.backbone, "lut": prepared.lut, "final": final}
    errors = {name: fmse(frame.clamp(0, 1), prepared.target, prepared.mask) for name, frame in frames.items()}
    graded = ~errors["composite"].isnan()  # empty masks have no foreground; an error of the network would be there
    sums = {f"fmse_{name}": float(error[graded].sum()) for name, error in errors.items()}
    rows = torch.cat([*frames.values(), prepared.target], dim=-1)
    return {"loss": float(loss), "graded": float(graded.sum()), **sums}, rows


def _look_at(parts: list[Prepared], views: list[View], crop: int) -> Prepared:
    if not crop and not any(view.flip for view in views):
        return join_prepared(parts)
    items = [part.map(lambda tensor, i=i: tensor[i : i + 1]) for part in parts for i in range(len(part.image))]
    return join_prepared([item.seen_through(view, crop) for item, view in zip(items, views, strict=True)])


def _check_origin(folder: Path, model: CO2Net, config: Stage2Config) -> None:
    """Refuse stored results of another backbone, color mapping or size; those of the original do not say."""
    found = read_origin(folder)
    run = {"backbone": state_sha256(model.backbone.state_dict()), "mapping": model.mapping.name, "size": config.size}
    if found is not None and (different := differences(found, run, run)):
        raise InputError(
            f"the stored results in {folder} were made otherwise: {'; '.join(different)}; make them again with "
            "scripts/evaluate_model.py, or train with what made them"
        )


def _list_digest(entries: Sequence[Sample]) -> str:
    """Tells lists apart, wherever the data set is."""
    text = "\n".join("/".join(entry.composite.parts[-3:]) for entry in entries)
    return f"{len(entries)} frames, {hashlib.sha256(text.encode()).hexdigest()[:12]}"
