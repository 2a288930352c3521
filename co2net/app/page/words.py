"""Pieces of HTML that the page shows: how a job is, what came of it, what a network is good for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from co2net.app.jobs import Job
from co2net.pipeline.confidence import UNSURE, describe, grade

LOGO = (
    '<svg viewBox="0 0 34 24" width="34" height="24" aria-hidden="true"><circle class="back" cx="12" cy="12" r="11"/>'
    '<circle class="front" cx="22" cy="12" r="11"/>'
    '<path class="both" d="M17 2.2a11 11 0 0 1 0 19.6 11 11 0 0 1 0-19.6z"/></svg>'
)
HEADER = (
    f'<header class="masthead"><h1>{LOGO}<span>co2net</span></h1>'
    "<p>Make a cut-out belong to its scene: the colors of the foreground follow the background, frame after frame.</p>"
    "</header>"
)
NO_FRAME = (
    '<div class="empty"><strong>Nothing to compare yet</strong><span>Choose a composite and its mask, or begin with '
    "one of the examples.</span></div>"
)
NOTHING = ""
Say = Callable[[str], str]


def clip_words(facts: Mapping[str, Any]) -> str:
    """What a file is, in a line."""
    words = [f"{facts['width']} × {facts['height']}"]
    if facts["kind"] != "image":
        words.append(f"{facts['frames']} frames" if facts["frames"] else "a clip of unknown length")
        words += [f"{facts['frame_rate']:.4g} frames/s"] if facts["frame_rate"] else []
    else:
        words.append("picture")
    words += ["with alpha channel"] if facts["alpha"] else []
    return f'<p class="facts">{" · ".join(escape(word) for word in words)}</p>'


def network_words(model: Mapping[str, Any] | None) -> str:
    """What a network is good for, and what not."""
    if not model:
        return NOTHING
    good, bad = (escape(str(model[name])) for name in ("good_at", "not_for"))
    lines = [f"<span><b>Good at</b> {good}.</span>"] if good else []
    lines += [f"<span><b>Not for</b> {bad}.</span>"] if bad else []
    return f'<p class="network">{"".join(lines)}</p>'


def error_words(error: float | None, change: float | None, notes: Sequence[str], say: Say) -> str:
    """How much the network changes here, how wrong it expects to be, and notes."""
    if error is None or change is None:
        words = "This network does not say how sure it is."
    else:
        hint = ": compare well, less strength may help" if grade(change, error) == UNSURE else ""
        words = (
            f"Here it wants {escape(describe(change, error))}{hint}. It expects to be wrong by about "
            f"<b>{error:.0f}</b> levels."
        )
    return f'<p class="facts">{words}</p>' + note_words(notes, say)


def note_words(notes: Sequence[str], say: Say) -> str:
    """Notes of the library, a line each."""
    if not notes:
        return NOTHING
    lines = "".join(f"<li>{escape(say(note))}</li>" for note in notes)
    return f'<ul class="notes">{lines}</ul>'


def progress_words(job: Job, position: int) -> str:
    """How far a job is."""
    if job.state == "queued":
        before = "next in line" if not position else f"{position} before it" if position > 1 else "one before it"
        return _bar(0, 0, f"Waiting: {before}")
    if job.cancelling:
        return _bar(job.done, job.total or 0, "Cancelling")
    if not job.done:
        return _bar(0, 0, "Reading the first frames")
    words = [f"Frame {job.done} of {job.total}" if job.total else f"Frame {job.done}"]
    if job.rate > 0:
        words.append(f"{job.rate:.1f} frames/s")
        if job.total and job.total > job.done:
            words.append(f"{(job.total - job.done) / job.rate:.0f} s left")
    return _bar(job.done, job.total or 0, " · ".join(words))


def ended_words(job: Job, say: Say, names: Mapping[str, str]) -> str:
    """What came of a job: a player and links, or why there are none.

    Args:
        job: it is over.
        say: puts its messages into the page's words.
        names: result to the words of its link.
    """
    if job.state == "cancelled":
        return '<div class="job ended" role="status"><p>Cancelled. Nothing was kept.</p></div>'
    if job.state == "failed":
        return failed_words(job.error, say)
    place = f"/v1/jobs/{job.id}/results"
    file = job.results["output"].name
    shown = NOTHING
    if file.endswith((".mp4", ".webm")):
        shown = f'<video controls loop muted playsinline src="{place}/output" aria-label="Result"></video>'
    elif file.endswith((".png", ".jpg", ".webp")):
        shown = f'<img src="{place}/output" alt="Result">'
    links = "".join(
        f'<a class="download" href="{place}/{name}" download="{escape(path.name)}">{escape(names.get(name, name))}'
        f"<small>{_size(path.stat().st_size)}</small></a>"
        for name, path in job.results.items()
        if name in names
    )
    rate = f"{job.done / job.seconds:.1f} frames/s" if job.done > 1 and job.seconds else ""
    words = " · ".join(filter(None, (f"{job.done} frames in {job.seconds:.1f} s" if job.done > 1 else "Done", rate)))
    return (
        f'<div class="job done" role="status">{shown}<p>{words}</p><div class="downloads">{links}</div></div>'
        + note_words(job.notes, say)
    )


def failed_words(error: str, say: Say) -> str:
    """Why something did not work."""
    return f'<div class="job failed" role="alert"><p>{escape(say(error))}</p></div>'


def _bar(done: int, total: int, words: str) -> str:
    share = f'style="width:{100 * min(done / total, 1):.1f}%"' if total else 'class="unknown"'
    value = f'aria-valuenow="{done}" aria-valuemax="{total}"' if total else ""
    return (
        f'<div class="job running"><div class="bar" role="progressbar" aria-label="Progress" aria-valuemin="0" {value}>'
        f"<span {share}></span></div><p>{escape(words)}</p></div>"
    )


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MB" if count >= 1 << 20 else f"{max(1, count >> 10)} kB"


def foot_words(device: str, limits: Any) -> str:
    """Where it computes, and what it takes."""
    minutes = round(limits.keep_seconds / 60)
    kept = f"{minutes} minutes" if minutes > 1 else "a minute"
    return (
        f"<footer><span>Computes on {escape(device)}</span><span>Takes {limits.upload_bytes >> 20:,} MB, "
        f"{limits.pixels / 1e6:.3g} megapixels, {limits.frames:,} frames</span><span>Files are gone after {kept}</span>"
        '<span><a href="/openapi.json">For programs</a></span></footer>'
    )
