"""A LUT on decoded planes gives the samples that the way over RGB gives."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from video import clips

from co2net.pipeline.apply_mapping import Foreground, apply_lut
from co2net.video import color
from co2net.video.coded_masks import CodedMask
from co2net.video.lazy_colors import ComposedColors, LayeredColors, LazyColors, PartOfColors, Patch, PlanesPatch
from trilinear import _native
from trilinear.planes import Planes, serves

LIBRARY = _native.library("trilinear")
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the C++ kernel is not there")


@pytest.fixture(params=["plain", "avx2", "avx512"])
def instructions(request):
    """Every version of the kernel that this processor runs; results do not depend on it."""
    newest = _native.INSTRUCTIONS.index(request.param)
    LIBRARY.co2net_limit_instructions(newest)
    yield request.param
    LIBRARY.co2net_limit_instructions(len(_native.INSTRUCTIONS) - 1)


def frame_of(
    pixel_format: str, width: int, height: int, full: bool = False, seed: int = 0
) -> tuple[LazyColors, color.Layout]:
    """Random planes: all codes, all colors, those beyond RGB too."""
    layout, random = color.planar_layout(pixel_format), np.random.default_rng(seed)
    frame = av.VideoFrame(width, height, pixel_format)
    for plane in color.plane_views(frame, layout):
        plane[...] = random.integers(0, 256, plane.shape)
    return LazyColors(frame, layout, color.BT709, full), layout


def lut() -> torch.Tensor:
    """A look that bends every channel."""
    axis = torch.linspace(0, 1, 17)
    blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([red**0.8, 0.9 * green + 0.1 * red, blue**1.3 * 0.8 + 0.05])[None].float().contiguous()


def soft_mask(width: int, height: int) -> torch.Tensor:
    mask = clips.disc(width, height).astype(np.float32) / 255
    return torch.from_numpy(mask)[None, None]


def over_rgb(frame: LazyColors, layout: color.Layout, patch: Patch) -> list[np.ndarray]:
    """The samples that the writer makes of a patch of colors."""
    if isinstance(frame, ComposedColors):
        patch = frame.on_planes(patch)
    stored, (rows, columns) = frame._frame, patch.box
    planes = [plane.copy() for plane in color.plane_views(stored, layout)]
    change = patch.after.astype(np.float32) - patch.before
    color.add_change(stored, layout, color.BT709, frame._full, change, rows.start, columns.start, 255)
    changed = [plane.copy() for plane in color.plane_views(stored, layout)]
    for plane, kept in zip(color.plane_views(stored, layout), planes, strict=True):
        plane[...] = kept
    return changed


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("size", [(322, 94), (157, 61), (8, 6)], ids=str)
@pytest.mark.parametrize("composed", [None, "all of it", "the box"])
@pytest.mark.parametrize("coded", [False, True])
def test_samples_are_those_of_the_way_over_rgb(pixel_format, size, composed, coded, instructions):
    frame, layout = frame_of(pixel_format, *size, full=size[0] == 157)
    mask = soft_mask(*size)
    codes = CodedMask(clips.disc(*size), (np.arange(256) / 255).astype(np.float32))
    foreground = Foreground.of(frame, codes if coded else mask)
    assert foreground is not None
    if composed is not None:
        front, _ = frame_of(pixel_format, *size, full=size[0] == 157, seed=1)
        front = PartOfColors(front, foreground.box) if composed == "the box" else front
        frame = LayeredColors(frame, front, mask[0, 0].numpy()[foreground.box], foreground.box)
    wanted = over_rgb(frame, layout, apply_lut(frame, lut(), foreground, 0.9))
    found = apply_lut(frame, lut(), foreground, 0.9, on_planes=True)
    assert isinstance(found, PlanesPatch)
    planes = [plane.copy() for plane in frame.planes]
    found.put_on(planes, layout)
    for plane, expected in zip(planes, wanted, strict=True):
        difference = np.abs(plane.astype(int) - expected)
        # OpenCV's order of summing depends on the processor, and some sums lie at a half.
        assert difference.max() <= 1 and (difference > 0).sum() <= max(1, plane.size // 200)


def test_all_versions_agree_to_the_bit():
    frame, _ = frame_of("yuv420p", 322, 94)
    foreground = Foreground.of(frame, soft_mask(322, 94))
    assert foreground is not None
    found = []
    for newest in range(len(_native.INSTRUCTIONS)):
        LIBRARY.co2net_limit_instructions(newest)
        patch = apply_lut(frame, lut(), foreground, 1.0, on_planes=True)
        assert isinstance(patch, PlanesPatch)
        found.append(patch.planes)
    for planes in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(planes, found[0], strict=True))


def test_where_the_mask_is_0_samples_stay():
    frame, layout = frame_of("yuv444p", 64, 48)
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., 10:20, 30:50] = 1
    mask[..., 15, 40] = 0
    foreground = Foreground.of(frame, mask)
    assert foreground is not None
    patch = apply_lut(frame, lut(), foreground, 1.0, on_planes=True)
    assert isinstance(patch, PlanesPatch)
    planes = [plane.copy() for plane in frame.planes]
    patch.put_on(planes, layout)
    outside = mask[0, 0].numpy() == 0
    assert all(np.array_equal(a[outside], b[outside]) for a, b in zip(planes, frame.planes, strict=True))


def test_what_the_kernel_does_not_take():
    deep, _ = frame_of("yuv420p", 16, 16)
    known = Planes(*deep.codes())
    assert serves(lut(), known) and not serves(lut(), replace(known, shifts=(2, 0)))
    assert not serves(lut(), replace(known, samples=[plane.astype(np.uint16) for plane in deep.planes]))
    assert not serves(lut().double(), known)
    assert not serves(lut(), known, Planes(*frame_of("yuv422p", 16, 16)[0].codes()))
    assert not serves(lut(), known, Planes(*frame_of("yuv420p", 18, 16)[0].codes()))
    colors = frame_of("yuv420p", 16, 16)[0]
    box = slice(4, 10), slice(6, 12)
    assert serves(lut(), known, Planes(*PartOfColors(colors, box).codes()), box=box)
    assert not serves(lut(), known, Planes(*PartOfColors(colors, box).codes()))
    assert not serves(lut(), known, Planes(*PartOfColors(colors, box).codes()), box=(slice(2, 10), box[1]))
