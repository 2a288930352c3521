"""The path of a video or folder to write: checked before the work; and what to say when writing fails."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

from av.error import FFmpegError

from co2net.errors import OutputError
from co2net.video.metadata import VideoInfo

FOLDER_FRAME = "{:06d}"
"""Names of the frames of a video written as a folder; counted from 1, as FFmpeg does."""


_NAME_BYTES = 255
"""What file systems take."""


def check_name(path: Path) -> None:
    """Refuse a name that no file system takes.

    Raises:
        OutputError: a part of it is too long.
    """
    for part in path.parts:
        if len(os.fsencode(part)) > _NAME_BYTES:
            raise OutputError(f"{part[:40]}...: the name is longer than the {_NAME_BYTES} bytes a file system takes")


def followed(link: Path) -> Path:
    """The path that a link names, whether something is there or not.

    Raises:
        OutputError: the link leads in a circle.
    """
    try:
        return link.resolve()
    except (OSError, RuntimeError):
        raise OutputError(f"{link}: the link leads in a circle; remove it") from None


def check_output_path(output: Path, protect: Iterable[Path], overwrite: bool) -> None:
    """Refuse a place where nothing can or may be written, before any work is done.

    Raises:
        OutputError: no such parent folder, no permission, an input lies there, or `overwrite` is off and
            something does.
    """
    parent = output.absolute().parent
    if not parent.is_dir():
        raise OutputError(f"{output}: the folder {parent} does not exist; make it first")
    for source in protect:
        if _same(output, source):
            raise OutputError(f"{output}: is an input; choose another name for the output")
        if source.exists() and output.is_dir() and output.resolve() in source.resolve().parents:
            raise OutputError(f"{output}: holds the input {source.name}; choose another folder for the output")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"{output}: no permission to write in {parent}")
    if output.exists() and not overwrite and not (output.is_dir() and not any(output.iterdir())):
        raise OutputError(f"{output}: exists already; remove it, or allow it to be replaced with `overwrite`")


def check_old_folder(folder: Path, info: VideoInfo, ending: str = ".png") -> None:
    """Allow an existing folder only if it is empty or holds nothing but an earlier result of the same job.

    Raises:
        OutputError: another file is in it; it is not ours to delete.
    """
    stems = {Path(name).stem for name in info.names}
    for entry in sorted(folder.iterdir()):
        ours = entry.is_file() and entry.suffix == ending
        ours = ours and (entry.stem in stems if stems else re.fullmatch(r"[0-9]{6,}", entry.stem) is not None)
        if not ours:
            raise OutputError(f"{folder}: holds {entry.name}, which is no earlier result; give an empty or new folder")


def write_error(output: Path, error: Exception) -> OutputError:
    """Say in one sentence why writing failed."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"{output}: no space left to write it ({error.strerror}); free some or choose another disk")  # type: ignore[attr-defined]
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{output}: no permission to write it")
    cause = error.strerror if isinstance(error, OSError | FFmpegError) else str(error)
    return OutputError(f"{output}: cannot be written ({cause})")


def _same(output: Path, source: Path) -> bool:
    try:
        return output.samefile(source)
    except OSError:
        return output.resolve() == source.resolve()
