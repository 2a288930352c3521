"""One door to all networks: build by name, load weights, list what there is."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from co2net.color_mapping.mappings import MAPPINGS, ColorMapping
from co2net.errors import InputError, WeightsError
from co2net.models import checkpoints
from co2net.models.backbones import BACKBONES, Backbone, backbone_class, register
from co2net.models.co2net import CO2Net, UnseenRule
from co2net.models.releases import default_release, find_release, list_releases
from co2net.models.weight_header import WeightHeader
from co2net.provenance import file_sha256, state_sha256
from co2net.weight_files import WeightFile, read_weights

__all__ = [
    "create_backbone",
    "create_model",
    "default_model_path",
    "list_backbones",
    "list_models",
    "list_releases",
    "load_model",
    "register",
    "start_backbone",
    "weights_path",
]

MODELS = ("co2net",)
DEFAULT_BACKBONE = "issam"  # of the paper's model
PREFERRED_BACKBONES = ("tonenet", "lutnet", "issam")  # where nobody names one, the first that ships

Weights = str | os.PathLike[str] | None


def list_models() -> list[str]:
    """Names that :func:`create_model` takes."""
    return list(MODELS)


def list_backbones() -> list[str]:
    """Names that :func:`create_backbone` takes, sorted."""
    return sorted(BACKBONES)


def create_backbone(
    name: str, weights: Weights = None, *, folder: str | os.PathLike[str] | None = None, **settings: Any
) -> Backbone:
    """Build a per-frame harmonization network, in eval mode, on the CPU.

    Args:
        name: one of :func:`list_backbones`.
        weights: None: fresh. A path: a bare backbone, or a full model whose backbone is taken. "default" or the
            name of a shipped release (:func:`list_releases`).
        folder: where shipped weights are, if not in their usual place.
        **settings: of the network; with weights, those that follow from the file need not be given.

    Raises:
        InputError: if a name is unknown; lists the known ones.
        WeightsError: if the file cannot be read or does not fit.
    """
    network_class = backbone_class(name)
    file = None if weights is None else read_weights(weights_path(weights, name, refinement=False, folder=folder))
    if file is not None:
        settings = {**_settings_from(network_class, file), **settings}
    network = network_class(**settings).eval()
    if file is not None:
        checkpoints.load_backbone(network, file)
    return network


def start_backbone(
    name: str, start: Weights = None, *, as_identity: bool = False, **settings: Any
) -> tuple[Backbone, str]:
    """A network to be trained: fresh weights, and in their place what a file holds, which may be a part of it.

    CDTNet begins with the generator that an iSSAM file is.

    Args:
        name: one of :func:`list_backbones`.
        start: as the weights of :func:`create_backbone`.
        as_identity: as of :meth:`Backbone.initialize`.
        **settings: of the network; those that follow from the file need not be given.

    Returns:
        The network, and which names the file does not hold, for people; empty if there are none.

    Raises:
        InputError: if a name is unknown; lists the known ones.
        WeightsError: if the file cannot be read, or holds what the network does not have.
    """
    network_class = backbone_class(name)
    file = None if start is None else read_weights(weights_path(start, name, refinement=False))
    if file is not None:
        settings = {**_settings_from(network_class, file), **settings}
    network = network_class(**settings)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        network.initialize(start_as_identity=as_identity)
    missing = ""
    if file is not None:
        missing = checkpoints.load_start(network, file)
        checkpoints.apply_training_size(network, file)
    for warning in said if file is None or missing else ():  # of fresh weights, which a whole file replaces
        warnings.warn(warning.message, stacklevel=2)
    return network, missing


def create_model(
    name: str = "co2net",
    backbone: str | None = None,
    use_feature: bool = True,
    refinement: bool = True,
    weights: Weights | WeightFile = None,
    *,
    mapping: str | ColorMapping | None = None,
    unseen_rule: UnseenRule = "zero_weight",
    paper_lut_only: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> CO2Net:
    """Build a video harmonization model, in eval mode, on the CPU.

    Args:
        name: one of :func:`list_models`.
        backbone: one of :func:`list_backbones`. None: the one the weight file holds, "issam" without a file.
        use_feature: hand backbone features to the refinement. With a full checkpoint the file decides.
        refinement: False: the color mapping alone (the paper's LUT-only evaluation).
        weights: None: fresh. A path: a full checkpoint of ours or an official one; with ``refinement=False`` a bare
            backbone as well. "default" or the name of a shipped release (:func:`list_releases`); without a
            refinement in it the color mapping alone is returned. Or what was read already.
        mapping: see :class:`~co2net.models.co2net.CO2Net`. None: what the weight file asks for, "paper" otherwise.
        unseen_rule: see :class:`~co2net.models.co2net.CO2Net`.
        paper_lut_only: see :class:`~co2net.models.co2net.CO2Net`.
        folder: where shipped weights are, if not in their usual place.

    Raises:
        InputError: if a name or setting is unknown; lists the known ones.
        WeightsError: if the file cannot be read or does not fit.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; available: {', '.join(MODELS)}")
    network_class = backbone_class(backbone or DEFAULT_BACKBONE)
    options: dict[str, Any] = {"unseen_rule": unseen_rule, "paper_lut_only": paper_lut_only}
    if weights is None:
        options |= {
            "use_feature": use_feature,
            "refinement": refinement,
            "mapping": mapping or _usual_mapping(network_class),
        }
        return CO2Net(network_class(), **options).eval()

    asked = backbone or DEFAULT_BACKBONE
    file = (
        weights
        if isinstance(weights, WeightFile)
        else read_weights(weights_path(weights, asked, refinement=refinement, use_feature=use_feature, folder=folder))
    )
    found = checkpoints.infer_settings(file.state)
    if backbone is None and found.backbone is not None:
        network_class = BACKBONES[found.backbone]
    checkpoints.check_backbone(network_class, file)
    if weights == "default" and refinement and not found.refinement and not network_class.predicts_mapping:
        warnings.warn(
            f"the shipped weights {file.path.stem} hold no refinement network yet: the model runs the color mapping "
            "alone (refinement=False)",
            stacklevel=2,
        )
    # A release without a refinement is a model without one; a file of one's own may be the start of a training.
    shipped = isinstance(weights, str) and file.path.name != Path(weights).name
    refinement = refinement and (found.refinement or not shipped)
    options |= {"refinement": refinement, "mapping": mapping or _mapping_from(file)}
    options["use_feature"] = use_feature if found.use_feature is None else found.use_feature
    with checkpoints.Unfilled():
        model = CO2Net(network_class(**_settings_from(network_class, file)), **options).eval()
    if refinement:
        checkpoints.load_model(model, file)
        checkpoints.apply_training_size(model.backbone, file)
    else:
        checkpoints.load_backbone(model.backbone, file)
    return model


def load_model(
    weights: str | os.PathLike[str] = "default",
    backbone: str | None = None,
    *,
    mapping: str | ColorMapping | None = None,
    folder: str | os.PathLike[str] | None = None,
    prior: float | None = None,
) -> CO2Net:
    """Build the model that a weight file holds: with refinement if the file has one, the color mapping alone if not.

    Args:
        weights: "default", the name of a shipped release, or a path.
        backbone: needed only for the choice among shipped defaults; None: our best model, which need not be the
            paper's.
        mapping: None: what the weight file asks for.
        folder: where shipped weights are, if not in their usual place.
        prior: see :meth:`~co2net.models.backbones.Backbone.set_prior`; None: the file's own.

    Raises:
        InputError: if nothing of that name is shipped, or `prior` is out of range or the network has none.
        WeightsError: if the file cannot be read or does not fit.
    """
    if weights == "default" and backbone is None:
        path = default_model_path(folder)
    else:
        path = weights_path(weights, backbone or DEFAULT_BACKBONE, refinement=True, folder=folder)
    file = read_weights(path)
    refinement = checkpoints.infer_settings(file.state).refinement
    model = create_model(backbone=backbone, refinement=refinement, weights=file, mapping=mapping)
    if prior is not None:
        model.backbone.set_prior(prior)
    return model


@dataclass(frozen=True)
class UsedWeights:
    """Which weights a result came from.

    Attributes:
        role: "model", "backbone" or "checkpoint".
        name: of the file.
        sha256: of the file's bytes, as other programs tell it.
        values_sha256: of the names and values in it, the same in every file that holds them.
    """

    role: str
    name: str
    sha256: str
    values_sha256: str

    def as_dict(self) -> dict[str, str]:
        """For a results file."""
        return asdict(self)


def model_to_evaluate(
    weights: str,
    role: str = "model",
    *,
    backbone: str | None = None,
    lut_only: bool = False,
    paper_lut_only: bool | None = False,
    mapping: str | ColorMapping | None = None,
    unseen_rule: UnseenRule = "zero_weight",
) -> tuple[CO2Net, UsedWeights]:
    """Build the model that a weight file holds, as :func:`load_model`, and say which weights these are.

    Args:
        weights: "default" (the paper's model), the name of a shipped release, or a path.
        role: what to call the file. A "checkpoint" must hold a refinement.
        backbone: its network, where the file does not say.
        lut_only: leave a refinement out.
        paper_lut_only: without refinement, blend twice as published; None: with the paper's mapping only.
        mapping: None: what the weight file asks for.
        unseen_rule: see :class:`~co2net.models.co2net.CO2Net`.

    Raises:
        InputError: nothing of that name is shipped.
        WeightsError: the file cannot be read or does not fit.
    """
    file = read_weights(weights_path(weights, backbone or DEFAULT_BACKBONE, refinement=True))
    refinement = checkpoints.infer_settings(file.state).refinement
    if role == "checkpoint" and not refinement:
        raise WeightsError(
            f"{file.path} holds no refinement network: give it as `backbone`, without `checkpoint`, to evaluate its "
            "color mapping alone"
        )
    model = create_model(
        backbone=backbone,
        refinement=refinement and not lut_only,
        weights=file,
        mapping=mapping,
        unseen_rule=unseen_rule,
    )
    if not model.refinement:
        model.paper_lut_only = model.mapping.has_holes if paper_lut_only is None else paper_lut_only
    return model, UsedWeights(role, file.path.name, file_sha256(file.path), state_sha256(file.state))


def default_model_path(folder: str | os.PathLike[str] | None = None) -> Path:
    """The file of the model that is used where nobody names one.

    Args:
        folder: where shipped weights are, if not in their usual place.

    Raises:
        InputError: none ships.
    """
    shipped = {release.backbone for release in list_releases(folder)}
    preferred = next((name for name in PREFERRED_BACKBONES if name in shipped), DEFAULT_BACKBONE)
    return default_release(preferred, refinement=True, folder=folder).path


def weights_path(
    weights: str | os.PathLike[str],
    backbone: str,
    *,
    refinement: bool,
    use_feature: bool = True,
    folder: str | os.PathLike[str] | None = None,
) -> Path:
    """The file meant by a path, the name of a release, or "default".

    Args:
        weights: as for :func:`create_model`.
        backbone: for "default": the network to look for.
        refinement: for "default": prefer weights with (or without) refinement.
        use_feature: for "default": prefer a refinement with (or without) features.
        folder: where shipped weights are, if not in their usual place.

    Raises:
        InputError: nothing is shipped for the backbone.
        WeightsError: there is neither a file nor a release of that name.
    """
    if weights == "default":
        return default_release(backbone, refinement=refinement, use_feature=use_feature, folder=folder).path
    path = Path(weights)
    if path.exists() or path.name != str(weights):
        return path  # a missing file with a folder in its name was meant as a path: reading it says so
    if release := find_release(path.name, folder):
        return release.path
    known = ", ".join(["default", *(release.name for release in list_releases(folder))])
    raise WeightsError(
        f"weight file {weights} does not exist, nor are shipped weights of that name (there are: {known})"
    )


def _settings_from(network_class: type[Backbone], file: WeightFile) -> dict[str, Any]:
    return network_class.settings_from_state(checkpoints.backbone_state(file.state))


def _usual_mapping(network_class: type[Backbone]) -> ColorMapping:
    return next(mapping for mapping in MAPPINGS.values() if mapping.needs_prediction == network_class.predicts_mapping)


def _mapping_from(file: WeightFile) -> ColorMapping:
    backbone = checkpoints.infer_settings(file.state).backbone
    asked = WeightHeader.of(file.metadata, file.path).mapping
    if not asked:
        return _usual_mapping(BACKBONES[backbone or DEFAULT_BACKBONE])
    if asked in MAPPINGS:
        return MAPPINGS[asked]
    raise WeightsError(f"{file.path} asks for the unknown color mapping {asked!r}; known here: {', '.join(MAPPINGS)}")
