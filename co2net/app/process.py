"""The server's side of a worker process: start it, give it a job, hear of it, end it, and notice when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from co2net.errors import Co2netError

GRACE = 5.0
"""Seconds that a worker has to end a cancelled job by itself."""
START_SECONDS = 120.0
_LINE = 1 << 20
_ROOT = Path(__file__).resolve().parents[2]


class WorkerGone(Co2netError):
    """The process died, was ended, or took too long; its job is lost."""


class WorkerProcess:
    """One worker.

    Args:
        lane: which line it serves.
        device: where it computes.
        folder: its working directory, which must hold nothing that Python could import.
    """

    def __init__(self, lane: str, device: str, folder: Path) -> None:
        self.lane, self.device, self._folder = lane, device, folder
        self._process: asyncio.subprocess.Process | None = None
        self._facts: dict[str, Any] | None = None
        self._up = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None
        self._why = ""
        self._listens = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Number of the process; None if there is none."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    @property
    def is_up(self) -> bool:
        """Whether it takes jobs, or works on one."""
        return self._listens and self.pid is not None

    async def facts(self) -> dict[str, Any]:
        """What it said when it came up the first time; waits for that."""
        await asyncio.wait_for(self._up.wait(), START_SECONDS)
        assert self._facts is not None  # noqa: S101  (set before the event)
        return self._facts

    async def start(self) -> None:
        """Start it, or start it anew, and wait until it is up.

        Raises:
            WorkerGone: it did not come up.
        """
        await self.stop()
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "CO2NET_APP_DEVICE": self.device}
        # Its temporary files lie where the server removes everything.
        environment |= {"TMPDIR": str(self._folder)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "co2net.app.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._folder,
            env=environment,
            limit=_LINE,
            # Ctrl-C in the terminal is for the server, which then ends its workers.
            start_new_session=True,
        )
        self.starts += 1
        self._why, self._listens = "", False
        self._end_in(START_SECONDS, "it did not come up")
        try:
            self._facts = (await self._hear())["ready"]
        finally:
            self._keep()
        self._listens = True
        self._up.set()

    async def gone(self) -> None:
        """Wait until there is no process."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """End it, whatever it does."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._process = None

    def cancel(self, job: str) -> None:
        """Ask it to leave a job; it is ended if it does not within :data:`GRACE`."""
        self._tell({"cancel": job})
        self._end_in(GRACE, "it did not stop when it was asked to")

    async def do(
        self, order: dict[str, Any], progress: Callable[[int, int | None], None], seconds: float
    ) -> dict[str, Any]:
        """Have a job done.

        Args:
            order: see :class:`~co2net.app.tasks.Task`.
            progress: called with frames done and in all.
            seconds: how long it may take.

        Returns:
            The worker's last word on it.

        Raises:
            WorkerGone: the process ended meanwhile.
        """
        self._tell({"job": order})
        self._end_in(seconds, f"it took longer than the {seconds:.0f} seconds that a job has")
        try:
            while True:
                message = await self._hear()
                if "progress" not in message:
                    return message
                progress(*message["progress"])
        finally:
            self._keep()

    async def _hear(self) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdout is not None  # noqa: S101  (started)
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than any of ours
            line = b""
        try:
            return json.loads(line)
        except ValueError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise WorkerGone(self._epitaph(await process.wait())) from None

    def _epitaph(self, code: int) -> str:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        why = self._why or f"it ended by itself ({how})"
        return f"the process that worked on it is gone: {why}; a new one was started, the next job is safe"

    def _tell(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):  # gone: who listens will notice
                self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _keep(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _end_in(self, seconds: float, why: str) -> None:
        self._keep()

        def end() -> None:
            self._why = why
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()

        self._deadline = asyncio.get_running_loop().call_later(seconds, end)
