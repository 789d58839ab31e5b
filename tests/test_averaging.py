"""Averages that respect the kind of quantity."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.averaging import average

CELLS = st.one_of(st.floats(-400, 400, width=32), st.just(np.nan))


@given(
    pairs=st.lists(
        st.tuples(CELLS, st.floats(0.125, 8, width=16)), min_size=1, max_size=6
    ),
    kind=st.sampled_from(["scalar", "level", "direction"]),
)
def test_averages_equal_the_plain_reference(
    pairs: list[tuple[float, float]], kind: str
) -> None:
    values = [value for value, _ in pairs]
    weights = [weight for _, weight in pairs]
    expected = naive.naive_average(values, weights, kind)
    found = average(np.array(values), np.array(weights), kind)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    if kind == "direction":
        assert np.isnan(found) or 0 <= found < 360
        assert np.isnan(found) == np.isnan(expected)
        expected = found + (expected - found + 180) % 360 - 180
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_three_decibels_more_and_nothing_are_half_the_power() -> None:
    found = average(np.array([-60.0, -300.0]), np.ones(2), "level")
    assert found == pytest.approx(-63.0103, abs=1e-4)


def test_directions_around_north_average_to_north() -> None:
    found = average(np.array([350.0, 10.0]), np.ones(2), "direction")
    assert found == pytest.approx(0, abs=1e-4) or found == pytest.approx(360)


@pytest.mark.parametrize("kind", ["scalar", "level", "direction"])
def test_nothing_has_no_average(kind: str) -> None:
    values = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    found = average(values, np.ones((2, 1)), kind)  # type: ignore[arg-type]
    assert np.isnan(found[0]) and found[1] == pytest.approx(1)
    assert np.isnan(average(np.empty((0, 2)), np.empty((0, 1)), kind)).all()  # type: ignore[arg-type]
