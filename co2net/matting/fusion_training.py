"""Training of the network that weighs the witnesses (:mod:`co2net.matting.fusion`), as a task of the one loop.

Its logit is added to the weight-free sum, so an untrained network does no harm and a trained one mends. Samples
(:mod:`co2net.matting.fusion_samples`) are made before the first step and kept in the run's folder.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.array_files import read_npy
from co2net.errors import InputError
from co2net.files import make_folder, write_beside
from co2net.matting.carry import PLANES, SUM_SCALE
from co2net.matting.fusion_samples import Walks
from co2net.matting.unet import MattingNetwork
from co2net.metrics import dice, iou
from co2net.training.log import Ticker
from co2net.training.loop import Run
from co2net.training.schedule import cosine
from co2net.training.task import Shares, Task, Update, Validation
from co2net.weight_files import save_weights

HELD_OUT = 0.1  # walks through the held-out clips, as a share of the others
DICE = 0.5  # weight of the Dice loss beside cross-entropy


@dataclass(frozen=True)
class FusionRecipe:
    """Settings of a training.

    Attributes:
        walks: how many are made; each gives about five samples.
        steps: optimizer steps.
        batch_size: samples per step.
        learning_rate: of AdamW at the start; falls along a cosine.
        share: of the network's logit that is kept in the end: less than 1 errs less where the network is wrong.
        seed: of all that is drawn.
    """

    walks: int = 400
    steps: int = 1200
    batch_size: int = 8
    learning_rate: float = 2e-3
    share: float = 0.6
    seed: int = 0


class TrainFusion(Task):
    """Cross-entropy and half of the Dice loss of the sum of both logits.

    Args:
        network: on :data:`~co2net.matting.carry.PLANES`.
        walks: of the training clips.
        held_out: of other clips; None: no validation.
        recipe: settings.
        facts: what else two runs must share: names of clips, the earlier round's weights.
    """

    title, result, steps_per_epoch = "fusion", "matting.safetensors", 100

    def __init__(
        self, network: MattingNetwork, walks: Walks, held_out: Walks | None, recipe: FusionRecipe, facts: dict[str, Any]
    ) -> None:
        if not 0 < recipe.share <= 1:
            raise InputError(f"`share` must be above 0 and at most 1, got {recipe.share:g}")
        self.network, self._walks, self._held_out, self.recipe = network, walks, held_out, recipe
        self.facts = {**asdict(recipe), **facts}
        self.networks: dict[str, nn.Module] = {"fusion": network}
        self.optimizers = {"fusion": torch.optim.AdamW(network.parameters(), recipe.learning_rate)}
        self.steps, self.seed, self.judges = recipe.steps, recipe.seed, held_out is not None
        self._files: dict[str, list[tuple[Path, int]]] = {}

    def numbers(self, step: int) -> range:
        """See :meth:`Task.numbers`."""
        return range(step * self.recipe.batch_size, (step + 1) * self.recipe.batch_size)

    def prepare(self, run: Run) -> None:
        """See :meth:`Task.prepare`: make the samples that are not there yet."""
        # Settings that change samples change the folder: another run's are never taken.
        named = {name: self.facts[name] for name in self.facts if name not in ("steps", "batch_size", "share")}
        digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]
        folder = run.folder / f"samples_{digest}"
        make_folder(folder)
        count = self.recipe.walks
        parts = {"training": (self._walks, count)}
        if self._held_out is not None:
            parts["validation"] = self._held_out, max(1, round(HELD_OUT * count))
        for part, (walks, wanted) in parts.items():
            names = [folder / f"{part}_{number:05d}.npy" for number in range(wanted)]
            with Ticker("samples", wanted, "walk", 0, lambda done, n=wanted: done / n, quiet=run.quiet) as ticker:
                for number in run.processes.share(range(wanted)):
                    if not names[number].is_file():
                        content = io.BytesIO()
                        np.save(content, walks.samples(number))
                        write_beside(names[number], content.getvalue())
                    ticker.update(number + 1, part)
            run.processes.wait()
            self._files[part] = [(name, k) for name in names for k in range(len(np.load(name, mmap_mode="r")))]
            if not self._files[part]:
                raise InputError(f"the walks gave no samples of {part}: no mask lasts two frames, or there are too few")

    def batches(self, shares: Shares, run: Run) -> Iterator[Tensor]:
        """See :meth:`Task.batches`."""
        files = self._files["training"]

        def loader() -> Iterator[Tensor]:
            for numbers in shares:
                drawn = []
                for n in numbers:
                    rng = np.random.default_rng((self.seed, n))
                    sample = self._sample(*files[int(rng.integers(len(files)))])
                    drawn.append(sample.flip(-1) if rng.random() < 0.5 else sample)
                yield torch.stack(drawn).to(run.device)

        yield from run.waiting(loader())

    def factor(self, step: int) -> float:
        """See :meth:`Task.factor`."""
        return cosine(step / self.steps)

    def learn(self, batch: Tensor, update: Update) -> dict[str, Tensor | float]:
        """See :meth:`Task.learn`."""
        planes, truth = batch[:, :-1], batch[:, -1:]
        logit = SUM_SCALE * planes[:, :1] + self.network(planes)
        overlap = dice(logit.sigmoid(), truth).mean().float()
        return {"loss": update(F.binary_cross_entropy_with_logits(logit, truth) + DICE * (1 - overlap))}

    @torch.no_grad()
    def validate(self, run: Run) -> Validation | None:
        """See :meth:`Task.validate`: intersection over union in the held-out clips' samples."""
        if self._held_out is None:
            return None
        self.network.eval()
        files = self._files["validation"]
        own = list(run.processes.share(range(len(files))))
        ours = plain = 0.0
        for number in own:
            sample = self._sample(*files[number])[None].to(run.device)
            planes, truth = sample[:, :-1], sample[:, -1:]
            weightless = SUM_SCALE * planes[:, :1]
            plain += float(iou((weightless > 0).float(), truth))
            ours += float(iou((weightless + self.recipe.share * self.network(planes) > 0).float(), truth))
        ours, plain, count = run.processes.sum(ours, plain, len(own))
        scores = {"iou": ours / count, "iou_weightless": plain / count}
        text = f"IoU {scores['iou']:.4f}, without the network {scores['iou_weightless']:.4f}"
        return Validation(1 - scores["iou"], scores, text=text)

    def finish(self, run: Run) -> None:
        """See :meth:`Task.finish`: the last network; its logit is scaled by the recipe's share."""
        state = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        for name in ("unet.last.weight", "unet.last.bias"):
            state[name] *= self.recipe.share
        save_weights(run.folder / self.result, state, {"format": "co2net", "network": "matting_fusion"})

    def _sample(self, path: Path, place: int) -> Tensor:
        """``(len(PLANES) + 1, CROP, CROP)`` float32."""
        samples = read_npy(path)
        if samples.ndim != 4 or samples.shape[1] != len(PLANES) + 1 or place >= len(samples):
            raise InputError(f"{path} is no file of samples, or is damaged; delete it, and it is made again")
        return torch.from_numpy(samples[place].astype(np.float32))
