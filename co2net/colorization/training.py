"""The trainings of SVCNet as tasks of the one loop: CPNet on pictures, then SSNet, with CPNet, on clips.

Zhao et al. (IEEE TIP 2023), with what their programs miss: the loss of the enlarged colors counts, both networks are
saved, the mirrored clip does not repeat its turning frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from co2net.colorization.cpnet import CPNet
from co2net.colorization.lab import centered_lab, join_lab8
from co2net.colorization.losses import short_term_loss, total_variation, visibility_mask
from co2net.colorization.painting import hints
from co2net.colorization.ssnet import SSNet
from co2net.colorization.training_samples import FRAMES, Clips, Pictures, Sample, stack
from co2net.flow import FlowEstimator
from co2net.flow.warp_variants import WarpVariant, warp_variant
from co2net.models.precision import training_autocast
from co2net.training.checkpoint import cpu_copy, write_state
from co2net.training.loop import Run
from co2net.training.schedule import cosine
from co2net.training.task import Shares, Task, Update, Validation, epochs_of, sample_loader
from co2net.weight_files import save_weights

BETAS = (0.5, 0.999)
MIDDLE = FRAMES // 2
PALINDROME = (0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0)


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; defaults are the published first step of CPNet.

    Attributes:
        epochs: passes over the pictures (clips).
        batch_size: samples per step, over all processes.
        learning_rate: of CPNet's own training, or of SSNet.
        cpnet_rate: of CPNet beside SSNet; 0 leaves it as it is.
        decrease_every: epochs after which the rates are multiplied by `decrease_factor`.
        decrease_factor: see there.
        schedule: "steps": the rate falls so; "cosine": warm-up, then down to 0 over the run.
        largest_gradient: norm that gradients are clipped to; 0: they are not.
        averaging: share of the old in a running mean of the weights, which is what is judged and kept; 0: none.
        weights: of the loss terms: l1, seg, sr, tv, short, long.
        mask_parameter: of the visibility mask.
        checkpoint_every: epochs between numbered files.
        precision: "fp32", "bf16" or "fp16"; losses stay float32.
        seed: of samples and start.
        workers: processes that prepare samples.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-4
    cpnet_rate: float = 0.0
    decrease_every: int = 10
    decrease_factor: float = 0.5
    schedule: str = "steps"
    largest_gradient: float = 0.0
    averaging: float = 0.0
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"l1": 1.0, "seg": 0.1, "sr": 1.0, "tv": 0.0, "short": 0.0, "long": 0.0}
    )
    mask_parameter: float = 200.0
    checkpoint_every: int = 1
    precision: str = "fp32"
    seed: int = 0
    workers: int = 0


class _Colorization(Task):
    """What both trainings share: samples in passes, rates by epoch."""

    def __init__(self, samples: Pictures | Clips, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        self.samples, self.recipe = samples, recipe
        self.facts = {**asdict(recipe), **facts, "items": len(samples), "size": list(samples.size)}
        self.facts.pop("workers")
        self.steps_per_epoch = -(-len(samples) // recipe.batch_size)
        self.steps = recipe.epochs * self.steps_per_epoch
        self.seed, self.precision = recipe.seed, recipe.precision
        self.largest_gradient, self.averaging = recipe.largest_gradient, recipe.averaging

    def numbers(self, step: int) -> range:
        """See :meth:`Task.numbers`."""
        return epochs_of(len(self.samples), self.recipe.batch_size, step)

    def batches(self, shares: Shares, run: Run) -> Iterator[Sample]:
        """See :meth:`Task.batches`."""
        for batch in run.waiting(sample_loader(self.samples, shares, self.recipe.workers, stack)):
            yield batch.to(run.device)

    def factor(self, step: int) -> float:
        """See :meth:`Task.factor`."""
        if self.recipe.schedule == "cosine":
            return cosine(step / self.steps)
        epoch = step // self.steps_per_epoch
        return self.recipe.decrease_factor ** (epoch // self.recipe.decrease_every)

    def due(self, run: Run) -> bool:
        """Whether this epoch leaves a numbered file."""
        return run.epoch > 0 and run.epoch % self.recipe.checkpoint_every == 0


class TrainCPNet(_Colorization):
    """CPNet on pictures: L1 of the colors, and of the segmentation where there are maps.

    Args:
        network: to train.
        samples: training pictures.
        validation: held-out pictures; None: the newest epoch is the best.
        recipe: settings.
    """

    title, result = "CPNet", "cpnet.safetensors"
    judges_start = True  # "CPNet_plain" begins with a guess that is not easily bettered

    def __init__(self, network: CPNet, samples: Pictures, validation: Pictures | None, recipe: Recipe) -> None:
        super().__init__(samples, recipe, {"variant": network.variant, "start_channels": network.start_channels})
        self.network, self.validation, self.judges = network, validation, validation is not None
        self.networks: dict[str, nn.Module] = {"cpnet": network}
        self.optimizers = {"cpnet": torch.optim.Adam(network.parameters(), recipe.learning_rate, BETAS)}

    def learn(self, batch: Sample, update: Update) -> dict[str, Tensor | float]:
        """See :meth:`Task.learn`."""
        given = hints(self.network, batch.luma[:, 0], batch.scribble[:, 0], batch.known[:, 0])
        with training_autocast(batch.luma.device, self.precision):
            color, segmentation = self.network(batch.luma[:, 0], given)
        terms = {"l1": (color.float() - batch.ab[:, 0]).abs().mean()}
        if segmentation is not None and batch.segmentation.shape[2]:
            terms["seg"] = (segmentation.float() - batch.segmentation[:, 0]).abs().mean()
        total = torch.stack([self.recipe.weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": update(total), **{name: term.detach() for name, term in terms.items()}}

    @torch.no_grad()
    def validate(self, run: Run) -> Validation | None:
        """See :meth:`Task.validate`: mean absolute error of the colors, in codes."""
        if self.validation is None:
            return None
        self.network.eval()
        error = gray = count = 0.0
        sheet: Tensor | None = None
        for number in run.processes.share(range(len(self.validation))):
            sample = self.validation[number].to(run.device)
            color, _ = self.network(sample.luma, hints(self.network, sample.luma, sample.scribble, sample.known))
            error += float((color - sample.ab).abs().mean()) * 255
            gray += float((128 / 255 - sample.ab).abs().mean()) * 255
            count += 1
            if sheet is None:
                sheet = _sheet(sample, color)
        error, gray, count = run.processes.sum(error, gray, count)
        error, gray = error / count, gray / count
        text = f"colors {error:.2f} codes off, gray pictures {gray:.2f}"
        return Validation(error, {"ab_l1": error, "gray_l1": gray}, sheet, "gray_scribble_result_real", text)

    def keep(self, run: Run, *, better: bool) -> None:
        """See :meth:`Task.keep`."""
        if self.due(run):
            name = f"cpnet_epoch{run.epoch}_batchsize{self.recipe.batch_size}.pth"
            write_state(run.folder / name, cpu_copy(self.network.state_dict()))
        if better:
            facts = {"format": "co2net", "network": "cpnet", "variant": self.network.variant}
            save_weights(run.folder / self.result, _one_of_each(self.network.state_dict()), facts)


class TrainSSNet(_Colorization):
    """SSNet over seven frames and back, CPNet with it.

    Args:
        cpnet: finished or to be tuned (``recipe.cpnet_rate``).
        ssnet: Comb and SRNet are trained; WARN and CorrNet stay.
        samples: training clips.
        estimate: flow between frames of three equal luma planes.
        recipe: settings.
        published: flow from the neighbor to the frame, as the official weights were trained.
    """

    title, result = "SSNet", "ssnet.safetensors"
    judges = False

    def __init__(
        self,
        cpnet: CPNet,
        ssnet: SSNet,
        samples: Clips,
        estimate: FlowEstimator,
        recipe: Recipe,
        *,
        published: bool = False,
    ) -> None:
        super().__init__(samples, recipe, {"variant": ssnet.variant, "published": published})
        self.cpnet, self.ssnet, self.estimate, self.published = cpnet, ssnet, estimate, published
        self._variant: WarpVariant = "svcnet" if published else "exact"
        trained = [*ssnet.comb.parameters(), *ssnet.srnet.parameters()]
        for part in (ssnet.warn, ssnet.corr):
            if part is not None:
                part.requires_grad_(False)
        self.networks: dict[str, nn.Module] = {"ssnet": ssnet}
        self.optimizers = {"ssnet": torch.optim.Adam(trained, recipe.learning_rate, BETAS)}
        self.tuned = recipe.cpnet_rate > 0
        if self.tuned:
            self.networks["cpnet"] = cpnet
            self.optimizers["cpnet"] = torch.optim.Adam(cpnet.parameters(), recipe.cpnet_rate, BETAS)

    def to(self, device: torch.device) -> None:
        """See :meth:`Task.to`."""
        super().to(device)
        self.cpnet.to(device)

    def train_mode(self) -> None:
        """See :meth:`Task.train_mode`; nothing here depends on the mode but what is frozen."""
        self.ssnet.train()
        self.cpnet.train(self.tuned)

    def weights(self) -> Mapping[str, Tensor]:
        """See :meth:`Task.weights`."""
        return self.ssnet.state_dict()

    def learn(self, batch: Sample, update: Update) -> dict[str, Tensor | float]:
        """See :meth:`Task.learn`: seven steps along the clip and back, the result before it moved along."""
        with torch.set_grad_enabled(self.tuned):
            colors = [
                self.cpnet(luma, hints(self.cpnet, luma, ab, known))[0]
                for luma, ab, known in zip(
                    batch.luma.unbind(1), batch.scribble.unbind(1), batch.known.unbind(1), strict=True
                )
            ]
        lab_0, features = self._reference(batch.luma[:, 0], colors[0])
        flows: dict[tuple[int, int], Tensor] = {}
        sums = {name: batch.luma.new_zeros(()) for name in ("l1", "sr", "tv", "short", "long")}
        previous = first = None
        for step in range(FRAMES):
            window = PALINDROME[step : step + FRAMES]
            middle = window[MIDDLE]
            near = [n for k, n in enumerate(window) if k != MIDDLE]
            warped = [self._warped(batch.luma, colors[n], n, middle, flows) for n in near]
            masks = [mask for _, mask in warped]
            # The result of the step before belongs to the frame before the middle one.
            before = None if previous is None else warp_variant(previous, flows[middle, near[2]], self._variant)
            out, sr, _ = self.ssnet(
                batch.centered[:, middle],
                lab_0,
                features,
                colors[middle],
                colors[middle] if before is None else before,
                [color for color, _ in warped],
                masks,
            )
            sums["l1"] = sums["l1"] + (out - batch.ab[:, middle]).abs().mean()
            sums["sr"] = sums["sr"] + (sr - batch.large_ab[:, middle]).abs().mean()
            sums["tv"] = sums["tv"] + total_variation(out)
            if before is not None:
                sums["short"] = sums["short"] + short_term_loss(out, before, masks[2])
            if step >= 2 and first is not None and self.recipe.weights["long"]:
                moved, mask = self._warped(batch.luma, first, PALINDROME[MIDDLE], middle, flows)
                sums["long"] = sums["long"] + short_term_loss(out, moved, mask)
            previous = out.detach()
            first = previous if first is None else first
        total = torch.stack([self.recipe.weights[name] * term for name, term in sums.items()]).sum()
        return {"loss": update(total), **{name: term.detach() for name, term in sums.items()}}

    def keep(self, run: Run, *, better: bool) -> None:
        """See :meth:`Task.keep`; both networks are left."""
        if self.due(run):
            for name, network in (("ssnet", self.ssnet), ("cpnet", self.cpnet)):
                path = run.folder / f"{name}_epoch{run.epoch}_bs{self.recipe.batch_size}.pth"
                write_state(path, cpu_copy(network.state_dict()))
        if better:
            facts = {"format": "co2net", "network": "ssnet", "variant": self.ssnet.variant}
            save_weights(run.folder / self.result, self.ssnet.state_dict(), facts)
            facts = {"format": "co2net", "network": "cpnet", "variant": self.cpnet.variant}
            save_weights(run.folder / TrainCPNet.result, _one_of_each(self.cpnet.state_dict()), facts)

    @torch.no_grad()
    def _reference(self, luma: Tensor, color: Tensor) -> tuple[Tensor | None, list[Tensor] | None]:
        if self.ssnet.corr is None:
            return None, None
        pairs = zip(luma.split(1), color.split(1), strict=True)
        lab = torch.cat([centered_lab(join_lab8(one, ab)) for one, ab in pairs]).to(luma)
        return lab, self.ssnet.corr.reference_features(lab)

    def _warped(
        self, luma: Tensor, color: Tensor, number: int, middle: int, flows: dict[tuple[int, int], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """A frame's colors moved to the middle one, and where they can be trusted; the flow is kept in `flows`."""
        here, there = luma[:, middle].expand(-1, 3, -1, -1), luma[:, number].expand(-1, 3, -1, -1)
        if (middle, number) not in flows:
            with torch.no_grad():
                still = number == middle
                pair = (there, here) if self.published else (here, there)
                flows[middle, number] = torch.zeros_like(here[:, :2]) if still else self.estimate(*pair)
        flow = flows[middle, number]
        mask = visibility_mask(here, warp_variant(there, flow, self._variant), self.recipe.mask_parameter)
        return warp_variant(color, flow, self._variant), mask


def _sheet(sample: Sample, color: Tensor) -> Tensor:
    """Gray, scribble, result and real side by side ``(1, 3, H, 4W)``."""
    neutral = torch.full_like(sample.ab, 128 / 255)
    mid = torch.full_like(sample.luma, 0.6)
    shown = ((sample.luma, neutral), (mid, sample.scribble), (sample.luma, color), (sample.luma, sample.ab))
    pictures = [torch.from_numpy(join_lab8(luma[:1], ab[:1])) for luma, ab in shown]
    return torch.cat(pictures, dim=1).permute(2, 0, 1)[None].float() / 255


def _one_of_each(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that stand under two names, under the later one only: safetensors files share none."""
    last = {tensor.data_ptr(): name for name, tensor in state.items()}
    return {name: tensor for name, tensor in state.items() if last[tensor.data_ptr()] == name}
