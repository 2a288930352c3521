"""Settings of stage 2 and its two recipes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from co2net.data.frame_lists import STEP
from co2net.errors import InputError
from co2net.training.schedule import STAGE2_SCHEDULES

CHOICES = {
    "schedule": STAGE2_SCHEDULES,
    "loss": ("paper", "foreground"),
    "start": ("default", "lut"),
    "precision": ("fp32", "bf16", "fp16"),
}
# May change between the parts of a resumed run: they do not change what is computed.
FREE = ("workers", "log_every", "validate_every", "checkpoint_every", "keep_gib")


@dataclass
class Stage2Config:
    """Settings of a run, saved in its checkpoints. The defaults are the published recipe (spec section 10)."""

    previous: int = 1  # neighbors before the frame; the published model has 8
    future: int = 1  # and after it
    frame_step: int = STEP  # distance of annotated frames, in frame numbers
    stored: bool = False  # read the color mapping's results from disk instead of making them from the neighbors
    size: int = 256  # height and width of the frames, pixels
    epochs: int = 120
    batch_size: int = 32  # over all processes
    learning_rate: float = 1e-5
    schedule: str = "epochs"  # see schedule.stage2_factor
    loss: str = "paper"  # whole frame over the mask's area; "foreground": inside the mask only
    minimum_area: float = 1.0  # pixels; floor of the mask's area in the paper's loss, which has none (0)
    start: str = "default"  # "lut": the untrained refinement returns the color mapping's result
    freeze_batch_norm: bool = False  # batch norm with its running statistics: small batches mislead it
    caution: float = 0.0  # share by which targets are moved back to the composite, as in stage 1
    flip: bool = False  # mirror half of the samples
    crop: int = 0  # side of random square crops, pixels; 0: whole frames
    precision: str = "fp32"  # autocast of the networks; color mapping and loss stay float32
    seed: int = 0
    workers: int = 0  # processes that read frames
    log_every: int = 100  # steps
    validate_every: int = 1  # epochs
    checkpoint_every: int = 250  # steps, beside the end of every epoch
    keep_gib: float = 4.0  # if the networks' results for all frames fit, they are made once and kept in memory

    def check(self) -> None:
        """Raise :class:`InputError` for a value that makes no sense; the message names the option."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"--{name} {getattr(self, name)} is unknown; choose one of {', '.join(choices)}")
        for name in ("frame_step", "size", "epochs", "batch_size", "log_every", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} must be 1 or more, got {getattr(self, name)}")
        for name, value in (("previous_num", self.previous), ("future_num", self.future)):
            if value < 0:
                raise InputError(f"--{name} must be 0 or more, got {value}")
        for name in ("workers", "minimum_area", "crop", "keep_gib", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name} must be 0 or more, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise InputError(f"--learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.caution < 1:
            raise InputError(f"--caution must be from 0 to below 1, got {self.caution}")
        if self.crop > self.size:
            raise InputError(f"--crop {self.crop} is larger than the frames (--size {self.size})")

    def as_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return dataclasses.asdict(self)


def quick_config() -> Stage2Config:
    """For a handful of clips and a CPU: starts as the color mapping's result and departs from it carefully."""
    return Stage2Config(
        batch_size=16,
        learning_rate=1e-4,  # at 1e-3 a few hundred scenes are learned by heart
        schedule="cosine",
        loss="foreground",
        start="lut",
        freeze_batch_norm=True,
        caution=0.15,
        flip=True,
        crop=128,
    )


RECIPES = {"paper": Stage2Config, "quick": quick_config}
