"""The changes that HYouTube's example makes to a LUT before it is used."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from co2net.color_spaces import LUMA


@dataclass(frozen=True)
class LutChanges:
    """How a LUT is changed; the defaults change nothing.

    Attributes:
        contrast: 0.1 moves colors a tenth farther from middle gray.
        vibrance: above 0 colors that are weak already gain less saturation than strong ones.
        exposure: stops, with highlights rolled off towards 1.
        gamma: exponent; above 1 darkens the middle tones.
    """

    contrast: float = 0.0
    vibrance: float = 0.0
    exposure: float = 0.0
    gamma: float = 1.0


HYOUTUBE_EXAMPLE = LutChanges(contrast=0.1, vibrance=0.5, exposure=0.2, gamma=1.3)
"""What the data set's own example script uses."""


def change_lut(lut: Tensor, changes: LutChanges) -> Tensor:
    """Change the colors that a LUT gives, in the order of the lines, each only where it is set.

    HYouTube's example, ``x`` for each of r, g, b::

        contrast c    x <- (x - 0.5) (1 + c) + 0.5
        vibrance v    M = max(r, g, b), A = luma;  x <- x + (x - M) (M - A) 2 v
        exposure e    x <- 1 - max(0, 1 - x)^(2^e)
        gamma g       x <- max(0, x)^g

    Args:
        lut: ``(B, 3, D, D, D)`` or ``(3, D, D, D)`` float, indexed ``[channel, b, g, r]``; may leave 0..1.
        changes: what to do.

    Returns:
        The changed LUT, of the same shape and type; `lut` itself where nothing is set.
    """
    changed = lut.double()
    if changes.contrast:
        changed = (changed - 0.5) * (1 + changes.contrast) + 0.5
    if changes.vibrance:
        strongest = changed.amax(dim=-4, keepdim=True)
        luma = (changed * changed.new_tensor(LUMA).view(3, 1, 1, 1)).sum(dim=-4, keepdim=True)
        changed = changed + (changed - strongest) * (strongest - luma) * 2 * changes.vibrance
    if changes.exposure:
        changed = 1 - (1 - changed).clamp(min=0) ** (2**changes.exposure)
    if changes.gamma != 1:
        changed = changed.clamp(min=0) ** changes.gamma
    return lut if changes == LutChanges() else changed.to(lut.dtype)
