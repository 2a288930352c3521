"""Stage 2: train the refinement on clips, with a finished backbone. The whole loop, top to bottom.

Two recipes share it: ``paper`` (the default, ``specs/co2net.md`` section 10 with its defects mended) and ``quick``
(small data, CPU: starts as the color mapping's result).

A run's folder::

    last_checkpoint.pth, <epoch>.pth    the whole model, in the layout of the official files
    best.safetensors                    the model that validated best, with what `co2net harmonize` needs to know
    training_state.pth                  everything a resumed run needs; the one file that counts for it
    logs.txt, tensorboard/, config.json, validation.png
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from co2net.data.frame_lists import FrameEntry
from co2net.errors import InputError, OutputError
from co2net.models.co2net import CO2Net
from co2net.models.weight_header import WeightHeader, save_model_weights
from co2net.processes import Processes
from co2net.provenance import state_sha256
from co2net.training.batch_norm import use_global_batch_norm
from co2net.training.checkpoint import NAME, cpu_copy, read_state, write_state
from co2net.training.clip_samples import (
    BatchNumbers,
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
from co2net.training.interrupts import Interrupts, ignore_in_worker
from co2net.training.log import Stage2Log
from co2net.training.refinement_config import FIXED, Stage2Config
from co2net.training.schedule import stage2_factor
from co2net.training.stage2_origin import check_origin, list_digest
from co2net.training.stage2_scores import validate
from co2net.training.stage2_step import diverged, train_mode, training_step

STATE, BEST = "training_state.pth", "best.safetensors"
WEIGHT_DECAY = 0.01  # AdamW's default, which the original uses
_SHOWN = 4  # validation frames in the picture

Kept = dict[FrameEntry, Prepared]


@dataclass
class Progress:
    """Where a run stands; stored in its checkpoints beside weights and optimizer.

    Attributes:
        step: optimizer steps done.
        validated: epochs whose end (validation, numbered file) is done.
        epoch_loss: sum of the batch losses of the epoch so far.
        best: lowest validation loss, infinity before the first validation.
        best_epoch: its epoch, counted from 1; 0: the start.
        best_scores: of that validation, see :func:`~.stage2_scores.validate`.
    """

    step: int = 0
    validated: int = 0
    epoch_loss: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    best_scores: dict[str, float] = field(default_factory=dict)


@dataclass
class Stage2Summary:
    """What a run leaves to say.

    Attributes:
        best: lowest validation loss; nan without validation.
        best_epoch: its epoch, counted from 1; 0: no epoch was better than the start.
        scores: of that validation, see :func:`~.stage2_scores.validate`; empty without.
        data_wait_share: share of the training time that was spent waiting for frames.
    """

    best: float
    best_epoch: int
    scores: dict[str, float]
    data_wait_share: float


def train_stage2(
    model: CO2Net,
    train: Sequence[FrameEntry],
    validation: Sequence[FrameEntry],
    config: Stage2Config,
    folder: Path,
    processes: Processes,
    *,
    stored: StoredFolders | None = None,
    backbone_name: str = "issam",
    quiet: bool = False,
) -> Stage2Summary:
    """Train the refinement of `model` in place; goes on from ``folder/training_state.pth`` when it is there.

    Args:
        model: with refinement; its backbone is finished and stays as it is.
        train: training frames.
        validation: held-out frames; without any, the newest epoch counts as the best.
        config: settings.
        folder: see the top of this file; made if missing.
        processes: this process among those that train together (:func:`~co2net.processes.process_group`).
        stored: folders of stored LUT outputs and LUT maps, with ``config.stored``.
        backbone_name: registered name of the backbone, for the weight file's metadata.
        quiet: no progress bar.

    Raises:
        InputError: a frame or stored result cannot be used, the folder belongs to another run, the loss left the
            finite, or the folder cannot be written. The last checkpoint stays.
        KeyboardInterrupt: Ctrl-C, after a checkpoint was written.
    """
    run = _Run(model, train, validation, config, folder, processes, stored, backbone_name, quiet=quiet)
    with Interrupts() as interrupts:
        return run.train(interrupts)


class _Run:
    def __init__(
        self,
        model: CO2Net,
        train: Sequence[FrameEntry],
        validation: Sequence[FrameEntry],
        config: Stage2Config,
        folder: Path,
        processes: Processes,
        stored: StoredFolders | None,
        backbone_name: str,
        *,
        quiet: bool,
    ) -> None:
        config.check()
        if model.refine_network is None:
            raise InputError("stage 2 trains the refinement, and this model has none")
        if not train:
            raise InputError("the training list is empty")
        self.model, self.config, self.folder, self.processes = model, config, folder, processes
        self.device, self.quiet = processes.device, quiet or not processes.first
        self.facts = {
            **config.as_dict(),
            "backbone": backbone_name,
            "use_feature": model.use_feature,
            "mapping": model.mapping,
            "train_list": list_digest(train),
            "val_list": list_digest(validation),
            "backbone_weights": state_sha256(model.backbone.state_dict())[:12],
            "initial_weights": state_sha256(model.refine_network.state_dict())[:12],
        }
        if stored is not None:
            check_origin(stored[0], model, config)
        fixed = (*FIXED, *(name for name in self.facts if name not in config.as_dict()))
        state = read_state(folder / STATE, self.facts, fixed)
        if state is None:
            _check_folder(folder)
        self.train_frames = Frames(train, config, stored)
        self.validation_frames = Frames(validation, config, stored) if validation else None
        processes.share_error("" if not processes.first else _make(folder))

        model.to(self.device)
        model.refine_network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster
        if processes.count > 1:
            use_global_batch_norm(model.refine_network)
        parameters = model.refine_network.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=WEIGHT_DECAY)
        scaled = config.precision == "fp16"
        self.scaler = torch.amp.GradScaler(self.device.type) if scaled else None
        self.progress, text_bytes = Progress(), None
        if state is not None:
            model.refine_network.load_state_dict(state["refinement"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scaler:
                self.scaler.load_state_dict(state["scaler"])
            self.progress, text_bytes = Progress(**state["progress"]), int(state["log_bytes"])
        self.network = processes.wrap(model.refine_network)
        self.log = Stage2Log(folder, self.facts, self.progress.step, text_bytes) if processes.first else None
        self.numbers = BatchNumbers(len(train), config, self.progress.step, processes.rank, processes.count)
        self.order = SampleOrder(len(train), config)
        self.waited = 0.0  # seconds in which nothing could be computed because frames were not there yet
        if state is not None:
            self._save()  # a kill between the two files left an older last_checkpoint.pth

    def train(self, interrupts: Interrupts) -> Stage2Summary:
        config, progress, per_epoch = self.config, self.progress, self.numbers.steps_per_epoch
        started = lap = time.monotonic()
        lap_waited = 0.0
        lap_steps = 0
        bar = tqdm(total=self.numbers.total, initial=progress.step, unit="step", disable=self.quiet, desc="stage 2")
        try:
            kept = self._keep() if progress.step < self.numbers.total or self._epochs_done() else {}
            if self._epochs_done() > progress.validated:
                self._end_epoch(kept, interrupts)
            elif progress.step == 0:
                self._judge_start(kept, interrupts)
            steps = self._steps(kept)
            started = lap = time.monotonic()
            while progress.step < self.numbers.total:
                self._stop_if_asked(interrupts)
                prepared = next(steps)
                epoch, position = divmod(progress.step, per_epoch)
                if position == 0:
                    progress.epoch_loss = 0.0
                # One seed per step, as for the samples: nothing else is random, and nothing needs to be restored.
                torch.manual_seed(config.seed * 1_000_003 + progress.step)
                factor = stage2_factor(config.schedule, progress.step, per_epoch, config.epochs)
                for group in self.optimizer.param_groups:
                    group["lr"] = config.learning_rate * factor
                train_mode(self.model, config)
                loss = training_step(
                    self.model,
                    self.network,
                    self.optimizer,
                    prepared,
                    config,
                    processes=self.processes,
                    scaler=self.scaler,
                    items=len(self.numbers.batch(progress.step)),
                )
                progress.step, lap_steps = progress.step + 1, lap_steps + 1
                progress.epoch_loss += loss
                mean = progress.epoch_loss / (position + 1)
                bar.update()
                bar.set_postfix(epoch=epoch + 1, loss=f"{mean:.3g}", best=f"{progress.best:.3g}")
                if self.log and position % config.log_every == 0:
                    self.log.line("train", epoch, position + 1, mean)
                    now = time.monotonic()
                    self.log.scalars(
                        progress.step,
                        train__loss=mean,
                        train__learning_rate=config.learning_rate * factor,
                        train__steps_per_second=lap_steps / (now - lap),
                        train__data_wait_share=(self.waited - lap_waited) / (now - lap),
                    )
                    lap, lap_waited, lap_steps = now, self.waited, 0
                if position + 1 == per_epoch:
                    self._save()
                    self._end_epoch(kept, interrupts)
                elif progress.step % config.checkpoint_every == 0:
                    self._save()
        finally:
            bar.close()
            if self.log:
                self.log.close()
        share = self.waited / max(time.monotonic() - started, 1e-9)
        best = progress.best if math.isfinite(progress.best) else math.nan
        return Stage2Summary(best, progress.best_epoch, progress.best_scores, share)

    def _epochs_done(self) -> int:
        return self.progress.step // self.numbers.steps_per_epoch

    def _keep(self) -> Kept:
        """The frozen part's results for all frames, if they fit into memory; else nothing."""
        lists = [frames for frames in (self.train_frames, self.validation_frames) if frames]
        needed = prepared_bytes(self.model, sum(len(frames) for frames in lists), self.config.size)
        if needed > self.config.keep_gib * 2**30:
            return {}
        kept: Kept = {}
        for frames in lists:
            error = ""
            try:
                kept |= prepare_all(self.model, frames, self.config.precision, self.device, quiet=self.quiet)
            except InputError as problem:
                error = str(problem)
            self.processes.share_error(error)
        return kept

    def _steps(self, kept: Kept) -> Iterator[Prepared]:
        """This process's part of every step that is left, on the device."""
        if kept:
            loaded = self._steps_from_memory(kept)
        else:
            loaded = self._steps_from_disk()
        for step, (parts, views) in enumerate(loaded, start=self.progress.step):
            prepared = _look_at(parts, views, self.config.crop).to(self.device)
            yield prepared if self.numbers.share(step) else prepared.map(lambda tensor: tensor[:0])

    def _steps_from_memory(self, kept: Kept) -> Iterator[tuple[list[Prepared], list[View]]]:
        for numbers in self.numbers:
            parts = [kept[self.train_frames.entries[self.order.frame(number)]] for number in numbers]
            yield parts, [self.order.view(n, part.mask[0]) for n, part in zip(numbers, parts, strict=True)]

    def _steps_from_disk(self) -> Iterator[tuple[list[Prepared], list[View]]]:
        steps = iter(self._loader(Stage2Dataset(self.train_frames, self.order), self.numbers))
        for _ in range(len(self.numbers)):
            asked = time.monotonic()
            loaded = next(steps)
            self.waited += time.monotonic() - asked
            self.processes.share_error(loaded.error)
            yield self._prepare(loaded), loaded.views

    def _loader(self, dataset: Any, numbers: Any) -> DataLoader[LoadedStep]:
        on_gpu = self.device.type == "cuda"
        return DataLoader(
            dataset,
            batch_sampler=numbers,
            num_workers=self.config.workers,
            collate_fn=collate_joined if on_gpu else collate,
            pin_memory=on_gpu,
            worker_init_fn=ignore_in_worker,
            prefetch_factor=2 if self.config.workers else None,
        )

    def _prepare(self, loaded: LoadedStep) -> list[Prepared]:
        return [prepare(self.model, part.to(self.device), self.config.precision) for part in loaded.parts]

    def _stop_if_asked(self, interrupts: Interrupts, *, save: bool = True) -> None:
        if self.processes.sum(float(interrupts.noted is not None))[0]:
            if save:
                self._save()
            interrupts.end()

    def _end_epoch(self, kept: Kept, interrupts: Interrupts) -> None:
        """Validate, keep the best model, write the numbered file. What an interrupt cuts short is done on resuming."""
        progress, epoch = self.progress, self._epochs_done()
        better = not self.validation_frames
        if better:
            progress.best_epoch = epoch
        elif epoch % self.config.validate_every == 0 or epoch == self.config.epochs:
            better = self._judge(kept, interrupts)
        progress.validated = epoch

        def write() -> None:
            if better:
                self._write_best()
            write_state(self.folder / f"{epoch}.pth", cpu_copy(self.model.state_dict()))

        self._write(write)
        self._save()

    def _judge_start(self, kept: Kept, interrupts: Interrupts) -> None:
        """A refinement that starts as the color mapping's result is worth something before the first step."""
        if self.config.start != "lut":
            return
        self._write(lambda: write_state(self.folder / "0.pth", cpu_copy(self.model.state_dict())))
        if self._judge(kept, interrupts):
            self._write(self._write_best)

    def _judge(self, kept: Kept, interrupts: Interrupts) -> bool:
        """Validate and log; returns whether this is the best so far."""
        progress, epoch = self.progress, self._epochs_done()
        if not self.validation_frames:
            return False
        scores, shown = self._validate(self.validation_frames, kept, interrupts, epoch - 1)
        if self.log:
            if epoch:
                self.log.line("val", epoch - 1, "final loss", scores["loss"] * 255 * 255)
            self.log.scalars(progress.step, **{f"val__{name}": score for name, score in scores.items()})
            self.log.pictures(progress.step, shown)
        better = scores["loss"] < progress.best
        if better:
            progress.best, progress.best_epoch, progress.best_scores = scores["loss"], epoch, scores
        return better

    def _validate(
        self, frames: Frames, kept: Kept, interrupts: Interrupts, epoch: int
    ) -> tuple[dict[str, float], Tensor]:
        batch, rank, count = self.config.batch_size, self.processes.rank, self.processes.count
        lists = [list(range(first, min(first + batch, len(frames)))) for first in range(0, len(frames), batch)]
        shares = [numbers[rank::count] or numbers[:1] for numbers in lists]
        loaded = None if kept else iter(self._loader(PlainDataset(frames), shares))
        self.model.eval()
        sums: dict[str, float] = {}
        shown: list[Tensor] = []
        for index, (numbers, share) in enumerate(zip(lists, shares, strict=True)):
            self._stop_if_asked(interrupts, save=False)  # saved just before
            if loaded is None:
                parts = [kept[frames.entries[number]] for number in share]
            else:
                step = next(loaded)
                self.processes.share_error(step.error)
                parts = self._prepare(step)
            prepared = join_prepared(parts).to(self.device)
            scores, rows = validate(self.model, prepared, self.config)
            if not numbers[rank::count]:
                scores = dict.fromkeys(scores, 0.0)
            totals = self.processes.sum(*scores.values())
            sums = {name: sums.get(name, 0.0) + total for name, total in zip(scores, totals, strict=True)}
            shown += [rows[: _SHOWN - len(shown)].cpu()] if len(shown) < _SHOWN else []
            if self.log and epoch >= 0 and index % self.config.log_every == 0:
                self.log.line("val", epoch, index + 1, sums["loss"] / (numbers[-1] + 1))
        graded = max(sums.pop("graded"), 1.0)
        means = {n: total / (len(frames) if n == "loss" else graded) for n, total in sums.items()}
        return means, torch.cat(shown)[:_SHOWN]

    def _save(self) -> None:
        """Write the state, then the weights that follow from it; a kill between the two mixes nothing."""
        refinement = self.model.refine_network
        if refinement is None or not self.processes.first:
            self.processes.share_error("")
            return
        broken = [name for name, tensor in refinement.state_dict().items() if not tensor.isfinite().all()]
        if broken:
            self.processes.share_error(str(diverged(math.nan)))
        state = {
            "refinement": cpu_copy(refinement.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "progress": vars(self.progress),
            "log_bytes": self.log.text_bytes if self.log else 0,
            "config": json.dumps(self.facts),
        }

        def write() -> None:
            write_state(self.folder / STATE, state)
            write_state(self.folder / NAME, cpu_copy(self.model.state_dict()))

        self._write(write)

    def _write(self, write: Any) -> None:
        """Let the first process write; all stop with one sentence if it cannot."""
        error = ""
        if self.processes.first:
            try:
                write()
            except OutputError as problem:
                error = f"{problem}; make room or mend the folder, then give the same command to go on"
        self.processes.share_error(error)

    def _write_best(self) -> None:
        scores = {f"validation_{name}": f"{score:.6g}" for name, score in self.progress.best_scores.items()}
        header = WeightHeader(
            backbone=str(self.facts["backbone"]),
            refinement=True,
            use_feature=self.model.use_feature,
            training_size=self.config.size,
            mapping=self.model.mapping,
            facts={"epoch": str(self.progress.best_epoch), **scores},
        )
        save_model_weights(self.folder / BEST, self.model.state_dict(), header)


def _look_at(parts: list[Prepared], views: list[View], crop: int) -> Prepared:
    if not crop and not any(view.flip for view in views):
        return join_prepared(parts)
    items = [part.map(lambda tensor, i=i: tensor[i : i + 1]) for part in parts for i in range(len(part.image))]
    return join_prepared([item.seen_through(view, crop) for item, view in zip(items, views, strict=True)])


def _make(folder: Path) -> str:
    """Make the folder; returns what went wrong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot make the folder {folder}: {error.strerror or error}"
    return ""


def _check_folder(folder: Path) -> None:
    if (folder / NAME).exists():
        raise InputError(
            f"{folder} holds {NAME} of another training (there is no {STATE} beside it); use another --exp_name"
        )
