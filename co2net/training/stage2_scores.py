"""How good the refinement is on validation frames."""

from __future__ import annotations

import torch
from torch import Tensor

from co2net.metrics import fmse
from co2net.models.co2net import CO2Net
from co2net.training.frozen_part import Prepared
from co2net.training.refinement_config import Stage2Config
from co2net.training.stage2_step import loss_of, refine


@torch.no_grad()
def validate(model: CO2Net, prepared: Prepared, config: Stage2Config) -> tuple[dict[str, float], Tensor]:
    """Scores of a batch, refinement in eval mode.

    Args:
        model: in eval mode.
        prepared: whole frames.
        config: for its loss.

    Returns:
        ``(sums, rows)``: over the items, ``loss`` (the recipe's own, without caution), ``graded`` (items with a
        foreground) and, over those, the foreground squared error in 8-bit units of ``fmse_composite``,
        ``fmse_backbone``, ``fmse_lut`` and ``fmse_final``; pictures ``(B, 3, H, 5 W)`` of the same and the truth.
    """
    final = refine(model, model.refine_network, prepared, config.precision)  # type: ignore[arg-type]
    loss = loss_of(final, prepared.target, prepared.mask, config) * len(final)
    frames = {"composite": prepared.image, "backbone": prepared.backbone, "lut": prepared.lut, "final": final}
    errors = {name: fmse(frame.clamp(0, 1), prepared.target, prepared.mask) for name, frame in frames.items()}
    sums = {f"fmse_{name}": float(error.nansum()) for name, error in errors.items()}
    graded = float((~errors["composite"].isnan()).sum())
    rows = torch.cat([*frames.values(), prepared.target], dim=-1)
    return {"loss": float(loss), "graded": graded, **sums}, rows
