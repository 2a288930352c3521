"""Random color changes: those that turn a real picture into a composite.

A color change is a function on colors. HYouTube draws it from 100 LUTs; a network trained on those alone learns those
alone, so ours also draws white balance, exposure, contrast, gamma and saturation, varies how strong the change is, and
leaves some pictures untouched: most footage is nearly right already and must not be harmed.
:class:`ColorChangeMix` has the shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import trilinear
from co2net.array_files import read_npz
from co2net.color_mapping.completion import identity_lut
from co2net.color_spaces import LUMA
from co2net.errors import InputError
from co2net.files import read_json

LUT_SIZE = 33


@dataclass(frozen=True)
class ColorChangeMix:
    """What foregrounds are drawn from, as shares of all samples.

    Attributes:
        untouched: look right already.
        weakened: show 0.1 to 0.6 of a change.
        distorted: change by white balance, exposure, contrast, gamma, saturation and film lift; a share of them after
            a LUT.
        blended: show a blend of two LUTs, of those that show one.
        graded: whole scenes that are graded first, so that no color change is right for its own sake.
        borrowed: foregrounds cut with another picture's mask.
    """

    untouched: float = 0.10
    weakened: float = 0.25
    distorted: float = 0.40
    blended: float = 0.0
    graded: float = 0.70
    borrowed: float = 0.30


@dataclass
class ColorChange:
    """One drawn color change; see :func:`apply_color_changes` for the order of the steps.

    Attributes:
        lut: index of the LUT, or -1 for none.
        strength: 0 leaves the picture as it is, 1 is the full change, above 1 exaggerates.
        exposure: stops (factors of two).
        gains: per-channel factors (white balance).
        gamma, contrast, saturation: 1 changes nothing.
        lift: what black becomes, per channel; white stays (faded film).
        second: index of the LUT that `lut` is blended with, or -1.
        share: of the second LUT in the blend.
    """

    lut: int = -1
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
        """Whether there is more to do than reading LUTs."""
        plain = ColorChange(self.lut, self.strength, second=self.second, share=self.share)
        return self != plain


def draw_color_change(
    rng: np.random.Generator, luts: int, *, varied: bool = True, mix: ColorChangeMix | None = None
) -> ColorChange:
    """Draw a color change.

    Args:
        rng: source of randomness.
        luts: number of LUTs to choose from (may be 0).
        varied: False draws only a LUT at full strength, as HYouTube's composites are made.
        mix: shares of the kinds of color changes; default :class:`ColorChangeMix`.
    """
    lut = int(rng.integers(luts)) if luts else -1
    if not varied:
        return ColorChange(lut)
    mix = mix or ColorChangeMix()
    kind = rng.random()
    if kind < mix.untouched:
        return ColorChange(strength=0.0)
    if kind < mix.untouched + mix.weakened:
        strength = rng.uniform(0.1, 0.6)
    else:
        strength = 1.0 if rng.random() < 0.5 else rng.uniform(0.7, 1.15)
    distorted = lut < 0 or rng.random() < mix.distorted
    if distorted and rng.random() < 0.6:
        lut = -1
    color_change = ColorChange(lut, strength)
    if lut >= 0 and rng.random() < mix.blended:
        color_change.second, color_change.share = int(rng.integers(luts)), float(rng.random())
    if distorted:
        gains = np.exp(rng.normal(0, 0.12, 3))
        gains /= gains @ np.array(LUMA)  # brightness belongs to the exposure
        color_change.gains = float(gains[0]), float(gains[1]), float(gains[2])
        color_change.exposure = float(rng.normal(0, 0.45))
        color_change.gamma, color_change.contrast = (float(np.exp(rng.normal(0, 0.2))) for _ in range(2))
        color_change.saturation = float(np.exp(rng.normal(0, 0.35)))
        if rng.random() < 0.4:
            red, green, blue = np.abs(rng.normal(0, 0.04, 3))
            color_change.lift = float(red), float(green), float(blue)
    return color_change


def apply_color_changes(color_changes: list[ColorChange], images: Tensor, luts: Tensor) -> Tensor:
    """Apply one color change to each image: LUTs, exposure and white balance, gamma, contrast, saturation, lift.

    Args:
        color_changes: B color changes.
        images: ``(B, 3, H, W)`` in [0, 1].
        luts: ``(N, 3, D, D, D)`` LUTs that the color changes point into.

    Returns:
        ``(B, 3, H, W)``, clamped to [0, 1].
    """
    out = _through_luts([color_change.lut for color_change in color_changes], images, luts)
    blended = [i for i, color_change in enumerate(color_changes) if color_change.second >= 0]
    if blended:
        chosen = [color_changes[i] for i in blended]
        share = _values([color_change.share for color_change in chosen], images)
        second = _through_luts([color_change.second for color_change in chosen], images[blended], luts)
        change = torch.lerp(out[blended], second, share) - images[blended]
        out[blended] = images[blended] + change * blend_gain(share)
    distorted = [i for i, color_change in enumerate(color_changes) if color_change.distorts]
    if distorted:
        out[distorted] = _distort([color_changes[i] for i in distorted], out[distorted])
    strength = _values([color_change.strength for color_change in color_changes], images)
    return torch.lerp(images, out, strength).clamp(0, 1)


def _distort(color_changes: list[ColorChange], images: Tensor) -> Tensor:
    scale = _values([[gain * 2**c.exposure for gain in c.gains] for c in color_changes], images)
    out = (images * scale).clamp(min=0) ** _values([c.gamma for c in color_changes], images)
    out = with_contrast(out, _values([c.contrast for c in color_changes], images))
    out = with_saturation(out, _values([c.saturation for c in color_changes], images))
    return with_lift(out, _values([list(c.lift) for c in color_changes], images))


def luma(images: Tensor) -> Tensor:
    """``(B, 1, H, W)``, Rec. 709, of display codes."""
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def with_contrast(images: Tensor, factor: Tensor, pivot: Tensor | float = 0.5) -> Tensor:
    """Distances from `pivot` times `factor`."""
    return (images - pivot) * factor + pivot


def with_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Distances from gray times `factor`."""
    gray = luma(images)
    return gray + (images - gray) * factor


def with_lift(images: Tensor, lift: Tensor) -> Tensor:
    """Black becomes `lift`, white stays."""
    return images * (1 - lift) + lift


def blend_gain(share: Tensor) -> Tensor:
    """What keeps a blend of two changes, which partly cancel, about as strong as they are."""
    return ((share**2 + (1 - share) ** 2) ** -0.5).clamp(max=1.3)


def _through_luts(wanted: list[int], images: Tensor, luts: Tensor) -> Tensor:
    """Each image through its LUT (-1: as it is), LUT by LUT: copying LUTs would take longer than reading."""
    out = images.clone()
    height, width = images.shape[2:]
    for lut in sorted({index for index in wanted if index >= 0}):
        rows = [i for i, index in enumerate(wanted) if index == lut]
        strip = images[rows].transpose(0, 1).reshape(1, 3, len(rows) * height, width)
        read = trilinear.apply_lut(luts[lut : lut + 1], strip)
        out[rows] = read.view(3, len(rows), height, width).transpose(0, 1)
    return out


def _values(values: list, like: Tensor) -> Tensor:
    return column(torch.tensor(values, dtype=like.dtype, device=like.device))


def column(values: Tensor) -> Tensor:
    """``(B,)`` or ``(B, C)`` to a shape that multiplies pictures."""
    return values.view(len(values), -1, 1, 1)


def load_luts(source: str | Path, split: str | None = None) -> Tensor:
    """LUTs as one tensor ``(N, 3, 33, 33, 33)``.

    Args:
        source: a folder of ``.cube`` files, or a folder with ``luts.npz`` (arrays ``(n, n, n, 3)``, indexed
            ``[b, g, r]``) and optionally ``split.json`` (``{"train": [names], "test": [names]}``).
        split: which names of ``split.json`` to take; None takes all.

    Raises:
        InputError: if nothing is found.
    """
    source = Path(source)
    arrays: dict[str, Tensor] = {}
    if (source / "luts.npz").is_file():
        for name, values in read_npz(source / "luts.npz").items():
            size = values.shape[0] if values.ndim else 0
            if values.shape != (size, size, size, 3) or size < 2 or not np.isfinite(values).all():
                raise InputError(f"{source / 'luts.npz'}: {name} is {values.shape}, wanted (n, n, n, 3), finite")
            arrays[name] = torch.from_numpy(values.astype(np.float32)).permute(3, 0, 1, 2)
    elif source.is_dir():
        from co2net.color_mapping.cube import load_cube

        for path in sorted(source.glob("*.cube")):
            arrays[path.stem] = load_cube(path)[0]
    if split is not None and (source / "split.json").is_file():
        mend = f'wanted is {{"{split}": [names of LUTs]}}'
        content = read_json(source / "split.json", mend)
        names = content.get(split) if isinstance(content, dict) else None
        if not isinstance(names, list):
            raise InputError(f"{source / 'split.json'} names no LUTs for {split}; {mend}")
        wanted = {str(name) for name in names}
        arrays = {name: lut for name, lut in arrays.items() if name in wanted}
    if not arrays:
        raise InputError(f"{source} holds no LUT (.cube files, or luts.npz)")
    return torch.cat([_resample(lut[None]) for lut in arrays.values()])


def _resample(lut: Tensor) -> Tensor:
    """``(1, 3, n, n, n)`` to the common size, so that LUTs of all sizes fit one tensor."""
    if lut.shape[-1] == LUT_SIZE:
        return lut
    grid = identity_lut(LUT_SIZE, lut)
    return trilinear.apply_lut(lut, grid.flatten(3)).reshape(grid.shape)
