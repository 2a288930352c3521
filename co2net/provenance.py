"""What made a result: hashes, versions and conditions, noted beside it and compared before it is used again."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.errors import InputError
from co2net.files import make_folder, read_json, write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CHECKOUT = Path(__file__).resolve().parents[1]
Record = dict[str, Any]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        InputError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a network's names and values, hexadecimal: the same for every file that holds them."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)  # NumPy has no bfloat16
        digest.update(name.encode() + values.numpy().tobytes())
    return digest.hexdigest()


def version(package: str = "co2net") -> str:
    """Version of an installed package; "unknown" where it was never installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "0+unknown"


def environment(device: torch.device) -> Record:
    """Versions, platform, device and commit, for a results file."""
    import torch

    return {
        "co2net": version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device),
        "git": _commit(),
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any], names: Iterable[str] | None = None) -> list[str]:
    """A phrase for each condition in which two differ: ``size was 256, is 128``.

    Args:
        found: what something was made under.
        wanted: what it is wanted under now; compared as it looks in a JSON file (lists for tuples).
        names: which to compare; None: all of both.
    """
    wanted = json.loads(json.dumps(wanted))
    return [
        f"{name} was {_shown(found.get(name))}, is {_shown(wanted.get(name))}"
        for name in (dict.fromkeys([*wanted, *found]) if names is None else names)
        if found.get(name) != wanted.get(name)
    ]


@dataclass(frozen=True)
class NoteKind:
    """A kind of JSON note that we write and read again.

    Attributes:
        format: its entry ``format``; empty: has neither that nor a version.
        what: what it is, in a message: "the record of a clip".
        mend: what to do about one that is no such note.
        version: its entry ``version``.
        fits: whether the rest is what such a note holds; anybody may have written it.
    """

    format: str
    what: str
    mend: str
    version: int = 1
    fits: Callable[[Record], bool] = lambda record: True

    def write(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write a note, in one step; the folder is made if missing.

        Raises:
            OutputError: not possible.
        """
        make_folder(path.parent)
        write_json(path, {**self._head, **content})

    def read(self, path: Path) -> Record | None:
        """Read a note, without its format and version; None if there is none.

        Raises:
            InputError: the file is no such note.
        """
        try:
            content = read_json(path, self.mend)
        except FileNotFoundError:
            return None
        except InputError as error:
            raise self.refused(path) from error
        head = self._head
        if (
            not isinstance(content, dict)
            or any(content.get(name) != value for name, value in head.items())
            or not self.fits(content)
        ):
            raise self.refused(path)
        return {name: value for name, value in content.items() if name not in head}

    def refused(self, path: Path) -> InputError:
        """The sentence for a file that is no such note."""
        return InputError(f"{path} is not {self.what}; {self.mend}")

    @property
    def _head(self) -> Record:
        return {"format": self.format, "version": self.version} if self.format else {}


class Records:
    """A note for every finished piece of work (a clip), by its name: ``<folder>/<name>.json``.

    Args:
        folder: where they are.
        kind: what they are.
    """

    def __init__(self, folder: Path, kind: NoteKind) -> None:
        self.folder, self.kind = folder, kind

    def path(self, name: str) -> Path:
        """Where the note of `name` is."""
        return self.folder / f"{name}.json"

    def read(self, name: str) -> Record | None:
        """The note of `name`; None if it has none.

        Raises:
            InputError: it is damaged.
        """
        return self.kind.read(self.path(name))

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """Store a note in one step.

        Raises:
            OutputError: not possible.
        """
        self.kind.write(self.path(name), record)

    def all(self) -> Iterator[tuple[str, Record]]:
        """Every name with its note, in name order."""
        for path in sorted(self.folder.rglob("*.json")):
            name = path.relative_to(self.folder).with_suffix("").as_posix()
            record = None if path.name.startswith(".") else self.read(name)
            if record is not None:
                yield name, record


def _shown(value: Any) -> str:
    if isinstance(value, dict):  # weights: role to SHA-256
        return " + ".join(f"{role} {str(sha256)[:12]}" for role, sha256 in value.items()) or "none"
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return "not recorded" if value is None else str(value)[:80]


def _commit() -> Record | None:
    """Commit of the checkout that co2net runs from; None where it is installed, or without git."""
    if not (_CHECKOUT / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(_CHECKOUT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()  # noqa: S603

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
