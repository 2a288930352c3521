"""Networks for single pictures learn from composites and their real pictures, by their published recipes.

iHarmony4 in the first place. Crops of changing place, size and shape, mirrored half of the time; whole passes over the
data; the rate falls at epochs; what a recipe freezes stays as it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from co2net.checks import check_least
from co2net.data.clips import read_parts
from co2net.data.pictures import resize_mask, resize_plane, to_picture
from co2net.data.samples import Sample
from co2net.errors import InputError
from co2net.files import make_folder, write_beside
from co2net.metrics import mse, psnr_paper
from co2net.models.backbones import Backbone, Recipe, backbone_class
from co2net.models.precision import training_autocast
from co2net.models.weight_header import WeightHeader, save_model_weights
from co2net.training.checkpoint import cpu_copy, write_state
from co2net.training.loop import Run
from co2net.training.task import Shares, Task, Update, Validation, epochs_of, sample_loader
from co2net.training.views import ASPECT, KEPT_ANYWAY, draw_window

SMALLEST = 0.5  # crops, as a share of the picture's area
JPEG_QUALITY = 85


@dataclass
class PairsConfig:
    """Settings of a run; part of what a resumed run must share.

    Attributes:
        backbone: registered name.
        recipe: name of one of its recipes.
        settings: of the network, where they are not its defaults.
        height, width: of the crops.
        batch: pictures in a step.
        epochs: passes over the data in all.
        first_epoch: those that are taken as done.
        learning_rate: base rate, before the recipe's rule for batches.
        frozen: parts that are not trained; None: what the recipe says.
        precision: "fp32" or "bf16".
        seed: of samples and weights.
    """

    backbone: str
    recipe: str
    settings: dict[str, Any] = field(default_factory=dict)
    height: int = 256
    width: int = 256
    batch: int = 16
    epochs: int = 120
    first_epoch: int = 0
    learning_rate: float = 1e-3
    frozen: tuple[str, ...] | None = None
    precision: str = "fp32"
    seed: int = 0


@dataclass
class HowToSave:
    """What an epoch leaves, and how samples are made; may change in a resumed run.

    Attributes:
        workers: processes that make samples.
        numbered: every so many epochs ``checkpoints/<epoch>.pth`` is kept.
        show_every: steps between pictures in ``vis/train/``; 0: none.
    """

    workers: int = 0
    numbered: int = 1
    show_every: int = 100


def recipe_pairs(backbone: str, recipe: str) -> PairsConfig:
    """The settings of a network's published recipe.

    Raises:
        InputError: there is no such network or recipe, or it is none for whole passes over a data set.
    """
    recipes = backbone_class(backbone).recipes
    if recipe not in recipes or not recipes[recipe].epochs:
        published = [name for name, known in recipes.items() if known.epochs]
        raise InputError(f"backbone {backbone} has no published recipe {recipe!r}; it has {', '.join(published)}")
    chosen = recipes[recipe]
    size, _, batch = chosen.phases[-1]
    return PairsConfig(
        backbone,
        recipe,
        height=size,
        width=size,
        batch=batch,
        epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        precision=chosen.precision,
    )


class PairDataset(Dataset[dict[str, np.ndarray]]):
    """Numbered samples; the same number is the same sample whoever asks.

    Args:
        entries: composite, mask and real picture.
        shape: height and width of the samples.
        network: what prepares further planes of the full-size composite.
        seed: of the run.
        least_foreground: pixels; see :attr:`Recipe.least_foreground`.
        augment: crops and mirrored pictures in shuffled passes. False: sample n is picture n, resized.
    """

    def __init__(
        self,
        entries: Sequence[Sample],
        shape: tuple[int, int],
        network: Backbone,
        *,
        seed: int = 0,
        least_foreground: float = 0.0,
        augment: bool = True,
    ) -> None:
        self.entries, self.shape, self.prepare, self.seed = list(entries), shape, network.prepare, seed
        self.least_foreground, self.augment = least_foreground, augment

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """``composite``, ``real`` and planes ``(H, W, C)`` uint8, ``mask (H, W)`` float32 in [0, 1]."""
        epoch, position = divmod(number, len(self.entries))
        if self.augment:
            position = np.random.default_rng((self.seed, 1 << 40, epoch)).permutation(len(self.entries))[position]
        entry = self.entries[position]
        composite, mask, real = read_parts(entry)
        planes = {"composite": composite, "real": real, **self.prepare(composite)}
        if not self.augment:
            shown = {name: resize_plane(plane, self.shape) for name, plane in planes.items()}
            return {**shown, "mask": resize_mask(mask, self.shape)}
        rng = np.random.default_rng((self.seed, number))
        while True:
            top, bottom, left, right = draw_crop(rng, *mask.shape)
            window = slice(top, bottom), slice(left, right)
            seen = resize_mask(np.ascontiguousarray(mask[window]), self.shape)
            if seen.sum() > self.least_foreground or rng.random() < KEPT_ANYWAY:
                break
        shown = {name: resize_plane(plane[window], self.shape) for name, plane in planes.items()}
        shown["mask"] = seen
        if rng.random() < 0.5:
            shown = {name: np.ascontiguousarray(plane[:, ::-1]) for name, plane in shown.items()}
        return shown


def draw_crop(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    """``(top, bottom, left, right)``: half the area or more, 3 : 4 to 4 : 3; else the largest such window."""
    found = draw_window(rng, height, width, SMALLEST)
    if found:
        return found
    w, h = min(width, max(1, round(height * ASPECT))), min(height, max(1, round(width * ASPECT)))
    top, left = (height - h) // 2, (width - w) // 2
    return top, top + h, left, left + w


def to_tensors(samples: Sequence[dict[str, np.ndarray]], device: torch.device) -> dict[str, Tensor]:
    """Stacked: pictures and planes ``(B, C, H, W)``, mask ``(B, 1, H, W)``, all in [0, 1]."""
    made = {}
    for name in samples[0]:
        stacked = torch.from_numpy(np.stack([sample[name] for sample in samples])).to(device)
        made[name] = stacked[:, None] if name == "mask" else stacked.permute(0, 3, 1, 2).float() / 255
    return made


class PairsTask(Task):
    """One network and its data.

    Args:
        network: with fresh or with start weights.
        train: pictures to learn from.
        validation: held-out ones, resized as they are.
        config: settings.
        saving: what is left on disk.

    Raises:
        InputError: a setting is out of range, or there is nothing to learn from.
    """

    def __init__(
        self,
        network: Backbone,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        config: PairsConfig,
        saving: HowToSave | None = None,
    ) -> None:
        for name in ("height", "width", "batch", "epochs"):
            check_least(name, getattr(config, name), 1)
        if not 0 <= config.first_epoch < config.epochs:
            raise InputError(f"`start_epoch` must be from 0 to below {config.epochs}, got {config.first_epoch}")
        if not train:
            raise InputError("there are no pictures to learn from; name other `datasets`")
        self.title = f"{network.title}, {config.recipe}"
        self.network, self.config, self.saving = network, config, saving or HowToSave()
        self.entries, self.validation = list(train), list(validation)
        self.recipe: Recipe = backbone_class(config.backbone).recipes[config.recipe]
        self.frozen = self.recipe.frozen if config.frozen is None else tuple(config.frozen)
        for part in self.frozen:
            network.get_submodule(part).requires_grad_(False)
        self.facts = {**dataclasses.asdict(config), "pictures": len(self.entries)}
        self.facts["frozen"] = list(self.frozen)
        self.networks = {"backbone": network}
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizers = {"backbone": torch.optim.Adam(learned, lr=self.learning_rate)}
        self.steps_per_epoch = math.ceil(len(self.entries) / config.batch)
        self.steps = self.steps_per_epoch * (config.epochs - config.first_epoch)
        self.precision, self.seed, self.judges = config.precision, config.seed, bool(validation)
        self.result = f"{config.backbone}.safetensors"

    @property
    def learning_rate(self) -> float:
        """Under the recipe's rule for batches."""
        meant = self.recipe.rate_batch
        return self.config.learning_rate * (math.sqrt(self.config.batch / meant) if meant else 1.0)

    def numbers(self, step: int) -> range:
        """Whole passes; the last batch of one may be smaller."""
        return epochs_of(len(self.entries), self.config.batch, step)

    def batches(self, shares: Shares, run: Run) -> Iterator[dict[str, Tensor]]:
        """One loader for the run."""
        self._run = run
        dataset = PairDataset(
            self.entries,
            (self.config.height, self.config.width),
            self.network,
            seed=self.config.seed,
            least_foreground=self.recipe.least_foreground,
        )
        for samples in run.waiting(sample_loader(dataset, shares, self.saving.workers)):
            yield to_tensors(samples, run.device)

    def train_mode(self) -> None:
        """Frozen parts keep the statistics of their batch norms."""
        super().train_mode()
        for part in self.frozen:
            self.network.get_submodule(part).eval()

    def factor(self, step: int) -> float:
        """A tenth from each milestone on, counted in epochs."""
        epoch = self.config.first_epoch + step // self.steps_per_epoch
        return 0.1 ** sum(epoch >= milestone for milestone in self.recipe.milestones)

    def learn(self, batch: dict[str, Tensor], update: Update) -> Mapping[str, float]:
        """The network's own losses; pictures for people now and then."""
        composite, real, mask = batch["composite"], batch["real"], batch["mask"]
        planes = {name: batch[name] for name in self.network.planes}
        with training_autocast(composite.device, self.precision):
            out = self.network(composite, mask, **planes)
        terms = self.network.losses(out, real, mask, self.recipe)
        total = update(torch.stack(list(terms.values())).sum())
        run = self._run
        if run.log and self.saving.show_every and run.progress.step % self.saving.show_every == 0:
            lut_image = getattr(out, "lut_image", None)
            final = self.network.denormalize(out.raw.detach().float())
            row = [composite, mask.expand_as(composite), real, *([] if lut_image is None else [lut_image]), final]
            self._show(torch.cat([picture[0].detach().float() for picture in row], dim=-1))
        found = {name: float(term.detach()) for name, term in terms.items()} if len(terms) > 1 else {}
        return {"loss": total, **found}

    def _show(self, row: Tensor) -> None:
        _, jpeg = cv2.imencode(".jpg", to_picture(row)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        folder = self._run.folder / "vis" / "train"
        make_folder(folder)
        write_beside(folder / f"{self._run.progress.step:06d}_reconstruction.jpg", jpeg.tobytes())

    def validate(self, run: Run) -> Validation | None:
        """Mean squared error and PSNR of whole pictures, resized."""
        if not self.validation:
            return None
        self.network.eval()
        shape = self.config.height, self.config.width
        dataset = PairDataset(self.validation, shape, self.network, augment=False)
        numbers = [[n] for n in run.processes.share(range(len(dataset)))]
        sums, shown = [0.0, 0.0, 0.0], []
        for samples in sample_loader(dataset, numbers, self.saving.workers):
            batch = to_tensors(samples, run.device)
            composite, real, mask = batch["composite"], batch["real"], batch["mask"]
            with torch.no_grad(), training_autocast(run.device, self.precision):
                out = self.network(composite, mask, **{name: batch[name] for name in self.network.planes})
            image = out.image.float().clamp(0, 1)
            psnr = float(psnr_paper(image, real))
            found = float(mse(image, real)), psnr if math.isfinite(psnr) else 100.0, 1.0
            sums = [total + value for total, value in zip(sums, found, strict=True)]
            if len(shown) < 4:
                shown.append(torch.cat([composite, image, real], dim=-1))
        error, psnr, count = run.processes.sum(*sums)
        scores = {"mse": error / max(count, 1.0), "psnr": psnr / max(count, 1.0)}
        pictures = torch.cat(shown) if shown else None
        text = f"MSE {scores['mse']:.2f}, PSNR {scores['psnr']:.2f}"
        return Validation(scores["mse"] / 255**2, scores, pictures, "composite_result_real", text)

    def keep(self, run: Run, *, better: bool) -> None:
        """``checkpoints/``: the last one under its published name, every so many epochs a numbered one."""
        if not run.progress.step:
            return
        state, folder = cpu_copy(self.network.state_dict()), run.folder / "checkpoints"
        make_folder(folder)
        write_state(folder / "last_checkpoint.pth", state)
        epoch = self.config.first_epoch + run.epoch - 1
        if epoch % self.saving.numbered == 0 or run.progress.step == self.steps:
            write_state(folder / f"{epoch:03d}.pth", state)

    def finish(self, run: Run) -> None:
        """The network, with what loading it needs to know."""
        header = WeightHeader(
            backbone=self.config.backbone,
            training_size=self.network.learned_size(self.config.height),
            mapping="predicted" if self.network.predicts_mapping else "smooth",
            facts={f"validation_{name}": f"{value:.4f}" for name, value in run.progress.last_scores.items()},
        )
        save_model_weights(run.folder / self.result, self.network.state_dict(), header)
