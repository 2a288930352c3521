"""The tab that makes masks: painted on a frame and carried, keyed, or found by motion."""

from __future__ import annotations

from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from co2net.app.page import words
from co2net.app.page.session import Session, needs, painted
from co2net.app.page.tab import QUIET, JobCard, described, facts_of, frame_slider, frames_of, media_file
from co2net.app.uploads import is_picture
from co2net.data.sample_data import sample_clip

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
        self._size = gr.State(None)
        with gr.Row(elem_classes="bench"):
            with gr.Column(scale=2, min_width=300, elem_classes="tools"):
                self.clip = media_file("Clip: video or picture", elem_id="clip")
                self.facts = gr.HTML(words.NOTHING, padding=False)
                with gr.Row(elem_classes="examples"):
                    gr.HTML('<span class="hint">No file at hand?</span>', padding=False, min_width=60)
                    self.example = gr.Button("Example clip", size="sm", min_width=90)
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
                self.empty = gr.HTML(
                    '<div class="empty"><strong>No clip yet</strong><span>Choose one, then paint over its subject. The '
                    "stroke is carried through all frames.</span></div>",
                    padding=False,
                )
                self.editor = gr.ImageEditor(
                    label="Paint over the subject",
                    type="numpy",
                    sources=(),
                    transforms=(),
                    layers=False,
                    brush=gr.Brush(default_size=24, colors=[RED], default_color=RED, color_mode="fixed"),
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="paint",
                )
                self.frame = frame_slider("Frame to paint on")
                self.card = JobCard("Make the mask", visitor)
                self.use = gr.Button("Use it in Harmonize", visible=False)
        self._wire()

    def _wire(self) -> None:
        self.way.change(
            lambda way, key: [gr.update(visible=way == KEY), gr.update(visible=way == KEY and key == "pick")],
            [self.way, self.key],
            [self.key, self.color],
            **QUIET,
        )
        self.key.change(lambda key: gr.update(visible=key == "pick"), self.key, self.color, **QUIET)
        self.clip.change(
            self._open,
            [self._visitor, self.clip],
            [self.facts, self.frame, self.editor, self.empty, self._size],
            **QUIET,
        )
        self.frame.release(self._turn, [self._visitor, self.clip, self.frame], self.editor, **QUIET)
        self.example.click(lambda: str(sample_clip() / "real.mp4"), None, self.clip, **QUIET)
        self.card.runs(
            self._job,
            [self.clip, self.way, self.key, self.color, self.editor, self.frame, self.format, self._size],
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
            [self._visitor, self._made, self.clip],
            [tabs, harmonize.way, harmonize.mask, harmonize.composite],
            **QUIET,
        )

    async def _open(self, session: Session, clip: str | None) -> tuple[Any, ...]:
        job = await described(session, clip)
        if job is None or job.state != "done":
            return facts_of(job), gr.update(visible=False), gr.update(visible=False), gr.update(visible=True), None
        frame, size = picture_of(job), (job.facts["width"], job.facts["height"])
        found = facts_of(job), frames_of(job), editor_with(frame), gr.update(visible=False), size
        session.drop(job)
        return found

    async def _turn(self, session: Session, clip: str | None, frame: int) -> Any:
        job = await described(session, clip, int(frame))
        if job is None or job.state != "done":
            return gr.update()
        picture = picture_of(job)
        session.drop(job)
        return editor_with(picture)

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
        strokes = painted(editor)
        if strokes is None or size is None:
            raise gr.Error("Paint over the subject first.", title="One step before that")
        mask = Image.fromarray(np.where(strokes[..., 3] > 127, 255, 0).astype(np.uint8)).resize(size)
        place = session.place("painted.png")
        mask.save(place)
        return "matte", {**files, "mask": place}, options | {"mask_frame": int(frame)}


def picture_of(job: Any) -> np.ndarray:
    """The frame of a clip that was looked at."""
    with Image.open(job.results["frame"]) as opened:
        return np.asarray(opened.convert("RGB"))


def editor_with(picture: np.ndarray) -> Any:
    """The update of an editor: this picture, nothing painted."""
    return gr.update(value={"background": picture, "layers": [], "composite": picture}, visible=True)


__all__ = ["MaskTab", "editor_with", "picture_of"]
