"""The tab that makes masks: painted on a frame and carried, keyed, or found by motion."""

from __future__ import annotations

from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from co2net.app.page.canvas import Canvas, Chooser, editor_with, frame_of, painted, size_of
from co2net.app.page.session import Session, needs
from co2net.app.page.tab import QUIET, JobCard, described, facts_of, frame_slider, frames_of
from co2net.app.uploads import is_picture

PAINT, KEY, MOVING = "Paint it on a frame", "Colored screen", "What moves"
GRAY, CUTOUT = "Mask, MP4", "Cut-out with alpha, WebM"
LOSSLESS, PRORES = "Mask, lossless MKV", "Cut-out with alpha, ProRes MOV"
FORMATS = {GRAY: ("mask", "mp4"), LOSSLESS: ("mask", "mkv"), CUTOUT: ("cutout", "webm"), PRORES: ("cutout", "mov")}
RED = "#ff2d55"


class MaskTab:
    """Its components and what they do.

    Args:
        visitor: state that holds the :class:`~co2net.app.page.session.Session`.
    """

    def __init__(self, visitor: gr.State) -> None:
        self._visitor = visitor
        self._made = gr.State(None)
        with gr.Row(elem_classes="bench"):
            with gr.Column(scale=2, min_width=300, elem_classes="tools"):
                self.chosen = Chooser("Clip: video or picture", "clip")
                self.way = gr.Radio([PAINT, KEY, MOVING], value=PAINT, label="How?", elem_classes="choice")
                self.key = gr.Radio(
                    [("find it", "auto"), ("green", "green"), ("blue", "blue"), ("another", "pick")],
                    value="auto",
                    label="Screen color",
                    visible=False,
                    elem_classes="choice",
                )
                self.color = gr.ColorPicker("#32963c", label="Color", visible=False)
                self.format = gr.Dropdown(list(FORMATS), value=GRAY, label="Result", filterable=False)
            with gr.Column(scale=3, min_width=320, elem_classes="stage"):
                self.canvas = Canvas(
                    "Paint over the subject",
                    gr.Brush(default_size=24, colors=[RED], default_color=RED, color_mode="fixed"),
                    "paint",
                    "Choose one, then paint over its subject. The stroke is carried through all frames.",
                )
                self.frame = frame_slider("Frame to paint on")
                self.card = JobCard("Make the mask", visitor)
                self.use = gr.Button("Use it in Harmonize", visible=False)
        self._wire()

    def _wire(self) -> None:
        clip, canvas = self.chosen.clip, self.canvas
        self.way.change(
            lambda way, key: [gr.update(visible=way == KEY), gr.update(visible=way == KEY and key == "pick")],
            [self.way, self.key],
            [self.key, self.color],
            **QUIET,
        )
        self.key.change(lambda key: gr.update(visible=key == "pick"), self.key, self.color, **QUIET)
        clip.change(
            self._open,
            [self._visitor, clip],
            [self.chosen.facts, self.frame, canvas.editor, canvas.empty, canvas.size],
            **QUIET,
        )
        self.frame.release(self._turn, [self._visitor, clip, self.frame], canvas.editor, **QUIET)
        self.card.runs(
            self._job,
            [clip, self.way, self.key, self.color, canvas.editor, self.frame, self.format, canvas.size],
            {"output": "Result"},
            self._made,
        )
        self._made.change(lambda job: gr.update(visible=job is not None), self._made, self.use, **QUIET)

    def hand_over(self, tabs: gr.Tabs, harmonize: Any) -> None:
        """Let the finished mask go to the other tab."""

        async def give(session: Session, job: Any, clip: str | None) -> tuple[Any, ...]:
            needs(Clip=clip)
            return (
                gr.update(selected="harmonize"),
                gr.update(value="Mask file"),
                str(session.kept(job.results["output"])),
                clip,
            )

        self.use.click(
            give,
            [self._visitor, self._made, self.chosen.clip],
            [tabs, harmonize.way, harmonize.mask, harmonize.composite],
            **QUIET,
        )

    async def _open(self, session: Session, clip: str | None) -> tuple[Any, ...]:
        job = await described(session, clip)
        if job is None or job.state != "done":
            return facts_of(job), gr.update(visible=False), gr.update(visible=False), gr.update(visible=True), None
        found = facts_of(job), frames_of(job), editor_with(frame_of(job)), gr.update(visible=False), size_of(job)
        session.drop(job)
        return found

    async def _turn(self, session: Session, clip: str | None, frame: int) -> Any:
        job = await described(session, clip, int(frame))
        if job is None or job.state != "done":
            return gr.update()
        shown = editor_with(frame_of(job))
        session.drop(job)
        return shown

    def _job(
        self,
        session: Session,
        clip: str | None,
        way: str,
        key: str,
        color: str,
        editor: dict[str, Any] | None,
        frame: int,
        form: str,
        size: tuple[int, int] | None,
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        needs(Clip=clip)
        give, ending = FORMATS[form]
        files: dict[str, Any] = {"clip": clip}
        options: dict[str, Any] = {"give": give, "format": "png" if is_picture(clip) else ending}
        if way == KEY:
            return "matte", files, options | {"key": color if key == "pick" else key}
        if way == MOVING:
            return "matte", files, options | {"moving": True}
        strokes, size = painted(editor, size, "Paint over the subject first.")
        mask = Image.fromarray(np.where(strokes[..., 3] > 127, 255, 0).astype(np.uint8)).resize(size)
        place = session.place("painted.png")
        mask.save(place)
        return "matte", {**files, "mask": place}, options | {"mask_frame": int(frame)}
