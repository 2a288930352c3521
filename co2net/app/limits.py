"""How much one request may cost: every number that the page and the server hold people to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is refused, with a sentence, instead of tried.

    Attributes:
        upload_bytes: of one request, all files together.
        pixels: of a frame or picture.
        frames: of a clip.
        queue: clips that may wait; pictures and previews have as many places of their own.
        keep_seconds: how long results stay, from the job's end.
        job_seconds: how long one job may take.
        idle_seconds: how long a request may send nothing, as it stalls.
    """

    upload_bytes: int = 1 << 30
    pixels: int = 34_000_000
    frames: int = 5000
    queue: int = 16
    keep_seconds: float = 3600.0
    job_seconds: float = 3600.0
    idle_seconds: float = 30.0
