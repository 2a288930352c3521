"""Planes to RGB and changes back, against the equations of the standards."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video import clips

from co2net.errors import InputError
from co2net.video import color
from co2net.video.orientation import Orientation

WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def by_formula(planes, layout, colorspace, full):
    """ITU-T H.273, equations 8.3: decode in doubles."""
    unit = 1 << (layout.bits - 8)
    luma, blue, red = (p.astype(np.float64) for p in planes[:3])
    blue, red = (cv2.resize(p, luma.shape[::-1], interpolation=cv2.INTER_LINEAR) for p in (blue, red))
    span = layout.peak if full else 224 * unit
    y = luma / layout.peak if full else (luma - 16 * unit) / (219 * unit)
    b, r = (blue - 128 * unit) / span, (red - 128 * unit) / span
    kr, kb = WEIGHTS[colorspace]
    rgb = [y + 2 * (1 - kr) * r, None, y + 2 * (1 - kb) * b]
    rgb[1] = (y - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb)
    return np.clip(np.stack(rgb, axis=-1), 0, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("colorspace", [1, 6, 9])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le"])
def test_rgb_is_right_to_the_rounding(pixel_format, colorspace, full):
    layout = color.planar_layout(pixel_format)
    frame = av.VideoFrame(32, 24, pixel_format)
    for view in color.plane_views(frame, layout):
        view[...] = np.random.randint(0, layout.peak + 1, view.shape)
    image, _ = color.to_rgb(frame, layout, colorspace, full)
    peak = np.iinfo(image.dtype).max
    wanted = by_formula(color.plane_views(frame, layout), layout, colorspace, full) * peak
    # Half a code of rounding; interpolated 10- and 12-bit chroma is rounded to its own codes first.
    rounded_chroma = 0 if layout.shift_x == 0 or layout.bits == 8 else 1.1 * peak / layout.peak
    assert np.abs(image - wanted).max() <= 0.51 + rounded_chroma


@pytest.mark.parametrize(
    "pixel_format",
    [
        "nv12",
        "p010le",
        "uyvy422",
        "yuyv422",
        "rgb24",
        "bgra",
        "rgb48le",
        "rgba64le",
        "ya8",
        "gray16be",
        "yuv420p10be",
        "gbrp12le",
        "argb",
    ],
)
def test_repacking_loses_nothing(pixel_format):
    layout = color.planar_layout(pixel_format)
    frame = av.VideoFrame(64, 48, pixel_format)
    bits = max(c.bits for c in frame.format.components)
    for plane in frame.planes:
        if bits <= 8:
            plane.update(np.random.randint(0, 256, plane.buffer_size, np.uint8).tobytes())
        else:
            shift = 6 if pixel_format == "p010le" else 0  # its ten bits lie on top
            values = np.random.randint(0, 1 << bits, plane.buffer_size // 2) << shift
            plane.update(values.astype(">u2" if pixel_format.endswith("be") else "<u2").tobytes())
    again = color.to_planar(frame, layout).reformat(format=pixel_format)
    for one, other in zip(frame.planes, again.planes, strict=True):
        assert bytes(one) == bytes(other)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv410p", "yuv444p10le", "gbrp", "gray", "yuva420p"])
def test_no_change_adds_nothing_and_only_its_blocks_change(pixel_format):
    layout = color.planar_layout(pixel_format)
    frame = clips.frame_of(clips.picture(51, 35), pixel_format)
    before = [v.copy() for v in color.plane_views(frame, layout)]
    color.add_change(frame, layout, 1, False, np.zeros((35, 51, 3), np.float32), 0, 0)
    for one, other in zip(before, color.plane_views(frame, layout), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(0, 0), (1, 0), (1, 1), (2, 0)]))
@settings(max_examples=40, deadline=None)
def test_a_flat_change_moves_every_chroma_sample_alike(width, height, shifts):
    """Sizes that do not divide by the block: the last, smaller blocks get the mean of the pixels they have."""
    name = {(0, 0): "yuv444p", (1, 0): "yuv422p", (1, 1): "yuv420p", (2, 0): "yuv411p"}[shifts]
    layout = color.planar_layout(name)
    frame = color.black_frame(width, height, layout, 1, False)
    change = np.tile(np.float32([0.5, 0.25, 0.75]), (height, width, 1))
    color.add_change(frame, layout, 1, False, change, 0, 0)
    for view in color.plane_views(frame, layout):
        assert len(np.unique(view)) == 1


@pytest.mark.parametrize(
    ("given_tag", "primaries", "size", "wanted"),
    [
        (2, 2, (1920, 1080), 1),
        (2, 2, (720, 576), 6),
        (2, 2, (640, 480), 6),
        (2, 9, (640, 480), 9),
        (5, 2, (1920, 1080), 5),
    ],
)
def test_untagged_matrix_is_taken_as_players_take_it(given_tag, primaries, size, wanted):
    assert color.guess_colorspace(given_tag, primaries, *size) == wanted


def test_foreign_matrix_and_floating_point_are_refused():
    with pytest.raises(InputError, match="color matrix number 14"):
        color.guess_colorspace(14, 9, 64, 64)
    with pytest.raises(InputError, match="floating-point"):
        color.planar_layout("gbrpf32le")


@given(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 5), st.integers(1, 5))
def test_turning_upright_and_back_is_the_identity(transpose, rows, columns, height, width):
    turn = Orientation(transpose, rows, columns)
    picture = np.arange(height * width * 3).reshape(height, width, 3)
    np.testing.assert_array_equal(turn.as_stored(turn.upright(picture)), picture)
