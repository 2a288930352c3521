"""What a composite is made of: one file with its mask, or a foreground over a background."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np

from co2net.checks import check_choice
from co2net.errors import InputError
from co2net.files import PathLike
from co2net.video import (
    Composing,
    Frame,
    MaskOptions,
    Part,
    VideoInfo,
    masks_from_alpha,
    open_composed,
    open_mask,
    open_video,
    pair,
)
from co2net.video.float_pictures import Transfer
from co2net.video.hardware import Hardware, decoding
from co2net.video.pictures import PICTURE_ENDINGS


@dataclass(frozen=True)
class CompositeInputs:
    """Paths and how to read them; may be opened several times. Arguments as of ``harmonize_video``.

    Raises:
        InputError: the paths do not go together.
    """

    composite: PathLike | None
    mask: PathLike | None = None
    foreground: PathLike | None = None
    background: PathLike | None = None
    mask_fit: str = "error"
    mask_retime: str = "error"
    mask_channel: str = "auto"
    frame_rate: Fraction | None = None
    mask_options: MaskOptions | None = None
    composing: Composing | None = None
    part: Part | None = None
    keep_partial: bool = False
    transfer: Transfer = "auto"
    hardware: Hardware = "off"

    def __post_init__(self) -> None:
        composes = self.foreground is not None or self.background is not None
        if composes and self.composite is not None:
            raise InputError("give either a composite, or `foreground` with `background`, not both")
        if composes and (self.foreground is None or self.background is None):
            raise InputError("`foreground` and `background` belong together; one of them is missing")
        if not composes and self.composite is None:
            raise InputError("give a composite video, or `foreground` with `background`")

    @property
    def paths(self) -> list[Path]:
        """Everything that is read, and so must not be written over."""
        given = (self.composite, self.mask, self.foreground, self.background)
        return [Path(path) for path in given if path is not None]

    @property
    def is_picture(self) -> bool:
        """Whether the composite is one picture."""
        path = None if self.composite is None else Path(self.composite)
        return path is not None and path.suffix.lower() in PICTURE_ENDINGS and path.is_file()

    def open(self, stack: ExitStack) -> tuple[VideoInfo, Iterator[tuple[Frame, np.ndarray]], list[str]]:
        """Open all of them until `stack` closes: the composite's facts, frames with masks, notes on the masks.

        The notes are complete when the frames were walked.

        Raises:
            InputError: a file cannot be used, or they do not fit each other.
        """
        if self.foreground is not None and self.background is not None:
            composed = stack.enter_context(
                open_composed(
                    self.foreground,
                    self.background,
                    self.mask,
                    retime=self.mask_retime,  # type: ignore[arg-type]
                    fit=self.mask_fit,  # type: ignore[arg-type]
                    options=self._options(),
                    composing=self.composing,
                    frame_rate=self.frame_rate,
                    part=self.part,
                    transfer=self.transfer,
                    hardware=self.hardware,
                )
            )
            self._check_transfer(*composed.inputs)
            composed.coded = True
            composed.notes += self._who_decodes()
            return composed.info, iter(composed), composed.notes
        assert self.composite is not None  # noqa: S101  (checked on making)
        reader = stack.enter_context(
            open_video(
                self.composite,
                self.frame_rate,
                part=self.part,
                keep_partial=self.keep_partial,
                transfer=self.transfer,
                hardware=self.hardware,
            )
        )
        self._check_transfer(reader.info)
        if self.mask is not None:
            masks = open_mask(
                self.mask,
                like=reader.info,
                fit=self.mask_fit,  # type: ignore[arg-type]
                retime=self.mask_retime,  # type: ignore[arg-type]
                options=self._options(),
            )
        elif reader.info.has_alpha:
            masks = masks_from_alpha(reader.info, options=self._options())
        else:
            raise InputError(f"{self.composite} has no alpha channel; say where its foreground is with `mask`")
        stack.enter_context(masks)
        masks.follow(reader)
        masks.coded = True
        masks.notes += self._who_decodes()
        return reader.info, pair(reader, masks), masks.notes

    def _who_decodes(self) -> list[str]:
        """A note, where a graphics processor was asked for."""
        if self.hardware == "off":
            return []
        kind = decoding(self.hardware)[1]
        return [
            f"decoded by {kind} where it knows the codec"
            if kind
            else "no graphics processor decodes here: decoded on the processor"
        ]

    def _check_transfer(self, *infos: VideoInfo) -> None:
        check_choice("transfer", self.transfer, get_args(Transfer))
        if self.transfer != "auto" and not any(info.has_float for info in infos):
            raise InputError(
                f"`transfer` {self.transfer}: {infos[0].path} holds no floating-point samples; leave it out"
            )

    def _options(self) -> MaskOptions:
        options = self.mask_options or MaskOptions()
        return options if self.mask_channel == "auto" else replace(options, channel=self.mask_channel)  # type: ignore[arg-type]
