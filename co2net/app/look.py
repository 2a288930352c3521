"""One frame before and after: what the page's slider shows at once, while the clip's job has not been asked for.

The result at any strength is ``before + strength * change`` (whatever the network: the strength scales its correction),
so one computation serves the whole slider.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from co2net.app.checks import shown
from co2net.data.pictures import encode_picture
from co2net.errors import Cancelled, InputError
from co2net.files import write_beside
from co2net.models.co2net import CO2Net
from co2net.pipeline.confidence import change_of, in_levels, mean_square
from co2net.pipeline.frames import as_bytes
from co2net.pipeline.inputs import CompositeInputs
from co2net.pipeline.stream import FrameStream
from co2net.video import Composing, Frame, MaskOptions

if TYPE_CHECKING:
    from co2net.app.tasks import Task

AROUND = 8
"""Neighbor frames on either side, as a clip's job has them."""


def look(
    task: Task,
    files: dict[str, Path],
    model: CO2Net,
    device: torch.device,
    *,
    frame: int = 0,
    mask_invert: bool = False,
    mask_fit: str = "error",
) -> dict[str, Any]:
    """Harmonize one frame with its neighbors.

    Args:
        task: whose place and words these are.
        files: "composite" and "mask", or "foreground", "background" and "mask".
        model: the network.
        device: where it runs.
        frame: its number, from 0; of a shorter clip the last one.
        mask_invert: see :class:`co2net.video.MaskOptions`.
        mask_fit: see :func:`co2net.harmonize_video`.

    Returns:
        As :meth:`~co2net.app.tasks.Workshop.work`: results "before" (JPEG) and "change" (``(H, W, 3)`` float16 in
        [-1, 1], .npy).

    Raises:
        InputError: the files cannot be used.
        Cancelled: nobody wants it any more.
    """
    started = time.monotonic()
    inputs = CompositeInputs(
        files.get("composite"),
        files.get("mask"),
        files.get("foreground"),
        files.get("background"),
        mask_fit=mask_fit,
        mask_options=MaskOptions(invert=mask_invert),
        composing=Composing(background_loop=True, background_fit="cover"),
    )
    model = model.for_pictures() if inputs.is_picture else model
    stream = FrameStream(model, AROUND, AROUND, device=device, precision="auto")
    changes: list[float] = []
    stream.on_look = lambda number, small, seen, out: changes.append(change_of(small, seen, out))
    window: deque[tuple[Frame, np.ndarray]] = deque(maxlen=2 * AROUND + 1)  # of a shorter clip its end
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with ExitStack() as stack:
        _, pairs, notes = inputs.open(stack)
        for picture, mask in pairs:
            if task.cancel():
                raise Cancelled("nobody wants it any more")
            window.append((picture, mask))
            if picture.number >= frame + AROUND:
                break
        for picture, mask in window:
            values = np.ascontiguousarray(np.moveaxis(picture.image, -1, 0), np.float32) / picture.peak
            _keep(found, stream.push(values, np.asarray(mask), (picture.number, values)), frame)
        _keep(found, stream.finish(), frame)
    if not found:
        raise InputError("the clip holds no frame; send it again")
    number, (before, after) = found.popitem()
    changed = shown(np.moveaxis(after - before, 0, -1)).astype(np.float16)
    picture = task.place("before", "jpg")
    write_beside(picture, encode_picture(shown(as_bytes(torch.from_numpy(before))), quality=93))
    change = task.place("change", "npy")
    buffer = io.BytesIO()
    np.save(buffer, changed)
    write_beside(change, buffer.getvalue())
    if not changed.any():
        notes = [*notes, "nothing changes in this frame: is the mask empty here?"]
    expected = in_levels(stream.expected_error)
    return {
        "results": {"before": picture.name, "change": change.name},
        "notes": notes,
        "frames": 1,
        "seconds": time.monotonic() - started,
        "facts": {"frame": number, "expected_error": expected, "change": mean_square(changes)},
    }


def _keep(
    found: dict[int, tuple[np.ndarray, np.ndarray]], results: Iterable[tuple[Any, np.ndarray]], wanted: int
) -> None:
    """Keep the wanted frame, or as long as that has not come the one before it."""
    for (number, before), after in results:
        if number <= wanted:
            found.clear()
            found[number] = (before, after)
