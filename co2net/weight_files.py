"""Weight files in and out: what is in a file, as tensors, and never as code.

``.safetensors`` files, and PyTorch files (``.pth``, ``.pt``, ``.tar``) read with ``weights_only=True``. The content
decides which it is, not the name. A network takes a file whole or not at all (:func:`load_whole`); which network a
file of ours is for, :mod:`co2net.models.checkpoints` finds out.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from co2net.errors import InputError, WeightsError
from co2net.files import write_beside

_WRAPPERS = ("state_dict", "model")  # common names under which trainers put the weights beside other things
_MEND = "save it again as plain tensors with the code that made it: torch.save(model.state_dict(), path)"
_GREATEST = 1e8  # thousands of times what any trained network holds
_SHOWN = 3  # names of each kind in a message


@dataclass
class WeightFile:
    """Content of a weight file.

    Attributes:
        path: where it was read.
        state: name to tensor, on the CPU, without a ``module.`` prefix.
        metadata: text facts of a safetensors file; empty for other files.
    """

    path: Path
    state: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_weights(path: str | os.PathLike[str]) -> WeightFile:
    """Read a state dict, alone or wrapped in a dict under "state_dict" or "model".

    Raises:
        WeightsError: if the file is missing, empty, damaged, no weight file, or would run code when read.
    """
    path = Path(path)
    if _is_safetensors(path):
        state, metadata = _read_safetensors(path)
        return WeightFile(path, _strip_module(state), metadata)
    return WeightFile(path, _strip_module(_tensors(_read_torch(path), path)))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Text facts stored in a safetensors file, without reading its tensors; empty for PyTorch files.

    Raises:
        WeightsError: as :func:`read_weights`.
    """
    path = Path(path)
    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def save_weights(
    path: str | os.PathLike[str], state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all; the same values and facts give the same bytes.

    Args:
        path: where to; an existing file is replaced.
        state: name to tensor, any device.
        metadata: facts about the weights, text to text; what models say of themselves is
            :class:`co2net.models.weight_header.WeightHeader`.

    Raises:
        InputError: if the metadata is not all text.
        OutputError: if the file cannot be written.
    """
    metadata = dict(metadata or {})
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"metadata of weights must map text to text, got {key!r}: {value!r}")
    # Own, contiguous copies: safetensors refuses tensors that share memory.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    write_beside(path, _in_fixed_order(safetensors.torch.save(tensors, metadata=metadata)))


def _in_fixed_order(content: bytes) -> bytes:
    """The same file with its metadata in the order of names; the library writes it in another one every time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + content[end:]


def load_whole(network: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike[str], title: str) -> None:
    """Load `state` into `network`: every name has to be there, but for ``num_batches_tracked``.

    Args:
        network: takes the values.
        state: name to tensor, as the network names them.
        path: the file they came from, for messages.
        title: what the network is called in messages.

    Raises:
        WeightsError: a name is missing, unknown or of another shape, or a value is not finite.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unknown = [name for name in state if name not in wanted]
    shapes = [
        f"{name} is {tuple(state[name].shape)}, wanted {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    groups = (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
    problems = "; ".join(f"{label}: {some_names(names)}" for label, names in groups if names)
    if problems:
        raise WeightsError(f"{path} does not fit {title}: {problems}")
    largest = {n: _largest(tensor) for n, tensor in state.items() if tensor.is_floating_point() and tensor.numel()}
    broken = [name for name, value in largest.items() if not math.isfinite(value)]
    if broken:
        raise WeightsError(
            f"{path} holds NaN or infinity, in {some_names(broken)}; the training that wrote it diverged"
        )
    huge = [name for name, value in largest.items() if value > _GREATEST]
    if huge:
        raise WeightsError(
            f"{path} holds values above {_GREATEST:.0e}, in {some_names(huge)}, with which no color comes out; it "
            "is damaged, or the training that wrote it diverged"
        )
    network.load_state_dict(state, strict=False)  # all but num_batches_tracked was checked above


def _largest(tensor: Tensor) -> float:
    """The largest absolute value, in one pass without a copy; infinity or NaN where there is such a value."""
    low, high = tensor.detach().aminmax()
    return max(abs(float(low)), abs(float(high)))  # NaN is the result of both, where there is one


def some_names(names: Iterable[str]) -> str:
    """The first few names and how many there are."""
    names = list(names)
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else f" ({len(names)})"
    return ", ".join(names[:_SHOWN]) + more


def average_weights(file: WeightFile, other: WeightFile, share: float) -> dict[str, Tensor]:
    """``share * file + (1 - share) * other``, entry by entry; whole numbers (counters) are those of `file`.

    Args:
        file: the one that counts `share`.
        other: a file of the same network.
        share: 0 to 1.

    Returns:
        Name to tensor; entries that agree stay as they are.

    Raises:
        InputError: `share` is out of range.
        WeightsError: the files are not of one network.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share must be between 0 and 1, got {share}")
    shapes = [{name: tensor.shape for name, tensor in f.state.items()} for f in (file, other)]
    if shapes[0] != shapes[1]:
        names = {*shapes[0].items()} ^ {*shapes[1].items()}
        raise WeightsError(f"{file.path} and {other.path} are not of one network: {min(names)[0]} differs")

    def mean(tensor: Tensor, start: Tensor) -> Tensor:
        kind = torch.promote_types(tensor.dtype, start.dtype)  # files may be stored in 16 bits
        return torch.lerp(start.to(kind), tensor.to(kind), share)

    return {
        name: mean(tensor, other.state[name]) if tensor.is_floating_point() else tensor
        for name, tensor in file.state.items()
    }


def _is_safetensors(path: Path) -> bool:
    """Look at the first bytes; also the place where unusable paths get their sentence."""
    if not path.exists():
        raise WeightsError(f"weight file {path} does not exist")
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a weight file; name the file in it")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(f"cannot read weight file {path}: {error.strerror or error}") from error
    if not head:
        raise WeightsError(f"weight file {path} is empty; fetch or copy it again")
    # Eight bytes of header length, then a JSON object. A text file fails the length, a zip or a pickle the brace.
    return path.suffix == ".safetensors" or (head[8:] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Any:
    _refuse_packed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols; the outcome says enough
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything: KeyError, EOFError, RuntimeError, ...
        text = str(error)
        if blocked := re.search(r"GLOBAL ([\w.]+)", text):
            raise WeightsError(
                f"{path} is not loaded: reading it would run {blocked[1]}, and weight files must hold tensors only; "
                f"if you trust it, {_MEND}"
            ) from error
        if "legacy .tar format" in text:
            raise WeightsError(
                f"{path} is in PyTorch's old .tar layout, which cannot be read safely; {_MEND}"
            ) from error
        raise _damaged(path, error) from error


def _refuse_packed(path: Path) -> None:
    """A small zip may claim any size; PyTorch itself never compresses what it writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(part.file_size for part in archive.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # no zip: an older format, or damaged, as reading it will tell
    if claimed > path.stat().st_size:
        raise WeightsError(f"{path} is compressed and claims {claimed >> 20} MiB, as no file of PyTorch does; {_MEND}")


def _damaged(path: Path, error: Exception) -> WeightsError:
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
    return WeightsError(
        f"{path} is not a weight file, or is damaged (cut off on the way?): neither safetensors nor a PyTorch state "
        f"dict [{reason}]; fetch or copy it again"
    )


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in what a PyTorch file holds."""
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a state dict; {_MEND}")
    strangers = [name for name, value in content.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if strangers or not content:
        found = f"{strangers[0]!r} is no tensor" if strangers else "it is an empty dict"
        raise WeightsError(f"{path} holds no state dict ({found}); {_MEND}")
    return dict(content)


def _strip_module(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the prefix that multi-GPU wrappers put before every name."""
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state
