"""Random looks: the color changes that turn a real picture into a composite.

A look is a function on colors. HYouTube draws it from 100 color tables; a network trained on those alone learns those
alone, so ours also draws white balance, exposure, contrast, gamma and saturation, varies how strong the change is, and
leaves some pictures untouched: most footage is nearly right already and must not be harmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import trilinear
from co2net.color_mapping.completion import identity_table
from co2net.errors import InputError

TABLE_SIZE = 33
LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709 weights of R, G, B


@dataclass
class Look:
    """One drawn color change; see :func:`apply_look` for the order of the steps.

    Attributes:
        table: index of the color table, or -1 for none.
        strength: 0 leaves the picture as it is, 1 is the full change, above 1 exaggerates.
        exposure: stops (factors of two).
        gains: per-channel factors (white balance).
        gamma, contrast, saturation: 1 changes nothing.
    """

    table: int = -1
    strength: float = 1.0
    exposure: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


def draw_look(rng: np.random.Generator, tables: int, *, varied: bool = True) -> Look:
    """Draw a look.

    Args:
        rng: source of randomness.
        tables: number of color tables to choose from (may be 0).
        varied: False draws only a table at full strength, as HYouTube's composites are made.
    """
    table = int(rng.integers(tables)) if tables else -1
    if not varied:
        return Look(table)
    kind = rng.random()
    if kind < 0.10:
        return Look(strength=0.0)
    strength = rng.uniform(0.1, 0.6) if kind < 0.35 else rng.uniform(0.7, 1.15)
    parametric = table < 0 or rng.random() < 0.4
    if parametric and rng.random() < 0.6:
        table = -1
    if not parametric:
        return Look(table, strength)
    gains = np.exp(rng.normal(0, 0.12, 3))
    gains /= gains @ np.array(LUMA)  # brightness belongs to the exposure
    return Look(
        table,
        strength,
        exposure=float(rng.normal(0, 0.45)),
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        gamma=float(np.exp(rng.normal(0, 0.2))),
        contrast=float(np.exp(rng.normal(0, 0.2))),
        saturation=float(np.exp(rng.normal(0, 0.35))),
    )


def apply_looks(looks: list[Look], images: Tensor, tables: Tensor) -> Tensor:
    """Apply one look to each image: table, exposure and white balance, gamma, contrast, saturation, strength, clip.

    Args:
        looks: B looks.
        images: ``(B, 3, H, W)`` in [0, 1].
        tables: ``(N, 3, D, D, D)`` color tables that the looks point into.

    Returns:
        ``(B, 3, H, W)`` in [0, 1].
    """

    def column(values: list) -> Tensor:
        return torch.tensor(values, dtype=images.dtype, device=images.device).view(len(looks), -1, 1, 1)

    out = images
    with_table = [i for i, look in enumerate(looks) if look.table >= 0]
    if with_table:
        chosen = tables[[looks[i].table for i in with_table]]
        out = images.clone()
        out[with_table] = trilinear.apply_lut(chosen, images[with_table])
    scale = column([[gain * 2**look.exposure for gain in look.gains] for look in looks])
    out = (out * scale).clamp(min=0) ** column([look.gamma for look in looks])
    contrast = column([look.contrast for look in looks])
    out = (out - 0.5) * contrast + 0.5
    gray = (out * torch.tensor(LUMA, dtype=out.dtype, device=out.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    out = gray + (out - gray) * column([look.saturation for look in looks])
    out = images + (out - images) * column([look.strength for look in looks])
    return out.clamp(0, 1)


def load_tables(source: str | Path, split: str | None = None) -> Tensor:
    """Color tables as one tensor ``(N, 3, 33, 33, 33)``.

    Args:
        source: a folder of ``.cube`` files, or a folder with ``luts.npz`` (arrays ``(n, n, n, 3)``, indexed
            ``[b, g, r]``) and optionally ``split.json`` (``{"train": [names], "test": [names]}``).
        split: which names of ``split.json`` to take; None takes all.

    Raises:
        InputError: if nothing is found.
    """
    import json

    source = Path(source)
    arrays: dict[str, Tensor] = {}
    if (source / "luts.npz").is_file():
        with np.load(source / "luts.npz") as stored:
            for name in stored.files:
                arrays[name] = torch.from_numpy(stored[name].astype(np.float32)).permute(3, 0, 1, 2)
    elif source.is_dir():
        from co2net.color_mapping.cube import load_cube

        for path in sorted(source.glob("*.cube")):
            arrays[path.stem] = load_cube(path)[0]
    if split is not None and (source / "split.json").is_file():
        wanted = {str(name) for name in json.loads((source / "split.json").read_text())[split]}
        arrays = {name: table for name, table in arrays.items() if name in wanted}
    if not arrays:
        raise InputError(f"{source} holds no color table (.cube files, or luts.npz)")
    return torch.cat([_resample(table[None]) for table in arrays.values()])


def _resample(table: Tensor) -> Tensor:
    """``(1, 3, n, n, n)`` to the common size, so that tables of all sizes fit one tensor."""
    if table.shape[-1] == TABLE_SIZE:
        return table
    grid = identity_table(TABLE_SIZE, table)
    return trilinear.apply_lut(table, grid.flatten(3)).reshape(grid.shape)
