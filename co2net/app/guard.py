# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""Who may come in, and how much they may bring: before anything of a request is read.

* The host's name must be one of ours, so that no other name can be pointed at this machine (DNS rebinding).
* A browser that comes from another page is sent away: it would act with the rights of whoever sits before it.
* With a token, every request but ``/healthz`` shows it: ``Authorization: Bearer TOKEN``, or the cookie that the form
  at ``/login`` sets.
* A request that is too large, or stalls, ends in one sentence; what came of it is gone.
"""

from __future__ import annotations

import asyncio
import hmac
import html
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from co2net.app.limits import Limits

COOKIE = "co2net_token"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_DRAINED = 64 << 20
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "SAMEORIGIN",
    # The page takes everything from here; whatever a library would fetch from elsewhere stays away.
    "content-security-policy": "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'",
}
_LOGIN = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>co2net</title><style>body{{font:16px/1.5 system-ui;display:grid;place-items:center;min-height:90vh;margin:0;
color-scheme:light dark}}form{{display:grid;gap:.75rem;width:min(20rem,90vw)}}input,button{{font:inherit;padding:.6rem}}
</style><form method="post" action="/login"><h1>co2net</h1><p>{message}</p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Enter</button></form></html>"""


class Guard:
    """ASGI middleware around page and server.

    Args:
        app: what is behind.
        limits: see :class:`~co2net.app.limits.Limits`.
        token: None lets everybody in.
        hosts: names under which the server is reached; empty: any.
        origins: pages of other addresses that may use it, such as ``https://tools.example.org`` (a proxy's).
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        token: str | None = None,
        hosts: Sequence[str] = LOOPBACK,
        origins: Sequence[str] = (),
    ) -> None:
        self._app, self._limits, self._token = app, limits, token
        self._hosts, self._origins = frozenset(hosts), frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no web sockets here
        request = Request(scope)
        limited = _Limited(receive, self._limits)
        sender = _with_headers(send)
        answer = await self._refuses(request, limited)
        if answer is not None:
            if "expect" not in request.headers:
                await limited.drain()
            await answer(scope, receive, sender)
            return
        await self._app(scope, limited, sender)

    async def _refuses(self, request: Request, receive: Receive) -> Response | None:
        """The answer to a request that may not go on."""
        host = request.headers.get("host", "")
        if self._hosts and (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            names = ", ".join(sorted(self._hosts))
            return refusal(403, f"this server answers to {names} only, not to {host[:80]!r}")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins and urlsplit(origin).netloc != host:
            return refusal(403, f"requests from pages of {origin[:80]} are not taken here")
        if self._token is not None and request.url.path != "/healthz":
            if request.url.path == "/login" and request.method == "POST":
                return await self._login(request, receive)
            if not self._knows_token(request):
                return _asks_for_token(request)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limits.upload_bytes:
            return refusal(413, too_large(self._limits))
        return None

    def _knows_token(self, request: Request) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        shown = shown if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
        return self._is_token(shown)

    def _is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.strip().encode(), (self._token or "").encode())

    async def _login(self, request: Request, receive: Receive) -> Response:
        form = await Request(request.scope, receive).form(max_files=0, max_fields=4, max_part_size=4096)
        if not self._is_token(str(form.get("token", ""))):
            await asyncio.sleep(1.0)  # guessing takes its time
            return HTMLResponse(_LOGIN.format(message="That is not the token."), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, self._token or "", httponly=True, samesite="strict", secure=secure)
        return answer


def refusal(status: int, sentence: str) -> JSONResponse:
    """An error as every part of the server gives it."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else {"retry-after": "60"} if status == 429 else None
    return JSONResponse({"error": sentence}, status, headers)


def too_large(limits: Limits) -> str:
    """The sentence for an upload over the limit."""
    return f"the upload is larger than the {limits.upload_bytes / (1 << 20):,.4g} MiB that are taken here; send less"


def _asks_for_token(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", "") and request.method == "GET":
        return HTMLResponse(_LOGIN.format(message=html.escape("This page is open to those who have its token.")), 401)
    return refusal(401, "show the server's token: Authorization: Bearer TOKEN")


class _Limited:
    """A request's body, held to size and pace."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._bytes, self._whole = 0, False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._limits.idle_seconds)
        except asyncio.TimeoutError:
            self._whole = True
            seconds = f"{self._limits.idle_seconds:g}"
            raise HTTPException(408, f"nothing came for {seconds} seconds; send the request again") from None
        if message["type"] != "http.request":
            self._whole = True
            return message
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._limits.upload_bytes:
            await self.drain()
            raise HTTPException(413, too_large(self._limits))
        return message

    async def drain(self) -> None:
        """Read on for a while without keeping it: who is still sending would not see the answer."""
        left, patience = _DRAINED, min(2.0, self._limits.idle_seconds)
        while not self._whole and left > 0:
            try:
                message = await asyncio.wait_for(self._receive(), patience)
            except asyncio.TimeoutError:
                break
            left -= len(message.get("body", b""))
            self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        self._whole = True


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name for name, _ in message["headers"]}
            new = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in there]
            message = {**message, "headers": [*message["headers"], *new]}
        await send(message)

    return sender
