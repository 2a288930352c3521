"""Files and folders that are there whole or not at all: written beside their place, then renamed.

What was renamed survives a power cut: file and folder are flushed to the disk first. A name under which something is
written (:func:`partial_path`) is hidden and holds the number of the process, so that the next run can tell what a
killed one left behind (:func:`clear_abandoned`).
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from co2net.errors import InputError, OutputError

PathLike = str | os.PathLike[str]
MAX_JSON_BYTES = 1 << 30


def write_beside(path: PathLike, data: bytes | str) -> None:
    """Write `data` (text as UTF-8, line ends as they are) to `path` in one step: all of it, or what was there before.

    A link is followed: the file that it names is replaced, the link stays.

    Raises:
        OutputError: the folder does not exist, is not writable or is full.
    """
    try:
        place = _followed(Path(path))
        partial = partial_path(place)
        try:
            with partial.open("wb") as file:
                file.write(data.encode("utf-8") if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, place)
        finally:
            partial.unlink(missing_ok=True)
        _flush(place.parent)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise cannot_write(path, error) from error


def write_json(path: PathLike, content: Any) -> None:
    """Write `content` as JSON, in one step; not finite numbers are a fault of ours.

    Raises:
        OutputError: as :func:`write_beside`.
    """
    write_beside(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: PathLike, mend: str) -> Any:
    """Read a JSON file that may be anybody's.

    Args:
        path: the file.
        mend: end of the sentence where it cannot be read: what to do about it.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot be read, is no JSON, or is larger than :data:`MAX_JSON_BYTES`.
    """
    try:
        if os.path.getsize(path) > MAX_JSON_BYTES:
            raise ValueError(f"larger than {MAX_JSON_BYTES >> 20} MiB")
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({_short(error)}); {mend}") from error


def make_folder(folder: PathLike) -> None:
    """Make a folder and those above it.

    Raises:
        OutputError: not possible.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder to fill, which becomes `folder` when the block ends well and is deleted otherwise.

    A folder that was there before is replaced. What a killed run left is cleared away first.

    Raises:
        OutputError: not possible.
    """
    try:
        clear_abandoned(folder)
        partial = partial_path(folder)
        remove(partial)
        make_folder(partial)
        try:
            yield partial
            put_in_place(partial, folder)
        finally:
            remove(partial)
    except OSError as error:
        raise cannot_write(folder, error) from error


def place_file(source: Path | bytes, target: Path) -> None:
    """Bring a file into the output: a hard link where the disk allows it, else a copy; the same file may be there.

    Args:
        source: a file, or its content.
        target: where to.

    Raises:
        InputError: another file of that name is there.
        OutputError: it cannot be written.
    """
    if target.exists():
        same = (
            target.read_bytes() == source
            if isinstance(source, bytes)
            else os.path.samefile(source, target) or filecmp.cmp(source, target, shallow=False)
        )
        if not same:
            raise InputError(f"{target} is already there and another picture; give an empty folder as output")
        return
    if isinstance(source, bytes):
        return write_beside(target, source)
    try:
        os.link(os.path.realpath(source), target)
    except FileExistsError:  # another worker was faster
        place_file(source, target)
    except OSError:  # another disk, or one without links
        try:
            content = source.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {source}: {error.strerror or error}") from error
        write_beside(target, content)


def partial_path(output: Path) -> Path:
    """The name to write under: same folder, hidden, same ending (it may choose the format), shortened where need be."""
    mark = f".partial-{os.getpid()}{output.suffix}"
    return output.with_name(f".{_shortened(output)}{mark}")


def put_in_place(partial: Path, output: Path) -> None:
    """Rename a finished file or folder over its place; an old folder goes once the new one is there.

    Raises:
        OSError: not possible; what was there before still is.
    """
    with ThreadPoolExecutor(8) as pool:  # side by side the disk can write many at once
        list(pool.map(_flush, [*partial.rglob("*"), partial]))
    if not partial.is_dir() or not output.exists():
        partial.replace(output)
    else:
        old = output.with_name(f".{_shortened(output)}.partial-{os.getpid()}.old")
        output.rename(old)
        try:
            partial.rename(output)
        except OSError:
            old.rename(output)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _flush(output.parent)


def remove(path: Path) -> None:
    """Remove a file or folder of ours; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear_abandoned(output: Path) -> None:
    """Remove what killed runs left of `output`: partial files and folders whose process lives no more."""
    stem, ending = re.escape(_shortened(output)), re.escape(output.suffix)
    pattern = re.compile(rf"\.{stem}\.partial-([0-9]+)({ending}|\.old)")
    with contextlib.suppress(OSError):
        for name in os.listdir(output.parent):
            found = pattern.fullmatch(name)
            if found and not process_lives(int(found[1])):
                remove(output.parent / name)


@contextmanager
def only_one(folder: Path, job: str) -> Iterator[None]:
    """Keep others that want the same out of `folder` while the block runs; a killed process holds nothing.

    Args:
        folder: made if missing; holds a hidden file ``.lock`` meanwhile.
        job: what is going on, for the others' message.

    Raises:
        InputError: another process is at it.
        OutputError: the folder cannot be made.
    """
    make_folder(folder)
    try:
        import fcntl
    except ImportError:  # Windows: as if nobody else were there
        yield
        return
    place = folder / ".lock"
    try:
        file = place.open("ab")
    except OSError as error:
        raise cannot_write(place, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(file.fileno()), os.stat(place))  # not the file of one that just ended
        except (BlockingIOError, FileNotFoundError):
            mine = False
        except OSError:  # a disk without locks
            mine = True
        if not mine:
            raise InputError(f"{folder}: {job} is at work there in another process; wait for its end")
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def cannot_write(path: PathLike, error: Exception) -> OutputError:
    """The sentence for what the system says."""
    return OutputError(f"cannot write {path}: {_short(error)}")


def _shortened(output: Path) -> str:
    """The name without its ending, so much of it that a mark of 30 bytes fits into the usual 255 of a name."""
    stem = output.name.removesuffix(output.suffix)
    while stem and len(os.fsencode(stem + output.suffix)) > 255 - 31:
        stem = stem[:-1]
    return stem


def _short(error: Exception) -> str:
    lines = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()
    return lines[0][:120]


def _followed(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path


def _flush(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    if os.name == "nt" or path.is_symlink():
        return
    with contextlib.suppress(PermissionError):
        number = os.open(path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some disks cannot flush a folder
                os.fsync(number)
        finally:
            os.close(number)


def process_lives(process: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # not ours, but alive
        return True
    with contextlib.suppress(OSError, IndexError):  # of Linux: ended, though nobody has asked for its exit code yet
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
