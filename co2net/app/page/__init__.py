# pyright: reportMissingImports=false, reportMissingModuleSource=false
"""The page: harmonize, mask and colorize for people, over the same queue as the server; Gradio mounted at ``/``."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI

from co2net.app.jobs import JobQueue
from co2net.app.page.gate import Gate

_HERE = Path(__file__).parent


def mount_page(app: FastAPI, jobs: JobQueue) -> None:
    """Put the page in front of an application, at ``/``; its own addresses stay.

    Args:
        app: with the server's addresses.
        jobs: the queue of both.
    """
    jobs.page_folder.mkdir(exist_ok=True)
    # Before Gradio is imported: what it keeps lies where the queue removes everything, and it calls nobody.
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.page_folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gradio  # pyright: ignore[reportMissingImports]

    from co2net.app.page.layout import build
    from co2net.app.page.theme import theme

    gradio.mount_gradio_app(
        app,
        build(jobs),
        path="/",
        theme=theme(),
        css_paths=_HERE / "page.css",
        js=_script(),
        head='<meta name="color-scheme" content="light dark">',
        footer_links=[],
        run_history=False,
        max_file_size=jobs.limits.upload_bytes,
        show_error=True,
        ssr_mode=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    app.add_middleware(Gate)


def _script() -> str:
    """The page's script, as a function: without the comment before it."""
    text = (_HERE / "names.js").read_text(encoding="utf-8")
    return text[text.index("() =>") :]
