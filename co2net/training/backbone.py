"""Stage 1: train a backbone on single frames. The whole loop, top to bottom.

Three recipes share it: ``quick`` (identity start, growing resolution, varied color changes, foreground loss; good
weights in an hour or two on a CPU), ``mapping`` (for networks that predict a LUT: one small size, averaged weights)
and ``paper`` (256 x 256, LUT composites, published loss and schedule). Each can ask for consistency over time
(``temporal.py``) and train against a discriminator (``adversary.py``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from co2net.data.samples import Example
from co2net.errors import InputError
from co2net.flow import FlowEstimator
from co2net.models.backbones import Backbone, BackboneOutput, Recipe, backbone_class
from co2net.training.adversary import Adversary
from co2net.training.averaging import Average
from co2net.training.checkpoint import load_checkpoint, save_checkpoint
from co2net.training.color_changes import ColorChangeMix
from co2net.training.interrupts import Interrupts, ignore_in_worker
from co2net.training.losses import temporal_term
from co2net.training.picture_samples import Stage1Batch, Stage1Dataset, to_batch
from co2net.training.schedule import SCHEDULES
from co2net.training.temporal import TemporalConfig, in_samples, motion, validate_pairs

RECIPE_FIELDS = {field.name for field in dataclasses.fields(Recipe)}


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
    smoothness: float = 0.0  # weight of the LUT's roughness in the mapping loss
    averaging: float = 0.0  # share of the old in the running mean of the weights; 0 keeps the last weights
    largest_gradient: float = 0.0  # norm that gradients are clipped to; 0 does not clip
    caution: float = 0.15  # share by which targets are moved back to the composite; see _loss
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

    With `temporal` that of the Huang et al. baseline (``specs/hyoutube.md`` section 13.3): batch 32, no crops or flips.
    """
    config = recipe_config(backbone, "paper")
    (phase,) = config.phases
    epochs = backbone_class(backbone).recipes["paper"].epochs
    config.phases = [Phase(phase.size, epochs * samples_per_epoch, 32 if temporal else phase.batch)]
    config.temporal = dataclasses.replace(temporal, resize_only=True) if temporal else None
    return config


def train_stage1(
    network: Backbone,
    examples: list[Example],
    validation: list[Example],
    luts: Tensor,
    validation_luts: Tensor,
    config: Stage1Config,
    folder: Path,
    device: torch.device,
    *,
    estimate: FlowEstimator | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> float:
    """Train `network` in place; resumes from ``folder/last_checkpoint.pth`` when it is there.

    Args:
        network: freshly initialized backbone.
        examples: training pictures; with ``config.temporal`` those of :func:`co2net.data.samples.find_pairs`.
        validation: held-out pictures.
        luts: ``(N, 3, 33, 33, 33)`` LUTs for training composites.
        validation_luts: LUTs for the validation composites.
        config: settings.
        folder: checkpoints and TensorBoard logs go here.
        device: where to train.
        estimate: the flow estimator that ``config.temporal`` names.
        stop_after: stop (as if killed, checkpoint written) after this many steps; for tests and time slices.
        quiet: no progress bar.

    Raises:
        InputError: a picture cannot be read, or the checkpoint belongs to other settings.
        KeyboardInterrupt: after a checkpoint was written.

    Returns:
        Last validation score: foreground error as a share of the composite's (lower is better).
    """
    temporal = config.temporal
    if temporal and estimate is None:
        raise ValueError("the temporal term needs a flow estimator")
    folder.mkdir(parents=True, exist_ok=True)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    luts, validation_luts = luts.to(device), validation_luts.to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    average = Average(network, config.averaging) if config.averaging else None
    adversary = None if config.adversarial_weight is None else Adversary(config.learning_rate, device, config.seed)
    step = load_checkpoint(folder, network, optimizer, dataclasses.asdict(config), average, adversary)
    log = _open_log(folder)
    score, total = float("nan"), sum(phase.steps for phase in config.phases)
    bar = tqdm(total=total, initial=step, unit="step", disable=quiet, desc="stage 1")
    started, first_step = time.monotonic(), step
    means: dict[str, float] = {}  # of the loss and its terms, over the last 200 steps or so
    try:
        for phase, batch, progress in _batches(examples, luts, config, estimate, first_step=step):
            # One seed per step: dropout repeats exactly after a resume.
            torch.manual_seed(config.seed * 1_000_003 + step)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * SCHEDULES[config.schedule](progress)
            with Interrupts() as interrupts:  # a step is done whole or not at all: else a resumed run would differ
                values = _train_step(network, optimizer, batch, config, device, estimate, adversary)
                step += 1
                if average:
                    average.update(step)
            for name, value in values.items():
                mean = means.get(name, 0.0)
                means[name] = mean + (value - mean) / min(step - first_step, 200)
            if interrupts.noted:
                interrupts.end()
            bar.update()
            bar.set_postfix(loss=f"{means['loss']:.4f}", size=phase.size, score=f"{score:.3f}")
            if log and step % config.log_every == 0:
                for name, mean in means.items():
                    log.add_scalar(f"train/{name}", mean, step)
                log.add_scalar("train/learning_rate", optimizer.param_groups[0]["lr"], step)
                log.add_scalar("train/steps_per_second", config.log_every / (time.monotonic() - started), step)
                started = time.monotonic()
            if step % config.validate_every == 0 or step == total:
                with average.in_place() if average else contextlib.nullcontext():
                    score, untouched, pictures = validate(network, validation, validation_luts, phase.size, device)
                    change = (
                        validate_pairs(network, validation, phase.size, temporal, estimate, device)
                        if temporal and estimate
                        else None
                    )
                tqdm.write(
                    f"step {step} of {total}, {phase.size} px: error share {score:.4f}, untouched {untouched:.1f}"
                    + ("" if change is None else f", temporal term {change:.5f}")
                )
                if log:
                    log.add_scalar("val/error_share", score, step)
                    log.add_scalar("val/untouched_fmse", untouched, step)
                    if change is not None:
                        log.add_scalar("val/temporal", change, step)
                    log.add_images("val/composite_result_real", pictures, step)
            stopping = stop_after is not None and step >= stop_after
            if step % config.checkpoint_every == 0 or step == total or stopping:
                save_checkpoint(folder, network, optimizer, step, dataclasses.asdict(config), average, adversary)
            if stopping:
                break
    except KeyboardInterrupt:
        save_checkpoint(folder, network, optimizer, step, dataclasses.asdict(config), average, adversary)
        raise
    finally:
        bar.close()
        if log:
            log.close()
    if average and not (stop_after is not None and step < total):
        average.keep()
    return score


def _batches(
    examples: list[Example], luts: Tensor, config: Stage1Config, estimate: FlowEstimator | None, first_step: int
) -> Iterator[tuple[Phase, Stage1Batch, float]]:
    """Every batch from `first_step` on, with its phase and the run's progress (by pixels seen) in [0, 1]."""
    cost = [phase.steps * phase.batch * phase.size**2 for phase in config.phases]
    step = sample = spent = 0
    temporal = config.temporal
    for phase, phase_cost in zip(config.phases, cost, strict=True):
        begin = min(max(first_step - step, 0), phase.steps)
        numbers = range(sample + begin * phase.batch, sample + phase.steps * phase.batch)
        loader = DataLoader(
            Stage1Dataset(
                examples,
                phase.size,
                len(luts),
                config.seed,
                varied=config.varied,
                mix=config.mix,
                area_only=config.area_only,
                resize_only=temporal is not None and temporal.resize_only,
                flow_input=temporal.flow_input if temporal else None,
                estimate=in_samples(temporal, estimate),
            ),
            batch_size=phase.batch,
            sampler=numbers,
            num_workers=config.workers,
            collate_fn=list,
            worker_init_fn=ignore_in_worker,
            persistent_workers=False,
        )
        if begin < phase.steps:
            for offset, samples in enumerate(loader, start=begin):
                progress = (spent + phase_cost * offset / phase.steps) / sum(cost)
                yield phase, to_batch(samples, luts), progress
        step, sample, spent = step + phase.steps, sample + phase.steps * phase.batch, spent + phase_cost


def _train_step(
    network: Backbone,
    optimizer: torch.optim.Optimizer,
    batch: Stage1Batch,
    config: Stage1Config,
    device: torch.device,
    estimate: FlowEstimator | None,
    adversary: Adversary | None,
) -> dict[str, float]:
    """One step of the backbone, then of its opponent; returns the loss and, where there are several, its terms."""
    network.train()
    loss, output = _loss(network, batch, config, device)
    terms = {"pixel": loss.detach()}
    if config.temporal and estimate and batch.previous:
        previous = _run(network, batch.previous.composite, batch.previous.mask, config, device).raw.float()
        field = motion(batch, config.temporal, estimate, network)
        terms["temporal"] = temporal_term(output, previous, field)
        loss = loss + config.temporal.weight * terms["temporal"]
    result = output * batch.mask + network.normalize(batch.composite) * (1 - batch.mask) if adversary else output
    if adversary and config.adversarial_weight:
        terms["adversarial"] = adversary.disbelief(result, batch.mask)
        loss = loss + config.adversarial_weight * terms["adversarial"]
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if config.largest_gradient:
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.largest_gradient)
    optimizer.step()
    if adversary:
        adversary.set_learning_rate(optimizer.param_groups[0]["lr"])
        terms["discriminator"] = adversary.learn(result, network.normalize(batch.target), batch.mask)
    terms = {"loss": loss, **terms} if len(terms) > 1 else {"loss": loss}
    return {name: float(term.detach()) for name, term in terms.items()}


def _loss(network: Backbone, batch: Stage1Batch, config: Stage1Config, device: torch.device) -> tuple[Tensor, Tensor]:
    """The pixel loss, and the network's raw output ``(B, 3, S, S)`` in its normalized space."""
    out = _run(network, batch.composite, batch.mask, config, device)
    # A network that has seen a thousand scenes is too sure of itself in new ones: there the best scale of its
    # corrections is below 1. Asking for a little less than the whole correction builds that scale in.
    target = torch.lerp(batch.target, batch.composite, config.caution)
    terms = network.losses(out, target, batch.mask, recipe_of(config))
    return torch.stack(list(terms.values())).sum(), out.raw.float()


def recipe_of(config: Stage1Config) -> Recipe:
    """The network's part of the settings."""
    given = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name in RECIPE_FIELDS}
    phases = tuple((phase.size, phase.samples, phase.batch) for phase in config.phases)
    return Recipe(**given | {"phases": phases, "mix": dataclasses.asdict(config.mix)})


def _run(
    network: Backbone, composite: Tensor, mask: Tensor, config: Stage1Config, device: torch.device
) -> BackboneOutput:
    if network.paints:
        composite = composite.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        return network(composite, mask)


@torch.no_grad()
def validate(
    network: Backbone, examples: list[Example], luts: Tensor, size: int, device: torch.device, seed: int = 7
) -> tuple[float, float, Tensor]:
    """Score on held-out pictures with LUT composites.

    Returns:
        ``(share, untouched, pictures)``: summed foreground error over the composites' own; mean foreground squared
        error (8-bit units) done to pictures that were right already; a grid ``(4, 3, size, 3 * size)`` of composite,
        result and real picture.
    """
    from co2net.metrics import fmse

    network.eval()
    dataset = Stage1Dataset(examples, size, len(luts), seed, augment=False, varied=False)
    errors, before, harm, shown = [], [], [], []
    for first in range(0, len(examples), 16):
        samples = [dataset[i] for i in range(first, min(first + 16, len(examples)))]
        batch = to_batch(samples, luts)
        image = network(batch.composite, batch.mask).image.clamp(0, 1)
        errors.append(fmse(image, batch.target, batch.mask))
        before.append(fmse(batch.composite, batch.target, batch.mask))
        harm.append(fmse(network(batch.target, batch.mask).image.clamp(0, 1), batch.target, batch.mask))
        shown.append(torch.cat([batch.composite, image, batch.target], dim=-1)[:1])
    share = torch.cat(errors).nansum() / torch.cat(before).nansum()
    return float(share), float(torch.cat(harm).nanmean()), torch.cat(shown[:4])


def _open_log(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        tqdm.write("no TensorBoard log: install it with `pip install 'co2net[train]'`")
        return None
    return SummaryWriter(str(folder / "tensorboard"))
