"""The published system's training as a task of the one loop, and the measuring of its results.

What the release did wrong is right here: validation clips are not training clips, the rhythm of validation never is
zero, the mask plane is the same in training and prediction, and a probability is binarized once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from co2net.data.pictures import read_image, resize_image, resize_mask, to_tensor
from co2net.errors import InputError
from co2net.flow import FlowEstimator
from co2net.matting.moving_mask import THRESHOLD, FlowOrder, Motion, moving_pair, network_input
from co2net.matting.published_data import MattingFrame, previous_of, read_truth
from co2net.matting.unet import MattingNetwork
from co2net.metrics import dice
from co2net.training.checkpoint import cpu_copy, write_state
from co2net.training.loop import Run
from co2net.training.task import Shares, Task, Update, Validation, epochs_of
from co2net.weight_files import save_weights

VALIDATIONS = 10  # per epoch, as published
KEPT_BYTES = 512 << 20  # of decoded pictures; what does not fit is read again
PATIENCE, FALL = 2, 0.1  # passes without a better score, then the rate falls to that share
LEARNED = 0.1  # Dice score below which a network predicts nothing yet


@dataclass(frozen=True)
class MattingRecipe:
    """Settings of a training; defaults are the published ones, but for the motion and the order of the flow.

    Attributes:
        epochs: passes over the frames.
        batch_size: frames per step.
        learning_rate: of RMSprop at the start.
        scale: the network sees frames of ``int(scale·size)``.
        flow_threshold: pixels per frame from which a motion counts.
        mask_threshold: probability from which a pixel is foreground.
        motion: see :func:`~co2net.matting.moving_mask`.
        flow_order: see :func:`~co2net.matting.moving_pair`.
        validations: per epoch.
        averaging: share of the old in a running mean of the weights, which is then what is validated and kept; 0: none.
        seed: of the order of the frames, of what is drawn and of the start.
    """

    epochs: int = 10
    batch_size: int = 1
    learning_rate: float = 1e-4
    scale: float = 1.0
    flow_threshold: float = THRESHOLD
    mask_threshold: float = 0.5
    motion: Motion = "magnitude"
    flow_order: FlowOrder = "current_previous"
    validations: int = VALIDATIONS
    averaging: float = 0.0
    seed: int = 0


class Pairs(Protocol):
    """Training samples.

    Attributes:
        size: height and width.
    """

    size: tuple[int, int]

    def __len__(self) -> int: ...

    def pair(self, number: int, draw: int) -> tuple[Tensor, Tensor]:
        """Planes ``(1, 4, h, w)`` and truth ``(1, 1, H, W)`` of a sample; `draw` counts on over all passes."""
        ...


class MattingSamples:
    """Network inputs and true masks of frames, in one size; moving masks are computed once and kept.

    Args:
        frames: of :func:`~co2net.matting.published_data.find_frames`.
        estimate: the flow.
        recipe: settings.
        size: height and width; None: that of the first frame. Frames of another size are resized.
    """

    def __init__(
        self,
        frames: Sequence[MattingFrame],
        estimate: FlowEstimator,
        recipe: MattingRecipe,
        size: tuple[int, int] | None = None,
    ) -> None:
        if not frames:
            raise InputError("there are no frames to train on")
        self.frames, self._before = list(frames), previous_of(frames)
        self._estimate, self._recipe = estimate, recipe
        first = read_image(self.frames[0].image)
        self.size = size or (first.shape[0], first.shape[1])
        self._moving: dict[int, np.ndarray] = {}
        self._kept: dict[MattingFrame, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, number: int) -> np.ndarray:
        """``(H, W, 3)`` uint8."""
        return self._read(self.frames[number])

    def moving(self, number: int) -> np.ndarray:
        """What moves: ``(H, W)`` float32 in [0, 1]."""
        if number not in self._moving:
            before, now = (self._read(f) for f in (self._before[number], self.frames[number]))
            first, second = (to_tensor(picture)[None] for picture in (before, now))
            r = self._recipe
            with torch.no_grad():
                found = moving_pair(self._estimate, first, second, r.flow_threshold, r.motion, r.flow_order)
            self._moving[number] = (255 * found[0, 0]).round().byte().numpy()
        return self._moving[number].astype(np.float32) / 255

    def planes(self, number: int) -> Tensor:
        """``(1, 4, h, w)``."""
        return network_input(self.moving(number), self.picture(number), self._recipe.scale)

    def truth(self, number: int) -> Tensor:
        """``(1, 1, H, W)`` of 0 and 1."""
        path = self.frames[number].mask
        if path is None:
            raise InputError(f"{self.frames[number].image} has no true mask")
        mask = read_truth(path)
        if mask.shape != self.size:
            mask = (resize_mask(mask, self.size) > 0.5).astype(np.float32)
        return torch.from_numpy(mask)[None, None]

    def pair(self, number: int, draw: int) -> tuple[Tensor, Tensor]:
        """See :class:`Pairs`; the same in every pass, as published."""
        return self.planes(number), self.truth(number)

    def _read(self, frame: MattingFrame) -> np.ndarray:
        if frame in self._kept:
            return self._kept[frame]
        picture = resize_image(read_image(frame.image), self.size)
        if len(self._kept) * picture.nbytes < KEPT_BYTES:
            self._kept[frame] = picture
        return picture


class TrainMatting(Task):
    """Binary cross-entropy by RMSprop; the rate falls when the Dice score does not rise.

    Args:
        network: to train.
        samples: training frames.
        validation: frames of other clips; None: the newest epoch is the best, and the rate stays.
        recipe: settings.
    """

    title, result = "matting", "matting.safetensors"
    largest_entry = 0.1

    def __init__(
        self, network: MattingNetwork, samples: Pairs, validation: MattingSamples | None, recipe: MattingRecipe
    ) -> None:
        self.network, self.samples, self.validation, self.recipe = network, samples, validation, recipe
        first = network.unet.last.weight
        self.facts = {**asdict(recipe), "items": len(samples), "size": list(samples.size), "width": first.shape[1]}
        self.networks: dict[str, nn.Module] = {"matting": network}
        rmsprop = torch.optim.RMSprop(network.parameters(), recipe.learning_rate, momentum=0.9, weight_decay=1e-8)
        self.optimizers: dict[str, torch.optim.Optimizer] = {"matting": rmsprop}
        self._plateau = Plateau()
        self.others = {"plateau": self._plateau}
        per_epoch = -(-len(samples) // recipe.batch_size)
        # What the loop calls an epoch lies between two validations: a tenth of a pass in the release.
        rhythm = max(1, len(samples) // (recipe.validations * recipe.batch_size))
        self.steps_per_epoch = per_epoch if recipe.validations == 1 else rhythm
        self._pass = per_epoch
        self.steps = recipe.epochs * per_epoch
        self.seed, self.judges, self.averaging = recipe.seed, validation is not None, recipe.averaging

    def numbers(self, step: int) -> range:
        """See :meth:`Task.numbers`."""
        return epochs_of(len(self.samples), self.recipe.batch_size, step)

    def batches(self, shares: Shares, run: Run) -> Iterator[tuple[Tensor, Tensor]]:
        """See :meth:`Task.batches`."""
        count = len(self.samples)

        def loader() -> Iterator[tuple[Tensor, Tensor]]:
            for numbers in shares:
                pairs = []
                for n in numbers:
                    order = np.random.default_rng((self.seed, n // count)).permutation(count)
                    pairs.append(self.samples.pair(int(order[n % count]), n))
                planes, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
                yield planes.to(run.device), truth.to(run.device)

        yield from run.waiting(loader())

    def factor(self, step: int) -> float:
        """See :meth:`Task.factor`."""
        return self._plateau.factor

    def learn(self, batch: tuple[Tensor, Tensor], update: Update) -> dict[str, Tensor | float]:
        """See :meth:`Task.learn`."""
        planes, truth = batch
        truth = _fit(truth, planes.shape[2:])
        return {"loss": update(F.binary_cross_entropy_with_logits(self.network.logits(planes), truth))}

    def validate(self, run: Run) -> Validation | None:
        """See :meth:`Task.validate`: Dice of the binarized masks."""
        if self.validation is None:
            return None
        numbers = list(run.processes.share(range(len(self.validation))))
        scores = measure(self.network, self.validation, self.recipe, numbers)
        total, count = run.processes.sum(sum(scores["dice"]), len(numbers))
        score = total / max(count, 1)
        if self._ends_pass(run.progress.step):
            self._plateau.note(score)
        return Validation(1 - score, {"dice": score}, text=f"Dice {score:.4f}")

    def keep(self, run: Run, *, better: bool) -> None:
        """See :meth:`Task.keep`: ``CP_epoch<e>.pth`` after every pass, the best one as :attr:`result`."""
        step = run.progress.step
        if self._ends_pass(step):
            write_state(run.folder / f"CP_epoch{step // self._pass}.pth", cpu_copy(self.network.state_dict()))
        if better or not self.judges:
            save_weights(run.folder / self.result, self.network.state_dict(), self._described())

    def _described(self) -> dict[str, str]:
        """What whoever uses the weights must know."""
        r = self.recipe
        facts = {"format": "co2net", "network": "matting", "motion": r.motion, "flow_order": r.flow_order}
        return facts | {
            "flow_threshold": f"{r.flow_threshold:g}",
            "scale": f"{r.scale:g}",
            "lines": str(min(self.samples.size)),
        }

    def _ends_pass(self, step: int) -> bool:
        """Whether this is the first validation after the end of a pass; validations do not divide passes evenly."""
        before = max(0, step - 1) // self.steps_per_epoch * self.steps_per_epoch
        return step // self._pass > before // self._pass


class Plateau:
    """The rate's factor: falls when the score has not risen for :data:`PATIENCE` passes.

    The release listened to all ten validations of a pass: on small data the rate was gone before anything was learned.
    """

    def __init__(self) -> None:
        self.factor, self._best, self._waited = 1.0, -np.inf, 0

    def note(self, score: float) -> None:
        """The score of a validation, higher is better."""
        if score < LEARNED:
            return  # nothing is predicted yet, which is no plateau
        if score > self._best * (1 + 1e-4):
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._waited > PATIENCE:
            self.factor, self._waited = self.factor * FALL, 0

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"factor": self.factor, "best": float(self._best), "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From checkpoints."""
        self.factor, self._best, self._waited = state["factor"], state["best"], state["waited"]


@torch.no_grad()
def measure(
    network: MattingNetwork, samples: MattingSamples, recipe: MattingRecipe, numbers: Sequence[int] | None = None
) -> dict[str, list[float]]:
    """Dice of the binarized mask and AUROC of the probability, frame by frame.

    Args:
        network: on any device.
        samples: frames with masks.
        recipe: its scale and thresholds count.
        numbers: which frames; None: all.
    """
    network.eval()
    device = next(network.parameters()).device
    scores: dict[str, list[float]] = {"dice": [], "auroc": []}
    for number in range(len(samples)) if numbers is None else numbers:
        truth = samples.truth(number)
        found = network.probability(samples.planes(number).to(device), (truth.shape[2], truth.shape[3]))[:, :1].cpu()
        scores["dice"].append(float(dice((found > recipe.mask_threshold).float(), truth)))
        scores["auroc"].append(auroc(found.flatten().numpy(), truth.flatten().numpy() > 0.5))
    return scores


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve of pixels; ``nan`` where the truth is all one kind."""
    positives = int(truth.sum())
    negatives = truth.size - positives
    if not positives or not negatives:
        return float("nan")
    values, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share their mean rank
    total = float(ranks[place[truth]].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def _fit(truth: Tensor, size: Sequence[int]) -> Tensor:
    wanted = (int(size[0]), int(size[1]))
    return truth if tuple(truth.shape[2:]) == wanted else (F.interpolate(truth, wanted, mode="area") > 0.5).float()
