"""A second reading of the regression's guess: pixels look at the known ones, and at what those say of one another.

A Gaussian process weighs known colors by likeness alone. What it leaves out is how well the others would have guessed a
known color, that several known ones agree, and that this kind of thing seldom has that color. Here known pixels are
tokens that attend to one another, and a pixel that is asked for attends to them; in both the kernels' logarithms stand
beside the usual products of queries and keys, so it starts from the process's own idea of what is alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 4
CORRECTIONS = 3  # of a and of b, and by which share the guess itself grows


class Revision(nn.Module):
    """Tokens from looks, colors and the process's errors; attention; a correction of each guess.

    Args:
        looks: numbers that say what a pixel looks like, and how unsure its guess is.
        width: of a token; a multiple of :data:`HEADS`.
        layers: of attention among known pixels, and as many from asked to known ones.
    """

    def __init__(self, looks: int, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.own = nn.Sequential(nn.Linear(looks, width), nn.SiLU(), nn.Linear(width, width))
        self.known, self.guessed = nn.Linear(6, width), nn.Linear(2, width)
        self.among = nn.ModuleList(_Attention(width) for _ in range(layers))
        self.across = nn.ModuleList(_Attention(width) for _ in range(layers))
        last = nn.Linear(width, CORRECTIONS)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.out = nn.Sequential(nn.LayerNorm(width), last)

    def read(self, looks: Tensor, colors: Tensor, errors: Tensor, alike: Tensor) -> list[Tensor]:
        """What there is to know from known pixels, ``(B, N, W)`` per layer.

        Args:
            looks: ``(B, N, L)``.
            colors: ``(B, N, 2)`` in units.
            errors: ``(B, N, 2)``, by which the process misses each when it is guessed from the others.
            alike: ``(B, 2, N, N)``, logarithms of the kernels.
        """
        tokens = self.own(looks) + self.known(torch.cat([colors, errors, errors.abs()], dim=-1))
        result = []
        for attention in self.among:
            tokens = attention(tokens, tokens, alike)
            result.append(tokens)
        return result

    def forward(self, looks: Tensor, guess: Tensor, read: list[Tensor], alike: Tensor) -> Tensor:
        """Corrections ``(B, M, 3)`` of asked pixels.

        Args:
            looks: ``(B, M, L)``.
            guess: ``(B, M, 2)`` in units, the process's.
            read: of :meth:`read`.
            alike: ``(B, 2, M, N)``.
        """
        tokens = self.own(looks) + self.guessed(guess)
        for attention, known in zip(self.across, read, strict=True):
            tokens = attention(tokens, known, alike)
        return self.out(tokens)


def corrected(guess: Tensor, corrections: Tensor) -> Tensor:
    """Guesses ``(..., 2)`` with corrections ``(..., 3)`` of :class:`Revision`."""
    return guess * (1 + corrections[..., 2:]) + corrections[..., :2]


class _Attention(nn.Module):
    """Tokens look at others, more at those that the kernels call alike; then a small network of their own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asks, self.answers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value, self.result = (nn.Linear(width, n * width) for n in (1, 2, 1))
        # Heads begin between the two kernels.
        self.trust = nn.Parameter(torch.stack([torch.linspace(0, 1, HEADS), torch.linspace(1, 0, HEADS)]))
        last = nn.Linear(2 * width, width)
        nn.init.zeros_(self.result.weight)
        nn.init.zeros_(last.weight)
        self.own = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), last)

    def forward(self, tokens: Tensor, known: Tensor, alike: Tensor) -> Tensor:
        """``(B, M, W)``, ``(B, N, W)`` and ``(B, 2, M, N)`` to ``(B, M, W)``."""
        query = self.query(self.asks(tokens)).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        both = self.key_value(self.answers(known)).unflatten(-1, (2, HEADS, -1))
        key, value = both.permute(2, 0, 3, 1, 4)
        bias = torch.einsum("kh,bkmn->bhmn", self.trust, alike)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        tokens = tokens + self.result(found.transpose(1, 2).flatten(2))
        return tokens + self.own(tokens)
