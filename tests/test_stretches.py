from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.stretches import (
    cut_at_gaps,
    in_stretches,
    row_ranges,
    run_starts,
    stretches,
)

PERIOD = 10
TIMES = st.lists(st.sampled_from([10, 10, 10, 20, 35]), min_size=1, max_size=25).map(
    lambda steps: np.cumsum(steps)
)
INTERVALS = st.lists(
    st.tuples(st.integers(-20, 400), st.integers(1, 90)).map(
        lambda pair: (pair[0], pair[0] + pair[1])
    ),
    max_size=5,
)


def overlap(time: int, interval: tuple[int, int]) -> bool:
    return time < interval[1] and interval[0] < time + PERIOD


@given(TIMES, INTERVALS)
def test_a_range_holds_the_rows_that_share_time_with_its_interval(
    times: np.ndarray, intervals: list[tuple[int, int]]
) -> None:
    starts, ends = [a for a, _ in intervals], [b for _, b in intervals]
    first, stop = row_ranges(times, PERIOD, starts, ends)
    for low, high, interval in zip(first, stop, intervals, strict=True):
        inside = [row for row, t in enumerate(times) if overlap(int(t), interval)]
        assert list(range(low, high)) == inside


@given(TIMES, INTERVALS)
def test_stretches_are_apart_and_hold_what_the_intervals_hold(
    times: np.ndarray, intervals: list[tuple[int, int]]
) -> None:
    found = stretches(times, PERIOD, intervals)
    expected = [any(overlap(int(t), i) for i in intervals) for t in times]
    assert in_stretches(found, len(times)).tolist() == expected
    assert (found[:, 0] < found[:, 1]).all()
    assert (found[1:, 0] >= found[:-1, 1]).all()
    for before, after in zip(found[:-1, 1], found[1:, 0], strict=True):
        # Rows that follow each other are never in two stretches.
        assert before < after or times[after] - times[before - 1] > PERIOD


@given(TIMES, INTERVALS)
def test_pieces_are_the_stretches_without_the_gaps(
    times: np.ndarray, intervals: list[tuple[int, int]]
) -> None:
    found = stretches(times, PERIOD, intervals)
    pieces = cut_at_gaps(found, run_starts(times, PERIOD), len(times))
    rows = [
        list(range(*bounds)) for bounds in zip(pieces.first, pieces.stop, strict=True)
    ]
    assert all(rows) and sum(rows, []) == [
        row for first, stop in found for row in range(first, stop)
    ]
    for own, number, begin, end in zip(
        rows, pieces.stretch, pieces.run_first, pieces.run_stop, strict=True
    ):
        assert found[number, 0] <= own[0] and own[-1] < found[number, 1]
        assert begin <= own[0] and own[-1] < end
        assert (np.diff(times[begin:end]) == PERIOD).all()
        assert begin == 0 or times[begin] - times[begin - 1] != PERIOD


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0, 10), (10, 20)], [(0, 2)]),  # touch
        ([(0, 30), (5, 10)], [(0, 3)]),  # one within the other
        ([(0, 11), (15, 20)], [(0, 2)]),  # share a row
        ([(0, 10), (30, 90)], [(0, 1), (3, 4)]),  # apart, the second beyond the end
        ([(35, 200)], [(3, 6)]),  # goes on over the gap
        ([(30, 40), (100, 110)], [(3, 4), (4, 5)]),  # on both sides of the gap
        ([(50, 90)], []),  # in the gap
        ([], []),
    ],
)
def test_what_is_one_stretch(
    intervals: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    times = np.array([0, 10, 20, 30, 100, 110])
    found = stretches(times, PERIOD, intervals)
    assert list(map(tuple, found.tolist())) == expected
