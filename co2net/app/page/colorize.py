"""The tab that colors gray clips from strokes on the first frame."""

from __future__ import annotations

from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from co2net.app.page import words
from co2net.app.page.mask import editor_with, picture_of
from co2net.app.page.session import Session, needs, painted
from co2net.app.page.tab import QUIET, JobCard, described, facts_of, media_file
from co2net.app.uploads import is_picture
from co2net.data.sample_data import sample_clip

COLORS = ["#d9a184", "#7a4f33", "#3f7f4c", "#8fb7dd", "#2c4a86", "#b3262e", "#e2b93b", "#8a8a88"]
"""To begin with: skin, brown, leaves, sky, blue, red, yellow, gray."""


class ColorizeTab:
    """Its components and what they do.

    Args:
        visitor: state that holds the :class:`~co2net.app.page.session.Session`.
    """

    def __init__(self, visitor: gr.State) -> None:
        self._visitor = visitor
        self._size = gr.State(None)
        with gr.Row(elem_classes="bench"):
            with gr.Column(scale=2, min_width=300, elem_classes="tools"):
                self.clip = media_file("Gray clip: video or picture", elem_id="gray")
                self.facts = gr.HTML(words.NOTHING, padding=False)
                with gr.Row(elem_classes="examples"):
                    gr.HTML('<span class="hint">No file at hand?</span>', padding=False, min_width=60)
                    self.example = gr.Button("Example clip", size="sm", min_width=90)
                gr.HTML(
                    '<p class="network"><span>A few strokes in each region are enough; colors that the clip has are '
                    "dropped, its brightness stays. Regions without a stroke get the color of what they resemble."
                    "</span></p>",
                    padding=False,
                )
            with gr.Column(scale=3, min_width=320, elem_classes="stage"):
                self.empty = gr.HTML(
                    '<div class="empty"><strong>No clip yet</strong><span>Choose one, then draw strokes of color on '
                    "its first frame.</span></div>",
                    padding=False,
                )
                self.editor = gr.ImageEditor(
                    label="Draw color on the first frame",
                    type="numpy",
                    sources=(),
                    transforms=(),
                    layers=False,
                    brush=gr.Brush(default_size=10, colors=[*COLORS], default_color=COLORS[0]),
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="strokes",
                )
                self.card = JobCard("Colorize", visitor)
        self.clip.change(self._open, [visitor, self.clip], [self.facts, self.editor, self.empty, self._size], **QUIET)
        self.example.click(lambda: str(sample_clip() / "real.mp4"), None, self.clip, **QUIET)
        self.card.runs(self._job, [self.clip, self.editor, self._size], {"output": "Result"})

    async def _open(self, session: Session, clip: str | None) -> tuple[Any, ...]:
        job = await described(session, clip)
        if job is None or job.state != "done":
            return facts_of(job), gr.update(visible=False), gr.update(visible=True), None
        picture = Image.fromarray(picture_of(job)).convert("L").convert("RGB")
        size = job.facts["width"], job.facts["height"]
        facts = facts_of(job)
        session.drop(job)
        return facts, editor_with(np.asarray(picture)), gr.update(visible=False), size

    def _job(
        self, session: Session, clip: str | None, editor: dict[str, Any] | None, size: tuple[int, int] | None
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        needs(Clip=clip)
        strokes = painted(editor)
        if strokes is None or size is None:
            raise gr.Error("Draw a few strokes of color first.", title="One step before that")
        place = session.place("strokes.png")
        # Nearest: a stroke's edge must not invent colors.
        Image.fromarray(strokes).resize(size, Image.Resampling.NEAREST).save(place)
        return "colorize", {"clip": clip, "scribbles": place}, {"format": "png" if is_picture(clip) else "mp4"}
