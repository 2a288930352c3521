"""The page as a whole: header, three tabs, and what happens when somebody comes or goes."""

from __future__ import annotations

from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]

from co2net.app.jobs import JobQueue
from co2net.app.page import words
from co2net.app.page.colorize import ColorizeTab
from co2net.app.page.harmonize import HarmonizeTab
from co2net.app.page.mask import MaskTab
from co2net.app.page.session import Session


def build(jobs: JobQueue) -> gr.Blocks:
    """The page over a queue."""
    with gr.Blocks(title="co2net", analytics_enabled=False, fill_width=True, elem_id="co2net") as page:
        visitors: dict[str | None, Session] = {}
        visitor = gr.State(
            None, time_to_live=max(3600.0, jobs.limits.keep_seconds), delete_callback=lambda s: s and s.close()
        )
        models = gr.State([])
        gr.HTML(words.HEADER, padding=False)
        with gr.Tabs(elem_classes="rooms") as tabs:
            with gr.Tab("Harmonize", id="harmonize"):
                harmonize = HarmonizeTab(visitor, models)
            with gr.Tab("Mask", id="mask"):
                mask = MaskTab(visitor)
            with gr.Tab("Colorize", id="colorize"):
                ColorizeTab(visitor)
        foot = gr.HTML("", padding=False, elem_classes="foot")

        async def come(request: gr.Request) -> tuple[Any, ...]:
            facts = await jobs.facts()
            session = visitors[request.session_hash] = Session(jobs)
            found = facts["models"]
            default = next((model["name"] for model in found if model["default"]), None)
            choices = [(model["name"] + (" (usual)" if model["default"] else ""), model["name"]) for model in found]
            return (
                session,
                found,
                gr.update(choices=choices, value=default),
                words.network_words(next((model for model in found if model["default"]), None)),
                words.foot_words(facts["device"], jobs.limits),
            )

        def leave(request: gr.Request) -> None:
            if session := visitors.pop(request.session_hash, None):
                session.close()

        page.unload(leave)
        page.load(
            come,
            None,
            [visitor, models, harmonize.model, harmonize.model_words, foot],
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )
        mask.hand_over(tabs, harmonize)
    page.queue(default_concurrency_limit=None, max_size=200)
    return page
