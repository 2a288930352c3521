"""Random looks: the color changes that turn a real picture into a composite.

A look is a function on colors. HYouTube draws it from 100 color tables; a network trained on those alone learns those
alone, so ours also draws white balance, exposure, contrast, gamma and saturation, varies how strong the change is, and
leaves some pictures untouched: most footage is nearly right already and must not be harmed. :class:`LookMix` has the
shares.
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


@dataclass(frozen=True)
class LookMix:
    """What foregrounds are drawn from, as shares of all samples.

    Attributes:
        untouched: look right already.
        weakened: show 0.1 to 0.6 of a change.
        distorted: change by white balance, exposure, contrast, gamma, saturation and film lift; a share of them after
            a color table.
        blended: show a blend of two tables, of those that show one.
        graded: whole scenes that are graded first, so that no look is right for its own sake.
        borrowed: foregrounds cut with another picture's mask.
    """

    untouched: float = 0.10
    weakened: float = 0.25
    distorted: float = 0.40
    blended: float = 0.0
    graded: float = 0.70
    borrowed: float = 0.30


@dataclass
class Look:
    """One drawn color change; see :func:`apply_looks` for the order of the steps.

    Attributes:
        table: index of the color table, or -1 for none.
        strength: 0 leaves the picture as it is, 1 is the full change, above 1 exaggerates.
        exposure: stops (factors of two).
        gains: per-channel factors (white balance).
        gamma, contrast, saturation: 1 changes nothing.
        lift: what black becomes, per channel; white stays (faded film).
        second: index of the table that `table` is blended with, or -1.
        share: of the second table in the blend.
    """

    table: int = -1
    strength: float = 1.0
    exposure: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    lift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    second: int = -1
    share: float = 0.0

    @property
    def distorts(self) -> bool:
        """Whether there is more to do than reading tables."""
        plain = Look(self.table, self.strength, second=self.second, share=self.share)
        return self != plain


def draw_look(rng: np.random.Generator, tables: int, *, varied: bool = True, mix: LookMix | None = None) -> Look:
    """Draw a look.

    Args:
        rng: source of randomness.
        tables: number of color tables to choose from (may be 0).
        varied: False draws only a table at full strength, as HYouTube's composites are made.
        mix: shares of the kinds of looks; default :class:`LookMix`.
    """
    table = int(rng.integers(tables)) if tables else -1
    if not varied:
        return Look(table)
    mix = mix or LookMix()
    kind = rng.random()
    if kind < mix.untouched:
        return Look(strength=0.0)
    if kind < mix.untouched + mix.weakened:
        strength = rng.uniform(0.1, 0.6)
    else:
        strength = 1.0 if rng.random() < 0.5 else rng.uniform(0.7, 1.15)
    distorted = table < 0 or rng.random() < mix.distorted
    if distorted and rng.random() < 0.6:
        table = -1
    look = Look(table, strength)
    if table >= 0 and rng.random() < mix.blended:
        look.second, look.share = int(rng.integers(tables)), float(rng.random())
    if distorted:
        gains = np.exp(rng.normal(0, 0.12, 3))
        gains /= gains @ np.array(LUMA)  # brightness belongs to the exposure
        look.gains = float(gains[0]), float(gains[1]), float(gains[2])
        look.exposure = float(rng.normal(0, 0.45))
        look.gamma, look.contrast = (float(np.exp(rng.normal(0, 0.2))) for _ in range(2))
        look.saturation = float(np.exp(rng.normal(0, 0.35)))
        if rng.random() < 0.4:
            red, green, blue = np.abs(rng.normal(0, 0.04, 3))
            look.lift = float(red), float(green), float(blue)
    return look


def apply_looks(looks: list[Look], images: Tensor, tables: Tensor) -> Tensor:
    """Apply one look to each image: tables, exposure and white balance, gamma, contrast, saturation, lift, strength.

    Args:
        looks: B looks.
        images: ``(B, 3, H, W)`` in [0, 1].
        tables: ``(N, 3, D, D, D)`` color tables that the looks point into.

    Returns:
        ``(B, 3, H, W)``, clamped to [0, 1].
    """
    out = _through_tables([look.table for look in looks], images, tables)
    blended = [i for i, look in enumerate(looks) if look.second >= 0]
    if blended:
        chosen = [looks[i] for i in blended]
        share = _column([look.share for look in chosen], images)
        second = _through_tables([look.second for look in chosen], images[blended], tables)
        change = torch.lerp(out[blended], second, share) - images[blended]
        # Two changes partly cancel in their blend; this keeps it about as strong as they are.
        out[blended] = images[blended] + change * ((share**2 + (1 - share) ** 2) ** -0.5).clamp(max=1.3)
    distorted = [i for i, look in enumerate(looks) if look.distorts]
    if distorted:
        out[distorted] = _distort([looks[i] for i in distorted], out[distorted])
    strength = _column([look.strength for look in looks], images)
    return torch.lerp(images, out, strength).clamp(0, 1)


def _distort(looks: list[Look], images: Tensor) -> Tensor:
    scale = _column([[gain * 2**look.exposure for gain in look.gains] for look in looks], images)
    out = (images * scale).clamp(min=0) ** _column([look.gamma for look in looks], images)
    out = (out - 0.5) * _column([look.contrast for look in looks], images) + 0.5
    gray = (out * torch.tensor(LUMA, dtype=out.dtype, device=out.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    out = gray + (out - gray) * _column([look.saturation for look in looks], images)
    lift = _column([list(look.lift) for look in looks], images)
    return out * (1 - lift) + lift


def _through_tables(wanted: list[int], images: Tensor, tables: Tensor) -> Tensor:
    """Each image through its table (-1: as it is), table by table: copying tables would take longer than reading."""
    out = images.clone()
    height, width = images.shape[2:]
    for table in sorted({index for index in wanted if index >= 0}):
        rows = [i for i, index in enumerate(wanted) if index == table]
        strip = images[rows].transpose(0, 1).reshape(1, 3, len(rows) * height, width)
        read = trilinear.apply_lut(tables[table : table + 1], strip)
        out[rows] = read.view(3, len(rows), height, width).transpose(0, 1)
    return out


def _column(values: list, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(len(values), -1, 1, 1)


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
