"""An opponent for stage 1 that points at disharmonious pixels.

Huang et al. ("Temporally coherent video harmonization using adversarial networks", IEEE Transactions on Image
Processing 2020) train against a *pixel-wise disharmony discriminator*: it sees a frame without its mask and says of
every pixel whether it was changed. The opponent learns that harmonized foregrounds are, and real frames are not; the
backbone learns to be taken for real. The published color-mapping baseline leaves this part out; its network and
balance here are our own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Where a frame is out of harmony.

    Strided, then dilated convolutions: a pixel is compared with what is around it. Spectral normalization keeps it from
    growing too sure. Works at any size.

    Args:
        width: channels of the first convolution.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        shape = ((3, 1, 1, 1), (1, 2, 2, 1), (2, 4, 2, 1), (4, 4, 1, 2), (4, 4, 1, 4))
        layers: list[nn.Module] = []
        for i, (before, after, stride, dilation) in enumerate(shape):
            channels = 3 if i == 0 else before * width
            convolution = nn.Conv2d(channels, after * width, 3, stride, padding=dilation, dilation=dilation)
            layers += [spectral_norm(convolution), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 1))

    def forward(self, frame: Tensor) -> Tensor:
        """Logits ``(B, 1, H, W)`` of "this pixel was changed", for ``(B, 3, H, W)`` in the normalized space."""
        return F.interpolate(self.layers(frame), frame.shape[2:], mode="bilinear")


class Adversary:
    """The discriminator and its optimizer.

    Args:
        learning_rate: of Adam.
        seed: of its first weights; the global random state is left alone.
    """

    def __init__(self, learning_rate: float, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Discriminator()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate, betas=(0.5, 0.999))

    def disbelief(self, result: Tensor, mask: Tensor) -> Tensor:
        """The backbone's loss: cross entropy of the result's foreground and "real".

        Args:
            result: harmonized frames with their own background, ``(B, 3, H, W)`` in the normalized space.
            mask: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            Scalar, mean over the foreground pixels of the batch; 0 for empty masks.
        """
        logits = self.network(result)
        surprise = F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits), reduction="none")
        return (surprise * mask).sum() / mask.sum().clamp(min=1)

    def loss(self, result: Tensor, real: Tensor, mask: Tensor) -> Tensor:
        """The discriminator's own loss: the foreground of `result` was changed, of `real` nothing was.

        Args:
            result: as in :meth:`disbelief`; gets no gradient.
            real: real frames, ``(B, 3, H, W)`` in the normalized space.
            mask: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            Scalar: mean cross entropy over all pixels of both; log 2 when it only guesses.
        """
        logits = self.network(torch.cat([result.detach(), real]))
        return F.binary_cross_entropy_with_logits(logits, torch.cat([mask, torch.zeros_like(mask)]))
