"""One optimizer step of stage 2, and the refinement's forward pass that validation shares with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from co2net.errors import InputError
from co2net.models.backbones.losses import foreground_loss
from co2net.models.co2net import CO2Net
from co2net.processes import Processes
from co2net.training.frozen_part import DTYPES, Prepared
from co2net.training.losses import stage2_loss
from co2net.training.refinement_config import Stage2Config


def refine(model: CO2Net, network: nn.Module, prepared: Prepared, precision: str = "fp32") -> Tensor:
    """Steps 10 and 11 of the model: final frames ``(B, 3, H, W)``, [0, 1] space, float32, unclamped.

    Args:
        model: for its color space.
        network: its refinement, or what wraps it.
        prepared: inputs.
        precision: of the network.
    """
    with torch.autocast(prepared.image.device.type, DTYPES[precision], enabled=precision != "fp32"):
        lut = model.backbone.normalize(prepared.lut)
        refined = network(prepared.raw, lut, prepared.image, prepared.features)
    return model.finish(refined.float(), prepared.mask, prepared.image)


def loss_of(images: Tensor, target: Tensor, mask: Tensor, config: Stage2Config) -> Tensor:
    """The recipe's loss: mean over the batch, [0, 1] space."""
    if config.loss == "foreground":
        return foreground_loss(images, target, mask)
    return stage2_loss(images, target, mask, config.minimum_area)


def train_mode(model: CO2Net, config: Stage2Config) -> None:
    """Refinement in train mode, its batch norm too unless it is frozen; the backbone stays in eval mode."""
    model.train()
    if config.freeze_batch_norm:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def training_step(
    model: CO2Net,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    prepared: Prepared,
    config: Stage2Config,
    *,
    processes: Processes | None = None,
    scaler: torch.amp.GradScaler | None = None,
    items: int | None = None,
) -> float:
    """Change the refinement's weights by one step.

    Args:
        model: in train mode (:func:`train_mode`).
        network: its refinement, or what :meth:`Processes.wrap` makes of it.
        optimizer: of the refinement's parameters.
        prepared: this process's items, perhaps none.
        config: loss, caution, precision.
        processes: who else takes part; None: nobody.
        scaler: for fp16.
        items: items of the batch over all processes; None: all are here.

    Returns:
        The loss of the whole batch.

    Raises:
        InputError: the loss is not finite; the weights are as before.
    """
    processes = processes or Processes(prepared.image.device)
    here = len(prepared.image)
    images = refine(model, network, prepared, config.precision)
    if here:
        target = torch.lerp(prepared.target, prepared.image, config.caution)
        loss = loss_of(images, target, prepared.mask, config) * (here / (items or here))
    else:
        loss = images.sum() * 0  # the others wait for this process's (empty) share of the gradients
    # The wrapper averages gradients; the losses are shares of a mean, whose gradients add up.
    scaled = loss * processes.count
    optimizer.zero_grad(set_to_none=True)
    (scaler.scale(scaled) if scaler else scaled).backward()
    (value,) = processes.sum(float(loss.detach()))
    if not math.isfinite(value):
        raise diverged(value)
    if scaler:
        scaler.step(optimizer)
        scaler.update()
    else:
        optimizer.step()
    return value


def diverged(value: float) -> InputError:
    """The sentence for a run whose numbers left the finite."""
    return InputError(
        f"the training diverged (the loss is {value}); the last checkpoint is good: start again from it with "
        "--checkpoint in another folder, with a lower --learning_rate (or --precision fp32)"
    )
