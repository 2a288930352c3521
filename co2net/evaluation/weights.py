"""The model to evaluate, from weight files, and which files these were."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from co2net.errors import WeightsError
from co2net.models.checkpoints import infer_settings, read_weights
from co2net.models.co2net import CO2Net, ColorMapping, UnseenRule
from co2net.models.registry import DEFAULT_BACKBONE, create_model, weights_path
from co2net.provenance import file_sha256


@dataclass(frozen=True)
class UsedWeights:
    """A weight file: its role ("model", "backbone" or "checkpoint"), file name and SHA-256."""

    role: str
    name: str
    sha256: str

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
    mapping: ColorMapping | None = None,
    unseen_rule: UnseenRule = "zero_weight",
) -> tuple[CO2Net, UsedWeights]:
    """Build the model that a weight file holds: with refinement if it has one, the color mapping alone if not.

    Args:
        weights: "default", the name of shipped weights, or a path.
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
    path = weights_path(weights, backbone or DEFAULT_BACKBONE, refinement=True)
    refinement = infer_settings(read_weights(path).state).refinement
    if role == "checkpoint" and not refinement:
        raise WeightsError(
            f"{path} holds no refinement network: give it as --backbone, without --checkpoint, to evaluate its color "
            "mapping alone"
        )
    model = create_model(
        backbone=backbone,
        refinement=refinement and not lut_only,
        weights=path,
        mapping=mapping,
        unseen_rule=unseen_rule,
    )
    if not model.refinement:
        model.paper_lut_only = model.mapping == "paper" if paper_lut_only is None else paper_lut_only
    return model, UsedWeights(role, path.name, file_sha256(path))
