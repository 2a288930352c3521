"""A clip to paint on: the place to drop it, what it is, and the frame of it under a brush."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from co2net.app.jobs import Job
from co2net.app.page import words
from co2net.app.page.tab import QUIET, examples, media_file
from co2net.data.sample_data import sample_clip


class Chooser:
    """The place to drop the clip, what it is, and an example; made where it stands on the page.

    Attributes:
        clip: the path.
        facts: what the clip is, in words.
    """

    def __init__(self, label: str, name: str) -> None:
        self.clip = media_file(label, elem_id=name)
        self.facts = gr.HTML(words.NOTHING, padding=False)
        (example,) = examples("Example clip")
        example.click(lambda: str(sample_clip() / "real.mp4"), None, self.clip, **QUIET)


class Canvas:
    """The frame under a brush, and what stands in its place before there is one.

    Attributes:
        empty: the latter.
        editor: the former, hidden until :func:`editor_with`.
        size: state with the clip's width and height.
    """

    def __init__(self, label: str, brush: gr.Brush, name: str, todo: str) -> None:
        self.size = gr.State(None)
        self.empty = gr.HTML(
            f'<div class="empty"><strong>No clip yet</strong><span>{todo}</span></div>',
            padding=False,
        )
        self.editor = gr.ImageEditor(
            label=label,
            type="numpy",
            sources=(),
            transforms=(),
            layers=False,
            brush=brush,
            visible=False,
            buttons=["fullscreen"],
            elem_id=name,
        )


def frame_of(job: Job) -> np.ndarray:
    """The frame of a clip that was looked at, ``(H, W, 3)`` uint8."""
    with Image.open(job.results["frame"]) as opened:
        return np.asarray(opened.convert("RGB"))


def size_of(job: Job) -> tuple[int, int]:
    """Width and height of a clip that was looked at."""
    return job.facts["width"], job.facts["height"]


def editor_with(frame: np.ndarray) -> Any:
    """The update of an editor: this frame, nothing painted."""
    return gr.update(value={"background": frame, "layers": [], "composite": frame}, visible=True)


def painted(
    editor: Mapping[str, Any] | None, size: tuple[int, int] | None, ask: str
) -> tuple[np.ndarray, tuple[int, int]]:
    """What was painted over a frame, ``(H, W, 4)`` uint8 with alpha, and the clip's width and height.

    Raises:
        gr.Error: nothing was; `ask` says what to do.
    """
    layers = [np.asarray(layer) for layer in (editor or {}).get("layers") or [] if layer is not None]
    layers = [layer for layer in layers if layer.ndim == 3 and layer.shape[2] == 4 and layer[..., 3].any()]
    if not layers or size is None:
        raise gr.Error(ask, title="One step before that")
    whole = Image.fromarray(layers[0])
    for layer in layers[1:]:
        whole.alpha_composite(Image.fromarray(layer))
    return np.asarray(whole), size
