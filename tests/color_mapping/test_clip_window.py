"""The sliding window counts the neighbors that the paper lists."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from co2net.color_mapping.clip_window import ClipWindow, neighbor_weights
from co2net.color_mapping.mappings import MAPPINGS


@given(last=st.integers(0, 40), frame=st.integers(0, 40), previous=st.integers(0, 20), following=st.integers(0, 20))
@example(last=0, frame=0, previous=8, following=8)
@example(last=5, frame=5, previous=0, following=3)
@example(last=5, frame=0, previous=3, following=0)
@settings(deadline=None)
def test_weights_are_those_of_a_clip_whose_ends_are_repeated(last, frame, previous, following):
    frame = min(frame, last)
    offsets = [*range(-previous, 0), *range(1, following + 1)]
    weights = neighbor_weights(frame, last, previous, following)
    assert weights == Counter(min(max(frame + offset, 0), last) for offset in offsets)
    assert neighbor_weights(frame + 7, last + 7, previous, following, 7) == {n + 7: w for n, w in weights.items()}


def test_a_frame_in_the_middle_is_not_its_own_neighbor():
    assert neighbor_weights(5, 10, 2, 2) == {3: 1, 4: 1, 6: 1, 7: 1}


def window_of(volumes, mapping="paper"):
    window = ClipWindow(MAPPINGS[mapping])
    for number, volume in volumes.items():
        window.add(number, volume)
    return window


def test_the_volume_is_the_weighted_sum_and_leaves_its_parts_alone():
    volumes = {number: torch.rand(1, 4, 5, 5, 5) for number in range(4)}
    before = {number: volume.clone() for number, volume in volumes.items()}
    window = window_of(volumes)
    total = window.volume(9, {3: 1, 0: 4, 2: 2})
    assert total is not None
    torch.testing.assert_close(total, 4 * volumes[0] + 2 * volumes[2] + volumes[3])
    one = window.volume(0, {1: 1})
    assert one is not None and one.data_ptr() != volumes[1].data_ptr()
    assert all(torch.equal(volumes[number], before[number]) for number in volumes)


def test_predictions_count_once_and_the_frames_own_is_among_them():
    volumes = {number: torch.rand(1, 4, 5, 5, 5) for number in range(4)}
    total = window_of(volumes, "predicted").volume(1, {0: 5, 2: 3})
    torch.testing.assert_close(total, volumes[0] + volumes[1] + volumes[2])


def test_neighbors_that_told_nothing_are_not_the_same_as_none():
    window = window_of({0: torch.rand(1, 4, 5, 5, 5)})
    assert window.volume(4, {}) is None and window_of({}).volume(4, {3: 1}) is None
    empty = window.volume(4, {3: 2})
    assert empty is not None and not empty.any()


def test_what_is_dropped_is_gone_but_for_the_last_before():
    window = window_of({number: torch.rand(1, 4, 5, 5, 5) for number in (0, 3, 6, 9)})
    window.drop_before(5)
    assert window.numbers == [3, 6, 9]
    window.drop_before(6)
    assert window.numbers == [6, 9]
    window.drop(9)
    window.drop(9)
    assert window.numbers == [6]


def test_cells_that_no_neighbor_filled_stay_exactly_empty():
    # A running sum with subtraction would leave residue there, which counts as seen.
    volumes = {number: torch.rand(1, 4, 5, 5, 5) for number in range(20)}
    for volume in volumes.values():
        volume[..., 2:] = 0
    window = window_of(volumes)
    for frame in range(20):
        total = window.volume(frame, neighbor_weights(frame, 19, 3, 3))
        assert total is not None and not total[..., 2:].any()
