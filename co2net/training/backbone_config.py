"""Settings of stage 1: a backbone's recipe, and what a run adds to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from co2net.checks import check_choice, check_least
from co2net.errors import InputError
from co2net.flow.dis import SMALLEST_SIDE
from co2net.models.backbones import Recipe, backbone_class
from co2net.training.color_changes import ColorChangeMix
from co2net.training.temporal import TemporalConfig

# They do not change what is computed.
FREE = ("workers", "log_every", "validate_every", "checkpoint_every", "compiled")
PAPER_PAIRS = 32  # pairs of frames in a step of the published baseline of Huang et al.


class Phase(NamedTuple):
    """A stretch of the run at one resolution: `size` pixels square, `samples` samples, `batch` a step."""

    size: int
    samples: int
    batch: int

    @property
    def steps(self) -> int:
        """Optimizer steps of the phase."""
        return max(1, self.samples // self.batch)


@dataclass(frozen=True, kw_only=True)
class Stage1Config(Recipe):
    """Settings of a run, saved in its checkpoints: those of the recipe and these.

    Attributes:
        backbone: registered name.
        temporal: consistency of pairs of frames; None trains on single frames.
        adversarial_weight: of the discriminator's term; None trains without one.
        seed: of samples, first weights and dropout.
        workers: processes that prepare samples.
        log_every: steps between lines of the log.
        validate_every: steps between validations.
        checkpoint_every: steps between checkpoints.
        compiled: `torch.compile` what is computed in every step; wants a C++ compiler.
    """

    backbone: str = "issam"
    temporal: TemporalConfig | None = None
    adversarial_weight: float | None = None
    seed: int = 0
    workers: int = 0
    log_every: int = 50
    validate_every: int = 1000
    checkpoint_every: int = 250
    compiled: bool = False

    @property
    def stretches(self) -> tuple[Phase, ...]:
        """The phases, as such."""
        return tuple(Phase(*phase) for phase in self.phases)

    @property
    def color_changes(self) -> ColorChangeMix:
        """Shares of the color changes."""
        return ColorChangeMix(**self.mix)

    def as_dict(self) -> dict[str, Any]:
        """All that a run must share with the one it goes on from."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in FREE}

    def check(self) -> None:
        """Raise :class:`InputError` for a value that makes no sense; the message names the argument."""
        for phase in self.stretches:
            for name, value in phase._asdict().items():
                if value < 1:
                    raise InputError(f"`phases`: the {name} must be 1 or more, got {value}")
        for name in ("seed", "workers", "log_every", "validate_every", "checkpoint_every"):
            check_least(name, getattr(self, name), int(name.endswith("_every")))
        for name in ("learning_rate", "adversarial_weight"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"`{name}` must be a number above 0, got {value:g}")
        check_choice("precision", self.precision, ("fp32", "bf16"))
        for name in ("smoothness", "largest_gradient"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"`{name}` must be a number from 0 on, got {getattr(self, name):g}")
        if not 0 <= self.averaging < 1:
            raise InputError(f"`averaging` must be from 0 to below 1, got {self.averaging:g}")
        for name, share in self.mix.items():
            if not 0 <= share <= 1:
                raise InputError(f"`{name}` {share}: a share lies between 0 and 1")
        smallest = min(phase.size for phase in self.stretches)
        if self.temporal and self.temporal.runs_on_cpu and smallest < SMALLEST_SIDE:
            raise InputError(f"`phases`: the flow dis wants at least {SMALLEST_SIDE} pixels, got {smallest}")


def stage1_config(
    backbone: str,
    recipe: str | None = None,
    *,
    samples: int = 0,
    temporal: TemporalConfig | None = None,
    mix: Mapping[str, float] | None = None,
    **changes: Any,
) -> Stage1Config:
    """The settings of a recipe, with changes.

    Args:
        backbone: registered name.
        recipe: one of the backbone's; None: its usual one.
        samples: of the data set, for recipes that count epochs.
        temporal: consistency of pairs of frames. With the recipe "paper" it becomes that of the baseline of Huang et
            al. as the HYouTube benchmark trains it: batch 32, no crops or flips.
        mix: shares of color changes that differ from the recipe's.
        changes: other fields of :class:`Stage1Config`.

    Raises:
        InputError: there is no such backbone or recipe (lists what there is), or a value makes no sense.
    """
    recipes = backbone_class(backbone).recipes
    name = recipe or next(iter(recipes))
    if name not in recipes:
        raise InputError(f"backbone {backbone} has no recipe {name!r}; it has {', '.join(recipes)}")
    chosen = recipes[name]
    if chosen.epochs:
        if "phases" in changes:
            raise InputError(f"`phases`: the recipe {name} has phases of its own, leave them out")
        *before, (size, _, batch) = chosen.phases
        if temporal and name == "paper":
            batch, temporal = PAPER_PAIRS, dataclasses.replace(temporal, resize_only=True)
        changes["phases"] = (*before, (size, chosen.epochs * samples, batch))
    if chosen.rate_batch and "learning_rate" not in changes:
        batch = changes.get("phases", chosen.phases)[-1][2]
        changes["learning_rate"] = chosen.learning_rate * math.sqrt(batch / chosen.rate_batch)
    given = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(chosen)}
    changes["settings"] = {**chosen.settings, **changes.get("settings", {})}
    given |= {"backbone": backbone, "temporal": temporal, "mix": {**chosen.mix, **(mix or {})}, **changes}
    config = Stage1Config(**given)
    config.check()
    return config
