"""Fitting weight files to networks: what a file holds, and loading it whole or not at all.

Takes the official files unchanged. The original skips missing entries and wrong shapes silently and so runs on random
numbers; here every name has to be there, but for ``num_batches_tracked``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from co2net.errors import WeightsError
from co2net.models.backbones import BACKBONES, Backbone
from co2net.models.weight_header import WeightHeader
from co2net.weight_files import WeightFile, load_whole, some_names

BACKBONE_PREFIX, REFINEMENT_PREFIX = "backbone.", "refine_network."


class Unfilled(TorchFunctionMode):
    """A context in which layers are built without drawing first values, for a whole file to be loaded over all of them.

    Drawing them takes half of the time to build a network.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What `func` returns; functions that fill a tensor return it as it is."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@dataclass(frozen=True)
class InferredSettings:
    """What the names and shapes of a state dict tell.

    Attributes:
        backbone: registered name of the backbone, None if none is recognized.
        backbone_settings: constructor settings under which the backbone takes the state.
        refinement: whether there is a refinement network.
        use_feature: whether it reads features; None without refinement.
    """

    backbone: str | None
    backbone_settings: dict[str, Any] = field(default_factory=dict)
    refinement: bool = False
    use_feature: bool | None = None


def infer_settings(state: Mapping[str, Tensor]) -> InferredSettings:
    """Recognize a full model, a color mapping model (``backbone.*`` alone) or a bare backbone."""
    bare = backbone_state(state)
    name = _recognize(bare)
    settings = BACKBONES[name].settings_from_state(bare) if name else {}
    refinement = any(entry.startswith(REFINEMENT_PREFIX) for entry in state)
    first = state.get(f"{REFINEMENT_PREFIX}refine_block.0.weight")
    # Six channels are the two images, the rest are features.
    use_feature = None if first is None or first.ndim != 4 else first.shape[1] > 6
    return InferredSettings(name, settings, refinement, use_feature)


def backbone_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's entries under their own names: the ``backbone.`` part of a full model, or all there is."""
    part = {name.removeprefix(BACKBONE_PREFIX): t for name, t in state.items() if name.startswith(BACKBONE_PREFIX)}
    return part or {name: t for name, t in state.items() if not name.startswith(REFINEMENT_PREFIX)}


def at_size(file: WeightFile, size: int) -> WeightFile:
    """The file with a backbone that works at `size`, see :meth:`Backbone.resized`; a full model's too."""
    name, bare = infer_settings(file.state).backbone, backbone_state(file.state)
    if name is None:
        return file
    prefix = "" if bare.keys() <= file.state.keys() else BACKBONE_PREFIX
    fitted = {prefix + entry: tensor for entry, tensor in BACKBONES[name].resized(bare, size).items()}
    return replace(file, state={**file.state, **fitted})


def load_backbone(network: Backbone, file: WeightFile) -> None:
    """Load a bare backbone, or the backbone of a full model, into `network`; applies the file's training size.

    Raises:
        WeightsError: if the file belongs to another network, or a name is missing, unknown or of another shape.
    """
    check_backbone(type(network), file)
    load_whole(network, backbone_state(file.state), file.path, type(network).title)
    apply_training_size(network, file)


def load_start(network: Backbone, file: WeightFile) -> str:
    """Load what a file holds to begin a training with; the rest of the network stays as it is.

    Returns:
        Names that are missing, for people; empty if none is.

    Raises:
        WeightsError: a name is unknown or of another shape, or a value is not finite.
    """
    state = network.resized(backbone_state(file.state), network.training_size)
    fresh = network.state_dict()
    load_whole(network, {**fresh, **state}, file.path, type(network).title)
    missing = [name for name in fresh if name not in state and not name.endswith("num_batches_tracked")]
    return some_names(missing) if missing else ""


def load_model(model: nn.Module, file: WeightFile) -> None:
    """Load a full checkpoint into a :class:`~co2net.models.co2net.CO2Net` with refinement.

    Raises:
        WeightsError: if the file holds a backbone only, or a name is missing, unknown or of another shape.
    """
    if not infer_settings(file.state).refinement:
        raise WeightsError(
            f"{file.path} holds a backbone only, no refinement (no {REFINEMENT_PREFIX}* entries); use "
            "refinement=False for the color mapping alone, or give a full checkpoint"
        )
    load_whole(model, file.state, file.path, "CO2Net")


def check_backbone(network: type[Backbone], file: WeightFile) -> None:
    """Raise :class:`WeightsError` if `file` is clearly another network's."""
    found = infer_settings(file.state).backbone
    if found is None:
        names = some_names(file.state)
        raise WeightsError(
            f"{file.path} does not look like {network.title} or any backbone known here; it holds {names}"
        )
    if BACKBONES[found] is not network:
        raise WeightsError(
            f"{file.path} does not fit {network.title}: it looks like {BACKBONES[found].title} weights; "
            f'use backbone="{found}"'
        )


def apply_training_size(network: Backbone, file: WeightFile) -> None:
    """Set the training size that the file's metadata names, if any.

    Raises:
        WeightsError: if it is no positive whole number.
    """
    size = WeightHeader.of(file.metadata, file.path).training_size
    if size is not None:
        network.training_size = size


def _recognize(state: Mapping[str, Tensor]) -> str | None:
    """The registered backbone whose parts overlap most with those of `state`.

    Overlap, not presence: several networks are an iSSAM with further parts, and one missing entry must not hide
    which network a file is meant for.
    """
    parts = {name.split(".")[0] for name in state}
    scores = {name: len(parts & {*c.parts}) / len(parts | {*c.parts}) for name, c in BACKBONES.items()}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > 0 else None
