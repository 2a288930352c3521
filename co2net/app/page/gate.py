# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""What of Gradio is open: the addresses that the page needs, and no file that lies elsewhere.

Gradio would fetch an address for whoever names one as a file, pass requests on to other servers, and has doors for
tools that this page does not use.
"""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from co2net.app.guard import refusal

_OURS = re.compile(r"/(healthz|openapi\.json|v1/.*)")
_PAGE = re.compile(
    r"/|/(config|theme\.css|manifest\.json|favicon\.ico|robots\.txt)|/(assets|static|svelte)/.*|"
    r"/gradio_api/(upload|upload_progress|queue/(join|data)|heartbeat/\w+|startup-events|reset|cancel|info|app_id|"
    r"theme\.css|file=(?!.*://).*|queue/status)/?"
)
_ORDERS = re.compile(r"/gradio_api/queue/join/?")
MOST_BYTES = 4 << 20
"""Of an order that the page gives; files come by another way."""


class Gate:
    """ASGI middleware before the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http" or _OURS.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
        elif not _PAGE.fullmatch(scope["path"]):
            await refusal(404, "there is nothing at this address")(scope, receive, send)
        elif _ORDERS.fullmatch(scope["path"]):
            await self._order(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _order(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        async for part in Request(scope, receive).stream():
            body += part
            if len(body) > MOST_BYTES:
                await refusal(413, "an order of the page is shorter than that")(scope, receive, send)
                return
        try:
            elsewhere = names_elsewhere(json.loads(body or b"null"))
        except (ValueError, RecursionError):
            await refusal(400, "that is no order of the page")(scope, receive, send)
            return
        if elsewhere:
            await refusal(403, "files are sent, not named by an address: nothing is fetched from here")(
                scope, receive, send
            )
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


def names_elsewhere(value: Any) -> bool:
    """Whether an order names a file by an address, at any depth."""
    if isinstance(value, dict):
        named = value.get("path")
        return (isinstance(named, str) and "://" in named) or any(names_elsewhere(part) for part in value.values())
    return isinstance(value, list) and any(names_elsewhere(part) for part in value)
