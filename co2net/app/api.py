# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""The server's addresses: ``/v1/...`` and ``/healthz``."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import shutil
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, StreamingResponse

from co2net.app import uploads
from co2net.app.forms import ColorizeForm, HarmonizeForm, Health, JobState, MatteForm, Models, Refused
from co2net.app.jobs import Job, JobQueue, Lane, QueueFullError, UnknownJobError
from co2net.errors import InputError
from co2net.provenance import version

ENDED = {"done", "failed", "cancelled"}
NOTES = "co2net-notes"
"""Header of a picture's answer: the notes, as a JSON list."""
mimetypes.add_type("text/plain", ".cube")
mimetypes.add_type("video/x-matroska", ".mkv")
mimetypes.add_type("image/webp", ".webp")

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refused, "description": "The request cannot be read."},
    413: {"model": Refused, "description": "More than is taken here."},
    415: {"model": Refused, "description": "No kind of file that is taken here."},
    422: {"model": Refused, "description": "A file or a field cannot be used."},
    429: {"model": Refused, "description": "The queue is full."},
    500: {"model": Refused, "description": "A fault of ours, or the worker died."},
}
MADE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Of pictures: the result itself. Notes are in the header `co2net-notes`, a JSON list.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    },
    202: {"model": JobState, "description": "A job; its address is in `location`."},
    **ERRORS,
}
GONE: dict[int | str, dict[str, Any]] = {404: {"model": Refused, "description": "No such job, or no longer."}}


def sample(words: str) -> dict[str, Any]:
    """A command for the OpenAPI page, in a checkout's folder; the tests run it with ``$SERVER`` and ``$JOB`` set."""
    return {"x-codeSamples": [{"lang": "Shell", "label": "curl", "source": words}]}


def job_state(job: Job, jobs: JobQueue) -> JobState:
    """What people see of a job."""
    return JobState(
        id=job.id,
        kind=job.kind,
        state=job.state,
        position=jobs.position(job),
        done=job.done,
        total=job.total,
        frames_per_second=round(job.rate, 2),
        seconds=round(job.seconds, 3),
        notes=job.notes,
        error=job.error,
        results={name: f"/v1/jobs/{job.id}/results/{name}" for name in job.results},
        facts={name: value for name, value in job.facts.items() if name != "unwanted"},
    )


def create_router(jobs: JobQueue) -> APIRouter:
    """All addresses, over one queue."""
    router = APIRouter()

    @router.post(
        "/v1/harmonize",
        status_code=202,
        responses=MADE,
        summary="Make a foreground match its background",
        openapi_extra=sample(
            "curl -sS -F composite=@sample_data/composite.mp4 -F mask=@sample_data/mask.mp4 -F cube=true "
            "$SERVER/v1/harmonize"
        ),
    )
    async def harmonize(request: Request, form: Annotated[HarmonizeForm, Form(media_type="multipart/form-data")]):
        """A clip becomes a job, a picture is answered with the result.

        Give `composite` with `mask`, or `foreground` with `background`.
        """
        return await _take(request, jobs, "harmonize", form, ("composite", "foreground", "background"), "mp4")

    @router.post(
        "/v1/matte",
        status_code=202,
        responses=MADE,
        summary="Make a mask",
        openapi_extra=sample("curl -sS -F clip=@sample_data/real.mp4 -F moving=true -F format=mp4 $SERVER/v1/matte"),
    )
    async def matte(request: Request, form: Annotated[MatteForm, Form(media_type="multipart/form-data")]):
        """From a colored screen (`key`), a painted frame (`mask`) or motion (`moving`): one of these."""
        return await _take(request, jobs, "matte", form, ("clip",), "mkv")

    @router.post(
        "/v1/colorize",
        status_code=202,
        responses=MADE,
        summary="Color a gray clip from strokes",
        openapi_extra=sample(
            "co2net scribbles sample_data/real_videos/1c0ffeec0f/00000.jpg -o strokes.png >&2 && "
            "curl -sS -F clip=@sample_data/real_videos/1c0ffeec0f/00000.jpg -F scribbles=@strokes.png "
            "-F answer=job $SERVER/v1/colorize"
        ),
    )
    async def colorize(request: Request, form: Annotated[ColorizeForm, Form(media_type="multipart/form-data")]):
        """The brightness stays; strokes change the color only."""
        return await _take(request, jobs, "colorize", form, ("clip",), "mp4")

    @router.get(
        "/v1/jobs/{job}",
        response_model=JobState,
        responses=GONE,
        summary="How a job is",
        openapi_extra=sample("curl -sS $SERVER/v1/jobs/$JOB"),
    )
    async def state(job: str) -> JobState:
        return job_state(jobs.get(job), jobs)

    @router.get(
        "/v1/jobs/{job}/events",
        response_class=StreamingResponse,
        responses={**GONE, 200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}},
        summary="Progress as server-sent events",
        openapi_extra=sample("curl -sS -N $SERVER/v1/jobs/$JOB/events"),
    )
    async def events(job: str) -> StreamingResponse:
        """Events named `state` with the same content as `/v1/jobs/{job}`; the last one says how it ended."""
        return StreamingResponse(
            _events(jobs.get(job), jobs), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    @router.get(
        "/v1/jobs/{job}/results/{name}",
        response_class=FileResponse,
        responses={**GONE, 409: {"model": Refused, "description": "It is not done yet."}},
        summary="A result",
        openapi_extra=sample("curl -sS $SERVER/v1/jobs/$JOB/results/output -o harmonized.mp4"),
    )
    async def result(job: str, name: str) -> FileResponse:
        """Parts of the file too (`Range`), as players ask for them."""
        found = jobs.get(job)
        if found.state in ("queued", "running"):
            raise HTTPException(409, f"the job is {found.state}; its results come when it is done")
        if name not in found.results:
            there = ", ".join(found.results) or "none"
            raise HTTPException(404, f"the job has no result of that name; there are: {there}")
        place = found.results[name]
        return FileResponse(place, filename=place.name, headers={"cache-control": "private, no-store"})

    @router.delete(
        "/v1/jobs/{job}",
        status_code=204,
        responses=GONE,
        summary="Cancel a job, or throw its results away",
        openapi_extra=sample("curl -sS -X DELETE $SERVER/v1/jobs/$JOB"),
    )
    async def cancel(job: str) -> Response:
        found = jobs.get(job)
        if found.is_over:
            jobs.forget(found)
        else:
            jobs.cancel(found)
        return Response(status_code=204)

    @router.get("/v1/models", summary="The networks", openapi_extra=sample("curl -sS $SERVER/v1/models"))
    async def models() -> Models:
        facts = await jobs.facts()
        return Models(models=facts["models"])

    @router.get("/healthz", summary="Whether it works", openapi_extra=sample("curl -sS $SERVER/healthz"))
    async def healthz(response: Response) -> Health:
        """Status 503 while a worker is not up."""
        workers = [{"lane": w.lane, "up": w.is_up, "starts": w.starts} for w in jobs.workers]
        up = all(worker["up"] for worker in workers)
        response.status_code = 200 if up else 503
        return Health(status="ok" if up else "starting", version=version(), waiting=jobs.waiting, workers=workers)

    return router


async def _take(request: Request, jobs: JobQueue, kind: str, form: Any, sources: tuple[str, ...], ending: str):
    """Keep what was sent, make a job of it, and answer."""
    sent = form.uploads()
    pictures = [uploads.is_picture(sent[role].filename) for role in sources if role in sent]
    if not pictures:
        raise InputError("send a `composite` with its `mask`, or a `foreground` with its `background`")
    still = all(pictures)
    lane: Lane = "quick" if still else "clips"
    jobs.has_room(lane)
    folder = jobs.new_folder()
    try:
        paths = {
            role: await run_in_threadpool(uploads.keep, file.file, folder, role, file.filename)
            for role, file in sent.items()
        }
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    options = {"format": "png" if still else ending, **form.options()}
    names = {str(path): uploads.shown_name(sent[role].filename) for role, path in paths.items()}
    job = jobs.submit(kind, folder, paths, names, options, lane)
    if not still or form.answer == "job":
        state = job_state(job, jobs).model_dump()
        return JSONResponse(state, 202, {"location": f"/v1/jobs/{job.id}"})
    await _finished(request, jobs, job)
    if job.state != "done":
        jobs.forget(job)
        raise HTTPException(job.status, job.error or "the job was cancelled")
    place = job.results["output"]
    return FileResponse(
        place,
        filename=place.name,
        headers={NOTES: json.dumps(job.notes), "cache-control": "no-store"},
        background=BackgroundTask(jobs.forget, job),
    )


async def _finished(request: Request, jobs: JobQueue, job: Job) -> None:
    """Wait for a job; who hangs up gives it up."""
    waiting = asyncio.ensure_future(jobs.wait(job))
    while not waiting.done():
        await asyncio.wait({waiting}, timeout=0.5)
        if not waiting.done() and await request.is_disconnected():
            jobs.forget(job)
    await waiting


async def _events(job: Job, jobs: JobQueue) -> AsyncIterator[str]:
    async for found in jobs.watch(job):
        # A line of comment, so that nobody between takes the connection for dead.
        yield ": waiting\n\n" if found is None else f"event: state\ndata: {job_state(job, jobs).model_dump_json()}\n\n"


STATUS: dict[type[InputError], int] = {QueueFullError: 429, UnknownJobError: 404, uploads.UnknownEndingError: 415}
"""How HTTP calls the library's errors; 422 for all others."""
