"""Neighbor numbers: the recorded LUTs and the rules behind them."""

import fixtures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from co2net.data import neighbor_numbers
from co2net.errors import InputError

CASE, LUTS = fixtures.load("hyoutube_neighbors")


@pytest.mark.parametrize("case", CASE["settings"]["cases"], ids=lambda case: case["name"])
def test_recorded_luts(case):
    for frame, row in zip(case["frames"], LUTS[case["name"]], strict=True):
        available = case["frames_with_mask"]
        assert neighbor_numbers(frame, available, case["previous"], case["future"], 5) == row.astype(int).tolist()


def test_known_values():
    clip = set(range(0, 100, 5))
    assert neighbor_numbers(0, clip, 8, 8) == [0] * 8 + [5, 10, 15, 20, 25, 30, 35, 40]
    assert neighbor_numbers(90, clip, 8, 8) == [85, 80, 75, 70, 65, 60, 55, 50] + [95] * 8
    assert neighbor_numbers(0, clip, 1, 0) == [0]
    assert neighbor_numbers(25, {0, 5, 10, 25, 30, 50}, 3, 3) == [25, 25, 10, 30, 30, 30]
    assert neighbor_numbers(25, clip, 0, 0) == []
    assert neighbor_numbers(2, range(10), 3, 1, step=1) == [1, 0, 0, 3]


@given(
    st.integers(0, 100), st.sets(st.integers(0, 100)), st.integers(0, 12), st.integers(0, 12), st.integers(1, 7)
)  # fmt: skip
def test_rules(frame, available, previous, following, step):
    numbers = neighbor_numbers(frame, available, previous, following, step)
    assert len(numbers) == previous + following
    assert set(numbers) <= available | {frame}
    assert all((number - frame) % step == 0 for number in numbers)
    before, after = numbers[:previous], numbers[previous:]
    assert before == sorted(before, reverse=True) and after == sorted(after)
    assert all(number <= frame for number in before) and all(number >= frame for number in after)


def test_bad_counts():
    for arguments in ((-1, 0, 5), (0, -1, 5), (1, 1, 0)):
        with pytest.raises(InputError, match="counts >= 0 and a step >= 1"):
            neighbor_numbers(0, {0}, *arguments)
