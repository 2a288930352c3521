"""What a weight file of ours says about itself, in the metadata of its ``.safetensors`` form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from co2net.errors import WeightsError
from co2net.weight_files import read_metadata, save_weights

FORMAT = "co2net"
_SETTINGS = ("format", "backbone", "refinement", "use_feature", "training_size", "mapping")
_BOOLEAN = {"true": True, "false": False}


@dataclass(frozen=True)
class WeightHeader:
    """How weights are meant to be used, and facts about them. What a file does not say is None or empty.

    Attributes:
        backbone: registered name of the backbone; empty if the file does not say.
        refinement: whether there is a refinement network too.
        use_feature: whether that reads the backbone's features.
        training_size: height and width of the training frames, in pixels.
        mapping: name of the color mapping to use.
        facts: everything else, text to text: data, recipe, measured numbers.
    """

    backbone: str = ""
    refinement: bool = False
    use_feature: bool | None = None
    training_size: int | None = None
    mapping: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: str | os.PathLike[str]) -> WeightHeader:
        """The header in a file's metadata (:func:`~co2net.weight_files.read_metadata`); `path` is for messages.

        Raises:
            WeightsError: a setting holds what it cannot.
        """
        size = metadata.get("training_size")
        if size is not None and (not size.isdecimal() or len(size) > 6 or int(size) == 0):
            raise WeightsError(
                f"{path}: training_size in its metadata must be a positive whole number, got {size[:40]!r}"
            )
        return cls(
            backbone=metadata.get("backbone", ""),
            refinement=_BOOLEAN.get(metadata.get("refinement", ""), False),
            use_feature=_BOOLEAN.get(metadata.get("use_feature", "")),
            training_size=None if size is None else int(size),
            mapping=metadata.get("mapping"),
            facts={name: text for name, text in metadata.items() if name not in _SETTINGS},
        )

    def metadata(self) -> dict[str, str]:
        """Text to text, as it stands in a file."""
        settings = {
            "format": FORMAT,
            "backbone": self.backbone,
            "refinement": str(self.refinement).lower(),
            "use_feature": None if self.use_feature is None else str(self.use_feature).lower(),
            "training_size": None if self.training_size is None else str(self.training_size),
            "mapping": self.mapping,
        }
        return {**self.facts, **{name: text for name, text in settings.items() if text is not None}}


def read_header(path: str | os.PathLike[str]) -> WeightHeader:
    """The header of a file, without reading its tensors; an empty one for PyTorch files.

    Raises:
        WeightsError: the file cannot be read, or a setting holds what it cannot.
    """
    return WeightHeader.of(read_metadata(path), path)


def save_model_weights(path: str | os.PathLike[str], state: Mapping[str, Tensor], header: WeightHeader) -> None:
    """Write a ``.safetensors`` file with its header, whole or not at all; the same values give the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    save_weights(path, state, header.metadata())
