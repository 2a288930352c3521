"""Settings of stage 2 and its two recipes. The command makes its options of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from co2net.checks import check_choice
from co2net.errors import InputError

# May change between the parts of a resumed run: they do not change what is computed.
FREE = ("workers", "log_every", "validate_every", "checkpoint_every", "keep_gib")


def _setting(
    default: Any, says: str, *, least: float | None = None, choices: Sequence[str] = (), flag: str = ""
) -> Any:
    """A field: its default, what the command's help says, the smallest value, and the flag where it is not the name."""
    return field(default=default, metadata={"says": says, "least": least, "choices": choices, "flag": flag})


@dataclass
class Stage2Config:
    """Settings of a run, saved in its checkpoints. The defaults are those of the published training."""

    previous: int = _setting(1, "neighbors before the frame; the published model has 8", least=0, flag="previous_num")
    future: int = _setting(1, "neighbors after it; published 8", least=0, flag="future_num")
    frame_step: int = _setting(5, "distance of annotated frames, in frame numbers", least=1)  # data.frame_lists.STEP
    stored: bool = False  # read the color mapping's results from disk instead of making them from the neighbors
    size: int = _setting(256, "height and width of the frames in pixels", least=1)
    epochs: int = _setting(120, "passes over the training frames", least=1)
    batch_size: int = _setting(32, "over all processes", least=1)
    learning_rate: float = _setting(1e-5, "of AdamW", least=0)
    schedule: str = _setting(
        "epochs",
        "epochs: a tenth at epochs 105 and 115; steps: at steps 105 and 115, as the original runs; cosine: down to 0",
        choices=("epochs", "steps", "cosine"),
    )
    loss: str = _setting("paper", "over the whole frame, or inside the mask only", choices=("paper", "foreground"))
    minimum_area: float = _setting(1.0, "pixels; floor of the mask's area in the paper's loss, which has 0", least=0)
    start: str = _setting(
        "default", "fresh refinement: random, or returning the color mapping's result", choices=("default", "lut")
    )
    freeze_batch_norm: bool = _setting(False, "running instead of batch statistics: small batches mislead those")
    held_back: float = _setting(0.0, "share of the correction that targets leave out, as in stage 1", least=0)
    flip: bool = _setting(False, "mirror half of the samples")
    crop: int = _setting(0, "side of random square crops in pixels; 0: whole frames", least=0)
    precision: str = _setting("fp32", "of the networks", choices=("fp32", "bf16", "fp16"))
    seed: int = _setting(0, "of samples and first weights", least=0)
    workers: int = _setting(0, "processes that read frames", least=0)
    validate_every: int = _setting(1, "epochs between validations", least=1, flag="val_every")
    checkpoint_every: int = _setting(250, "steps between checkpoints; there is one every 5 minutes anyway", least=1)
    log_every: int = _setting(100, "steps between lines of logs.txt", least=1)
    keep_gib: float = _setting(4.0, "GiB of memory for results that do not change", least=0)

    def check(self) -> None:
        """Raise :class:`InputError` for a value that makes no sense; the message names the argument."""
        for known in dataclasses.fields(self):
            value, choices, least = getattr(self, known.name), *map(known.metadata.get, ("choices", "least"))
            if choices:
                check_choice(known.name, value, choices)
            if least is not None and not least <= value < math.inf:
                raise InputError(f"`{known.name}` must be {least} or more, got {value}")
        if not self.learning_rate > 0:
            raise InputError(f"`learning_rate` must be above 0, got {self.learning_rate}")
        if not self.held_back < 1:
            raise InputError(f"`held_back` must be below 1, got {self.held_back}")
        if self.crop > self.size:
            raise InputError(f"`crop` {self.crop} is larger than the frames (`size` {self.size})")

    def as_dict(self) -> dict[str, Any]:
        """All that a run must share with the one it goes on from."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in FREE}


def quick_config() -> Stage2Config:
    """For a handful of clips and a CPU: starts as the color mapping's result and departs from it carefully."""
    return Stage2Config(
        batch_size=16,
        learning_rate=1e-4,  # at 1e-3 a few hundred scenes are learned by heart
        schedule="cosine",
        loss="foreground",
        start="lut",
        freeze_batch_norm=True,
        held_back=0.15,
        flip=True,
        crop=128,
    )


RECIPES: dict[str, Callable[[], Stage2Config]] = {"paper": Stage2Config, "quick": quick_config}
