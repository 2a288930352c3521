"""What a stage 2 run writes down: the original's text log, TensorBoard, and a picture of the validation frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from co2net.errors import OutputError
from co2net.files import write_beside

TEXT_LOG, PICTURE, CONFIG = "logs.txt", "validation.png", "config.json"


class Stage2Log:
    """Logs of a run in its folder.

    Args:
        folder: of the run.
        config: settings, written to ``config.json``.
        step: steps done; what TensorBoard holds beyond them is hidden.
        text_bytes: length to which ``logs.txt`` is cut: a killed run wrote lines that the resumed one writes again.
            None: append.

    Raises:
        OutputError: the folder is not writable or full.
    """

    def __init__(self, folder: Path, config: dict[str, Any], step: int, text_bytes: int | None) -> None:
        self._folder = folder
        try:
            self._text = (folder / TEXT_LOG).open("a", encoding="utf-8")
            if text_bytes is not None and self._text.tell() > text_bytes:
                self._text.truncate(text_bytes)
        except OSError as error:
            raise OutputError(f"cannot write {folder / TEXT_LOG}: {error.strerror or error}") from error
        write_beside(folder / CONFIG, json.dumps(config, indent=1) + "\n")
        self._board = _open_board(folder, step)
        if self._board:
            self._board.add_text("config", f"```\n{json.dumps(config, indent=1)}\n```", 0)

    @property
    def text_bytes(self) -> int:
        """Length of ``logs.txt``, all written out."""
        return self._text.seek(0, 2)

    def line(self, kind: str, epoch: int, what: str | int, value: float) -> None:
        """One line in the original's form (``specs/co2net.md`` section 10.2); `epoch` counts from 0."""
        try:
            self._text.write(f"{kind}\tepoch {epoch}:\t{what}\t{value:.9g}\n")
            self._text.flush()
        except OSError as error:
            raise OutputError(f"cannot write {self._folder / TEXT_LOG}: {error.strerror or error}") from error

    def scalars(self, step: int, **values: float) -> None:
        """Numbers for TensorBoard; ``__`` in a name stands for a slash."""
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name.replace("__", "/"), value, step)

    def pictures(self, step: int, rows: Tensor) -> None:
        """Validation frames ``(N, 3, H, 5 W)`` in [0, 1]: composite, backbone, LUT, final, truth side by side."""
        rows = rows.clamp(0, 1)
        if self._board:
            self._board.add_images("val/composite_backbone_lut_final_truth", rows, step)
        tall = (rows.permute(0, 2, 3, 1).flatten(0, 1).numpy() * 255).round().astype(np.uint8)
        write_beside(self._folder / PICTURE, cv2.imencode(".png", tall[..., ::-1])[1].tobytes())

    def close(self) -> None:
        """Write out what is left."""
        self._text.close()
        if self._board:
            self._board.close()


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)
