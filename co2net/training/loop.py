"""The one training loop, for every :class:`~co2net.training.task.Task`.

A run's folder::

    training_state.pth      everything a resumed run needs; the one file that counts for it
    last_checkpoint.pth     the weights of the same step, as the task's network file
    logs.txt, tensorboard/, config.json, validation.png
    and what the task leaves: its result, numbered files
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from co2net.errors import DivergedError, InputError, OutputError
from co2net.processes import Processes
from co2net.training.averaging import running_mean
from co2net.training.batch_norm import count_in_batch_norm, use_global_batch_norm
from co2net.training.checkpoint import Progress, cpu_copy, read_state, take_up, write_state
from co2net.training.interrupts import Interrupts
from co2net.training.log import RunLog, Ticker
from co2net.training.task import Shares, Task, Validation

STATE, LAST = "training_state.pth", "last_checkpoint.pth"
T = TypeVar("T")


@dataclass
class LoopSettings:
    """How a run is watched and saved; may change between the parts of a resumed run.

    Attributes:
        log_every: steps between lines of ``logs.txt`` and points of the curves.
        checkpoint_every: steps between checkpoints, beside those at the end of every epoch.
        checkpoint_seconds: a checkpoint is not older than this, whatever a step costs.
        time_limit: seconds after which the run stops with a checkpoint; None: at its end.
        stop_after: stop with a checkpoint after this step, as if interrupted.
        quiet: no progress, no notes.
    """

    log_every: int = 100
    checkpoint_every: int = 250
    checkpoint_seconds: float = 300.0
    time_limit: float | None = None
    stop_after: int | None = None
    quiet: bool = False


@dataclass
class Summary:
    """What a run leaves to say.

    Attributes:
        progress: where it stands.
        finished: all steps are done.
        was_finished: they were before; nothing was changed.
        data_wait_share: share of the time that was spent waiting for samples.
    """

    progress: Progress
    finished: bool
    was_finished: bool = False
    data_wait_share: float = 0.0


def train(task: Task, settings: LoopSettings, folder: Path, processes: Processes) -> Summary:
    """Train the networks of `task` in place; goes on from ``folder/training_state.pth`` when it is there.

    Args:
        task: what is trained.
        settings: how the run is watched and saved.
        folder: see the top of this file; made if missing.
        processes: this process among those that train together (:func:`~co2net.processes.process_group`).

    Raises:
        InputError: a sample cannot be used, the folder belongs to another run or cannot be written.
        DivergedError: a loss or a weight is not finite. The last checkpoint stays.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint was written.
    """
    with Interrupts(speaks=processes.first) as interrupts:
        return Run(task, settings, folder, processes, interrupts).train()


class Run:
    """A run of :func:`train`, as tasks see it.

    Attributes:
        settings: as given.
        folder: likewise.
        processes: likewise.
        device: where this process computes.
        progress: where the run stands.
        log: text log and curves; None but in the first process.
    """

    def __init__(
        self, task: Task, settings: LoopSettings, folder: Path, processes: Processes, interrupts: Interrupts
    ) -> None:
        self.task, self.settings, self.folder, self.processes = task, settings, folder, processes
        self.device, self._interrupts = processes.device, interrupts
        self.progress, self._began = Progress(), time.monotonic()
        self.quiet = settings.quiet or not processes.first
        self._waited, self._share = 0.0, 1.0
        if processes.count > len(task.numbers(0)):
            raise InputError(f"{processes.count} processes cannot share a batch of {len(task.numbers(0))}; start fewer")
        state = read_state(folder / STATE, task.facts)
        if state is None and (folder / LAST).exists():
            raise InputError(
                f"{folder} holds {LAST} of another training (there is no {STATE} beside it); use another folder"
            )
        processes.share_error(_make(folder) if processes.first else "")
        task.to(self.device)
        if processes.count > 1:
            for network in task.networks.values():
                use_global_batch_norm(network)
        averaged = (task.averaged or task.networks) if task.averaging else ()
        self._means = {name: running_mean(task.networks[name], task.averaging) for name in averaged}
        self._scaler = torch.amp.GradScaler(self.device.type) if task.precision == "fp16" else None
        parts = {"networks": task.networks, "optimizers": task.optimizers, "others": task.others, "means": self._means}
        self._parts: dict[str, Any] = {
            f"{kind}.{n}": part for kind, named in parts.items() for n, part in named.items()
        }
        if self._scaler:
            self._parts["scaler"] = self._scaler
        text_bytes = None
        if state is not None:
            self.progress, text_bytes = take_up(state, self._parts, folder / STATE)
        self._saved_step, self._saved_at = self.progress.step if state else -1, time.monotonic()
        self.log = RunLog(folder, task.facts, self.progress.step, text_bytes) if processes.first else None

    def train(self) -> Summary:
        """All that is left to do."""
        task, progress, total = self.task, self.progress, self.task.steps
        ready = self._saved_step == progress.step == progress.judged == total
        try:
            if ready and (self.folder / task.result).is_file():
                return Summary(progress, finished=True, was_finished=True)
            if progress.step < total or not ready:
                task.prepare(self)
            if self._saved_step >= 0:
                self.save()  # a kill between the two files left an older last_checkpoint.pth
            self._end_epoch()
            began, self._waited = time.monotonic(), 0.0
            stopped = self._steps()
            finished = progress.step == total
            if finished:
                for name, mean in self._means.items():  # for good
                    task.networks[name].load_state_dict(mean.module.state_dict())
                self._write(lambda: task.finish(self))
            spent = max(time.monotonic() - began, 1e-9)
            return Summary(progress, finished and not stopped, data_wait_share=self._waited / spent)
        except KeyboardInterrupt:
            # Between two steps all is whole, whatever else was cut short. A second signal does not wait for that.
            if self.processes.first and not self._interrupts.killed and progress.step > max(self._saved_step, 0):
                self._write_state()
            raise
        finally:
            if self.log:
                self.log.close()

    def _steps(self) -> bool:
        """Step after step; returns whether the run stopped before its end."""
        task, progress, settings, total = self.task, self.progress, self.settings, self.task.steps
        rank, count = self.processes.rank, self.processes.count
        batches = iter(task.batches(Shares(task.numbers, progress.step, total, rank, count), self))
        lap, lap_step, lap_waited = time.monotonic(), progress.step, self._waited
        with Ticker(task.title, total, "step", progress.step, task.share, quiet=self.quiet) as self._ticker:
            while progress.step < total:
                position = progress.step % task.steps_per_epoch
                # A step is done whole or not at all: else a resumed run would differ.
                with self._interrupts.held():
                    self._step(next(batches), position)
                means = {name: value / progress.counted for name, value in progress.sums.items()}
                best = f", best {progress.best:.4g}" if math.isfinite(progress.best) else ""
                self._ticker.update(progress.step, f"loss {means['loss']:.4g}{best}")
                if self.log and position % settings.log_every == 0:
                    self.log.line("train", (progress.step - 1) // task.steps_per_epoch, position + 1, means["loss"])
                    seconds = max(time.monotonic() - lap, 1e-9)
                    rates = {name: o.param_groups[0]["lr"] for name, o in task.optimizers.items()}
                    scalars = {f"train/{name}": value for name, value in means.items()}
                    scalars |= {f"train/{_learning_rate(name, rates)}": rate for name, rate in rates.items()}
                    scalars["train/steps_per_second"] = (progress.step - lap_step) / seconds
                    scalars["train/data_wait_share"] = (self._waited - lap_waited) / seconds
                    self.log.scalars(progress.step, scalars)
                    lap, lap_step, lap_waited = time.monotonic(), progress.step, self._waited
                if self._stop():
                    return progress.step < total
                self._end_epoch()
        return False

    def _step(self, batch: Any, position: int) -> None:
        task, progress = self.task, self.progress
        if position == 0:
            progress.sums, progress.counted = {}, 0
        # One seed per step, as for the samples: nothing else is random, and nothing needs to be restored.
        torch.manual_seed(task.seed * 1_000_003 + progress.step + (self.processes.rank << 40))
        factor = task.factor(progress.step)
        for name, optimizer in task.optimizers.items():
            for group in optimizer.param_groups:
                base = group.setdefault("initial_lr", group["lr"])
                group["lr"] = base * (factor[name] if isinstance(factor, Mapping) else factor)
        task.train_mode()
        items = task.numbers(progress.step)
        here = len(items[self.processes.rank :: self.processes.count])
        self._share = here / len(items)
        if self.processes.count > 1:
            count_in_batch_norm(task.networks.values(), counts=here > 0)
        for name, value in task.learn(batch, self.update).items():
            progress.sums[name] = progress.sums.get(name, 0.0) + float(value)
        progress.step, progress.counted = progress.step + 1, progress.counted + 1
        for name, mean in self._means.items():
            mean.update_parameters(task.networks[name])

    def update(self, loss: Tensor, *names: str) -> float:
        """See :data:`~co2net.training.task.Update`."""
        optimizers = [self.task.optimizers[name] for name in names or self.task.optimizers]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        if self.processes.count > 1:
            loss = loss * self._share  # shares of a mean, whose gradients add up
        (self._scaler.scale(loss) if self._scaler else loss).backward()
        (value,) = self.processes.sum(float(loss.detach()))
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        self.processes.add_gradients(parameters)
        if self._scaler and (self.task.largest_gradient or self.task.largest_entry):
            for optimizer in optimizers:
                self._scaler.unscale_(optimizer)
        if self.task.largest_gradient:
            torch.nn.utils.clip_grad_norm_(parameters, self.task.largest_gradient)
        if self.task.largest_entry:
            torch.nn.utils.clip_grad_value_(parameters, self.task.largest_entry)
        for optimizer in optimizers:
            if self._scaler:
                self._scaler.step(optimizer)
            else:
                optimizer.step()
        if self._scaler:
            self._scaler.update()
        return value

    def _stop(self) -> bool:
        """Save when it is time to; returns whether the run is to stop here, raises if a signal asked for it."""
        settings, now, step = self.settings, time.monotonic(), self.progress.step
        old = now - self._saved_at >= settings.checkpoint_seconds
        over = settings.time_limit is not None and now - self._began >= settings.time_limit
        noted = self._interrupts.noted is not None
        if self.processes.count > 1:
            noted, old, over = (bool(flag) for flag in self.processes.sum(float(noted), float(old), float(over)))
        stop = over or (settings.stop_after is not None and step >= settings.stop_after)
        if noted or old or stop or step % settings.checkpoint_every == 0:
            self.save()
        if noted:
            self._interrupts.end()
        return stop

    def _end_epoch(self) -> None:
        """Validate, keep the best, write files, if this step asks for it; what is cut short is done on resuming."""
        task, progress = self.task, self.progress
        step = progress.step
        due = step % task.steps_per_epoch == 0 or step == task.steps if step else task.judges_start
        if not due or progress.judged == step:
            return
        if step:
            self.save()
        with self._means_in_place():
            validation = task.validate(self)
            better = not task.judges
            if validation:
                better = self._note(validation)
            if better:
                progress.best_step = step
            self._write(lambda: task.keep(self, better=better))
        progress.judged = step
        if step:
            self.save()

    def _note(self, validation: Validation) -> bool:
        progress, epoch = self.progress, self.epoch
        if not math.isfinite(validation.loss):
            raise self._diverged(f"the validation loss is {validation.loss}")
        if self.log:
            if epoch:
                self.log.line("val", epoch - 1, "final loss", validation.loss * 255 * 255)
            self.log.scalars(progress.step, {f"val/{name}": score for name, score in validation.scores.items()})
            if validation.pictures is not None:
                self.log.pictures(progress.step, validation.shown, validation.pictures)
        if validation.text:
            self.say(f"step {progress.step} of {self.task.steps}: {validation.text}")
        progress.last_scores = validation.scores
        better = validation.loss < progress.best
        if better:
            progress.best, progress.best_scores = validation.loss, validation.scores
        return better

    @property
    def epoch(self) -> int:
        """Epochs begun, counted from 1; 0 before the first step."""
        return math.ceil(self.progress.step / self.task.steps_per_epoch)

    def say(self, text: str) -> None:
        """A line for people, above the progress bar."""
        if not self.quiet:
            Ticker.say(text)

    def waiting(self, loader: Iterable[T]) -> Iterator[T]:
        """The batches of `loader`; the time spent waiting for them counts as such."""
        batches = iter(loader)
        while True:
            asked = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._waited += time.monotonic() - asked
            yield batch

    def save(self) -> None:
        """Write the state, then the weights that follow from it; a kill between the two mixes nothing."""
        self._write(self._write_state)
        self._saved_step, self._saved_at = self.progress.step, time.monotonic()

    def _write_state(self) -> None:
        for network in self.task.networks.values():
            if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
                raise self._diverged("a weight is not finite")
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        state = {
            "parts": {n: cpu_copy(p) if n.startswith(("networks", "means")) else p for n, p in parts.items()},
            "progress": asdict(self.progress),
            "log_bytes": self.log.text_bytes if self.log else 0,
            "config": json.dumps(dict(self.task.facts)),
        }
        write_state(self.folder / STATE, state)
        with self._means_in_place():
            write_state(self.folder / LAST, cpu_copy(self.task.weights()))

    def _write(self, write: Callable[[], None]) -> None:
        """Let the first process write; all stop with one sentence if it cannot."""
        error = diverged = ""
        if self.processes.first:
            try:
                write()
            except OutputError as problem:
                error = f"{problem}; make room or mend the folder, then give the same command to go on"
            except DivergedError as problem:
                diverged = str(problem)
        if self.processes.sum(float(bool(diverged)))[0]:
            raise DivergedError(diverged or "the training diverged")
        self.processes.share_error(error)

    @contextlib.contextmanager
    def _means_in_place(self) -> Iterator[None]:
        """The networks have their mean weights inside the block, their own after it."""
        networks = {name: (self.task.networks[name], mean.module) for name, mean in self._means.items()}
        own = {name: copy.deepcopy(network.state_dict()) for name, (network, _) in networks.items()}
        for network, mean in networks.values():
            network.load_state_dict(mean.state_dict())
        try:
            yield
        finally:
            for name, state in own.items():
                networks[name][0].load_state_dict(state)

    def _diverged(self, what: str) -> DivergedError:
        step, saved = self.progress.step, self._saved_step
        left = (
            f"the checkpoint of step {saved} in {self.folder} is good" if saved > 0 else "no checkpoint was written yet"
        )
        return DivergedError(
            f"the training diverged: {what} after {step} steps; {left}. Start in another folder with a lower "
            "learning rate, or with precision fp32"
        )


def _learning_rate(name: str, rates: Mapping[str, float]) -> str:
    return "learning_rate" if len(rates) == 1 else f"learning_rate_{name}"


def _make(folder: Path) -> str:
    """Make the folder; returns what went wrong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot make the folder {folder}: {error.strerror or error}"
    return ""
