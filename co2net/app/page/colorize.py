"""The tab that colors gray clips from strokes on the first frame."""

from __future__ import annotations

from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from co2net.app.page.canvas import Canvas, Chooser, editor_with, frame_of, painted, size_of
from co2net.app.page.session import Session, needs
from co2net.app.page.tab import QUIET, JobCard, described, facts_of
from co2net.app.uploads import is_picture

COLORS = ["#d9a184", "#7a4f33", "#3f7f4c", "#8fb7dd", "#2c4a86", "#b3262e", "#e2b93b", "#8a8a88"]
"""To begin with: skin, brown, leaves, sky, blue, red, yellow, gray."""


class ColorizeTab:
    """Its components and what they do.

    Args:
        visitor: state that holds the :class:`~co2net.app.page.session.Session`.
    """

    def __init__(self, visitor: gr.State) -> None:
        with gr.Row(elem_classes="bench"):
            with gr.Column(scale=2, min_width=300, elem_classes="tools"):
                chosen = Chooser("Gray clip: video or picture", "gray")
                gr.HTML(
                    '<p class="network"><span>A few strokes in each region are enough; colors that the clip has are '
                    "dropped, its brightness stays. Regions without a stroke get the color of what they resemble."
                    "</span></p>",
                    padding=False,
                )
            with gr.Column(scale=3, min_width=320, elem_classes="stage"):
                canvas = Canvas(
                    "Draw color on the first frame",
                    gr.Brush(default_size=10, colors=[*COLORS], default_color=COLORS[0]),
                    "strokes",
                    "Choose one, then draw strokes of color on its first frame.",
                )
                card = JobCard("Colorize", visitor)
        shown = [chosen.facts, canvas.editor, canvas.empty, canvas.size]
        chosen.clip.change(self._open, [visitor, chosen.clip], shown, **QUIET)
        card.runs(self._job, [chosen.clip, canvas.editor, canvas.size], {"output": "Result"})

    async def _open(self, session: Session, clip: str | None) -> tuple[Any, ...]:
        job = await described(session, clip)
        if job is None or job.state != "done":
            return facts_of(job), gr.update(visible=False), gr.update(visible=True), None
        frame = np.asarray(Image.fromarray(frame_of(job)).convert("L").convert("RGB"))
        found = facts_of(job), editor_with(frame), gr.update(visible=False), size_of(job)
        session.drop(job)
        return found

    def _job(
        self, session: Session, clip: str | None, editor: dict[str, Any] | None, size: tuple[int, int] | None
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        needs(Clip=clip)
        strokes, size = painted(editor, size, "Draw a few strokes of color first.")
        place = session.place("strokes.png")
        # Nearest: a stroke's edge must not invent colors.
        Image.fromarray(strokes).resize(size, Image.Resampling.NEAREST).save(place)
        return "colorize", {"clip": clip, "scribbles": place}, {"format": "png" if is_picture(clip) else "mp4"}
