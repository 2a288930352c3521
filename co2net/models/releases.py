"""Weights that come with co2net: the files of ``final_models/`` and what they say about themselves."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from co2net.errors import InputError, WeightsError
from co2net.models.backbones import BACKBONES
from co2net.models.weight_header import WeightHeader, read_header, save_model_weights
from co2net.weight_files import average_weights, read_weights

FOLDER_VARIABLE = "CO2NET_MODELS"  # environment variable that names another folder

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Release(WeightHeader):
    """A weight file that ships: its header, its place and its card.

    Attributes:
        name: file name without ending; ``weights="<name>"`` loads it.
        path: the ``.safetensors`` file.
        card: text of the ``.md`` file beside it, None if there is none.
    """

    name: str
    path: Path
    card: str | None = None

    @property
    def advice(self) -> dict[str, str]:
        """What the card's first table says to people who choose: "good at" and "not for", where it has them."""
        rows = (line.strip().strip("|").split("|", 1) for line in (self.card or "").splitlines() if line.count("|") > 2)
        return {row[0].strip(): row[1].strip() for row in rows if row[0].strip() in ("good at", "not for")}


def releases_folder() -> Path | None:
    """Where shipped weights are: the variable ``CO2NET_MODELS``, the installed package, or the repository."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    return own_folder()


def own_folder() -> Path | None:
    """The weights that came with this code, whatever ``CO2NET_MODELS`` says."""
    checkout = _PACKAGE.parent
    # Beside an installed package, "final_models" would be somebody else's folder.
    in_checkout = (checkout / "final_models",) if (checkout / "pyproject.toml").is_file() else ()
    return next((folder for folder in (_PACKAGE / "final_models", *in_checkout) if folder.is_dir()), None)


def list_releases(folder: str | os.PathLike[str] | None = None) -> list[Release]:
    """The models that are there, sorted by name; unreadable files are left out with a warning.

    Files of the guests' networks, whose metadata names a ``network``, are no models and are left out too.

    Args:
        folder: default :func:`releases_folder`.
    """
    where = Path(folder) if folder is not None else releases_folder()
    if where is None:
        return []
    releases = []
    for path in sorted(where.glob("*.safetensors")):
        try:
            release = read_release(path)
            if "network" not in release.facts:
                releases.append(release)
        except WeightsError as error:
            warnings.warn(str(error), stacklevel=2)
    return releases


def read_release(path: Path) -> Release:
    """What a file says about itself.

    Raises:
        WeightsError: if it cannot be read.
    """
    header, card = read_header(path), path.with_suffix(".md")
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else None
    return Release(**vars(header), name=path.stem, path=path, card=text)


def default_release(
    backbone: str, *, refinement: bool, use_feature: bool = True, folder: str | os.PathLike[str] | None = None
) -> Release:
    """The shipped weights that come closest to what is asked.

    Args:
        backbone: registered name; always met.
        refinement: prefer a release with (or without) refinement.
        use_feature: prefer a refinement with (or without) features.
        folder: default :func:`releases_folder`.

    Raises:
        InputError: if nothing is shipped for the backbone; lists what is.
    """
    releases = list_releases(folder)
    fitting = [release for release in releases if release.backbone == backbone]
    if not fitting:
        shipped = ", ".join(f"{release.name} ({release.backbone or 'unknown'})" for release in releases) or "none"
        raise InputError(
            f'no default weights for backbone "{backbone}"; shipped here: {shipped}. Give the path of a weight file'
        )

    def distance(release: Release) -> tuple[bool, bool, bool, str]:
        features = refinement and release.use_feature != use_feature
        return release.refinement != refinement, features, release.name != backbone, release.name

    return min(fitting, key=distance)


def find_release(name: str, folder: str | os.PathLike[str] | None = None) -> Release | None:
    """The release called `name`, None if there is none."""
    return next((release for release in list_releases(folder) if release.name == name), None)


def write_release(
    checkpoints: Sequence[Path],
    output: Path,
    *,
    mapping: str,
    training_size: int,
    average_with: Path | None = None,
    share: float = 0.5,
    prior: float | None = None,
    half: bool = False,
    facts: Mapping[str, str] | None = None,
) -> WeightHeader:
    """Write a checkpoint as a file that says what it holds and how to use it.

    Args:
        checkpoints: weights to release; several of LUTNet become the members of one file.
        output: ``.safetensors`` file to write.
        mapping: how its color mapping is used.
        training_size: height and width the networks work at, in pixels. Weights of ToneNet that were trained at another
            size are brought to this one.
        average_with: a checkpoint of the same network to average with.
        share: of the first checkpoint in that average.
        prior: of LUTNet and ToneNet, how readily corrections with a large expected error are left out or weakened.
        half: matrices and kernels are rounded to 16 bits, for half the size; they are computed with in 32 bits.
        facts: shown by ``co2net models``.

    Returns:
        What was written at the head of the file.

    Raises:
        InputError: a setting is out of range or does not fit the weights.
        WeightsError: a file cannot be read, or two are not of one network.
        OutputError: the file cannot be written.
    """
    from co2net.models.backbones.lutnet import join_members
    from co2net.models.checkpoints import at_size, infer_settings

    if output.suffix != ".safetensors":
        raise InputError(f"{output}: released weights are .safetensors files; give such a name")
    if training_size < 1:
        raise InputError(f"`training_size` must be 1 or more, got {training_size}")
    if average_with is not None and len(checkpoints) > 1:
        raise InputError("`average_with` takes one checkpoint; several become the members of a file")
    files = [at_size(read_weights(path), training_size) for path in checkpoints]
    if average_with is not None:
        state = average_weights(files[0], at_size(read_weights(average_with), training_size), share)
    else:
        state = join_members(files) if len(files) > 1 else dict(files[0].state)
    if prior is not None:
        names = {network.prior_name for network in BACKBONES.values()}
        name = next((name for name in sorted(filter(None, names)) if name in state), None)
        if name is None or prior < 0:
            raise InputError(f"`prior` {prior}: it is 0 or more, and for weights of lutnet and tonenet only")
        state[name] = torch.tensor(prior)
    if half:
        state = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in state.items()}
    found = infer_settings(state)
    if found.backbone is None:
        raise InputError(f"{checkpoints[0]} holds no backbone known here; give a checkpoint of a training run")
    header = WeightHeader(
        backbone=found.backbone,
        refinement=found.refinement,
        use_feature=bool(found.use_feature),
        training_size=training_size,
        mapping=mapping,
        facts=facts or {},
    )
    save_model_weights(output, state, header)
    return header
