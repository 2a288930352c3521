"""The sliding window counts the neighbors that the paper lists."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from co2net.color_mapping.window import neighbor_weights, window_volume
from co2net.data import neighbor_numbers


@given(last=st.integers(0, 40), frame=st.integers(0, 40), previous=st.integers(0, 20), following=st.integers(0, 20))
@example(last=0, frame=0, previous=8, following=8)
@example(last=5, frame=5, previous=0, following=3)
@example(last=5, frame=0, previous=3, following=0)
@settings(deadline=None)
def test_weights_are_the_papers_list_counted(last, frame, previous, following):
    frame = min(frame, last)
    listed = neighbor_numbers(frame, range(last + 1), previous, following, step=1)
    weights = neighbor_weights(frame, last, previous, following)
    assert weights == dict(Counter(listed))
    assert sum(weights.values()) == previous + following


def test_a_frame_in_the_middle_is_not_its_own_neighbor():
    assert neighbor_weights(5, 10, 2, 2) == {3: 1, 4: 1, 6: 1, 7: 1}


def test_window_volume_is_the_weighted_sum_and_leaves_its_parts_alone():
    volumes = {number: torch.rand(1, 4, 5, 5, 5) for number in range(4)}
    before = {number: volume.clone() for number, volume in volumes.items()}
    total = window_volume(volumes, {3: 1, 0: 4, 2: 2})
    assert total is not None
    torch.testing.assert_close(total, 4 * volumes[0] + 2 * volumes[2] + volumes[3])
    one = window_volume(volumes, {1: 1})
    assert one is not None and one.data_ptr() != volumes[1].data_ptr()
    assert all(torch.equal(volumes[number], before[number]) for number in volumes)
    assert window_volume(volumes, {}) is None


def test_cells_that_no_neighbor_filled_stay_exactly_empty():
    # A running sum with subtraction would leave residue there, which counts as seen.
    volumes = {number: torch.rand(1, 4, 5, 5, 5) for number in range(20)}
    for volume in volumes.values():
        volume[..., 2:] = 0
    for frame in range(20):
        total = window_volume(volumes, neighbor_weights(frame, 19, 3, 3))
        assert total is not None and not total[..., 2:].any()
