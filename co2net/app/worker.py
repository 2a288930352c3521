"""A worker process: takes one job after the other from stdin and tells what becomes of it, a line of JSON each.

What people send is decoded here and nowhere else, so a file that breaks a decoder ends this process and not the server.
JSON, not pickles: whoever takes a worker over cannot reach the process that listens through its answers.

In: ``{"job": {...}}`` (see :class:`~co2net.app.tasks.Task`) and ``{"cancel": id}``. Out: ``{"ready": {...}}`` once,
then per job any number of ``{"progress": [done, total]}`` and one of ``{"done": {...}}``, ``{"failed": sentence}``,
``{"cancelled": true}``. The end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from co2net.screen import take_over
from co2net.threads import wait_passively

PROGRESS_SECONDS = 0.1
"""Between two lines about the same job: a reader must not have to hurry."""


def main() -> None:
    """Work until stdin ends."""
    # Whatever libraries print goes to stderr; stdout is the line to the server.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    wait_passively()
    take_over()
    from co2net.app.tasks import Workshop

    workshop = Workshop(os.environ.get("CO2NET_APP_DEVICE", "auto"))
    _tell(answers, {"ready": workshop.facts()})
    jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
    cancelled = _Cancelled()
    threading.Thread(target=_listen, args=(jobs, cancelled), daemon=True).start()
    while (job := jobs.get()) is not None:
        _tell(answers, _answer(workshop, job, cancelled, answers))


def _answer(workshop: Any, job: dict[str, Any], cancelled: _Cancelled, answers: TextIO) -> dict[str, Any]:
    from co2net.errors import Cancelled, Co2netError

    last = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS or done == total:
            last = now
            _tell(answers, {"progress": [done, total]})

    try:
        return {"done": workshop.work(job, progress, lambda: job["id"] in cancelled)}
    except Cancelled:
        return {"cancelled": True}
    except Co2netError as error:
        return {"failed": str(error)}
    except MemoryError:
        return {"failed": "there is not enough memory for this job; send a smaller one", "status": 413}
    except Exception as error:  # noqa: BLE001  (our fault: it is said, logged, and the next job gets its turn)
        traceback.print_exc()
        return {"failed": f"a fault of co2net ({type(error).__name__}); the server's log has more", "status": 500}
    finally:
        cancelled.forget()


class _Cancelled:
    """Ids of jobs that nobody wants any more."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def add(self, job: str) -> None:
        self._ids.add(job)

    def forget(self) -> None:
        self._ids.clear()

    def __contains__(self, job: str) -> bool:
        return job in self._ids


def _listen(jobs: queue.Queue[dict[str, Any] | None], cancelled: _Cancelled) -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "cancel" in order:
            cancelled.add(order["cancel"])
        else:
            jobs.put(order["job"])
    # The server is gone; nobody waits for what runs now.
    os._exit(0)


def _tell(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
