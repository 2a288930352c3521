"""Stage 1: a backbone learns to harmonize single frames.

How a backbone is trained stands beside it, in its recipes. Each can ask for consistency over time (``temporal.py``) and
train against a discriminator (``adversary.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from co2net.data.samples import Sample
from co2net.flow import FlowEstimator
from co2net.metrics import fmse
from co2net.models.backbones import Backbone, BackboneOutput
from co2net.models.precision import training_autocast
from co2net.models.weight_header import WeightHeader, save_model_weights
from co2net.processes import Processes
from co2net.training.adversary import Adversary
from co2net.training.backbone_config import Stage1Config
from co2net.training.composites import CompositeMix
from co2net.training.loop import Run
from co2net.training.picture_samples import Stage1Batch, Stage1Dataset, scene_batch, to_batch
from co2net.training.schedule import PAPER_EPOCHS, SCHEDULES, milestones
from co2net.training.task import Shares, Task, Update, Validation, sample_loader
from co2net.training.temporal import in_samples, motion, temporal_term, validate_pairs

_VALIDATED_AT_ONCE = 16


class BackboneTask(Task):
    """Train a backbone on single frames, or on pairs of frames of a clip.

    The last scores of a run have ``error_share``: the foreground error on the held-out pictures as a share of the
    composites' own (lower is better).

    Args:
        network: freshly initialized backbone; trained in place.
        examples: training pictures; with ``config.temporal`` those of :func:`co2net.data.clips.with_previous`.
        validation: held-out pictures.
        luts: ``(N, 3, 33, 33, 33)`` LUTs for training composites.
        validation_luts: LUTs for the validation composites.
        config: settings.
        estimate: the flow estimator that ``config.temporal`` names.

    Raises:
        InputError: a setting makes no sense.
    """

    title = "stage 1"

    def __init__(
        self,
        network: Backbone,
        examples: Sequence[Sample],
        validation: Sequence[Sample],
        luts: Tensor,
        validation_luts: Tensor,
        config: Stage1Config,
        estimate: FlowEstimator | None = None,
    ) -> None:
        if config.temporal and estimate is None:
            raise ValueError("the temporal term needs a flow estimator")
        config.check()
        self.network, self.config, self.estimate = network, config, estimate
        self.examples, self.validation = list(examples), list(validation)
        self.luts, self.validation_luts = luts, validation_luts
        self.facts = config.as_dict()
        self.frozen = [getattr(network, name) for name in config.frozen]
        for part in self.frozen:
            part.requires_grad_(False)
        if network.paints:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as `_run` gives it the frames
        self._network, self._losses = _as_called(network, compiled=config.compiled)
        self.networks = {"backbone": network}
        self.optimizers = {"backbone": torch.optim.Adam(network.parameters(), lr=config.learning_rate)}
        self.adversary = None
        if config.adversarial_weight is not None:
            self.adversary = Adversary(config.learning_rate, config.seed)
            self.networks["opponent"], self.optimizers["opponent"] = self.adversary.network, self.adversary.optimizer
        self._phases = config.stretches
        self.averaging, self.averaged = config.averaging, ["backbone"]
        self.largest_gradient, self.seed, self.precision = config.largest_gradient, config.seed, config.precision
        self.steps = sum(phase.steps for phase in self._phases)
        self.steps_per_epoch = config.validate_every
        self.result = f"{config.backbone}.safetensors"
        self._ends = list(accumulate(phase.steps for phase in self._phases))

    def to(self, device: torch.device) -> None:
        """As in the base class; the LUTs too."""
        super().to(device)
        self.device, self.luts, self.validation_luts = device, self.luts.to(device), self.validation_luts.to(device)

    def _phase(self, step: int) -> int:
        return next((i for i, end in enumerate(self._ends) if step < end), len(self._ends) - 1)

    def numbers(self, step: int) -> range:
        """Samples are counted through, from phase to phase."""
        index, phases = self._phase(step), self._phases
        before = sum(phase.steps * phase.batch for phase in phases[:index])
        first = before + (step - (self._ends[index] - phases[index].steps)) * phases[index].batch
        return range(first, first + phases[index].batch)

    def batches(self, shares: Shares, run: Run) -> Iterator[Stage1Batch]:
        """A loader for every phase that is left."""
        config, temporal = self.config, self.config.temporal
        for phase, end in zip(self._phases, self._ends, strict=True):
            part = shares.between(end - phase.steps, end)
            if not len(part):
                continue
            dataset = Stage1Dataset(
                self.examples,
                phase.size,
                len(self.luts),
                config.seed,
                varied=config.varied,
                mix=config.color_changes,
                area_only=config.area_only,
                resize_only=temporal is not None and temporal.resize_only,
                flow_input=temporal.flow_input if temporal else None,
                estimate=in_samples(temporal, self.estimate),
                least_foreground=config.least_foreground,
                scenes=config.composites == "scenes",
            )
            for samples in run.waiting(sample_loader(dataset, part, config.workers)):
                if config.composites == "scenes":
                    yield scene_batch(samples, self.luts, CompositeMix(), config.seed)
                else:
                    yield to_batch(samples, self.luts)

    def share(self, step: int) -> float:
        """By pixels seen."""
        cost = [phase.steps * phase.batch * phase.size**2 for phase in self._phases]
        index = self._phase(step)
        steps = self._phases[index].steps
        offset = step - (self._ends[index] - steps)
        return (sum(cost[:index]) + cost[index] * offset / steps) / sum(cost)

    def factor(self, step: int) -> float:
        """The recipe's schedule, over the run's pixels."""
        if self.config.schedule == "milestones":
            epochs = self.config.epochs or PAPER_EPOCHS
            return milestones(self.share(step), tuple(epoch / epochs for epoch in self.config.milestones))
        return SCHEDULES[self.config.schedule](self.share(step))

    def train_mode(self) -> None:
        """The backbone in train mode, what the recipe freezes in eval mode."""
        super().train_mode()
        for part in self.frozen:
            part.eval()

    def learn(self, batch: Stage1Batch, update: Update) -> Mapping[str, Tensor | float]:
        """One step of the backbone, then of its opponent; the loss and, where there are several, its terms."""
        network, config, adversary = self.network, self.config, self.adversary
        loss, output, terms = self._own_losses(batch)
        if config.temporal and self.estimate and batch.previous:
            previous = self._run(batch.previous.composite, batch.previous.mask).raw.float()
            field = motion(batch, config.temporal, self.estimate, network)
            terms["temporal"] = temporal_term(output, previous, field)
            loss = loss + config.temporal.weight * terms["temporal"]
        result = output * batch.mask + network.normalize(batch.composite) * (1 - batch.mask) if adversary else output
        if adversary and config.adversarial_weight:
            terms["adversarial"] = adversary.disbelief(result, batch.mask)
            loss = loss + config.adversarial_weight * terms["adversarial"]
        total = update(loss, "backbone")
        if len(terms) == 1:
            return {"loss": total}
        values = {"loss": total, **{name: float(term.detach()) for name, term in terms.items()}}
        if adversary:
            opposed = adversary.loss(result, network.normalize(batch.target), batch.mask)
            values["discriminator"] = update(opposed, "opponent")
        return values

    def _own_losses(self, batch: Stage1Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The network's loss, its raw output ``(B, 3, S, S)`` in its normalized space, and the loss's terms."""
        out = self._run(batch.composite, batch.mask)
        # A network that has seen a thousand scenes is too sure of itself in new ones: there the best scale of its
        # corrections is below 1. Asking for a little less than the whole correction builds that scale in.
        target = torch.lerp(batch.target, batch.composite, self.config.held_back)
        terms = self._losses(out, target, batch.mask, self.config)
        return torch.stack(list(terms.values())).sum(), out.raw.float(), {n: t.detach() for n, t in terms.items()}

    def _run(self, composite: Tensor, mask: Tensor) -> BackboneOutput:
        if self.network.paints:
            composite = composite.contiguous(memory_format=torch.channels_last)
        with training_autocast(self.device, self.precision):
            return self._network(composite, mask)

    def validate(self, run: Run) -> Validation:
        """At the size of the phase that the run is in."""
        size = self._phases[self._phase(max(run.progress.step - 1, 0))].size
        found = validate(self.network, self.validation, self.validation_luts, size, run.device, run.processes)
        if self.config.temporal and self.estimate:
            change = validate_pairs(
                self.network, self.validation, size, self.config.temporal, self.estimate, run.device
            )
            found.scores["temporal"] = change
            found.text += f", temporal term {change:.5f}"
        return found

    def weights(self) -> Mapping[str, Tensor]:
        """The backbone alone."""
        return self.network.state_dict()

    def finish(self, run: Run) -> None:
        """The backbone, with what loading it needs to know."""
        config = self.config
        facts = {"validation_error_share": f"{run.progress.last_scores['error_share']:.4f}"}
        if config.temporal:
            facts |= {"temporal_weight": f"{config.temporal.weight:g}", "flow": config.temporal.flow}
        header = WeightHeader(
            backbone=config.backbone,
            training_size=self.network.learned_size(self._phases[-1].size),
            mapping="predicted" if self.network.predicts_mapping else "smooth",
            facts=facts,
        )
        save_model_weights(run.folder / self.result, self.network.state_dict(), header)


def _as_called(network: Backbone, *, compiled: bool) -> tuple[Callable[..., BackboneOutput], Callable[..., Any]]:
    """The network and its losses, as each step calls them.

    What predicts a LUT is many small parts, which compiled as one took longer on a CPU; its losses do not.
    """
    if not compiled:
        return network, network.losses
    forward = torch.compile(network.forward, dynamic=False) if network.paints else network
    return forward, torch.compile(network.losses, dynamic=False)


@torch.no_grad()
def validate(
    network: Backbone,
    examples: Sequence[Sample],
    luts: Tensor,
    size: int,
    device: torch.device,
    processes: Processes | None = None,
    seed: int = 7,
) -> Validation:
    """Score a backbone on held-out pictures with LUT composites.

    Returns:
        Scores: ``error_share``, the summed foreground error over the composites' own, which is also the loss;
        ``untouched_fmse``, the mean foreground squared error (8-bit units) done to pictures that were right already.
        Pictures: composite, result and real picture.
    """
    processes = processes or Processes(device)
    network.eval()
    dataset = Stage1Dataset(examples, size, len(luts), seed, augment=False, varied=False)
    sums, shown = [0.0] * 4, []
    for first in processes.share(range(0, len(examples), _VALIDATED_AT_ONCE)):
        samples = [dataset[i] for i in range(first, min(first + _VALIDATED_AT_ONCE, len(examples)))]
        batch = to_batch(samples, luts)
        image = network(batch.composite, batch.mask).image.clamp(0, 1)
        unchanged = network(batch.target, batch.mask).image.clamp(0, 1)
        errors = [fmse(frame, batch.target, batch.mask) for frame in (image, batch.composite, unchanged)]
        graded = ~errors[1].isnan()  # empty masks have no foreground; an error of the network would be there
        values = [*(float(error[graded].sum()) for error in errors), float(graded.sum())]
        sums = [total + value for total, value in zip(sums, values, strict=True)]
        shown.append(torch.cat([batch.composite, image, batch.target], dim=-1)[:1])
    after, before, harm, count = processes.sum(*sums)
    share, untouched = after / max(before, 1e-12), harm / max(count, 1.0)
    return Validation(
        share,
        {"error_share": share, "untouched_fmse": untouched},
        torch.cat(shown[:4]) if shown else None,
        "composite_result_real",
        f"{size} px: error share {share:.4f}, untouched {untouched:.1f}",
    )
