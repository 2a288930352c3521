"""What the tests of ``.cube`` files compare with."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, settings

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def identity(size: int) -> torch.Tensor:
    """The LUT that changes nothing, ``(1, 3, size, size, size)``, with exact corners."""
    blue, green, red = torch.meshgrid(*[torch.linspace(0, 1, size)] * 3, indexing="ij")
    return torch.stack([red, green, blue])[None]
