"""What the training loop (:mod:`co2net.training.loop`) must know of a network that is to be trained: a :class:`Task`.

The loop holds what all trainings share: order and resuming, several processes, mixed precision, gradients, running
means of the weights, logs, checkpoints, Ctrl-C. A task says what is special: its samples, networks, optimizers and
losses, when the rate falls, how good the result is, and which files it leaves. docs/training.md shows a small one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from co2net.training.interrupts import ignore_in_worker

if TYPE_CHECKING:
    from co2net.training.loop import Run

Update = Callable[..., float]
"""``update(loss, *names)``: one step of the named optimizers (all, if none is named) against the scalar `loss`, the
mean over this process's samples. Returns its mean over all processes. Stops the run if that is not finite."""


class Stateful(Protocol):
    """Anything else that a resumed run must find as it was: a schedule that listens to scores, for example."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Go on from what :meth:`state_dict` gave."""
        ...


@dataclass
class Validation:
    """What a validation found.

    Attributes:
        loss: lower is better; decides which weights are the best.
        scores: by name, for the log (``val/NAME``) and the weight file.
        pictures: ``(N, 3, H, W)`` in [0, 1], for ``validation.png`` and TensorBoard; None: nothing to show.
        shown: what the pictures show, from left to right: ``composite_result_real``.
        text: the scores in words, for people.
    """

    loss: float
    scores: dict[str, float] = field(default_factory=dict)
    pictures: Tensor | None = None
    shown: str = "pictures"
    text: str = ""


class Shares(Sampler[list[int]]):
    """This process's sample numbers of every step from `first` on; fits ``DataLoader(batch_sampler=...)``.

    A batch is split over the processes. One for which nothing is left runs on the batch's first sample, which then
    counts neither in the loss nor in batch statistics.

    Args:
        numbers: :meth:`Task.numbers`.
        first: first step.
        last: the step after the last one.
        rank: number of this process.
        processes: number of processes.
    """

    def __init__(
        self, numbers: Callable[[int], Sequence[int]], first: int, last: int, rank: int, processes: int
    ) -> None:
        self.numbers, self.first, self.last = numbers, first, max(first, last)
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        return (self.of(step) or list(self.numbers(step)[:1]) for step in range(self.first, self.last))

    def of(self, step: int) -> list[int]:
        """This process's numbers of a step; may be empty."""
        return list(self.numbers(step)[self.rank :: self.processes])

    def between(self, first: int, last: int) -> Shares:
        """Those of the steps from `first` to before `last`."""
        return Shares(self.numbers, max(first, self.first), min(last, self.last), self.rank, self.processes)


class Task(ABC):
    """Base of all tasks; only what is abstract has to be written.

    Attributes:
        title: for people: "stage 1".
        facts: settings and digests that a run must share with the one it goes on from; must fit into JSON.
        networks: what is trained, by name. Frozen networks are the task's own matter.
        optimizers: by name; their rates at the start are the base rates that :meth:`factor` multiplies.
        others: whatever else a resumed run must restore.
        steps: optimizer steps of the whole run.
        steps_per_epoch: after so many, and at the end, the loop validates and calls :meth:`keep`.
        precision: "fp32", "bf16" or "fp16", for `training_autocast`; "fp16" scales the losses.
        averaging: share of the old in the running mean of the weights; 0: none. The mean is validated and released.
        averaged: names of the networks that have such a mean; None: all.
        largest_gradient: norm that gradients are clipped to; 0: they are not.
        largest_entry: clips every entry of the gradients instead; 0: not.
        seed: of the run; random numbers are set anew in every step, from it and the step's number.
        judges_start: the loop validates before the first step too.
        judges: :meth:`validate` will say something. Without, the newest epoch counts as the best.
        result: name of the file that the run is for. A finished run that has it is left alone.
    """

    title = "training"
    facts: dict[str, Any]
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    others: Mapping[str, Stateful] = {}
    steps: int
    steps_per_epoch: int
    precision = "fp32"
    averaging = 0.0
    averaged: Sequence[str] | None = None
    largest_gradient = 0.0
    largest_entry = 0.0
    seed = 0
    judges_start = False
    judges = True
    result = "last_checkpoint.pth"

    # samples

    @abstractmethod
    def numbers(self, step: int) -> Sequence[int]:
        """Numbers of the samples of a step, over all processes; equal numbers are equal samples."""

    @abstractmethod
    def batches(self, shares: Shares, run: Run) -> Iterator[Any]:
        """This process's batch of every step of `shares`, on ``run.device``; waits for workers in ``run.waiting``."""

    def prepare(self, run: Run) -> None:  # noqa: B027
        """What takes long and comes before the first step; Ctrl-C ends it at once."""

    # steps

    def to(self, device: torch.device) -> None:
        """Move what is trained, and what it needs, to a device."""
        for network in self.networks.values():
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train_mode(self) -> None:
        """Called before every step."""
        for network in self.networks.values():
            network.train()

    def factor(self, step: int) -> float | Mapping[str, float]:
        """Factor on the base rates of all optimizers, or of each by its name, for the step after `step` steps."""
        return 1.0

    @abstractmethod
    def learn(self, batch: Any, update: Update) -> Mapping[str, Tensor | float]:
        """One step: compute losses and call `update` for each that an optimizer follows.

        Returns:
            Values for the log, "loss" among them.
        """

    def share(self, step: int) -> float:
        """Share of the run's work that `step` steps are, for the time that is left."""
        return step / self.steps

    # results

    def validate(self, run: Run) -> Validation | None:
        """How good the networks (their running means, with ``averaging``) are; None: nothing to say this time.

        Every process is here; sums over all are ``run.processes.sum``.
        """
        return None

    def weights(self) -> Mapping[str, Tensor]:
        """The network's file, ``last_checkpoint.pth``, as a state dict; only the first process asks."""
        (network,) = self.networks.values()
        return network.state_dict()

    def keep(self, run: Run, *, better: bool) -> None:  # noqa: B027
        """Write what an epoch leaves, to ``run.folder``; only in the first process, with the running means in place.

        Args:
            run: its ``progress`` says where it stands.
            better: this is the best validation so far.
        """

    def finish(self, run: Run) -> None:  # noqa: B027
        """Write :attr:`result` after the last step, as :meth:`keep`: for tasks that want the last, not the best."""


def sample_loader(
    dataset: Dataset[Any],
    numbers: Iterable[Sequence[int]],
    workers: int,
    collate: Callable[..., Any] = list,
    **more: Any,
) -> DataLoader[Any]:
    """Samples of a dataset, batch by batch, made in `workers` processes (0: in this one), which ignore Ctrl-C.

    Args:
        dataset: samples by number.
        numbers: of each batch; :class:`Shares`, for example.
        workers: number of processes.
        collate: what becomes of a batch's list.
        more: see ``DataLoader``.
    """
    return DataLoader(
        dataset,
        batch_sampler=numbers,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=ignore_in_worker,
        **more,
    )


def epochs_of(frames: int, batch: int, step: int) -> range:
    """:meth:`Task.numbers` of whole passes over `frames` samples, whose last batch may be smaller."""
    epoch, position = divmod(step, math.ceil(frames / batch))
    first = position * batch
    return range(epoch * frames + first, epoch * frames + min(first + batch, frames))
