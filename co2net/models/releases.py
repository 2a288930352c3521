"""Weights that come with co2net: the files of ``final_models/`` and what they say about themselves."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from co2net.errors import InputError, WeightsError
from co2net.models.weight_header import WeightHeader, read_header

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
        """What the card's first LUT says to people who choose: "good at" and "not for", where it has them."""
        rows = (line.strip().strip("|").split("|", 1) for line in (self.card or "").splitlines() if line.count("|") > 2)
        return {row[0].strip(): row[1].strip() for row in rows if row[0].strip() in ("good at", "not for")}


def releases_folder() -> Path | None:
    """Where shipped weights are: the variable ``CO2NET_MODELS``, the installed package, or the repository."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    checkout = _PACKAGE.parent
    # Beside an installed package, "final_models" would be somebody else's folder.
    in_checkout = (checkout / "final_models",) if (checkout / "pyproject.toml").is_file() else ()
    return next((folder for folder in (_PACKAGE / "final_models", *in_checkout) if folder.is_dir()), None)


def list_releases(folder: str | os.PathLike[str] | None = None) -> list[Release]:
    """The weights that are there, sorted by name; unreadable files are left out with a warning.

    Args:
        folder: default :func:`releases_folder`.
    """
    where = Path(folder) if folder is not None else releases_folder()
    if where is None:
        return []
    releases = []
    for path in sorted(where.glob("*.safetensors")):
        try:
            releases.append(read_release(path))
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
