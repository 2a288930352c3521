"""The tab that harmonizes: composite and mask in, before and after at once, the clip when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr  # pyright: ignore[reportMissingImports]

from co2net.app.page import words
from co2net.app.page.session import Session, as_said_here, needs
from co2net.app.page.tab import QUIET, JobCard, described, examples, facts_of, frame_slider, frames_of, media_file
from co2net.app.uploads import is_picture
from co2net.data.sample_data import sample_clip
from co2net.errors import InputError

FILE, ALPHA, SCREEN = "Mask file", "Alpha channel", "Colored screen"
LINKS = {"output": "Result", "cube": "Color mapping, .cube"}
FORMATS = [("MP4, H.264", "mp4"), ("MOV, ProRes", "mov"), ("MKV, lossless", "mkv"), ("WebM, VP9", "webm")]
SCREENS = [("find it", "auto"), ("green", "green"), ("blue", "blue")]


class _Given(NamedTuple):
    """What the tab holds that both the look and the job want, in the order of its components."""

    composite: str | None
    mask: str | None
    background: str | None
    way: str
    key: str
    model: str | None
    invert: bool
    fit: bool

    @property
    def needed(self) -> dict[str, str | None]:
        """Label and value of the files that there must be; None for those that are missing."""
        further = {FILE: {"Mask": self.mask}, SCREEN: {"Background": self.background}}
        return {"Composite": self.composite, **further.get(self.way, {})}

    def order(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Files and options of the job, by where the foreground is."""
        files: dict[str, Any] = {"composite": self.composite}
        options: dict[str, Any] = {"model": self.model, "mask_invert": self.invert}
        options["mask_fit"] = "resize" if self.fit else "error"
        if self.way == SCREEN:
            return files | {"background": self.background}, options | {"key": self.key}
        return files | ({"mask": self.mask} if self.way == FILE else {}), options


class HarmonizeTab:
    """Its components and what they do.

    Args:
        visitor: state that holds the :class:`~co2net.app.page.session.Session`.
        models: state that holds what the workers say about the networks.
    """

    def __init__(self, visitor: gr.State, models: gr.State) -> None:
        self._visitor = visitor
        with gr.Row(elem_classes="bench"):
            with gr.Column(scale=2, min_width=300, elem_classes="tools"):
                self.composite = media_file("Composite: video or picture", elem_id="composite")
                self.facts = gr.HTML(words.NOTHING, padding=False)
                self.way = gr.Radio(
                    [FILE, ALPHA, SCREEN], value=FILE, label="Where is the foreground?", elem_classes="choice"
                )
                self.mask = media_file("Mask: white on the foreground", elem_id="mask")
                with gr.Group(visible=False) as self.screen:
                    self.background = media_file("Background: video or picture", elem_id="background")
                    self.key = gr.Radio(SCREENS, value="auto", label="Screen color", elem_classes="choice")
                self.examples = examples("Example clip", "Example picture")
                self.model = gr.Dropdown([], label="Network", filterable=False)
                self.model_words = gr.HTML(words.NOTHING, padding=False)
                with gr.Accordion("More", open=False):
                    self.invert = gr.Checkbox(False, label="The mask is black on the foreground")
                    self.fit = gr.Checkbox(False, label="Scale a mask of another size")
                    self.format = gr.Dropdown(
                        FORMATS,
                        value="mp4",
                        label="Video as",
                        filterable=False,
                    )
            with gr.Column(scale=3, min_width=320, elem_classes="stage"):
                self.empty = gr.HTML(words.NO_FRAME, padding=False)
                self.slider = gr.ImageSlider(
                    label="Before and after",
                    interactive=False,
                    visible=False,
                    buttons=["fullscreen"],
                    max_height=620,
                    elem_id="compare",
                )
                self.frame = frame_slider()
                self.strength = gr.Slider(
                    0, 1.5, value=1.0, step=0.05, label="Strength", info="0 changes nothing, 1 is all, more exaggerates"
                )
                self.look_words = gr.HTML(words.NOTHING, padding=False)
                self.card = JobCard("Harmonize", visitor)
        self._wire(models)

    def _wire(self, models: gr.State) -> None:
        further = [self.mask, self.background, self.way, self.key, self.model, self.invert, self.fit]
        given = [self.composite, *further]
        shown = [self.slider, self.empty, self.look_words]
        look = {
            "fn": self._look,
            "inputs": [self._visitor, self.frame, self.strength, *given],
            "outputs": shown,
            "trigger_mode": "always_last",
            "show_progress": "minimal",
            "show_progress_on": [self.empty, self.slider],
            "api_visibility": "private",
            "concurrency_limit": None,
        }
        self.way.change(
            lambda way: [gr.update(visible=way == FILE), gr.update(visible=way == SCREEN)],
            self.way,
            [self.mask, self.screen],
            **QUIET,
        )
        self.composite.change(
            self._described, [self._visitor, self.composite], [self.facts, self.frame, self.way], **QUIET
        ).then(**look)
        for part in further:
            part.change(**look)
        self.frame.release(**look)
        self.strength.change(
            self._blend, [self._visitor, self.strength], self.slider, trigger_mode="always_last", **QUIET
        )
        self.model.change(
            lambda name, found: words.network_words(next((m for m in found if m["name"] == name), None)),
            [self.model, models],
            self.model_words,
            **QUIET,
        )
        clip, picture = self.examples
        for button, make in ((clip, example_clip), (picture, example_picture)):
            button.click(make, None, [self.way, self.mask, self.composite], **QUIET)
        self.card.runs(self._job, [self.strength, self.format, *given], LINKS)

    async def _described(self, session: Session, composite: str | None) -> tuple[Any, Any, Any]:
        job = await described(session, composite)
        if job is None or job.state != "done":
            return facts_of(job), gr.update(visible=False, value=0), gr.update()
        facts = facts_of(job)
        frames, way = frames_of(job), gr.update(value=ALPHA) if job.facts["alpha"] else gr.update()
        session.drop(job)
        return facts, frames, way

    async def _look(self, session: Session, frame: int, strength: float, *given: Any) -> tuple[Any, Any, Any]:
        asked = _Given(*given)
        if None in (*asked.needed.values(), asked.model):
            return gr.update(visible=False), gr.update(visible=True), words.NOTHING
        files, options = asked.order()
        job = await session.quick("look", files, options | {"frame": int(frame)})
        if job.state != "done":
            error, hidden = words.failed_words(job.error, as_said_here), gr.update(visible=False)
            session.drop(job)
            return hidden, gr.update(visible=True), error
        session.show(job)
        told = words.error_words(job.facts.get("expected_error"), job.facts.get("change"), job.notes, as_said_here)
        return gr.update(value=session.blended(strength), visible=True), gr.update(visible=False), told

    async def _blend(self, session: Session, strength: float) -> Any:
        pair = session.blended(strength)
        return gr.update() if pair is None else gr.update(value=pair)

    def _job(
        self, session: Session, strength: float, form: str, *given: Any
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        asked = _Given(*given)
        for label, path in asked.needed.items():
            needs(**{label: path})
        files, options = asked.order()
        still = all(is_picture(path) for role, path in files.items() if role != "mask")
        return "harmonize", files, options | {"strength": strength, "format": "png" if still else form, "cube": True}


def example_clip() -> tuple[Any, str, str]:
    """The sample clip, for way, mask and composite."""
    sample = sample_clip()
    return gr.update(value=FILE), str(sample / "mask.mp4"), str(sample / "composite.mp4")


def example_picture() -> tuple[Any, str, str]:
    """A frame of the sample data set, for way, mask and composite."""
    sample = sample_clip()
    composite = next(iter(sorted((sample / "synthetic_composite_videos").rglob("*.jpg"))), None)
    masks = sorted((sample / "foreground_mask").rglob("*.png"))
    if composite is None or not masks:
        raise InputError("the sample data is missing from this installation")
    return gr.update(value=FILE), str(_mask_of(composite, masks)), str(composite)


def _mask_of(composite: Path, masks: list[Path]) -> Path:
    clip = composite.parts[-3]
    return next(mask for mask in masks if mask.stem == composite.stem and clip in mask.parts)
