"""What a stage 2 run was made from: its lists, and whether stored results fit it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from co2net.data.frame_lists import FrameEntry
from co2net.data.stored_results import read_origin
from co2net.errors import InputError
from co2net.models.co2net import CO2Net
from co2net.provenance import differences, state_sha256
from co2net.training.refinement_config import Stage2Config


def check_origin(folder: Path, model: CO2Net, config: Stage2Config) -> None:
    """Refuse stored results of another backbone, color mapping or size; those of the original do not say.

    Raises:
        InputError: they differ; names in what.
    """
    found = read_origin(folder)
    run = {"backbone": state_sha256(model.backbone.state_dict()), "mapping": model.mapping, "size": config.size}
    if found is not None and (different := differences(found, run, run)):
        raise InputError(
            f"the stored results in {folder} were made otherwise: {'; '.join(different)}; make them again with "
            "scripts/evaluate_model.py, or train with what made them"
        )


def list_digest(entries: Sequence[FrameEntry]) -> str:
    """Tells lists apart, wherever the data set is."""
    text = "\n".join("/".join(entry.composite.parts[-3:]) for entry in entries)
    return f"{len(entries)} frames, {hashlib.sha256(text.encode()).hexdigest()[:12]}"
