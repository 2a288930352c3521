"""What the tests of both packages share: recorded cases, ways to compute, random inputs."""

from __future__ import annotations

import os

import fixtures
import numpy as np
import pytest
import torch
from torch import Tensor

from trilinear import _build, _native

PACKAGES = ("trilinear", "tridistribute")
BACKENDS = ("cpp", "torch")
SHAPES = [(2, 1, 1, 1), (3, 2, 5, 7), (16, 3, 33, 65), (33, 2, 40, 129), (33, 1, 130, 301)]
"""Dim, batch, height and width."""

# Values at which the cell changes or the color is clamped; 1.0000005 lies inside the axis but above 1.
EDGES = (0.0, 1.0, 1.0000005, 1.5, -0.25, 1e-30, 1.000001 / 32, 16 * 1.000001 / 32, 0.5, 1 - 2**-24)


def use(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the public functions run `backend`. A kernel that should be there and is not fails the test."""
    if backend == "torch":
        monkeypatch.setattr(_native, "_libraries", dict.fromkeys(PACKAGES))
    else:
        needs_kernel()


def needs_kernel() -> None:
    if os.environ.get("CO2NET_NATIVE") == "0":
        pytest.skip("CO2NET_NATIVE=0")
    if any(_native.library(package) is None for package in PACKAGES):
        if _build.find_compiler() is None:
            pytest.skip("no C++ kernel and no compiler")
        pytest.fail("there is a compiler, but no C++ kernel loads; the warning says why")


def load(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """Return inputs, expected outputs and the tolerance of a recorded case."""
    case, stored = fixtures.load(name)
    inputs = fixtures.inputs(case)
    for key in case["settings"].get("quantize", {}).get("inputs", []):
        inputs[key] = np.round(inputs[key] * 255) / np.float32(255)
    inputs |= {key.removeprefix("given_"): value for key, value in stored.items() if key.startswith("given_")}
    outputs = {key: torch.from_numpy(value) for key, value in stored.items() if not key.startswith("given_")}
    return {key: torch.from_numpy(value) for key, value in inputs.items()}, outputs, case["tolerance"]


def colors(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return random colors, a few outside [0, 1], with the edge values in between where there is room."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((batch, 3, height, width), generator=generator) * 1.1 - 0.05
    flat = image.view(-1)
    places = torch.randperm(flat.numel(), generator=generator)[: flat.numel() // 4]
    flat[places] = torch.tensor(EDGES).repeat(len(places) // len(EDGES) + 1)[: len(places)]
    return image


def identity(dim: int, batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the LUT that maps grid point i to i / (D - 1) on each axis."""
    axis = torch.linspace(0, 1, dim, dtype=dtype)
    b, g, r = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([r, g, b]).expand(batch, -1, -1, -1, -1)
