"""Strokes to colors: the way without weights, SVCNet's window, and what can be wrong with strokes."""

import gc
import threading
import tracemalloc

import fixtures
import numpy as np
import pytest
import torch

from co2net import colorization
from co2net.colorization import lab, regression
from co2net.colorization import spread as spreading
from co2net.colorization.spread import spread
from co2net.colorization.strokes import strokes_ab, strokes_on_black
from co2net.colorization.window import Window
from co2net.errors import InputError, ShapeError
from co2net.flow.estimators import NetworkEstimator
from co2net.flow.pwcnet import PWCNet

SIZE = 64, 96


def scene(shift=0):
    """A dark disc on a bright ground, gray: ``(H, W, 3)`` uint8."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (y - 32) ** 2 + (x - 40 - shift) ** 2 < 18**2
    return np.where(inside, 70, 180).astype(np.uint8)[..., None].repeat(3, axis=2), inside


def strokes():
    drawn = np.zeros((*SIZE, 4), np.uint8)
    drawn[30:34, 36:44] = 200, 40, 40, 255  # the disc is red
    drawn[4:8, 4:90] = 40, 160, 60, 255  # the ground green
    return drawn


def chroma(rgb):
    return rgb.astype(int).max(axis=2) - rgb.astype(int).min(axis=2)


def test_strokes_stop_at_edges_and_follow_the_clip():
    frames = [scene(2 * k) for k in range(6)]
    colored = list(colorization.colorize_frames([frame for frame, _ in frames], {0: strokes()}))
    assert len(colored) == 6
    for (gray, inside), result in zip(frames, colored, strict=True):
        assert result.dtype == np.uint8
        assert (result[inside][:, 0].astype(int) - result[inside][:, 1]).mean() > 40
        assert (result[~inside][:, 1].astype(int) - result[~inside][:, 0]).mean() > 30
        light = lab.split_lab8(result)[0] - lab.split_lab8(gray)[0]
        assert light.abs().mean() <= 0.5 / 255  # the luma stays, but where the screen has no such color
    assert len(list(colorization.colorize_frames([], {0: strokes()}))) == 0


@pytest.mark.parametrize("kind", ["uint16", "float", "tensor"])
def test_frames_come_back_as_their_kind(kind):
    gray, _ = scene()
    deep = gray.astype(np.uint16) * 257
    planes = np.ascontiguousarray(gray.transpose(2, 0, 1)).astype(np.float32) / 255
    frame = {"uint16": deep, "float": planes, "tensor": torch.from_numpy(planes)}[kind]
    (result,) = colorization.colorize_frames([frame], {0: strokes()})
    assert type(result) is type(frame) and result.dtype == frame.dtype and result.shape == frame.shape


def held():
    """Bytes of live arrays and objects, and of live tensors."""
    gc.collect()
    tensors = [x for x in gc.get_objects() if type(x) is torch.Tensor]  # other tests' traced ones have no data
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
    return tracemalloc.get_traced_memory()[0], sum(storages.values())


def test_a_long_clip_holds_no_more_than_a_short_one():
    stream = colorization.ColorizeStream({0: strokes()})
    frames = [scene(k % 4)[0] for k in range(20)]
    found = {}
    tracemalloc.start()
    try:
        for number, frame in enumerate(frames):
            list(stream.push(frame))
            if number in (7, 19):
                stream._painter._pool.submit(int).result()  # the thread has looked at this frame, and rests
                found[number] = held()
    finally:
        tracemalloc.stop()
    assert found[19][1] == found[7][1]
    assert found[19][0] - found[7][0] < frames[0].nbytes  # of twelve frames not even one


def test_a_frame_is_looked_at_once_while_the_one_before_is_colored(monkeypatch):
    looked = []
    describe = spreading.describe_frame
    monkeypatch.setattr(
        spreading, "describe_frame", lambda luma: looked.append(threading.get_ident()) or describe(luma)
    )
    monkeypatch.setattr(regression, "describe_frame", None)  # the strokes' guess takes what was seen already
    stream = colorization.ColorizeStream({1: strokes(), 2: strokes()})
    tags = [[tag for tag, _ in stream.push(scene(k)[0], tag=k)] for k in range(4)]
    assert tags == [[], [0], [1], [2]] and [tag for tag, _ in stream.finish()] == [3]
    assert len(looked) == 3 and threading.get_ident() not in looked  # frame 0 has no strokes yet


def test_a_flow_that_fails_is_an_error_of_the_call():
    def broken(one, two):
        raise ShapeError("no flow today")

    with pytest.raises(ShapeError, match="no flow today"):
        list(colorization.colorize_frames([scene(k)[0] for k in range(3)], {0: strokes()}, flow=broken))


def test_nothing_known_is_gray_and_a_cut_forgets():
    gray, _ = scene()
    luma = torch.from_numpy(gray[..., 0])
    neutral = spread(luma, torch.full((1, 2, *SIZE), 0.2), torch.zeros(1, 1, *SIZE))
    assert (neutral == lab.NEUTRAL).all()
    other = 255 - gray
    other[::2] = 10
    stream = colorization.ColorizeStream({0: strokes()})
    results = [r for frame in [gray] * 4 + [other] * 2 for _, r in stream.push(frame)]
    results += [r for _, r in stream.finish()]
    assert chroma(results[3]).mean() > 20 and chroma(results[5]).max() <= 1
    assert any("from 4 on" in note for note in stream.notes)


def test_strokes_by_number_colors_dropped_and_notes():
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[:] = 90, 160, 30
    stream = colorization.ColorizeStream({0: strokes(), 7: strokes()})
    list(stream.push(frame))
    list(stream.finish())
    assert any("colors of its own" in note for note in stream.notes)
    assert any("do not exist" in note and "7" in note for note in stream.notes)


def test_what_strokes_may_look_like():
    drawn = strokes()
    black = np.where(drawn[..., 3:] > 0, drawn[..., :3], 0)
    gray, _ = scene()
    over = np.where(drawn[..., 3:] > 0, drawn[..., :3], gray)
    for given in (drawn, black, over):
        read = strokes_on_black(given, SIZE)
        np.testing.assert_array_equal(read, black)
    ab, known = strokes_ab(black, SIZE, (16, 24))
    assert known.shape == (1, 1, 16, 24) and set(known.unique().tolist()) == {0.0, 1.0}
    wanted = lab.split_lab8(np.full((1, 1, 3), (200, 40, 40), np.uint8))[1]
    torch.testing.assert_close(ab[:, :, 8, 10], wanted[:, :, 0, 0])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros((*SIZE, 3), np.uint8), "no stroke"),
        (np.zeros((10, 12, 3), np.uint8), "12x10"),
        (np.zeros(SIZE, np.uint8), "must be"),
        (np.tile(np.array([200, 10, 10], np.uint8), (*SIZE, 1)), "all over"),
    ],
)
def test_bad_strokes_are_named(given, says):
    with pytest.raises((InputError, ShapeError), match=says):
        strokes_on_black(given, SIZE)
    with pytest.raises((InputError, ShapeError), match=f"frame 0.*{says}"):
        list(colorization.colorize_frames([scene()[0]], {0: given}))


def test_settings_that_do_not_go_together():
    with pytest.raises(InputError, match="no scribbles"):
        colorization.colorize_frames([], {})
    with pytest.raises(InputError, match="cpnet"):
        colorization.colorize_frames([], {0: strokes()}, ssnet=colorization.create_ssnet("SSNet_without_long"))


@torch.no_grad()
def test_the_window_is_the_recorded_pipeline():
    """Eight frames, two windows, arranged as the official weights were trained."""
    described, outputs = fixtures.load("svcnet_pipeline")
    given = {key: torch.from_numpy(value) for key, value in fixtures.inputs(described).items()}
    wanted = {key: torch.from_numpy(value) for key, value in outputs.items()}
    states = {}
    for part, name in described["settings"]["weights"].items():
        case = fixtures.load(name)[0]
        states[part] = {key: torch.from_numpy(value) for key, value in fixtures.state_dict(case).items()}
    cpnet, ssnet = colorization.create_cpnet(), colorization.create_ssnet()
    cpnet.load_state_dict(states["cpnet"])
    ssnet.load_state_dict(states["ssnet"])
    network = PWCNet("svcnet")
    network.load_state_dict(states["flow"])
    window = Window(cpnet, ssnet, NetworkEstimator(network), arrangement="published")
    frames = (given["frames"] * 255).round().byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    scribble = torch.where(given["strokes"] > 0.97, given["hint"], lab.NEUTRAL)
    steps, held, step = [], {}, window.step

    def watched(frames):
        held.update({frame.number: frame for frame in frames})
        steps.append(step(frames))
        return steps[-1]

    window.step = watched
    given_back = []
    for t, frame in enumerate(frames):
        luma, _ = lab.split_lab8(np.ascontiguousarray(frame.numpy()))
        known, centered = torch.zeros(1, 1, 64, 64), lab.centered_lab(frame.numpy())[:, :1]
        given_back += [
            number for number, _ in window.add(luma, scribble[t : t + 1], known, t, centered=centered, carry=False)
        ]
    given_back += [number for number, _ in window.rest()]
    assert given_back == list(range(8)) and len(steps) == 2
    found = {
        "cpnet": torch.cat([held[number].color for number in (0, 3, 4)]),
        "out0": steps[0].out,
        "out1": steps[1].out,
        "sr1": steps[1].sr,
    }
    for name, value in found.items():
        difference = (value - wanted[name]).abs()
        assert difference.max() <= described.get("tolerances", {}).get(name, described["tolerance"]), name
        assert difference.mean() <= described["mean_tolerance"].get(name, 1), name


@pytest.mark.parametrize(("arrangement", "wanted"), [("sound", (64, 128, 192)), ("published", (59, 119, 185))])
def test_the_published_arrangement_shows_the_gray_conversion(arrangement, wanted):
    gray = np.repeat(np.array([64, 128, 192], np.uint8), 32)[None, :, None].repeat(32, axis=0).repeat(3, axis=2)
    stream = colorization.ColorizeStream({}, arrangement=arrangement)
    ((_, result),) = [*stream.push(gray), *stream.finish()]
    np.testing.assert_allclose(result[16, 16::32], np.array(wanted)[:, None].repeat(3, axis=1), atol=1)


def test_an_untrained_plain_cpnet_leaves_the_guess_as_it_is():
    torch.manual_seed(0)
    cpnet = colorization.create_cpnet("CPNet_plain", start_channels=4)
    frames = [scene(k)[0] for k in range(3)]
    with_it = list(colorization.colorize_frames(frames, {0: strokes()}, cpnet))
    for one, other in zip(with_it, colorization.colorize_frames(frames, {0: strokes()}), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    with torch.no_grad():
        cpnet.D1.conv2d.weight[0] = 5.0  # now it corrects, and later frames have that too: it is carried
    changed = list(colorization.colorize_frames(frames, {0: strokes()}, cpnet))
    assert all(np.abs(one.astype(int) - other).mean() > 1 for one, other in zip(changed, with_it, strict=True))


@torch.no_grad()
def test_networks_over_a_short_clip_and_another_size():
    cpnet = colorization.create_cpnet("CPNet_plain", start_channels=4)
    ssnet = colorization.create_ssnet("SSNet_without_long")
    frames = [scene(k)[0] for k in range(5)]
    calls = []

    def still(first, second):
        calls.append(1)
        return torch.zeros(len(first), 2, *first.shape[2:])

    colored = list(colorization.colorize_frames(frames, {0: strokes()}, cpnet, ssnet, flow=still))
    assert len(colored) == 5 and all(result.shape == frames[0].shape for result in colored)
    assert calls
