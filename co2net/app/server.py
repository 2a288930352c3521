# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""The whole application: guard, addresses, page; and the loop that serves it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from co2net.app.api import STATUS, create_router
from co2net.app.guard import LOOPBACK, Guard, refusal
from co2net.app.jobs import JobQueue
from co2net.app.limits import Limits
from co2net.errors import InputError
from co2net.provenance import version

MIB = 1 << 20


def create_app(
    limits: Limits | None = None,
    *,
    token: str | None = None,
    hosts: Sequence[str] = LOOPBACK,
    origins: Sequence[str] = (),
    devices: Sequence[str] = ("auto",),
    page: bool = True,
    folder: Path | None = None,
) -> FastAPI:
    """Build page and server over one queue, which lives as long as the application runs.

    Args:
        limits: what is refused.
        token: what every request must show; None: nothing.
        hosts: names under which it is reached; empty: any.
        origins: other addresses whose pages may use it.
        devices: one worker for clips each.
        page: with the page at ``/``; needs Gradio.
        folder: where files lie meanwhile; None: in the system's place for temporary files.
    """
    limits = limits or Limits()
    jobs = JobQueue(limits, devices, folder)

    @contextlib.asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        async with jobs:
            yield

    app = FastAPI(
        title="co2net",
        version=version(),
        description="Make a composited foreground match its background. Every error is one sentence in `error`.",
        lifespan=alive,
        docs_url=None,  # both would load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.jobs = jobs
    app.include_router(create_router(jobs))
    app.add_exception_handler(InputError, _input_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _form_error)
    app.add_exception_handler(Exception, _fault)
    if page:
        from co2net.app.page import mount_page

        mount_page(app, jobs)
    app.add_middleware(Guard, limits=limits, token=token, hosts=hosts, origins=origins)
    return app


def listen(host: str, port: int) -> socket.socket:
    """Take the address that is served at.

    Raises:
        InputError: somebody else has it, or there is no such address here.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=kind)
    except (OSError, OverflowError) as error:
        cause = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise InputError(f"cannot listen at `host` {host}, `port` {port} ({cause}); choose another one") from error


def serve(app: FastAPI, at: socket.socket) -> None:
    """Serve until somebody stops it; connections that still watch a job have three seconds then."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False)
    # What ended it is raised once more when all is cleaned up; to end a server is no failure.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[at])


async def _input_error(_: Request, error: Any):
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
    return refusal(status, str(error))


async def _http_error(_: Request, error: Any):
    sentence = str(error.detail)
    if error.status_code == 400:
        sentence = f"the form cannot be read ({sentence.rstrip('.')}); send it as multipart/form-data"
    return refusal(error.status_code, sentence)


async def _form_error(_: Request, error: Any):
    """What is wrong with the fields, in one sentence."""
    told = []
    for found in error.errors()[:3]:
        place = [str(part) for part in found["loc"] if part not in ("body", "float", "constrained-float")]
        field = f"`{place[0]}`" if place else "the form"
        given = found.get("input")
        shown = f" {given!r}" if isinstance(given, str) and len(given) < 60 else ""
        words = {"missing": "is missing", "extra_forbidden": "is no field of this form"}
        sentence = f"{field}{shown}: {words.get(found['type'], found['msg'])}"
        told += [sentence] if sentence not in told else []
    return refusal(422, "; ".join(told))


async def _fault(_: Request, error: Any):
    return refusal(500, f"a fault of co2net ({type(error).__name__}); the server's log has more")
