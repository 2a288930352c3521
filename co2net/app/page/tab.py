"""What the tabs have in common: a clip that is looked at, a job with progress and an end, a button to end it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]

from co2net.app.jobs import Job
from co2net.app.page import words
from co2net.app.page.session import Session, as_said_here
from co2net.app.uploads import PICTURES, VIDEOS, is_picture

MEDIA: list[str] = [*sorted(PICTURES | VIDEOS)]
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
Prepare = Callable[..., tuple[str, dict[str, Any], dict[str, Any]]]
"""From a visitor and the inputs: kind of job, files, options."""


def media_file(label: str, **settings: Any) -> gr.File:
    """A place to drop a video or picture."""
    return gr.File(label=label, file_types=[*MEDIA], type="filepath", height=settings.pop("height", 104), **settings)


def examples(*names: str) -> list[gr.Button]:
    """A row of buttons for those who have no file at hand."""
    with gr.Row(elem_classes="examples"):
        gr.HTML('<span class="hint">No file at hand?</span>', padding=False, min_width=60)
        return [gr.Button(name, size="sm", min_width=90) for name in names]


class JobCard:
    """A button that begins a job, one that ends it, and what there is to say about it.

    Args:
        title: of the button.
        visitor: the state that holds the :class:`Session`.
    """

    def __init__(self, title: str, visitor: gr.State) -> None:
        self._visitor = visitor
        with gr.Row(elem_classes="actions"):
            self.begin = gr.Button(title, variant="primary", scale=3, min_width=160)
            self.end = gr.Button("Cancel", visible=False, scale=1, min_width=96)
        self.card = gr.HTML(words.NOTHING, padding=False, elem_classes="card")
        self.end.click(self._cancel, visitor, None, **QUIET)

    def runs(self, prepare: Prepare, inputs: Sequence[Any], links: dict[str, str], after: Any = None) -> None:
        """Have the button begin what `prepare` says.

        Args:
            prepare: see :data:`Prepare`.
            inputs: components whose values it gets.
            links: result to the words of its link.
            after: a state that gets the finished job.
        """

        async def run(session: Session, *values: Any) -> AsyncIterator[Any]:
            kind, files, options = prepare(session, *values)
            job = session.submit(kind, files, options, "quick" if _still(files) else "clips")
            async for found in session.watch(job):
                html = (
                    words.ended_words(found, as_said_here, links)
                    if found.is_over
                    else words.progress_words(found, session.position(found))
                )
                yield self._told(html, not found.is_over, found if found.state == "done" else None, after)

        outputs = [self.begin, self.end, self.card, *([after] if after is not None else [])]
        self.begin.click(run, [self._visitor, *inputs], outputs, **QUIET)

    def _told(self, html: str, busy: bool, done: Job | None, after: Any) -> list[Any]:
        shown = [gr.update(interactive=not busy), gr.update(visible=busy), html]
        return shown if after is None else [*shown, done]

    async def _cancel(self, session: Session) -> None:
        session.cancel()


async def described(session: Session, clip: str | None, frame: int = 0) -> Job | None:
    """Have a clip looked at; None without one."""
    return None if clip is None else await session.quick("describe", {"clip": clip}, {"frame": frame})


def facts_of(job: Job | None) -> str:
    """What a clip is, or why it cannot be used."""
    if job is None or job.state == "cancelled":
        return words.NOTHING
    return words.clip_words(job.facts) if job.state == "done" else words.failed_words(job.error, as_said_here)


def frame_slider(label: str = "Frame") -> gr.Slider:
    """Which frame is shown; hidden until a clip has several."""
    return gr.Slider(0, 1, value=0, step=1, label=label, visible=False, elem_classes="frames")


def frames_of(job: Job) -> Any:
    """The update of a frame slider for a clip that was looked at."""
    count = job.facts["frames"] or 1
    return gr.update(maximum=max(count - 1, 1), value=0, visible=count > 1)


def _still(files: dict[str, Any]) -> bool:
    sources = [files[role] for role in ("composite", "foreground", "clip", "background") if files.get(role)]
    return bool(sources) and all(is_picture(str(path)) for path in sources)
