"""``co2net serve``: the same jobs on a page and for programs."""

from __future__ import annotations

import argparse
import os

from co2net.cli.options import add_device, add_quiet

EXAMPLES = """\
examples:
  co2net serve                                         # a page at http://127.0.0.1:7860, for this machine only
  co2net serve --host 0.0.0.0 --token auto             # for the network, with a token that is printed
  co2net serve --no-page --device cuda:0,cuda:1        # for programs, a clip at a time on each GPU
  curl -F composite=@comp.mp4 -F mask=@mask.mp4 http://127.0.0.1:7860/v1/harmonize

Needs pip install 'co2net[app]'. Addresses for programs are at /openapi.json; docs/app.md has more.
"""
TOKEN_VARIABLE = "CO2NET_TOKEN"  # noqa: S105  (the variable's name)
SHORTEST_TOKEN = 12


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "serve",
        help="a page in the browser, and a server for programs",
        description="Serve a page (harmonize, mask, colorize) and an HTTP server, over one queue of jobs.",
        epilog=EXAMPLES,
    )
    where = p.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1: this machine)")
    where.add_argument("--port", type=int, default=7860, help="default 7860")
    where.add_argument("--no-page", action="store_true", help="the server alone; needs no Gradio")
    who = p.add_argument_group("who may come in")
    who.add_argument(
        "--token",
        help=f"what everybody has to show, {SHORTEST_TOKEN} characters or more; auto makes one up and prints it; "
        f"the environment variable {TOKEN_VARIABLE} says it too",
    )
    who.add_argument("--insecure", action="store_true", help="listen to the network without a token")
    who.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name under which the server is reached"
    )
    who.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="a proxy's address, https://tools.example.org",
    )
    limits = p.add_argument_group("limits")
    limits.add_argument("--max-upload", type=float, default=1024, metavar="MIB", help="of one request (default 1024)")
    limits.add_argument("--max-pixels", type=float, default=34, metavar="MEGA", help="of a frame (default 34: 8K)")
    limits.add_argument("--max-frames", type=int, default=5000, metavar="N", help="of a clip (default 5000)")
    limits.add_argument("--max-queue", type=int, default=16, metavar="N", help="clips that may wait (default 16)")
    limits.add_argument("--keep", type=float, default=60, metavar="MINUTES", help="how long results stay (default 60)")
    limits.add_argument("--max-minutes", type=float, default=60, metavar="N", help="one job may take (default 60)")
    how = p.add_argument_group("how")
    add_device(how)
    add_quiet(p, "print nothing but errors")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until it is stopped."""
    import secrets
    from importlib.util import find_spec

    from co2net.app.limits import Limits
    from co2net.cli.errors import say
    from co2net.errors import InputError

    needed = ["fastapi", "uvicorn", "python_multipart", *([] if options.no_page else ["gradio"])]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise InputError(f"`serve` needs {', '.join(missing)}; pip install 'co2net[app]'")
    token = options.token or os.environ.get(TOKEN_VARIABLE) or None
    made_up = token == "auto"  # noqa: S105
    token = secrets.token_urlsafe(18) if made_up else token
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise InputError(f"`token` has {len(token)} characters; give {SHORTEST_TOKEN} or more, or auto")
    loopback = _is_loopback(options.host)
    if not loopback and token is None and not options.insecure:
        raise InputError(
            f"`host` {options.host} lets the network in: give a `token` (auto makes one), or say `insecure`"
        )
    positive = ("port", "max_upload", "max_pixels", "max_frames", "max_queue", "keep", "max_minutes")
    for name in positive:
        if not getattr(options, name) > 0:
            raise InputError(f"`{name}` must be more than 0, got {getattr(options, name):g}")
    limits = Limits(
        upload_bytes=int(options.max_upload * (1 << 20)),
        pixels=int(options.max_pixels * 1e6),
        frames=options.max_frames,
        queue=options.max_queue,
        keep_seconds=60 * options.keep,
        job_seconds=60 * options.max_minutes,
    )
    devices = options.device.split(",")
    if devices != ["auto"]:
        from co2net.devices import choose_device

        for device in devices:
            choose_device(device)
    from co2net.app import guard, server

    place = server.listen(options.host, options.port)
    app = server.create_app(
        limits,
        token=token,
        hosts=[*guard.LOOPBACK, options.host, *options.allow_host] if loopback or options.allow_host else [],
        origins=[origin.rstrip("/") for origin in options.allow_origin],
        devices=devices,
        page=not options.no_page,
    )
    if not options.quiet:
        shown = f"[{options.host}]" if ":" in options.host else options.host
        say(f"{'server' if options.no_page else 'page and server'} at http://{shown}:{options.port} (Ctrl-C ends it)")
        if made_up:
            say(f"token: {token}")
    server.serve(app, place)


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
