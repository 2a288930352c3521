"""What a training writes down: a text log, TensorBoard, a picture of validation frames; and what it shows meanwhile."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor
from tqdm import tqdm

from co2net.errors import OutputError
from co2net.files import write_beside

TEXT_LOG, PICTURE, CONFIG = "logs.txt", "validation.png", "config.json"
_RHYTHM = 30.0  # seconds between lines where nobody watches a bar


class RunLog:
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

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int, text_bytes: int | None) -> None:
        self._folder = folder
        try:
            self._text = (folder / TEXT_LOG).open("a", encoding="utf-8")
            if text_bytes is not None and self._text.tell() > text_bytes:
                self._text.truncate(text_bytes)
        except OSError as error:
            raise OutputError(f"cannot write {folder / TEXT_LOG}: {error.strerror or error}") from error
        text = json.dumps(dict(config), indent=1)
        write_beside(folder / CONFIG, text + "\n")
        self._board = _open_board(folder, step)
        if self._board:
            self._board.add_text("config", f"```\n{text}\n```", 0)

    @property
    def text_bytes(self) -> int:
        """Length of ``logs.txt``, all written out."""
        return self._text.seek(0, 2)

    def line(self, kind: str, epoch: int, what: str | int, value: float) -> None:
        """One line in the form of the published training script; `epoch` counts from 0."""
        try:
            self._text.write(f"{kind}\tepoch {epoch}:\t{what}\t{value:.9g}\n")
            self._text.flush()
        except OSError as error:
            raise OutputError(f"cannot write {self._folder / TEXT_LOG}: {error.strerror or error}") from error

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers for TensorBoard."""
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def pictures(self, step: int, shown: str, rows: Tensor) -> None:
        """Validation pictures ``(N, 3, H, W)`` in [0, 1]; `shown` says what they show."""
        rows = rows.detach().cpu().clamp(0, 1)
        if self._board:
            self._board.add_images(f"val/{shown}", rows, step)
        tall = (rows.permute(0, 2, 3, 1).flatten(0, 1).numpy() * 255).round().astype(np.uint8)
        write_beside(self._folder / PICTURE, cv2.imencode(".png", tall[..., ::-1])[1].tobytes())

    def close(self) -> None:
        """Write out what is left."""
        self._text.close()
        if self._board:
            self._board.close()


class Ticker:
    """How far a long job is: a bar on a terminal, elsewhere a line every half minute; on stderr.

    Args:
        title: what is done.
        total: number of its parts.
        unit: their name.
        done: parts that were done before.
        share: of the work, after so many parts; for the time that is left. Parts cost the same without.
        quiet: show nothing.
    """

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        done: int = 0,
        share: Callable[[int], float] | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        self._title, self._total, self._unit, self._done = title, total, unit, done
        self._share = share or (lambda parts: parts / max(total, 1))
        self._first, self._began = self._share(done), time.monotonic()
        self._shown, self._lines = self._began, not quiet and not sys.stderr.isatty()
        form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
        hidden = quiet or self._lines
        self._bar = tqdm(desc=title, total=total, unit=unit, initial=done, disable=hidden, bar_format=form, leave=False)
        self._start = done

    def update(self, done: int, note: str = "") -> None:
        """So many parts are done; `note` is shown beside."""
        now, share = time.monotonic(), self._share(done)
        spent = now - self._began
        left = spent * (1 - share) / (share - self._first) if share > self._first else 0.0
        text = ", ".join(part for part in (note, f"{timedelta(seconds=round(left))} left") if part)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._done)
        self._done = done
        if self._lines and now - self._shown >= _RHYTHM:
            self._shown = now
            rate = (done - self._start) / max(spent, 1e-9)
            speed = f"{rate:.3g} {self._unit}s/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.3g} s a {self._unit}"
            print(f"{self._title}: {self._unit} {done} of {self._total}, {speed}, {text}", file=sys.stderr, flush=True)

    @staticmethod
    def say(text: str) -> None:
        """A line of its own."""
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()

    def __enter__(self) -> Ticker:
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.close()


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)
