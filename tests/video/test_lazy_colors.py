"""Colors converted in parts are those of the whole conversion."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video import clips

from co2net.video import color, open_video, open_writer
from co2net.video.coded_masks import bounding_box
from co2net.video.lazy_colors import ComposedColors, LayeredColors, LazyColors, PartOfColors, Patch
from co2net.video.orientation import Orientation

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuv420p10le", "yuv422p10le"]


def noise(pixel_format, width, height):
    """Colors of random planes, and what the whole conversion makes of them."""
    layout, random = color.planar_layout(pixel_format), np.random.default_rng(0)
    frame = av.VideoFrame(width, height, pixel_format)
    for plane in color.plane_views(frame, layout):
        plane[...] = random.integers(0, layout.peak + 1, plane.shape)
    return LazyColors(frame, layout, color.BT709, False), color.to_rgb(frame, layout, color.BT709, False)[0]


def close(part, whole):
    """Equal; of 16 bits the last one may differ, since OpenCV rounds the last pixels of a row differently."""
    return np.abs(part.astype(int) - whole).max() <= (part.dtype == np.uint16)


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("size", [(48, 32), (37, 41)], ids=str)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_box_and_any_pixels(pixel_format, size, data):
    colors, whole = noise(pixel_format, *size)
    assert colors.shape == whole.shape and colors.dtype == whole.dtype and np.array_equal(colors.whole(), whole)
    ends = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))) for n in whole.shape[:2]]
    inner = tuple(slice(low, high + 1) for low, high in ends)
    box = colors.aligned(inner)
    assert all(outer.start <= part.start and part.stop <= outer.stop for outer, part in zip(box, inner, strict=True))
    assert close(colors[box], whole[box])
    rows, columns = (np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1))) for n in whole.shape[:2])
    assert close(colors.at(rows, columns), whole[np.ix_(rows, columns)])


def test_what_cannot_be_converted_in_parts():
    yuv, turned = color.planar_layout("yuv420p"), Orientation(flip_rows=True)
    assert LazyColors.serves(yuv, Orientation()) and not LazyColors.serves(yuv, turned)
    assert not LazyColors.serves(color.planar_layout("gbrp"), Orientation())
    assert not LazyColors.serves(color.planar_layout("yuva420p"), Orientation())


def test_a_frame_is_converted_when_its_image_is_asked_for(tmp_path, monkeypatch):
    calls, whole = [], LazyColors.whole
    monkeypatch.setattr(LazyColors, "whole", lambda self: calls.append(1) or whole(self))
    with open_video(clips.make_video(tmp_path / "c.mkv", 2, (48, 32), codec="ffv1")) as reader:
        first, second = reader
    assert first.peak == 255 and calls == []
    assert first.image.shape == (32, 48, 3) and first.image is first.image and calls == [1]
    with pytest.raises(AttributeError):
        second.nothing  # noqa: B018


@pytest.mark.parametrize("kind", ["same", "float"])
@pytest.mark.parametrize("name", ["out.mkv", "out/"])
def test_a_patch_is_written_as_the_whole_picture_is(tmp_path, name, kind):
    source = clips.make_video(tmp_path / "c.mkv", 2, (48, 32), codec="ffv1")
    box = (slice(6, 20), slice(10, 30))

    def written(folder, patched):
        (tmp_path / folder).mkdir()
        with open_video(source) as reader, open_writer(f"{tmp_path}/{folder}/{name}", reader.info) as writer:
            for number, frame in enumerate(reader):
                before = frame.image[box].copy()
                after = 255 - before if kind == "same" else (255 - before).astype(np.float32) / 255
                patch, mask = Patch(box, before, after), np.zeros((32, 48), np.uint8)
                mask[box] = 1
                if number == 1:
                    writer.write(frame, frame.colors if patched else frame.image)
                else:
                    writer.write(frame, patch if patched else patch.whole(frame.image), None if patched else mask)
        with open_video(writer.output) as reader:
            return [frame.image for frame in reader]

    for patched, plain in zip(written("a", True), written("b", False), strict=True):
        assert np.array_equal(patched, plain)


def test_what_is_laid_over_shows_wherever_it_is_asked_for():
    stored, whole = noise("yuv420p", 48, 32)
    box, after = (slice(4, 14), slice(10, 30)), np.full((10, 20, 3), 7, np.uint8)
    colors, expected = ComposedColors(stored, Patch(box, stored[box], after)), whole.copy()
    expected[box] = 7
    assert np.array_equal(colors.whole(), expected)
    for asked in (box, np.s_[0:8, 4:16], np.s_[6:10, 12:20], np.s_[20:30, 30:40], np.s_[0:32, 0:48]):
        assert np.array_equal(colors[asked], expected[asked])
    rows, columns = np.array([0, 4, 13, 14, 31]), np.array([9, 10, 29, 30])
    assert np.array_equal(colors.at(rows, columns), expected[np.ix_(rows, columns)])
    inner = np.s_[6:10, 12:36]
    patch = colors.on_planes(Patch(inner, colors[inner], np.zeros((4, 24, 3), np.uint8)))
    expected[inner] = 0
    assert np.array_equal(patch.after, expected[patch.box]) and np.array_equal(patch.before, whole[patch.box])
    assert colors.on_planes(None) is colors.over


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_means_of_areas_are_those_of_the_colors(pixel_format):
    layout = color.planar_layout(pixel_format)
    frame = clips.frame_of(clips.picture(480, 320, peak=255 if layout.bits == 8 else 65535), pixel_format)
    colors = LazyColors(frame, layout, color.BT709, False)
    full = np.iinfo(colors.dtype).max
    wanted = colors.whole().astype(np.float32).reshape(20, 16, 24, 20, 3).mean(axis=(1, 3)) / full
    difference = np.abs(colors.shrunk((20, 24)) - wanted)
    assert difference.max() < 10 / 255 and difference.mean() < 2 / 255  # from some of the rows

    box = slice(32, 176), slice(100, 300)
    before = colors[box]
    after = (before // 2 + full // 4).astype(before.dtype)
    composed = ComposedColors(colors, Patch(box, before, after))
    wanted = composed.whole().astype(np.float32).reshape(20, 16, 24, 20, 3).mean(axis=(1, 3)) / full
    difference = np.abs(composed.shrunk((20, 24)) - wanted)
    assert difference.max() < 16 / 255 and difference.mean() < 2 / 255


@pytest.mark.parametrize("size", [(420, 300), (421, 301)], ids=str)
@pytest.mark.parametrize("shape", [(12, 12), (64, 64)], ids=str)
def test_means_of_two_layers_are_those_of_their_mixed_colors(size, shape):
    layout, random = color.planar_layout("yuv420p"), np.random.default_rng(1)
    layers = []
    for level in (90, 140):
        frame = av.VideoFrame(*size, "yuv420p")
        for number, plane in enumerate(color.plane_views(frame, layout)):
            waves = np.sin(np.arange(plane.shape[1]) / 40) * np.cos(np.arange(plane.shape[0])[:, None] / 30)
            middle = 128 + level / 10 if number else level
            plane[...] = middle + 20 * waves + random.integers(-3, 4, plane.shape)
        layers.append(LazyColors(frame, layout, color.BT709, False))
    y, x = np.mgrid[: size[1], : size[0]]
    mask = (1.5 - np.hypot((y - 150) / 80, (x - 200) / 90)).clip(0, 1).astype(np.float32)
    box = layers[0].aligned(bounding_box(mask))
    layered = LayeredColors(layers[0], layers[1], mask[box], box)
    wanted = ComposedColors.shrunk(layered, shape)
    assert np.abs(layered.shrunk(shape) - wanted).max() < 3 / 255
    assert np.abs(layered.shrunk(shape) - wanted).mean() < 0.2 / 255
    part = PartOfColors(layers[1], box)
    assert part.planes[0].size < layers[1].planes[0].size
    boxed = LayeredColors(layers[0], part, mask[box], box)
    assert np.array_equal(boxed.shrunk(shape), layered.shrunk(shape))
    assert np.array_equal(ComposedColors.shrunk(boxed, shape), wanted)
    assert np.array_equal(boxed.whole(), layered.whole())
