from __future__ import annotations

import math

import numpy as np
import pytest

from echoanom.bootstrap import blocks_of, draws, interval
from echoanom.errors import ScoresError

DAY = 86_400


def test_blocks_are_the_days_that_have_rows() -> None:
    times = np.array([0, DAY - 60, DAY, 5 * DAY, 5 * DAY + 60])
    assert blocks_of(times, 24).tolist() == [0, 0, 1, 2, 2]
    assert blocks_of(times, 48).tolist() == [0, 0, 0, 1, 1]


def test_rows_before_1970_have_blocks_too() -> None:
    assert blocks_of(np.array([-DAY - 60, -60, 0]), 24).tolist() == [0, 1, 2]


def test_as_many_blocks_are_drawn_as_there_are_and_the_same_again() -> None:
    blocks = np.array([0, 0, 1, 2, 3])
    first = list(draws(blocks, 20, seed=4))
    assert all(counts.sum() == 4 and len(counts) == 4 for counts in first)
    assert len({tuple(counts) for counts in first}) > 5
    again = list(draws(blocks, 20, seed=4))
    np.testing.assert_array_equal(first, again)
    assert any(
        (one != other).any()
        for one, other in zip(first, draws(blocks, 20, seed=5), strict=True)
    )


def test_one_block_cannot_be_drawn_anew() -> None:
    with pytest.raises(ScoresError, match="at least two blocks, got one; choose"):
        list(draws(np.zeros(5, dtype=np.int64), 3, seed=0))


def test_an_interval_leaves_out_a_fortieth_at_each_end() -> None:
    assert interval(np.arange(0.0, 1001.0)) == pytest.approx((25.0, 975.0))


def test_a_measure_that_most_draws_do_not_define_has_no_interval() -> None:
    assert interval(np.array([np.nan, np.nan, 1.0])) is None
    assert interval(np.array([np.nan, 1.0, 3.0])) == pytest.approx((1.05, 2.95))
    assert interval(np.array([])) is None


def test_the_interval_of_a_share_is_about_that_of_the_binomial_law() -> None:
    # One row a day, three in ten of them found.
    found = np.arange(200) % 10 < 3
    shares = [counts @ found / 200 for counts in draws(np.arange(200), 2000, seed=1)]
    between = interval(np.array(shares))
    assert between is not None
    half = 1.96 * math.sqrt(0.3 * 0.7 / 200)
    assert between == pytest.approx((0.3 - half, 0.3 + half), abs=0.01)
