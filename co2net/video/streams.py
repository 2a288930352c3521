"""Which of a file's streams is the picture."""

from __future__ import annotations

from typing import Any

_COVER_ART = 0x400  # AV_DISPOSITION_ATTACHED_PIC


def is_cover(stream: Any) -> bool:
    """Whether a video stream is cover art: one picture that goes along."""
    disposition = getattr(stream, "disposition", 0)  # not in every PyAV, and of changing type
    return bool(int(getattr(disposition, "value", disposition)) & _COVER_ART)


def video_stream(container: Any) -> Any:
    """Return the first video stream that is not cover art, which is a video stream too; None without one."""
    return next((stream for stream in container.streams.video if not is_cover(stream)), None)
