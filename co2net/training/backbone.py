"""Stage 1: a backbone learns to harmonize single frames.

Three recipes share it: ``quick`` (identity start, growing resolution, varied color changes, foreground loss; good
weights in an hour or two on a CPU), ``mapping`` (for networks that predict a LUT: one small size, averaged weights)
and ``paper`` (256 x 256, LUT composites, published loss and schedule). Each can ask for consistency over time
(``temporal.py``) and train against a discriminator (``adversary.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.flow import FlowEstimator
from co2net.metrics import fmse
from co2net.models.backbones import Backbone, BackboneOutput, Recipe, backbone_class
from co2net.models.weight_header import WeightHeader, save_model_weights
from co2net.processes import Processes
from co2net.training.adversary import Adversary
from co2net.training.color_changes import ColorChangeMix
from co2net.training.composites import CompositeMix
from co2net.training.interrupts import ignore_in_worker
from co2net.training.loop import LoopSettings, Run, Summary, train
from co2net.training.losses import temporal_term
from co2net.training.picture_samples import Stage1Batch, Stage1Dataset, scene_batch, to_batch
from co2net.training.schedule import SCHEDULES
from co2net.training.task import Shares, Task, Update, Validation, autocast
from co2net.training.temporal import TemporalConfig, in_samples, motion, validate_pairs

RECIPE_FIELDS = {field.name for field in dataclasses.fields(Recipe)}
_FREE = ("workers", "log_every", "validate_every", "checkpoint_every")  # they do not change what is computed
_VALIDATED_AT_ONCE = 16


@dataclass
class Phase:
    """A stretch of the run at one resolution: `size` pixels square, `samples` samples, `batch` a step."""

    size: int
    samples: int
    batch: int

    @property
    def steps(self) -> int:
        """Optimizer steps of the phase."""
        return max(1, self.samples // self.batch)


@dataclass
class Stage1Config:
    """Settings of a run; saved in its checkpoints."""

    backbone: str = "issam"
    settings: dict[str, float] = field(default_factory=dict)  # of the network, where they are not its defaults
    phases: list[Phase] = field(
        default_factory=lambda: [Phase(64, 130_000, 32), Phase(128, 16_000, 16), Phase(256, 2_000, 8)]
    )
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    loss: str = "foreground"  # or "paper", or one of the network's own
    area_only: bool = False  # pictures are shrunk by area averaging only, not half of them with two taps
    varied: bool = True  # random color changes beside the LUTs, graded scenes, borrowed masks
    mix: ColorChangeMix = field(default_factory=ColorChangeMix)
    composites: str = "single"  # or "scenes": see training/composites.py
    smoothness: float = 0.0  # weight of the LUT's roughness in the mapping loss
    averaging: float = 0.0  # share of the old in the running mean of the weights; 0 keeps the last weights
    largest_gradient: float = 0.0  # norm that gradients are clipped to; 0 does not clip
    caution: float = 0.15  # share by which targets are moved back to the composite; see _pixel_loss
    start_as_identity: bool = True
    temporal: TemporalConfig | None = None  # consistency of pairs of frames; None trains on single frames
    adversarial_weight: float | None = None  # of the discriminator's term; None trains without one
    precision: str = "bf16"  # or "fp32"; autocast of the network, the loss stays float32
    seed: int = 0
    workers: int = 0
    log_every: int = 50
    validate_every: int = 1000
    checkpoint_every: int = 250


def recipe_config(backbone: str, recipe: str | None = None) -> Stage1Config:
    """The settings of a recipe of that backbone; None: its usual one.

    Raises:
        InputError: there is no such backbone or recipe; lists what there is.
    """
    recipes = backbone_class(backbone).recipes
    name = recipe or next(iter(recipes))
    if name not in recipes:
        raise InputError(f"backbone {backbone} has no recipe {name!r}; it has {', '.join(recipes)}")
    given = {
        f.name: getattr(recipes[name], f.name) for f in dataclasses.fields(Stage1Config) if f.name in RECIPE_FIELDS
    }
    given |= {"phases": [Phase(*phase) for phase in recipes[name].phases], "mix": ColorChangeMix(**recipes[name].mix)}
    return Stage1Config(backbone, **given)


def paper_config(backbone: str, samples_per_epoch: int, temporal: TemporalConfig | None = None) -> Stage1Config:
    """The published recipe: 120 epochs at 256 x 256, batch 16, milestones at epochs 105 and 115.

    With `temporal` that of the baseline of Huang et al. as the HYouTube benchmark trains it: batch 32, no crops or
    flips.
    """
    config = recipe_config(backbone, "paper")
    (phase,) = config.phases
    epochs = backbone_class(backbone).recipes["paper"].epochs
    config.phases = [Phase(phase.size, epochs * samples_per_epoch, 32 if temporal else phase.batch)]
    config.temporal = dataclasses.replace(temporal, resize_only=True) if temporal else None
    return config


def train_stage1(
    network: Backbone,
    examples: Sequence[Sample],
    validation: Sequence[Sample],
    luts: Tensor,
    validation_luts: Tensor,
    config: Stage1Config,
    folder: Path,
    processes: Processes,
    *,
    estimate: FlowEstimator | None = None,
    settings: LoopSettings | None = None,
) -> Summary:
    """Train `network` in place; goes on from ``folder/training_state.pth`` when it is there.

    Args:
        network: freshly initialized backbone.
        examples: training pictures; with ``config.temporal`` those of :func:`co2net.data.clips.with_previous`.
        validation: held-out pictures.
        luts: ``(N, 3, 33, 33, 33)`` LUTs for training composites.
        validation_luts: LUTs for the validation composites.
        config: settings.
        folder: of the run; ``<backbone>.safetensors`` is its result.
        processes: this process among those that train together.
        estimate: the flow estimator that ``config.temporal`` names.
        settings: how the run is watched and saved; by default as `config` says.

    Raises:
        InputError: a picture cannot be read, or the folder belongs to other settings.
        DivergedError: the loss is not finite; the last checkpoint stays.
        KeyboardInterrupt: after a checkpoint was written.

    Returns:
        Its ``progress.last_scores["error_share"]`` is the foreground error on the held-out pictures as a share of the
        composites' own (lower is better).
    """
    task = BackboneTask(network, examples, validation, luts, validation_luts, config, estimate)
    settings = settings or LoopSettings(config.log_every, config.checkpoint_every)
    return train(task, settings, folder, processes)


class BackboneTask(Task):
    """Stage 1 as a task; arguments as of :func:`train_stage1`."""

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
        for name, value in ((name, value) for phase in config.phases for name, value in vars(phase).items()):
            if value < 1:
                raise InputError(f"`phases`: {name} must be 1 or more, got {value}")
        self.network, self.config, self.estimate = network, config, estimate
        self.examples, self.validation = list(examples), list(validation)
        self.luts, self.validation_luts = luts, validation_luts
        self.facts = {name: value for name, value in dataclasses.asdict(config).items() if name not in _FREE}
        self.networks = {"backbone": network}
        self.optimizers = {"backbone": torch.optim.Adam(network.parameters(), lr=config.learning_rate)}
        self.adversary = None
        if config.adversarial_weight is not None:
            self.adversary = Adversary(config.learning_rate, config.seed)
            self.networks["opponent"], self.optimizers["opponent"] = self.adversary.network, self.adversary.optimizer
        self._recipe = recipe_of(config)
        self.averaging, self.averaged = config.averaging, ["backbone"]
        self.largest_gradient, self.seed, self.precision = config.largest_gradient, config.seed, config.precision
        self.steps = sum(phase.steps for phase in config.phases)
        self.steps_per_epoch = config.validate_every
        self.result = f"{config.backbone}.safetensors"
        self._ends = list(accumulate(phase.steps for phase in config.phases))

    def to(self, device: torch.device) -> None:
        """As in the base class; the LUTs too."""
        super().to(device)
        self.device, self.luts, self.validation_luts = device, self.luts.to(device), self.validation_luts.to(device)

    def _phase(self, step: int) -> int:
        return next((i for i, end in enumerate(self._ends) if step < end), len(self._ends) - 1)

    def numbers(self, step: int) -> range:
        """Samples are counted through, from phase to phase."""
        index, phases = self._phase(step), self.config.phases
        before = sum(phase.steps * phase.batch for phase in phases[:index])
        first = before + (step - (self._ends[index] - phases[index].steps)) * phases[index].batch
        return range(first, first + phases[index].batch)

    def batches(self, shares: Shares, run: Run) -> Iterator[Stage1Batch]:
        """A loader for every phase that is left."""
        config, temporal = self.config, self.config.temporal
        for phase, end in zip(config.phases, self._ends, strict=True):
            part = shares.between(end - phase.steps, end)
            if not len(part):
                continue
            dataset = Stage1Dataset(
                self.examples,
                phase.size,
                len(self.luts),
                config.seed,
                varied=config.varied,
                mix=config.mix,
                area_only=config.area_only,
                resize_only=temporal is not None and temporal.resize_only,
                flow_input=temporal.flow_input if temporal else None,
                estimate=in_samples(temporal, self.estimate),
                scenes=config.composites == "scenes",
            )
            loader = DataLoader(
                dataset,
                batch_sampler=part,
                num_workers=config.workers,
                collate_fn=list,
                worker_init_fn=ignore_in_worker,
            )
            for samples in run.waiting(loader):
                if config.composites == "scenes":
                    yield scene_batch(samples, self.luts, CompositeMix(), config.seed)
                else:
                    yield to_batch(samples, self.luts)

    def share(self, step: int) -> float:
        """By pixels seen."""
        cost = [phase.steps * phase.batch * phase.size**2 for phase in self.config.phases]
        index = self._phase(step)
        steps = self.config.phases[index].steps
        offset = step - (self._ends[index] - steps)
        return (sum(cost[:index]) + cost[index] * offset / steps) / sum(cost)

    def factor(self, step: int) -> float:
        """The recipe's schedule, over the run's pixels."""
        return SCHEDULES[self.config.schedule](self.share(step))

    def learn(self, batch: Stage1Batch, update: Update) -> Mapping[str, Tensor | float]:
        """One step of the backbone, then of its opponent; the loss and, where there are several, its terms."""
        network, config, adversary = self.network, self.config, self.adversary
        loss, output = self._pixel_loss(batch)
        terms = {"pixel": loss.detach()}
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

    def _pixel_loss(self, batch: Stage1Batch) -> tuple[Tensor, Tensor]:
        """The network's own losses, and its raw output ``(B, 3, S, S)`` in its normalized space."""
        out = self._run(batch.composite, batch.mask)
        # A network that has seen a thousand scenes is too sure of itself in new ones: there the best scale of its
        # corrections is below 1. Asking for a little less than the whole correction builds that scale in.
        target = torch.lerp(batch.target, batch.composite, self.config.caution)
        terms = self.network.losses(out, target, batch.mask, self._recipe)
        return torch.stack(list(terms.values())).sum(), out.raw.float()

    def _run(self, composite: Tensor, mask: Tensor) -> BackboneOutput:
        if self.network.paints:
            composite = composite.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            return self.network(composite, mask)

    def validate(self, run: Run) -> Validation:
        """At the size of the phase that the run is in."""
        size = self.config.phases[self._phase(max(run.progress.step - 1, 0))].size
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
            training_size=config.phases[-1].size,
            mapping="predicted" if self.network.predicts_mapping else "smooth",
            facts=facts,
        )
        save_model_weights(run.folder / self.result, self.network.state_dict(), header)


def recipe_of(config: Stage1Config) -> Recipe:
    """The network's part of the settings."""
    given = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name in RECIPE_FIELDS}
    phases = tuple((phase.size, phase.samples, phase.batch) for phase in config.phases)
    return Recipe(**given | {"phases": phases, "mix": dataclasses.asdict(config.mix)})


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
